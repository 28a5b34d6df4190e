"""The connections of a server, as it would have them if nobody stood between; which are open is all that is new.

::

    inner endpoint -> Connections.buildProtocol -> the user's factory
                      Connection ----------------> the user's protocol, with all that it provides
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    ITransport,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import alsoProvides, directlyProvides, providedBy

#: What a transport asks a protocol whether it provides.
_PASSED_ON = (IFileDescriptorReceiver, IHalfCloseableProtocol, IHandshakeListener)


class Connection(ProtocolWrapper):
    """One that is open."""

    def makeConnection(self, transport: ITransport) -> None:
        passed_on = [each for each in _PASSED_ON if each.providedBy(self.wrappedProtocol)]
        super().makeConnection(transport)  # type: ignore[no-untyped-call]
        alsoProvides(self, *passed_on)

    def abort(self) -> None:
        """End it, now."""
        transport: Any = self.transport
        # Not every transport can.
        getattr(transport, "abortConnection", transport.loseConnection)()

    def readConnectionLost(self) -> None:
        self._wrapped.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self._wrapped.writeConnectionLost()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self._wrapped.fileDescriptorReceived(descriptor)

    def handshakeCompleted(self) -> None:
        self._wrapped.handshakeCompleted()

    @property
    def _wrapped(self) -> Any:
        return self.wrappedProtocol


class Connections(WrappingFactory[Connection]):
    """Builds what the user's factory builds, and knows which connections are open."""

    noisy = False

    def __init__(self, factory: IProtocolFactory) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.built = 0  # connections that were let in, ever
        self._when_none: list[Callable[[], object]] = []
        if IProtocolNegotiationFactory.providedBy(factory):
            directlyProvides(self, providedBy(self), IProtocolNegotiationFactory)

    def acceptableProtocols(self) -> Any:
        """What the user's factory negotiates, over TLS."""
        return self.wrappedFactory.acceptableProtocols()

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:  # type: ignore[override]
        self.built += 1
        built = self.wrappedFactory.buildProtocol(addr)
        return None if built is None else Connection(self, built)

    def unregisterProtocol(self, p: Connection) -> None:
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        if not self.protocols:
            waiting, self._when_none = self._when_none, []
            for each in waiting:
                each()

    def when_none(self, call: Callable[[], object]) -> None:
        """Call once there is no connection any more."""
        if self.protocols:
            self._when_none.append(call)
        else:
            call()

    def abort(self) -> None:
        """End all connections, now."""
        for connection in list(self.protocols):
            connection.abort()
