"""The check of a file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from carptwist.checks.file import MOST_READ, FileProbe, look
from carptwist.checks.health import Result


class LookTests(SynchronousTestCase):
    """At once."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def found(self, content: bytes) -> bool:
        return look(str(self.path), re.compile(content)).good

    def test_presence(self) -> None:
        """Anything that is there will do, a directory as well."""
        with self.assertRaises(FileNotFoundError):
            look(str(self.path), None)
        self.path.mkdir()
        self.assertTrue(look(str(self.path), None).good)

    def test_content(self) -> None:
        """The pattern is looked for anywhere in the beginning of the file."""
        self.path.write_bytes(b"\xff state: up\n")
        self.assertTrue(self.found(b"state: *up"))
        self.assertFalse(self.found(b"down"))
        self.path.write_bytes(b" " * MOST_READ + b"up")
        self.assertFalse(self.found(b"up"))

    def test_a_pipe_is_not_waited_for(self) -> None:
        """Nobody may ever write to it."""
        os.mkfifo(self.path)
        self.assertFalse(self.found(b""))


class ProbeTests(TestCase):
    """On a thread."""

    timeout = 60

    @inlineCallbacks
    def test_what_is_missing_is_told(self) -> Any:
        """As the system says it."""
        found = yield FileProbe(reactor, self.mktemp(), None)()
        self.assertEqual(found, Result(False, "No such file or directory"))
        found = yield FileProbe(reactor, "/", None)()
        self.assertEqual(found, Result(True, "is there"))

    @inlineCallbacks
    def test_while_one_look_hangs_no_other_begins(self) -> Any:
        """The next ones are bad at once; when it has come back, all is as before."""
        go_on, began = Event(), []

        def hang(path: str, content: object) -> Result:
            began.append(path)
            go_on.wait(30)
            return Result(True, "at last")

        self.addCleanup(go_on.set)
        probe = FileProbe(reactor, "/nfs", None, hang)
        first = probe()
        second = yield probe()
        self.assertEqual(second, Result(False, "still waiting for an answer about the file"))
        first.cancel()
        first.addErrback(lambda _: None)
        third = yield probe()
        self.assertFalse(third.good)
        self.assertEqual(began, ["/nfs"])
        go_on.set()
        while probe.busy:
            yield deferLater(reactor, 0.01)
        found = yield probe()
        self.assertEqual((found, began), (Result(True, "at last"), ["/nfs", "/nfs"]))
