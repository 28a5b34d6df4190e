"""Starting programs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from carptwist.spawning import spawn


class SpawnTests(SynchronousTestCase):
    """One program, which is the shell's that becomes it."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())

    def run_to_its_end(self, *words: str, **environment: str) -> tuple[int, str]:
        with tempfile.TemporaryFile() as output:
            pid = spawn(words, {**os.environ, **environment}, output.fileno())
            _, status = os.waitpid(pid, 0)
            output.seek(0)
            return os.waitstatus_to_exitcode(status), os.fsdecode(output.read())

    def test_its_circumstances(self) -> None:
        """The root directory, a session of its own, nothing to read, and the environment that it is given."""
        said = 'pwd; read -r pid _ _ _ _ session _ < /proc/$$/stat; test $pid = $session && echo leads; cat; echo "$x"'
        self.assertEqual(self.run_to_its_end("/bin/sh", "-c", said, x="a  b"), (0, "/\nleads\na  b\n"))

    def test_descriptors(self) -> None:
        """It gets no other than its three, not even one that may be inherited."""
        inheritable = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(inheritable, True)
        self.addCleanup(os.close, inheritable)
        _, said = self.run_to_its_end("/bin/sh", "-c", "for each in /proc/$$/fd/*; do echo ${each##*/}; done")
        self.assertNotIn(str(inheritable), said.split())

    def test_signals(self) -> None:
        """What Python ignores it does not."""
        self.assertEqual(self.run_to_its_end("/bin/sh", "-c", "kill -PIPE $$; echo alive")[0], -13)

    def test_words(self) -> None:
        """Stay as they are; but there is none with a NUL."""
        self.assertEqual(self.run_to_its_end("/bin/echo", "$HOME;", "a  b", "\udcff")[1], "$HOME; a  b \udcff\n")
        with self.assertRaises(ValueError):
            spawn(["/bin/echo", "\0"], {}, 1)

    def test_what_takes_long_to_load_holds_up_nobody_else(self) -> None:
        """The child opens a pipe that nobody writes to yet, before it is loaded: other threads go on."""
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        pids: list[int] = []
        sink = os.open("/dev/null", os.O_WRONLY)
        self.addCleanup(os.close, sink)
        starting = Thread(target=lambda: pids.append(spawn(["/bin/cat"], {}, sink, stdin=str(pipe))))
        starting.start()
        starting.join(0.3)
        self.assertEqual((starting.is_alive(), pids), (True, []))
        os.close(os.open(pipe, os.O_WRONLY))
        starting.join(10)
        self.assertEqual(os.waitpid(pids[0], 0)[1], 0)
