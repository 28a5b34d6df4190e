"""The guard's program, run as the daemon runs it, with its messages given by hand."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from carptwist.guard import process
from carptwist.guard.process import boottime
from carptwist.planes.messages import remove_group
from carptwist.planes.upkeep import datagrams
from tests.guard.host import ADDRESSES, GuardedHost

#: Of a guard beside its daemon, in KiB.
MOST_MEMORY = 8 * 1024


class ProgramTests(GuardedHost):
    """What it does, and what it leaves alone."""

    def setUp(self) -> None:
        super().setUp()
        self.daemon, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.daemon.close)
        self.daemon.settimeout(10)
        with self.here.namespace, theirs, (self.here.directory / "stderr").open("wb") as stderr:
            self.guard = subprocess.Popen(
                [sys.executable, "-I", "-S", "-E", process.__file__, str(self.note)],
                stdin=theirs.fileno(),
                stderr=stderr,
            )
        self.addCleanup(self.guard.wait)
        self.addCleanup(self.guard.kill)
        self.assertEqual(self.daemon.recv(100), process.HELLO)

    def entrust(self, serial: int, until: float, name: str = "1@em0") -> None:
        will = self.will(name)
        header = process.WILL_HEADER.pack(serial, until, will.interface, len(will.farewell))
        self.daemon.send(
            process.WILL + header + process.pack([name.encode(), *will.farewell, *will.requests]),
        )

    def renew(self, serial: int, until: float) -> None:
        self.daemon.send(process.RENEW + process.RENEWAL.pack(serial, until))

    def forget(self, serial: int) -> None:
        self.daemon.send(process.FORGET + process.SERIAL.pack(serial))

    def ping(self) -> None:
        """Wait until it has done all that it was told."""
        self.daemon.send(process.PING)
        while self.daemon.recv(1000)[:1] != process.PONG:
            pass

    def log(self) -> str:
        return (self.here.directory / "stderr").read_text()

    def test_the_daemon_dies(self) -> None:
        """Every will is carried out; it says so in the log and in the note; and it ends."""
        for serial, name in enumerate(("1@em0", "2@em0")):
            self.entrust(serial, boottime() + 60, name)
            self.renew(serial, boottime() + 60)
        self.daemon.close()
        self.assertEqual(self.guard.wait(10), 0)
        self.assertFalse(self.reachable("1@em0") or self.reachable("2@em0"))
        self.assertEqual({self.heard(), self.heard()}, {"1@em0", "2@em0"})
        for text in (self.log(), self.note.read_text()):
            self.assertIn("carp: guard: 1@em0: the daemon has ended: addresses taken away and bowed out in ", text)
            self.assertIn("carp: guard: 2@em0: the daemon has ended", text)

    def devices(self) -> list[str]:
        """Three that go together, and one that has nothing to do with them."""
        for name, group in (("x1", 4242), ("x2", 4242), ("x3", 4242), ("other", 4243)):
            self.here.namespace.route.link("add", ifname=name, kind="macvlan", link=self.index, group=group, state="up")
        (sweep,) = datagrams([remove_group(4242)])
        self.daemon.send(process.SWEEP + sweep)
        return ["x1", "x2", "x3"]

    def entrust_nothing(self, serial: int, until: float) -> None:
        """As of a plane that sets nothing up."""
        header = process.WILL_HEADER.pack(serial, until, self.index, 0)
        self.daemon.send(process.WILL + header + process.pack([f"{serial}@em0".encode()]))

    def test_many_are_swept_together(self) -> None:
        """Of a daemon that has ended all devices go at once, and nobody is told before; whatever that leaves goes as
        it does otherwise."""
        devices = self.devices()
        self.entrust(1, boottime() + 60, "1@em0")
        self.entrust(2, boottime() + 60, "2@em0")
        self.entrust_nothing(3, boottime() + 60)
        for serial in (1, 2, 3):
            self.renew(serial, boottime() + 60)
        self.daemon.close()
        self.assertIn(self.heard(), ADDRESSES)
        left = self.here.interfaces()
        self.assertEqual([name for name in devices if name in left], [])
        self.assertIn("other", left)
        self.assertFalse(self.reachable("1@em0") or self.reachable("2@em0"))
        self.assertEqual(self.guard.wait(10), 0)
        self.assertEqual(self.log().count("the daemon has ended: addresses taken away and bowed out in "), 3)

    def test_others_are_not_swept(self) -> None:
        """A daemon that only stands still may go on, and needs its devices; and for a few it would take longer."""
        devices = self.devices()
        self.entrust_nothing(3, boottime())
        self.entrust_nothing(4, boottime())
        self.entrust(1, boottime(), "1@em0")
        self.await_taken("1@em0")
        self.entrust(2, boottime() + 60, "2@em0")
        self.entrust_nothing(5, boottime() + 60)
        self.daemon.close()
        self.assertEqual(self.guard.wait(10), 0)
        self.assertFalse(self.reachable("2@em0"), self.log())
        self.assertLessEqual(set(devices), set(self.here.interfaces()))

    def test_the_last_words_of_a_daemon_that_did_not_listen(self) -> None:
        """It is killed with answers unread, and before the guard has read what it said."""
        self.guard.send_signal(signal.SIGSTOP)
        for _ in range(3):
            self.daemon.send(process.PING)
        self.guard.send_signal(signal.SIGCONT)
        self.assertTrue(select.select([self.daemon], [], [], 10)[0])
        self.guard.send_signal(signal.SIGSTOP)
        self.entrust(1, boottime() + 60)
        self.renew(1, boottime() + 60)
        self.daemon.close()
        self.guard.send_signal(signal.SIGCONT)
        self.assertEqual(self.guard.wait(10), 0)
        self.assertFalse(self.reachable(), self.log())
        self.assertEqual(self.heard(), "1@em0")

    def test_an_orderly_end(self) -> None:
        """Nothing is done, nothing said."""
        self.entrust(1, boottime() + 60)
        self.renew(1, boottime() + 60)
        self.daemon.send(process.FAREWELL)
        self.assertEqual(self.guard.wait(10), 0)
        self.assertTrue(self.reachable() and self.silent())
        self.assertEqual(self.log(), "")
        self.assertFalse(self.note.exists())

    def test_not_renewed(self) -> None:
        """A will is carried out at its moment, not before; the daemon is told; others are left alone."""
        until = boottime() + 0.4
        self.entrust(1, until)
        self.renew(1, until)
        self.entrust(2, until + 60, "2@em0")
        self.await_taken()
        self.assertGreaterEqual(boottime(), until)
        self.assertEqual(self.heard(), "1@em0")
        told = self.daemon.recv(1000)
        self.assertEqual(told[:1], process.ENDED)
        serial, at = process.ENDING.unpack_from(told[1:])
        self.assertEqual(serial, 1)
        self.assertTrue(until <= at < boottime())
        self.assertIn(b"the daemon does not run: addresses taken away and bowed out in ", told)
        self.assertTrue(self.reachable("2@em0"))
        self.ping()
        self.assertIsNone(self.guard.poll())

    def test_renewed(self) -> None:
        """As long as it is renewed a will waits."""
        self.entrust(1, boottime() + 0.3)
        for _ in range(10):
            self.renew(1, boottime() + 0.3)
            time.sleep(0.1)
        self.assertTrue(self.reachable())

    def test_a_guard_that_was_away(self) -> None:
        """It hears what the daemon has said meanwhile before it judges."""
        self.entrust(1, boottime() + 0.2)
        self.guard.send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        self.renew(1, boottime() + 60)
        self.guard.send_signal(signal.SIGCONT)
        self.ping()
        self.assertTrue(self.reachable())

    def test_a_guard_that_was_away_for_too_long(self) -> None:
        """It takes the addresses away, and does not dethrone whoever has taken over meanwhile: whether the daemon does
        not run, or has ended."""
        for serial, name in enumerate(("1@em0", "2@em0")):
            self.entrust(serial, boottime() + 0.2, name)
            self.renew(serial, boottime() + 0.2)
            self.ping()
            self.guard.send_signal(signal.SIGSTOP)
            time.sleep(0.2 + process.FAREWELL_SECONDS + 0.1)
            if serial:
                self.daemon.close()
            self.guard.send_signal(signal.SIGCONT)
            self.await_taken(name)
        self.assertEqual(self.guard.wait(10), 0)
        self.assertTrue(self.silent())
        self.assertIn("carp: guard: 1@em0: the daemon does not run: addresses taken away in ", self.log())
        self.assertIn("carp: guard: 2@em0: the daemon has ended: addresses taken away in ", self.log())

    def test_forgotten(self) -> None:
        """What is forgotten is not carried out, and a newer will of the same name takes the place of the former."""
        self.entrust(1, boottime() + 60)
        self.entrust(2, boottime() + 60)
        self.forget(1)  # that one was replaced
        self.entrust(3, boottime() + 60, "2@em0")
        self.forget(3)
        self.daemon.close()
        self.guard.wait(10)
        self.assertFalse(self.reachable())
        self.assertTrue(self.reachable("2@em0"))

    def test_no_farewell_of_the_unheard(self) -> None:
        """Who dies before its first advertisement does not dethrone the master that there is."""
        self.entrust(1, boottime() + 60)
        self.daemon.close()
        self.guard.wait(10)
        self.assertFalse(self.reachable())
        self.assertTrue(self.silent())

    def test_in_pieces(self) -> None:
        """A will of any length arrives."""
        will, many = self.will(), 2000
        header = process.WILL_HEADER.pack(1, boottime() + 60, will.interface, 0)
        body = header + process.pack([b"1@em0", *(will.requests * many)])
        self.assertGreater(len(body), 2 * process.PIECE)
        while len(body) > process.PIECE:
            self.daemon.send(process.MORE + body[: process.PIECE])
            body = body[process.PIECE :]
        self.daemon.send(process.WILL + body)
        self.daemon.close()
        self.assertEqual(self.guard.wait(10), 0)
        self.assertFalse(self.reachable())

    def test_refused(self) -> None:
        """What the kernel refuses is in the log; the rest is done."""
        will = self.will()
        bad = bytearray(will.requests[0])
        bad[4:6] = (255).to_bytes(2, "little")  # no such request
        header = process.WILL_HEADER.pack(1, boottime() + 60, 999_999, 1)
        self.daemon.send(process.WILL + header + process.pack([b"1@em0", b"?" * 60, bytes(bad), *will.requests]))
        self.renew(1, boottime() + 60)
        self.daemon.close()
        self.guard.wait(10)
        self.assertFalse(self.reachable())
        self.assertIn("Operation not supported; bowing out: ", self.log())

    def test_signals_of_the_group(self) -> None:
        """What a terminal or a service manager sends to all does not end it, and it is in a session of its own."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            self.guard.send_signal(number)
        self.ping()
        self.assertIsNone(self.guard.poll())
        self.assertEqual(os.getsid(self.guard.pid), self.guard.pid)

    def test_small(self) -> None:
        """It needs little memory, and has one thread."""
        self.entrust(1, boottime() + 60)
        self.ping()
        proc = Path(f"/proc/{self.guard.pid}")
        (memory,) = [line for line in (proc / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
        self.assertLess(int(memory.split()[1]), MOST_MEMORY)
        self.assertEqual(len(list((proc / "task").iterdir())), 1)

    def test_alone(self) -> None:
        """The program imports nothing but the standard library, and little of that."""
        said = subprocess.run(
            [sys.executable, "-I", "-S", "-E", "-X", "importtime", process.__file__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        names = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines() if line.startswith("import time")}
        self.assertTrue({"select", "_socket"} <= names)
        self.assertFalse({"socket", "enum", "re", "typing", "threading", "site"} & names)
