"""A switch whose ports can be disturbed, and hosts that run commands."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
import unittest
from ipaddress import ip_address
from pathlib import Path

from carptwist.lab import Lab, LabError
from carptwist.lab.lan import Partition
from carptwist.lab.waiting import wait_until
from tests.lab.support import processes_with

GROUP = "ff02::4242"
PORT = 4242


class LanTests(unittest.TestCase):
    def setUp(self) -> None:
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.lan = self.lab.lan()
        self.a, self.b = self.lab.host("a"), self.lab.host("b")
        for host in (self.a, self.b):
            self.lan.connect(host, "em0", [f"192.0.2.{host.number + 1}/24", f"2001:db8::{host.number + 1}/64"])

    def heard(self, sender: object, receiver: object, limit: float) -> bool:
        """Whether a datagram gets from one host to another; it is sent again and again until ``limit``."""
        listening = receiver.socket(socket.AF_INET, socket.SOCK_DGRAM)  # type: ignore[attr-defined]
        speaking = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)  # type: ignore[attr-defined]
        with listening, speaking:
            listening.bind(("", PORT))
            listening.settimeout(0.05)
            deadline = time.monotonic() + limit
            while time.monotonic() < deadline:
                speaking.sendto(b"?", (f"192.0.2.{receiver.number + 1}", PORT))  # type: ignore[attr-defined]
                try:
                    listening.recv(16)
                except TimeoutError:
                    continue
                return True
            return False

    def settle(self) -> None:
        """Both know the other's MAC, and the switch both of theirs."""
        self.assertTrue(self.heard(self.a, self.b, 10))
        self.assertTrue(self.heard(self.b, self.a, 10))

    def test_connected(self) -> None:
        """A connected interface has its link and its addresses at once, and reaches the others."""
        self.assertTrue(self.a.has_link("em0"))
        self.assertLessEqual({ip_address("192.0.2.2"), ip_address("2001:db8::2")}, self.a.addresses())
        self.settle()
        self.assertEqual(self.a.neighbors()[ip_address("192.0.2.3")], "02:00:00:00:02:01")

    def test_cut_and_heal(self) -> None:
        """A cut host has lost its link when the call returns, hears nobody, and is back after the healing."""
        self.settle()
        self.lan.cut(self.a)
        self.assertFalse(self.a.has_link("em0"))
        self.assertFalse(self.heard(self.b, self.a, 0.5))
        self.lan.heal(self.a)
        self.assertTrue(self.a.has_link("em0"))
        self.assertTrue(self.heard(self.b, self.a, 10))

    def test_isolation(self) -> None:
        """An isolated host keeps its link; frames are dropped in one direction or both, and only its own."""
        c = self.lab.host("c")
        self.lan.connect(c, "em0", ["192.0.2.4/24"])
        self.settle()
        self.assertTrue(self.heard(self.b, c, 10))
        for partition, speaks, hears in (
            (Partition.BOTH, False, False),
            (Partition.DEAF, True, False),
            (Partition.MUTE, False, True),
        ):
            with self.subTest(partition.value):
                self.settle()
                self.lan.isolate(self.a, partition)
                self.assertTrue(self.a.has_link("em0"))
                self.assertIs(self.heard(self.a, self.b, 10 if speaks else 0.5), speaks)
                self.assertIs(self.heard(self.b, self.a, 10 if hears else 0.5), hears)
                self.assertTrue(self.heard(self.b, c, 10))
                self.lan.heal(self.a)
                self.settle()

    def test_history(self) -> None:
        """A port tells from when to when it has carried everything."""
        port = self.lan.ports["a"]
        begin = time.time()
        time.sleep(0.01)
        self.lan.isolate(self.a, Partition.MUTE)
        self.assertFalse(port.connected(begin, time.time()))
        self.lan.cut(self.a)
        self.lan.isolate(self.a, Partition.NOTHING)
        self.assertFalse(port.connected(time.time(), time.time()))
        self.lan.heal(self.a)
        healed = time.time()
        self.assertTrue(port.connected(healed, healed + 1))
        self.assertFalse(port.connected(begin, healed + 1))

    def test_snooping(self) -> None:
        """The switch sends a group's frames to those hosts alone that have reported that they are members."""
        member = self.b.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(member.close)
        member.setsockopt(
            socket.IPPROTO_IPV6,
            socket.IPV6_JOIN_GROUP,
            socket.inet_pton(socket.AF_INET6, GROUP) + struct.pack("@I", self.b.index("em0")),
        )
        member.bind(("::", PORT))
        member.settimeout(10)
        stranger = self.lab.host("stranger")
        self.lan.connect(stranger, "em0", ["2001:db8::9/64"])
        tap = stranger.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self.addCleanup(tap.close)
        tap.settimeout(0.3)
        speaking = self.a.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.addCleanup(speaking.close)

        def strange() -> bool:
            """Nobody but members hear; and a member does."""
            speaking.sendto(b"?", (GROUP, PORT, 0, self.a.index("em0")))
            self.assertEqual(member.recv(16), b"?")
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                try:
                    frame = tap.recv(2048)
                except TimeoutError:
                    break
                if frame[38:54] == socket.inet_pton(socket.AF_INET6, GROUP) and frame[20] == socket.IPPROTO_UDP:
                    return False
            return True

        # A fresh querier is believed only after a while.
        wait_until(strange, "a host that is no member hears nothing of the group")

    def test_twice(self) -> None:
        """A host can be connected once to one LAN, but to several LANs."""
        with self.assertRaises(LabError):
            self.lan.connect(self.a, "em1")
        self.lab.lan("another").connect(self.a, "em1", ["198.51.100.2/24"])
        self.assertEqual(self.a.interfaces(), ["lo", "em0", "em1"])

    def test_run(self) -> None:
        """A command runs in its host, in the host's directory, with its output in a log."""
        child = self.a.run(["sh", "-c", "pwd; echo $WORD; exit 3"], log="out", env={"WORD": "x"})
        self.assertEqual(child.wait(), 3)
        self.assertEqual(child.text().splitlines(), [str(self.a.directory), "x"])
        again = self.a.run(["sh", "-c", "echo again; printf unfinished"], log="out")
        again.wait()
        self.assertEqual(again.new_lines(), ["again"])
        self.assertEqual(again.new_lines(), [])

    def test_expect(self) -> None:
        """Waiting for words ends with them, with the end of the command, or with the limit; both say what was said."""
        child = self.a.run(["sh", "-c", "echo one; sleep 0.2; echo two; sleep 1000"], log="out")
        child.expect("two")
        with self.assertRaisesRegex(LabError, "(?s)three.*one\ntwo"):
            child.expect("three", limit=0.1)
        child.kill()
        with self.assertRaisesRegex(LabError, "(?s)ended with -9.*one\ntwo"):
            child.expect("three")

    def test_unknown_command(self) -> None:
        """A command that there is not is an error of the lab, and names it."""
        with self.assertRaisesRegex(LabError, "a: no-such-command cannot be started"):
            self.a.run(["no-such-command"])

    def test_close(self) -> None:
        """After the end nothing runs any more, not even what a command has left behind, and the directory is gone."""
        token = "1000000.31415"
        self.a.run(["sh", "-c", f"setsid sleep {token}1 &"]).wait()
        child = self.a.run(["sleep", token])
        self.assertEqual(self.lab.survivors(), [f"a: sleep {token}"])
        directory = self.lab.directory
        self.lab.close()
        wait_until(lambda: not processes_with(f"sleep {token}"), "they are gone")
        self.assertFalse(child.running)
        self.assertFalse(Path(directory).exists())

    def test_stdin_is_empty(self) -> None:
        """A command that reads from its input does not hang."""
        child = self.a.run(["cat"], stdout=subprocess.DEVNULL)
        self.assertEqual(child.wait(), 0)
