"""A server that listens while this host is MASTER."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReadDescriptor,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
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
    """A port whose connections a test makes. ``waiting`` of them were let in by the kernel."""

    def __init__(self, inner: Inner, factory: IProtocolFactory) -> None:
        self.inner = inner
        self.factory: Any = factory
        self.waiting = 0
        self.listening = False
        self.startListening()

    def startListening(self) -> None:
        self.listening = True
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        self.listening = False
        self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IAddress:
        return self.inner.here

    def doRead(self) -> None:
        for _ in range(self.waiting):
            self.connect()
        self.waiting = 0

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

    def __init__(self) -> None:
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
        self.inner = Inner()
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
        """Listens no more when it comes to that."""
        self.listen()
        self.inner.slow = []
        self.become("MASTER")
        self.become("BACKUP")
        (waiting,) = self.inner.slow
        self.assertTrue(waiting.called)  # cancelled
        self.assertFalse(self.inner.listening)

    def test_stopping_at_any_moment(self) -> None:
        """Before it listens, while it does, and again; and starting once more."""
        port = self.listen()
        self.got(port.stopListening())
        self.become("MASTER")
        self.assertEqual(self.inner.listening, 0)
        port.startListening()
        self.settle()
        self.assertEqual(self.inner.listening, 1)
        self.got(port.stopListening())
        self.got(port.stopListening())
        self.assertEqual(self.inner.listening, 0)

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
        """Rather than turned away with the port."""
        self.inner.ports[0].waiting = 2
        self.become("BACKUP")
        self.assertEqual(len(self.inner.transports), 3)
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
        self.assertEqual(self.inner.listening, 0)


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
