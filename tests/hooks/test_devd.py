"""The stream of events: what a reader gets, and what a bad one costs."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport, StringTransportWithDisconnection
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from carptwist.hooks.devd import FAREWELL_SECONDS, LONGEST_BACKLOG, MOST_READERS, MOST_WRITTEN, EventStream, Reader
from carptwist.hooks.script import Change
from carptwist.listening import listen

MASTER = Change("1", "em0", "BACKUP", "MASTER", "master timed out\n!system=CARP type=INIT")
BACKUP = Change("255", "br-lan.7", "INIT", "BACKUP", "initialization complete")
MASTER_LINE = b"!system=CARP subsystem=1@em0 type=MASTER\n"
BACKUP_LINE = b"!system=CARP subsystem=255@br-lan.7 type=BACKUP\n"


class Logged:
    """What the stream warns about."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        text = str(event.get("log_format", ""))
        if text.startswith("carp: devd"):
            self.lines.append(text.format(**event))


class StreamTests(SynchronousTestCase):
    """In memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.stream = EventStream(self.clock)
        self.logged = Logged()
        globalLogPublisher.addObserver(self.logged)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged)

    def reader(self, transport: StringTransport | None = None) -> tuple[Reader, StringTransport]:
        reader = self.stream.buildProtocol(None)
        assert reader is not None
        transport = transport or StringTransportWithDisconnection()
        if isinstance(transport, StringTransportWithDisconnection):
            transport.protocol = reader
        reader.makeConnection(transport)
        return reader, transport

    def test_the_lines_of_devd(self) -> None:
        """System, subsystem and type, and nothing of the reason, which may hold anything."""
        _, transport = self.reader()
        self.stream.changed(BACKUP)
        self.stream.changed(MASTER)
        self.assertEqual(transport.value(), BACKUP_LINE + MASTER_LINE)

    def test_a_reader_gets_what_comes_after_it(self) -> None:
        """Nothing of what was before, nothing after it has left."""
        self.stream.changed(BACKUP)
        _, early = self.reader()
        self.stream.changed(MASTER)
        _, late = self.reader()
        early.loseConnection()
        self.stream.changed(BACKUP)
        self.assertEqual((early.value(), late.value()), (MASTER_LINE, BACKUP_LINE))

    def test_a_reader_is_a_producer(self) -> None:
        """One that pushes, so that the transport tells when it is full."""
        reader, transport = self.reader()
        verifyObject(IPushProducer, reader)
        self.assertIs(transport.producer, reader)
        self.assertTrue(transport.streaming)
        reader.stopProducing()

    def test_what_a_full_transport_does_not_take_comes_later(self) -> None:
        """In order, each line once."""
        reader, transport = self.reader()
        self.stream.changed(BACKUP)
        reader.pauseProducing()
        self.stream.changed(MASTER)
        self.stream.changed(BACKUP)
        self.assertEqual(transport.value(), BACKUP_LINE)
        reader.resumeProducing()
        self.assertEqual(transport.value(), BACKUP_LINE + MASTER_LINE + BACKUP_LINE)
        reader.pauseProducing()
        reader.resumeProducing()
        self.stream.changed(MASTER)
        self.assertEqual(transport.value(), BACKUP_LINE + MASTER_LINE + BACKUP_LINE + MASTER_LINE)

    def test_a_slow_reader_is_dropped_at_the_bound(self) -> None:
        """Not a line before; the others are served."""
        slow, transport = self.reader(StringTransport())
        _, other = self.reader()
        slow.pauseProducing()
        fitting = LONGEST_BACKLOG // len(MASTER_LINE)
        for _ in range(fitting):
            self.stream.changed(MASTER)
        self.assertFalse(transport.disconnected)
        self.assertEqual(self.logged.lines, [])
        for _ in range(3):
            self.stream.changed(MASTER)
        self.assertTrue(transport.disconnected)
        self.assertEqual(self.logged.lines, ["carp: devd: dropping a reader: it reads too slowly"])
        self.assertEqual(other.value(), (fitting + 3) * MASTER_LINE)
        slow.connectionLost()

    def test_what_a_reader_writes_is_ignored_up_to_a_bound(self) -> None:
        """Beyond that it is dropped: it might write for ever."""
        reader, transport = self.reader(StringTransport())
        for _ in range(MOST_WRITTEN):
            reader.dataReceived(b"x")
        self.assertFalse(transport.disconnected)
        reader.dataReceived(b"x")
        self.assertTrue(transport.disconnected)
        self.stream.changed(MASTER)
        self.assertEqual(transport.value(), b"")
        self.assertEqual(len(self.logged.lines), 1)

    def test_there_are_so_many_readers_and_no_more(self) -> None:
        """Said once, until there was room again; whoever leaves makes room."""
        transports = [self.reader()[1] for _ in range(MOST_READERS)]
        for _ in range(3):
            self.assertIsNone(self.stream.buildProtocol(None))
        self.assertEqual(self.logged.lines, ["carp: devd: refusing readers beyond 64"])
        transports[0].loseConnection()
        self.reader()
        self.assertIsNone(self.stream.buildProtocol(None))
        self.assertEqual(len(self.logged.lines), 2)
        self.stream.changed(MASTER)
        self.assertEqual([each.value() for each in transports], [b"", *(MOST_READERS - 1) * [MASTER_LINE]])

    def test_the_end_waits_for_nobody_for_long(self) -> None:
        """Those that read have gone at once; one that does not is cut off."""
        self.reader()
        stuck, transport = self.reader(StringTransport())
        finished = self.stream.finish()
        self.assertTrue(transport.disconnecting)
        self.assertNoResult(finished)
        self.clock.advance(FAREWELL_SECONDS)
        self.assertTrue(transport.disconnected)
        stuck.connectionLost()
        self.successResultOf(finished)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_end_without_readers(self) -> None:
        """Comes at once, with no timer left."""
        self.successResultOf(self.stream.finish())
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SocketTests(TestCase):
    """On a real UNIX socket, with the programs on blocking ones that are read only when the test says so."""

    timeout = 120

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = str(Path(directory.name, "devd.pipe"))
        self.stream = EventStream(reactor)
        self.logged = Logged()
        globalLogPublisher.addObserver(self.logged)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged)
        port = yield listen(reactor, self.path, 0o666, self.stream)
        self.addCleanup(self.stream.finish)
        self.addCleanup(port.stopListening)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.connect(self.path)
        client.setblocking(False)
        return client

    @inlineCallbacks
    def until(self, condition: Callable[[], bool]) -> Generator[Deferred[Any], Any, None]:
        """Let the reactor turn until a condition holds; the test's own timeout is the limit."""
        while not condition():
            yield deferLater(reactor, 0.001)

    def taken(self, client: socket.socket, into: bytearray) -> bool:
        """Read what is there now; whether the end was reached."""
        while True:
            try:
                octets = client.recv(65536)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                return True
            if not octets:
                return True
            into += octets

    @inlineCallbacks
    def test_a_flood_of_changes(self) -> Generator[Deferred[Any], Any, None]:
        """Whoever reads gets every line in order; whoever does not is dropped; and no change has waited for either."""
        reading, sleeping = self.connect(), self.connect()
        yield self.until(lambda: len(self.stream.readers) == 2)
        got, expected = bytearray(), bytearray()
        longest = 0.0
        for number in range(40000):
            change = BACKUP._replace(vhid=str(number))
            expected += b"!system=CARP subsystem=%d@br-lan.7 type=BACKUP\n" % number
            began = time.thread_time()
            self.stream.changed(change)
            longest = max(longest, time.thread_time() - began)
            if number % 500 == 0:
                yield deferLater(reactor, 0)
                self.taken(reading, got)
        yield self.until(lambda: self.taken(reading, got) or len(got) == len(expected))
        self.assertEqual(got, expected)
        self.assertEqual(self.logged.lines, ["carp: devd: dropping a reader: it reads too slowly"])
        self.assertEqual(len(self.stream.readers), 1)
        late = bytearray()
        yield self.until(lambda: self.taken(sleeping, late))
        self.assertTrue(expected.startswith(late))
        self.assertLess(longest, 0.05)

    @inlineCallbacks
    def test_as_many_as_may_be_and_one_more(self) -> Generator[Deferred[Any], Any, None]:
        """The last one finds the connection closed; the others hear. One that leaves makes room."""
        clients = []
        for number in range(1, MOST_READERS + 1):
            clients.append(self.connect())
            yield self.until(lambda number=number: len(self.stream.readers) == number)  # type: ignore[misc]
        refused, heard = self.connect(), bytearray()
        yield self.until(lambda: self.taken(refused, heard))
        self.assertEqual(heard, b"")
        self.stream.changed(MASTER)
        for client in clients:
            line = bytearray()
            yield self.until(lambda client=client, line=line: self.taken(client, line) or len(line) > 0)  # type: ignore[misc]
            self.assertEqual(line, MASTER_LINE)
        clients[0].close()
        yield self.until(lambda: len(self.stream.readers) == MOST_READERS - 1)
        self.connect()
        yield self.until(lambda: len(self.stream.readers) == MOST_READERS)

    @inlineCallbacks
    def test_the_last_line_arrives_before_the_end(self) -> Generator[Deferred[Any], Any, None]:
        """A reader that keeps up loses nothing of what was told before the stream was finished."""
        client, heard = self.connect(), bytearray()
        yield self.until(lambda: len(self.stream.readers) == 1)
        self.stream.changed(MASTER)
        finished = self.stream.finish()
        yield self.until(lambda: self.taken(client, heard))
        self.assertEqual(heard, MASTER_LINE)
        yield finished
