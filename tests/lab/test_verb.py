"""``carptwist lab`` as its users call it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from tests.lab.support import environment

VERB = [sys.executable, "-c", "import sys; from carptwist.tools.carptwist import main; sys.exit(main())", "lab"]


def lab(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*VERB, *words], env=environment(), capture_output=True, text=True, timeout=120, **options
    )


class CommandTests(unittest.TestCase):
    def test_in_each_host(self) -> None:
        """The command runs in each host, its words and its environment filled in, its lines after the host's name."""
        done = lab("--hosts", "3", "sh", "-c", "echo {n} {address6} {other}; echo $LAB_HOST $LAB_ADDRESS >&2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            sorted(done.stdout.splitlines()),
            sorted(
                line
                for number, name in enumerate("abc", start=1)
                for line in (
                    f"{name}: {number} 2001:db8::{number + 1} {{other}}",
                    f"{name}: {name} 192.0.2.{number + 1}",
                )
            ),
        )

    def test_on_one_lan(self) -> None:
        """The hosts reach one another."""
        talk = (
            "import socket, sys; host = sys.argv[1]\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.1); s.bind(('', 4242))\n"
            "other = '192.0.2.3' if host == 'a' else '192.0.2.2'\n"
            "heard = set()\n"
            "for _ in range(300):\n"
            "    s.sendto(b'seen' if heard else b'hello', (other, 4242))\n"
            "    try: heard.add(s.recv(16))\n"
            "    except TimeoutError: pass\n"
            "    if b'seen' in heard: s.sendto(b'seen', (other, 4242)); sys.exit(0)\n"
            "sys.exit(1)\n"
        )
        done = lab("--", sys.executable, "-c", talk, "{host}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_exit_code(self) -> None:
        """Not each of them with 0: exit code 1."""
        self.assertEqual(lab("--", "sh", "-c", "test {host} = a").returncode, 1)
        self.assertEqual(lab("--", "sh", "-c", "test {n} -le 2").returncode, 0)

    def test_unknown_command(self) -> None:
        """A command that there is not: one line, exit code 1."""
        done = lab("no-such-command")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))
        self.assertIn("no-such-command", done.stderr)

    def test_bad_usage(self) -> None:
        """Impossible numbers of hosts are bad usage."""
        for count in ("0", "27", "-1", "x", ""):
            with self.subTest(count):
                self.assertEqual(lab(f"--hosts={count}", "true").returncode, 2)

    def test_interrupt(self) -> None:
        """An interrupt ends the commands in good order, and the lab with 130."""
        process = subprocess.Popen(
            [*VERB, "sh", "-c", "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done"],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        assert process.stdout is not None
        with process.stdout as output:
            self.assertEqual(sorted(output.readline() for _ in "ab"), ["a: up\n", "b: up\n"])
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), 130)
            self.assertLessEqual({"a: bye", "b: bye"}, set(output.read().splitlines()))

    def test_no_directory_is_left(self) -> None:
        """What the lab has put into a temporary directory is gone, also when it was terminated; also by a whole group's
        signal, which reaches each of its processes."""
        with tempfile.TemporaryDirectory() as directory:
            process = subprocess.Popen(
                [*VERB, "sh", "-c", "echo up; sleep 1000"],
                env={**environment(), "TMPDIR": directory},
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self.addCleanup(process.kill)
            assert process.stdout is not None
            with process.stdout as output:
                output.readline()
                self.assertNotEqual(os.listdir(directory), [])
                os.killpg(process.pid, signal.SIGTERM)
                self.assertEqual(process.wait(60), 128 + signal.SIGTERM)
            self.assertEqual(os.listdir(directory), [])

    def test_pcap(self) -> None:
        """All frames go to a file; one that cannot be written is an error, before anything runs."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "x.pcap"
            self.assertEqual(lab("--pcap", str(path), "true").returncode, 0)
            self.assertEqual(path.read_bytes()[:4], (0xA1B23C4D).to_bytes(4, sys.byteorder))
            done = lab("--pcap", str(path / "nowhere"), "echo", "ran")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("nowhere", done.stderr)


class PromptTests(unittest.TestCase):
    def test_script(self) -> None:
        """The prompt does from a pipe what it does on a terminal: it shows hosts, cuts, isolates and heals them."""
        done = lab(
            input="hosts\ncut a\nisolate b deaf\nhosts\nheal a\nisolate client\nhosts\n"
            "heal b\nheal client\nhosts\nquit\n"
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        states = [line.split()[:2] for line in done.stdout.splitlines()]
        self.assertEqual(
            states,
            [
                ["a", "connected"],
                ["b", "connected"],
                ["client", "connected"],
                ["a", "cut"],
                ["b", "deaf"],
                ["client", "connected"],
                ["a", "connected"],
                ["b", "deaf"],
                ["client", "isolated"],
                ["a", "connected"],
                ["b", "connected"],
                ["client", "connected"],
            ],
        )

    def test_run(self) -> None:
        """Commands run in their host; one in the background has the name of its host before its lines; one that does
        not end with 0 is said, and the next one is run all the same."""
        done = lab(
            input="run a sh -c 'echo in $(hostname >/dev/null; echo a)'\nrun b sh -c 'exit 3'\nclient echo 'x y'\n"
        )
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, "in a\nx y\n")
        self.assertEqual(done.stderr, "sh ended with 3\n")
        done = lab(input="run b echo behind &\nrun a sleep 1\n")
        self.assertEqual((done.returncode, done.stdout), (0, "b: behind\n"))

    def test_mistakes(self) -> None:
        """What is no command, no host or no way to isolate one is said in one line each."""
        done = lab(input="fly\ncut z\nisolate a sideways\nrun\nrun a\nrun a no-such-command\nrun a 'open\n")
        self.assertEqual(done.returncode, 1)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 7, done.stderr)
        for line, words in zip(
            lines,
            (
                "fly: no such command",
                "z: no such host",
                "sideways",
                "no such host",
                "what",
                "no-such-command",
                "quotation",
            ),
            strict=True,
        ):
            self.assertIn(words, line)

    def test_end_of_input(self) -> None:
        """The end of the input ends it, and what runs in the background."""
        began = time.monotonic()
        self.assertEqual(lab(input="run a sleep 1000 &\n").returncode, 0)
        self.assertLess(time.monotonic() - began, 60)


class DemoTests(unittest.TestCase):
    def test_bad_configuration(self) -> None:
        """Configurations that are missing, wrong, or nothing to show a failover with: exit code 2, and nothing
        is run."""
        good = {name: Path("conf/lab", f"{name}.ini").read_text() for name in "ab"}
        for texts, words in (
            ({}, "cannot be read"),
            ({**good, "b": good["b"].replace("advskew = 100", "advskew = 300")}, "must be 0 to 254"),
            ({**good, "b": good["b"].replace("advskew = 100", "advskew = 0")}, "preferred host"),
            ({**good, "a": good["a"].replace("preempt = yes", "preempt = no")}, "preempt = yes"),
            ({**good, "b": good["b"].replace("vhid 1@", "vhid 2@")}, "the same vhid"),
            ({**good, "a": good["a"].replace("@em0", "@em7")}, "em0"),
        ):
            with self.subTest(words), tempfile.TemporaryDirectory() as directory:
                for name, text in texts.items():
                    Path(directory, f"{name}.ini").write_text(text)
                done = lab("demo", "--conf", directory)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(words, done.stderr)
