"""Changes of state as FreeBSD's devd(8) tells them, for programs that read its pipe.

::

    change of 1@em0 --> !system=CARP subsystem=1@em0 type=MASTER\\n --> every reader that is connected

    Reader:   line --> transport (64 KiB) --> kernel --> program
                \\--> backlog, while the transport is full; beyond LONGEST_BACKLOG the reader is dropped

Rules that this file keeps:

- One line for each change, in the order of the changes; a reader gets what happens while it is connected.
- Nothing waits: a line is put into memory here, and the reactor carries it away when the reader takes it.
- Whatever a reader does costs a bounded amount of memory. What it writes is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.hooks.script import Change

#: So many programs may read at the same time.
MOST_READERS = 64
#: Octets that wait for one reader besides those in its transport: what devd(8) grants by default.
LONGEST_BACKLOG = 2**18
#: Octets that a reader may write. It has no reason to write any.
MOST_WRITTEN = 4096
#: How long the end of the daemon waits for readers to take what is theirs.
FAREWELL_SECONDS = 1.0


def line(change: Change) -> bytes:
    """A change as the kernel tells devd(8) of it.

    An interface's name holds no blank, so that words end where they should.
    """
    return f"!system=CARP subsystem={change.subsystem} type={change.state}\n".encode()


@implementer(IPushProducer)
class Reader(Protocol):
    """One connected program.

    :param joined: called with this when it is connected.
    :param left: called with this when it is not any more.
    """

    transport: Any  # ITransport, IConsumer, and abortConnection

    _log = Logger()

    def __init__(self, joined: Callable[[Reader], object], left: Callable[[Reader], object]) -> None:
        self._joined = joined
        self._left = left
        self._full = False
        self._backlog = bytearray()
        self._written = 0

    def tell(self, octets: bytes) -> None:
        """Put a line behind those that were told before."""
        if not self._full:
            self.transport.write(octets)
        elif len(self._backlog) + len(octets) > LONGEST_BACKLOG:
            self._drop("reads too slowly")
        else:
            self._backlog += octets

    def leave(self) -> None:
        """End the connection when all was taken that was told."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """End the connection now."""
        self.transport.abortConnection()

    def _drop(self, why: str) -> None:
        self._log.warn("carp: devd: dropping a reader: it {why}", why=why)
        self._backlog.clear()
        self.abort()
        self._left(self)

    # Protocol

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._joined(self)

    def dataReceived(self, data: bytes) -> None:
        self._written += len(data)
        if self._written > MOST_WRITTEN:
            self._drop("writes, where there is nobody to read")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._left(self)

    # IPushProducer: the transport tells when it is full.

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        if self._backlog:
            octets = bytes(self._backlog)
            self._backlog.clear()
            self.transport.write(octets)

    def stopProducing(self) -> None:
        """The connection is gone: nothing is produced but changes of state."""


class EventStream(ServerFactory):
    """All readers. It listens where somebody makes it."""

    _log = Logger()
    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.readers: dict[Reader, None] = {}  # those that are connected
        self._refusing = False  # and has said so
        self._finished: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Reader | None:
        """A reader, or None, which closes the connection, when there are too many."""
        if len(self.readers) < MOST_READERS:
            return Reader(self._join, self._leave)
        if not self._refusing:
            self._refusing = True
            self._log.warn("carp: devd: refusing readers beyond {most}", most=MOST_READERS)
        return None

    def changed(self, change: Change) -> None:
        """Tell every reader."""
        octets = line(change)
        for reader in tuple(self.readers):
            reader.tell(octets)

    def finish(self) -> Deferred[None]:
        """Let the readers take what was told, and close. Fires when no connection is left, soon whatever they do."""
        finished: Deferred[None] = Deferred()
        self._finished = finished
        impatience = self._clock.callLater(FAREWELL_SECONDS, self._abort)
        finished.addCallback(lambda _: impatience.cancel() if impatience.active() else None)
        for reader in tuple(self.readers):
            reader.leave()
        self._tell_if_finished()
        return finished

    def _abort(self) -> None:
        for reader in tuple(self.readers):
            reader.abort()

    def _join(self, reader: Reader) -> None:
        self.readers[reader] = None

    def _leave(self, reader: Reader) -> None:
        if self.readers.pop(reader, self) is self:
            return  # it was dropped before it was lost
        self._refusing = False
        self._tell_if_finished()

    def _tell_if_finished(self) -> None:
        if self._finished is not None and not self.readers:
            finished, self._finished = self._finished, None
            finished.callback(None)
