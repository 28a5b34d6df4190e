"""A server that listens while this host is MASTER."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IListeningPort,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.api import AwaitedAddress, CarpServerEndpoint, GatedPort
from tests.integration.support import CompanionTestCase


@implementer(IAddress)
class Here:
    """Where the inner endpoint listens."""


class InnerTransport(StringTransport):
    """A connection that can be aborted."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.protocol.connectionLost(connectionDone)


@implementer(IListeningPort, IReadDescriptor)
class InnerPort:
    """A port whose connections a test makes. ``waiting`` of them were let in by the kernel; ``late`` ones are while it
    is about to be closed, which takes a turn of the reactor, as with Twisted's."""

    def __init__(self, inner: Inner, factory: IProtocolFactory) -> None:
        self.inner = inner
        self.factory: Any = factory
        self.waiting = 0
        self.late = 0
        self.listening = False
        self.startListening()

    @property
    def connected(self) -> bool:
        return self.listening

    def startListening(self) -> None:
        self.listening = True
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        self.waiting += self.late
        return deferLater(self.inner.clock, 0, self.close)

    def close(self) -> None:
        self.listening = False
        self.factory.doStop()
        if self.inner.sticks:
            raise ValueError("sticks")

    def getHost(self) -> IAddress:
        return self.inner.here

    def doRead(self) -> None:
        assert self.listening
        if self.waiting:  # one at a time, as Twisted does where there was one the last time
            self.waiting -= 1
            self.connect()

    def connectionLost(self, reason: Failure) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def logPrefix(self) -> str:
        return ""

    def connect(self) -> InnerTransport:
        """Somebody connects."""
        protocol = self.factory.buildProtocol(Here())
        transport = InnerTransport(protocol)
        protocol.makeConnection(transport)
        self.inner.transports.append(transport)
        return transport


@implementer(IStreamServerEndpoint)
class Inner:
    """An endpoint that listens unless there is trouble, or only when it is told."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.sticks = False  # closing a port fails
        self.here = Here()
        self.ports: list[InnerPort] = []
        self.transports: list[InnerTransport] = []
        self.trouble: Exception | None = None
        self.slow: list[Deferred[IListeningPort]] | None = None
        self.attempts = 0

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.attempts += 1
        if self.trouble is not None:
            return fail(self.trouble)
        if self.slow is not None:
            waiting: Deferred[IListeningPort] = Deferred()
            self.slow.append(waiting)
            return waiting
        self.ports.append(InnerPort(self, protocolFactory))
        return succeed(self.ports[-1])

    @property
    def listening(self) -> int:
        return sum(port.listening for port in self.ports)


@implementer(IProtocolNegotiationFactory)
class Pages(Factory):
    """The user's factory."""

    protocol = Protocol
    noisy = False

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


class EndpointTestCase(CompanionTestCase):
    """An endpoint that drains for 2 s, and settles at once."""

    always = False

    def setUp(self) -> None:
        super().setUp()
        self.inner = Inner(self.clock)
        self.pages = Pages()
        self.server = CarpServerEndpoint(
            self.clock,
            "1@em0",
            self.inner,
            control=self.endpoint,
            drain_seconds=2.0,
            settle_seconds=0.0,
            always=self.always,
            boottime=self.boottime,
        )

    def listen(self) -> GatedPort:
        """What the endpoint gives; it stops with the test."""
        port: GatedPort = self.successResultOf(self.server.listen(self.pages))
        self.addCleanup(lambda: self.got(port.stopListening()))
        self.settle()
        return port


class ListeningTests(EndpointTestCase):
    """When it listens."""

    def test_interfaces(self) -> None:
        """It is an endpoint, and what it gives is a port."""
        verifyObject(IStreamServerEndpoint, self.server)
        verifyObject(IListeningPort, self.listen())

    def test_it_follows_the_virtual_host(self) -> None:
        """It listens on the master alone, and the user's factory is started and stopped with that."""
        port = self.listen()
        self.assertEqual((self.inner.attempts, port.is_listening), (0, False))
        self.assertEqual(port.getHost(), AwaitedAddress("1@em0"))
        for _ in range(2):
            self.become("MASTER")
            self.assertEqual((self.inner.listening, port.is_listening, self.pages.numPorts), (1, True, 1))
            self.assertIs(port.getHost(), self.inner.here)
            self.become("BACKUP")
            self.assertEqual((self.inner.listening, port.is_listening, self.pages.numPorts), (0, False, 0))

    def test_it_tries_until_it_can(self) -> None:
        """The address may come later, and a port may be taken; each trouble is told once."""
        self.listen()
        self.inner.trouble = CannotListenError("192.0.2.1", 80, OSError(99, "Cannot assign requested address"))
        self.become("MASTER")
        self.settle(1)
        self.assertGreater(self.inner.attempts, 4)
        self.inner.trouble = None
        self.settle(2)
        self.assertEqual(self.inner.listening, 1)

    def test_it_tries_no_more_when_it_is_master_no_more(self) -> None:
        """Nor when it is stopped."""
        port = self.listen()
        self.inner.trouble = CannotListenError("192.0.2.1", 80, OSError(98, "Address already in use"))
        for end in (lambda: self.become("BACKUP"), lambda: self.got(port.stopListening())):
            self.become("MASTER")
            end()
            attempts = self.inner.attempts
            self.settle(0.5)
            self.assertEqual(self.inner.attempts, attempts)

    def test_an_endpoint_that_was_too_slow(self) -> None:
        """Listens no more when it comes to that; nobody waits for it, and what it says no more is no trouble."""
        port = self.listen()
        self.inner.slow = []
        for end in (lambda: self.become("BACKUP"), lambda: self.got(port.stopListening())):
            self.become("MASTER")
            end()
        early, late = self.inner.slow
        self.assertFalse(self.holds() and early.called)
        early.callback(InnerPort(self.inner, self.pages))
        self.settle()
        self.assertFalse(self.inner.listening)
        late.errback(CannotListenError("192.0.2.1", 80, OSError(99, "Cannot assign requested address")))
        self.settle(1)
        self.assertEqual(self.inner.attempts, 2)

    def test_stopping_at_any_moment(self) -> None:
        """Before it listens, while it does, and again; and starting once more."""
        port = self.listen()
        self.got(port.stopListening())
        self.become("MASTER")
        self.assertEqual(self.inner.listening, 0)
        port.startListening()
        self.settle()
        self.assertEqual(self.inner.listening, 1)
        first, second = port.stopListening(), port.stopListening()
        self.got(first)
        self.got(second)
        self.assertEqual(self.inner.listening, 0)
        port.startListening()
        stopping = port.stopListening()
        port.startListening()
        self.got(stopping)
        self.settle()
        self.assertEqual(self.inner.listening, 1)

    def test_a_port_that_cannot_be_closed_well(self) -> None:
        """Is told of, and keeps nobody from letting the addresses go."""
        self.listen()
        self.become("MASTER")
        self.inner.sticks = True
        self.become("BACKUP")
        self.assertFalse(self.holds())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_two_of_them(self) -> None:
        """For one virtual host in one program: both listen, and the addresses go when both are done."""
        self.listen()
        self.listen()
        self.become("MASTER")
        self.assertEqual(self.inner.listening, 2)
        transport = self.inner.ports[1].connect()
        self.become("BACKUP")
        self.assertEqual((self.inner.listening, self.holds()), (0, True))
        transport.protocol.connectionLost(connectionDone)
        self.settle()
        self.assertFalse(self.holds())

    def test_a_virtual_host_that_is_removed_and_added(self) -> None:
        """As by a reload: it stops listening in time, and listens again."""
        self.listen()
        self.become("MASTER")
        transport = self.inner.ports[0].connect()
        config = self.node.roster.all()[0].config
        removing = self.node.remove("1@em0")
        self.settle(0.5)
        self.assertEqual((self.inner.listening, self.holds()), (0, True))
        transport.protocol.connectionLost(connectionDone)
        self.got(removing)
        self.settle(10)
        self.node.add(config)
        self.settle()
        self.become("MASTER")
        self.assertEqual(self.inner.listening, 1)

    def test_a_daemon_that_is_started_anew(self) -> None:
        """Is followed within moments, however long there was none."""
        self.listen()
        for away in (0.05, 300):
            self.become("MASTER")
            self.endpoint.is_away = True
            self.sever()
            self.settle(away)
            self.assertEqual(self.inner.listening, 0)
            self.endpoint.is_away = False
            self.settle(0.2)
            self.assertEqual(self.inner.listening, 1)

    def test_it_negotiates_what_the_factory_does(self) -> None:
        """As over TLS."""
        self.listen()
        self.become("MASTER")
        factory = self.inner.ports[0].factory
        self.assertTrue(IProtocolNegotiationFactory.providedBy(factory))
        self.assertEqual(factory.acceptableProtocols(), [b"http/1.1"])


class DrainTests(EndpointTestCase):
    """Connections that are open when it is MASTER no more."""

    def setUp(self) -> None:
        super().setUp()
        self.port = self.listen()
        self.become("MASTER")
        self.transport = self.inner.ports[0].connect()

    def test_they_may_end_by_themselves(self) -> None:
        """And the addresses stay until they have."""
        self.become("BACKUP")
        self.settle(1)
        self.assertEqual((self.inner.listening, self.transport.aborted), (0, False))
        self.assertTrue(self.holds())
        self.transport.protocol.connectionLost(connectionDone)
        self.settle()
        self.assertFalse(self.holds())

    def test_they_are_aborted_in_the_end(self) -> None:
        """While the addresses are here: so that the others learn of it."""
        self.become("BACKUP")
        self.settle(1.8)
        self.assertFalse(self.transport.aborted)
        self.settle(0.3)
        self.assertTrue(self.transport.aborted)
        self.assertFalse(self.holds())

    def test_who_was_let_in_by_the_kernel_is_served(self) -> None:
        """Rather than turned away with the port; even those that came while it was about to be closed."""
        self.inner.ports[0].waiting = 20
        self.inner.ports[0].late = 5
        self.become("BACKUP")
        self.assertEqual(len(self.inner.transports), 26)
        self.settle(3)
        self.assertTrue(all(transport.aborted for transport in self.inner.transports))

    def test_stopping_leaves_connections_alone(self) -> None:
        """As any port does; even while they drain."""
        self.become("BACKUP")
        self.settle(0.1)
        self.got(self.port.stopListening())
        self.settle(3)
        self.assertFalse(self.transport.aborted)

    def test_it_listens_again_when_the_last_one_has_ended(self) -> None:
        """If it is MASTER again by then."""
        self.become("BACKUP")
        self.become("MASTER")
        self.assertEqual(self.inner.listening, 0)
        self.transport.protocol.connectionLost(connectionDone)
        self.settle(0.1)
        self.assertEqual(self.inner.listening, 1)

    def test_a_daemon_that_is_gone(self) -> None:
        """Is followed by nobody: the port is closed at once."""
        self.endpoint.is_away = True
        self.sever()
        self.clock.advance(0)
        self.assertEqual(self.inner.listening, 0)


@implementer(IHalfCloseableProtocol, IHandshakeListener, IFileDescriptorReceiver)
class Curious(Protocol):
    """Wants to know all that a transport can tell."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def readConnectionLost(self) -> None:
        self.told.append("read")

    def writeConnectionLost(self) -> None:
        self.told.append("write")

    def handshakeCompleted(self) -> None:
        self.told.append("handshake")

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.told.append(descriptor)


class ConnectionTests(EndpointTestCase):
    """The user's protocol does not notice that somebody counts connections."""

    def connect(self, protocol: type[Protocol]) -> tuple[Any, Any]:
        self.pages.protocol = protocol
        self.listen()
        self.become("MASTER")
        wrapper = self.inner.ports[0].connect().protocol
        return wrapper, wrapper.wrappedProtocol

    def test_what_a_protocol_provides(self) -> None:
        """Is provided, and passed on; nothing else is."""
        wrapper, protocol = self.connect(Curious)
        for interface in (IHalfCloseableProtocol, IHandshakeListener, IFileDescriptorReceiver):
            self.assertTrue(interface.providedBy(wrapper), interface)
        wrapper.readConnectionLost()
        wrapper.writeConnectionLost()
        wrapper.handshakeCompleted()
        wrapper.fileDescriptorReceived(7)
        self.assertEqual(protocol.told, ["read", "write", "handshake", 7])

    def test_what_it_does_not_provide(self) -> None:
        """Nobody believes that it does: a connection of which one half is closed is closed."""
        wrapper, _ = self.connect(Protocol)
        self.assertFalse(IHalfCloseableProtocol.providedBy(wrapper))

    def test_a_transport_that_cannot_abort(self) -> None:
        """Loses its connection."""
        wrapper, _ = self.connect(Protocol)
        plain = StringTransport()
        wrapper.transport = plain
        wrapper.abort()
        self.assertTrue(plain.disconnecting)

    def test_who_is_not_let_in(self) -> None:
        """Because the user's factory builds nothing."""
        self.listen()
        self.become("MASTER")
        self.pages.buildProtocol = lambda addr: None  # type: ignore[method-assign,assignment]
        self.assertIsNone(self.inner.ports[0].factory.buildProtocol(Here()))


class AlwaysTests(EndpointTestCase):
    """``always=yes``."""

    always = True

    def test_it_listens_at_once_and_for_ever(self) -> None:
        """Connections end with the state nevertheless."""
        port = self.listen()
        self.assertIs(port.getHost(), self.inner.here)
        self.become("MASTER")
        transport = self.inner.ports[0].connect()
        self.become("BACKUP")
        self.settle(2.1)
        self.assertTrue(transport.aborted)
        self.assertEqual((self.inner.attempts, self.inner.listening, port.is_listening), (1, 1, True))
        self.got(port.stopListening())
        self.assertEqual(self.inner.listening, 0)
        port.startListening()
        self.assertEqual(self.inner.listening, 1)

    def test_where_it_cannot_listen(self) -> None:
        """That is the endpoint's own failure."""
        self.inner.trouble = CannotListenError("192.0.2.1", 80, OSError(99, "Cannot assign requested address"))
        self.failureResultOf(self.server.listen(self.pages), CannotListenError)
