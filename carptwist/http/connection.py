"""One TCP or TLS connection to a server that may mean harm.

::

    server --> Bounded --> Twisted's HTTP/1.1 client
               |
               +-- more than LONGEST_HEAD octets before the empty line, or than LONGEST_ANSWER in all: cut off
               +-- what comes in one volley is passed on in SLICEs, each in a turn of the reactor of its own

A client that only waits for the end of an answer would read a flood for as long as it is allowed to, and a volley of
small headers keeps the parser, and with it every timer, busy for dozens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.http.names import Names

#: Octets of a body that are read.
LONGEST_BODY = 2**16
#: Octets before the empty line that ends the headers.
LONGEST_HEAD = 2**14
LONGEST_ANSWER = LONGEST_BODY + LONGEST_HEAD
#: Octets that are passed on at a time.
SLICE = 2**12
#: How long an orderly end of the connection may take.
FAREWELL_SECONDS = 1.0


class Bounded(ProtocolWrapper):
    """Passes on what comes, within bounds."""

    transport: Any  # ITCPTransport

    def __init__(self, factory: Any, wrapped: Any, reactor: Any) -> None:
        super().__init__(factory, wrapped)
        self._reactor = reactor
        self._octets = 0
        self._head: bytearray | None = bytearray()
        self._pending = bytearray()
        self._turn: IDelayedCall | None = None
        self._farewell: IDelayedCall | None = None
        self._over = False
        self._gone = False
        self._lost: Failure | None = None  # told of when all that came before is passed on

    def leave(self) -> None:
        """End the connection in good order, soon."""
        self._finish()
        if not self._gone and self._farewell is None:
            self._farewell = self._reactor.callLater(FAREWELL_SECONDS, self.transport.abortConnection)
            self.transport.loseConnection()

    def abort(self) -> None:
        """End the connection now."""
        self._finish()
        if not self._gone:
            self.transport.abortConnection()

    def _finish(self) -> None:
        """Pass on no more."""
        self._over = True
        self._pending.clear()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
            self._end()

    def _end(self) -> None:
        lost, self._lost = self._lost, None
        if lost is not None:
            super().connectionLost(lost)  # type: ignore[no-untyped-call]

    # Protocol

    def dataReceived(self, data: bytes) -> None:
        if self._over:
            return
        self._octets += len(data)
        if self._head is not None:
            self._head += data[: LONGEST_HEAD + 1]
            if b"\n\r\n" in self._head[:LONGEST_HEAD] or b"\n\n" in self._head[:LONGEST_HEAD]:
                self._head = None
            elif len(self._head) > LONGEST_HEAD:
                self.abort()
                return
        if self._octets > LONGEST_ANSWER:
            data = data[: max(0, len(data) - (self._octets - LONGEST_ANSWER))]
        self._pending += data
        if self._turn is None:
            self._pass_on()

    def _pass_on(self) -> None:
        self._turn = None
        part = bytes(self._pending[:SLICE])
        del self._pending[:SLICE]
        if self._pending:
            self._turn = self._reactor.callLater(0, self._pass_on)
        super().dataReceived(part)  # type: ignore[no-untyped-call]
        if self._turn is None and not self._pending:
            self._end()
            if self._octets > LONGEST_ANSWER:
                self.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._farewell is not None and self._farewell.active():
            self._farewell.cancel()
        self._gone = True
        self._lost = reason
        if self._turn is None:
            self._end()


class _BoundedFactory(WrappingFactory):
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, reactor: Any, made: Callable[[Bounded], object]) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        wrapped.noisy = False  # type: ignore[attr-defined]  # it would tell the log of each connection
        self._reactor = reactor
        self._made = made

    def buildProtocol(self, addr: Any) -> Any:
        wrapped = self.wrappedFactory.buildProtocol(addr)
        if wrapped is None:
            return None
        bounded = Bounded(self, wrapped, self._reactor)
        self._made(bounded)
        return bounded


@implementer(IStreamClientEndpoint)
class NamedEndpoint:
    """A port of a host, at whichever of its addresses answers first, tried one after the other."""

    def __init__(self, reactor: Any, names: Names, host: str, port: int) -> None:
        self._reactor = reactor
        self._names = names
        self._host = host
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._connect(protocolFactory)

    @inlineCallbacks
    def _connect(self, factory: IProtocolFactory) -> Generator[Deferred[Any], Any, IProtocol]:
        addresses = yield self._names.lookup(self._host)
        for address in addresses:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            try:
                protocol: IProtocol = yield kind(self._reactor, address, self._port).connect(factory)
            except (ConnectError, OSError):
                if address == addresses[-1]:
                    raise
            else:
                return protocol
        raise OSError(f"{self._host} has no address")


@implementer(IStreamClientEndpoint)
class BoundedEndpoint:
    """Another endpoint whose connections are :class:`Bounded`; ``made`` is called with each."""

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint, made: Callable[[Bounded], object]) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._made = made

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[Any] = self._endpoint.connect(_BoundedFactory(protocolFactory, self._reactor, self._made))
        return connecting.addCallback(lambda bounded: bounded.wrappedProtocol)
