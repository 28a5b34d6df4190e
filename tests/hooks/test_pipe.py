"""The socket of [devd] is exchanged while programs read there."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from carptwist.config.reactions import DevdConfig, FileMode
from carptwist.hooks.devd import EventStream
from carptwist.hooks.pipe import Pipe
from carptwist.hooks.script import Change
from carptwist.listening import Doors

MASTER = Change("1", "em0", "BACKUP", "MASTER", "master timed out")
LINE = b"!system=CARP subsystem=1@em0 type=MASTER\n"


class PipeTests(TestCase):
    """With real sockets."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "devd.pipe")
        self.other = Path(directory.name, "other.pipe")
        self.events = EventStream(reactor)  # type: ignore[arg-type]
        self.pipe = Pipe(DevdConfig(str(self.path)), self.events, Doors(reactor))
        self.addCleanup(self.pipe.finish)

    @inlineCallbacks
    def connect(self, path: Path) -> Generator[Deferred[Any], Any, socket.socket]:
        before = len(self.events.readers)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(20)
        client.connect(str(path))
        while len(self.events.readers) == before:
            yield deferLater(reactor, 0.01)  # type: ignore[arg-type]
        return client

    @inlineCallbacks
    def test_who_reads_goes_on_reading_when_the_socket_moves(self) -> Generator[Deferred[Any], Any, None]:
        """And finds the end of what there is to read when there is none any more; later there may be one again."""
        yield self.pipe.open()
        reader = yield self.connect(self.path)
        yield self.pipe.replace(DevdConfig(str(self.other), FileMode(0o660)))
        newer = yield self.connect(self.other)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.other.stat().st_mode & 0o777, 0o660)
        self.pipe.changed(MASTER)
        removing = self.pipe.replace(None)
        for each in (reader, newer):
            told = yield deferToThread(each.makefile("rb").read)
            self.assertEqual(told, LINE)
        yield removing
        self.assertFalse(self.other.exists())
        yield self.pipe.replace(DevdConfig(str(self.path)))
        yield self.connect(self.path)

    @inlineCallbacks
    def test_a_socket_that_cannot_be_leaves_the_former_one(self) -> Generator[Deferred[Any], Any, None]:
        """At the start there is none then, which is told; the daemon goes on."""
        yield self.pipe.open()
        self.other.write_text("precious")
        yield self.assertFailure(self.pipe.replace(DevdConfig(str(self.other))), OSError)
        yield self.connect(self.path)
        another = Pipe(DevdConfig(str(self.other)), self.events, Doors(reactor))
        yield another.open()
        self.assertEqual(self.other.read_text(), "precious")
