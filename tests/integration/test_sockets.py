"""The gated port on the sockets of this machine."""

from __future__ import annotations

import socket
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from carptwist.integration.connections import Connections
from carptwist.integration.endpoint import GatedPort
from carptwist.integration.gate import Gate, boottime
from carptwist.vhost.tenants import Lease

HERE = "127.0.0.1"
#: More than Twisted accepts at once where there was one the last time.
CLIENTS = 30
LIMIT_SECONDS = 30.0
clock: Any = IReactorTime(reactor)


class Silent:
    """A client that never hears anything: leases are told by the test."""

    def attend(self, *_: object, **__: object) -> None:
        pass

    def close(self) -> Deferred[None]:
        return succeed(None)


class Echo(Protocol):
    """Says what it is told, once."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)
        self.transport.loseConnection()


class SocketTests(TestCase):
    """On the loopback."""

    def port(self, number: int) -> GatedPort:
        """One that follows the test's gate, and stops with it."""
        factory = Factory.forProtocol(Echo)
        factory.noisy = False
        inner = TCP4ServerEndpoint(reactor, number, interface=HERE)
        port = GatedPort(
            "1@em0", inner, Connections(factory), clock=clock, drain_seconds=5.0, early=None, make_gate=self.make_gate
        )
        self.addCleanup(port.stopListening)
        return port

    def make_gate(self, port: GatedPort) -> Gate:
        self.gate = Gate(
            "1@em0",
            port,
            client=Silent,  # type: ignore[arg-type]
            clock=clock,
            settle_seconds=0.0,
            patience_seconds=5.0,
        )
        return self.gate

    def open(self) -> None:
        self.gate.told(Lease(boottime() - 1, boottime() + 60))

    @inlineCallbacks
    def wait(self, port: GatedPort) -> Generator[Deferred[Any], Any, None]:
        """Until it listens."""
        deadline = clock.seconds() + LIMIT_SECONDS
        while not port.is_listening:
            self.assertLess(clock.seconds(), deadline)
            yield deferLater(clock, 0.01)

    @inlineCallbacks
    def test_an_address_in_use(self) -> Generator[Deferred[Any], Any, None]:
        """Is waited for; when it is free the port listens, where it says."""
        with socket.create_server((HERE, 0)) as other:
            number = other.getsockname()[1]
            port = self.port(number)
            self.open()
            yield deferLater(clock, 0.1)
            self.assertFalse(port.is_listening)
        yield self.wait(port)
        host: Any = port.getHost()
        self.assertEqual((host.host, host.port), (HERE, number))

    @inlineCallbacks
    def test_all_that_the_kernel_has_let_in_are_served(self) -> Generator[Deferred[Any], Any, None]:
        """Though they come at once, just before the port is closed; afterwards nobody is let in."""
        port = self.port(0)
        self.open()
        yield self.wait(port)
        host: Any = port.getHost()
        first = socket.create_connection((HERE, host.port), LIMIT_SECONDS)
        self.addCleanup(first.close)
        first.sendall(b"first")
        yield deferLater(clock, 0.1)  # the reactor accepts one
        clients = [socket.create_connection((HERE, host.port), LIMIT_SECONDS) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            self.addCleanup(client.close)
            client.sendall(b"%d" % number)
        yield self.gate.told(None)
        self.assertEqual([client.recv(64) for client in clients], [b"%d" % number for number in range(CLIENTS)])
        self.assertEqual(first.recv(64), b"first")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((HERE, host.port), LIMIT_SECONDS)
