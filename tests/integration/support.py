"""A daemon in memory, as programs of its host see it."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.test.iosim import FakeTransport, connect
from zope.interface import implementer

from carptwist.control.connection import ControlProtocol
from carptwist.integration.client import CarpClient
from carptwist.simulation.plane import Hold
from tests.control.support import BOOTED, ControlTestCase, Transport


def heard_in_the_log(case: TestCase) -> list[str]:
    """What all of this process logs until the end of a test, but for the lines of its own daemon."""
    said: list[str] = []

    def hear(event: LogEvent) -> None:
        if not event["log_namespace"].startswith(("carptwist.vhost", "carptwist.control.listener")):
            said.append(formatEvent(event))

    globalLogPublisher.addObserver(hear)
    case.addCleanup(globalLogPublisher.removeObserver, hear)
    return said


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to the daemon of a test, unless it is away."""

    def __init__(self, case: CompanionTestCase) -> None:
        self.case = case
        self.is_away = False
        self.attempts = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        if self.is_away:
            return fail(ConnectError())
        server = self.case.factory.buildProtocol(None)
        client: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert server is not None
        transport = Transport(server, isServer=True)
        self.case.transports.append(transport)
        pump = connect(server, transport, client, FakeTransport(client, isServer=False), greet=False)
        self.case.links.append((server, pump))
        return succeed(client)


class CompanionTestCase(ControlTestCase):
    """Vhid 1 with a daemon, and clients of it."""

    def setUp(self) -> None:
        super().setUp()
        self.links: list[tuple[ControlProtocol, Any]] = []
        self.transports: list[Transport] = []
        self.addCleanup(lambda: [transport.close() for transport in self.transports])
        self.endpoint = MemoryEndpoint(self)
        self.node.roster.observe(self.history.changed)

    def companion(self) -> CarpClient:
        """A running client, which ends with the test."""
        client = CarpClient(self.clock, self.endpoint)
        client.startService()
        self.addCleanup(self.close, client)
        return client

    def close(self, client: CarpClient) -> None:
        closing = client.close() if client.running else succeed(None)
        self.settle()
        self.successResultOf(closing)

    def settle(self, seconds: float = 0.0) -> None:
        """Let so much time pass, and all arrive that is said."""
        until = self.clock.seconds() + seconds
        while True:
            for _, pump in self.links:
                pump.flush()
            for _ in range(8):
                for _, pump in self.links:
                    pump.flush()
                self.clock.advance(0.005)
            if self.clock.seconds() >= until:
                break

    def sever(self) -> None:
        """All connections to the daemon break."""
        for server, pump in self.links:
            if not server.lost:
                server.transport.abortConnection()
                for _ in range(3):
                    pump.flush()
        self.links.clear()

    def boottime(self) -> float:
        """CLOCK_BOOTTIME."""
        return BOOTED + self.clock.seconds()

    def become(self, state: str) -> None:
        """An operator makes vhid 1 this."""
        self.desk.state("a test", "1@em0", state)
        self.settle()

    def holds(self) -> bool:
        """Whether the addresses of vhid 1 are here."""
        plane: Any = self.node.roster.all()[0].plane
        return bool(plane.stands is Hold.HELD)

    def got(self, asking: Deferred[Any]) -> Any:
        """What a call fires with."""
        self.settle()
        return self.successResultOf(asking)
