"""A node in memory with a control listener and a client, connected without sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase

from carptwist import __version__
from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.config.values import address
from carptwist.control.access import caller
from carptwist.control.client import ClientProtocol, ControlClient
from carptwist.control.commands import PROTOCOL, Hello
from carptwist.control.connection import ControlProtocol
from carptwist.control.desk import Desk
from carptwist.control.history import History
from carptwist.control.listener import ControlFactory
from carptwist.control.maintenance import Maintenance
from carptwist.control.revising import Revising
from carptwist.control.status import StatusReport
from carptwist.interfaces import LinkState
from carptwist.node import Node
from carptwist.simulation.segment import Segment
from carptwist.simulation.system import MemorySystem

PHRASE = "mekmitasdigoat"
LINK = LinkState("em0", index=2, up=True, carrier=True, mac=bytes.fromhex("020000000101"), mtu=1500, hardware=1)
#: The beginning of the world of tests, 2026-11-21 00:00 UTC.
WALL = 1795219200.0
#: What CLOCK_BOOTTIME shows at the beginning.
BOOTED = 4711.0


def vhid(number: int, *addresses: str, interface: str = "em0", advskew: int = 0, phrase: str = PHRASE) -> Any:
    """A virtual host's settings."""
    shared = tuple(map(address, addresses or ("192.0.2.1/24",)))
    return VirtualHostConfig(number, interface, shared, (Phrase(phrase.encode()),), advskew=advskew)


class WrittenRevising(Revising):
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | Exception = {"steps": []}
        self.asked: list[str] = []

    def reload(self, who: str) -> Deferred[dict[str, Any]]:
        self.asked.append("reload")
        return self._answer()

    def save(self, who: str) -> Deferred[dict[str, Any]]:
        self.asked.append("save")
        return self._answer()

    def plan(self, path: str) -> Deferred[dict[str, Any]]:
        self.asked.append(f"plan {path}")
        return self._answer()

    def _answer(self) -> Deferred[dict[str, Any]]:
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


class Transport(FakeTransport):
    """A connection in memory that says, as a UNIX socket does, who is at its other end: this process."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)  # type: ignore[no-untyped-call]
        self._pair = socket.socketpair()

    def getHandle(self) -> socket.socket:
        return self._pair[0]

    def close(self) -> None:
        for end in self._pair:
            end.close()

    def pauseProducing(self) -> None:
        pass

    def resumeProducing(self) -> None:
        pass


class ControlTestCase(SynchronousTestCase):
    """A node "a" with vhid 1, listening."""

    configs: Sequence[VirtualHostConfig] = (vhid(1),)
    knobs = Knobs()

    def setUp(self) -> None:
        self.clock = Clock()
        self.segment = Segment(self.clock)
        self.configuration = Configuration(self.knobs, tuple(self.configs))
        self.node = self.start(self.system("a"), self.configs)
        roster = self.node.roster
        self.report = StatusReport(
            roster,
            host="a",
            seconds=self.clock.seconds,
            wall=lambda: WALL + self.clock.seconds(),
            loaded=lambda: self.configuration,
        )
        wall = self.report._wall
        self.history = History(self.node.notebook("events"), clock=self.clock, wall=wall)
        self.maintenance = Maintenance(roster, self.node.notebook("maintenance"), wall=wall, since="then")
        self.desk = self.make_desk()
        self.revising = WrittenRevising()
        self.factory = ControlFactory(
            self.desk,
            self.revising,
            clock=self.clock,
            seconds=self.clock.seconds,
            identify=lambda transport: caller(transport, own_uid=os.geteuid()),
            boottime=lambda: BOOTED + self.clock.seconds(),
        )
        self.addCleanup(self.factory.stopFactory)

    def system(self, station: str) -> MemorySystem:
        """A host with em0 on the segment."""
        return MemorySystem(
            station,
            clock=self.clock,
            segments={"em0": self.segment},
            links={"em0": LINK},
            random=Random(station),
            hold_seconds=0.0,
        )

    def make_desk(self) -> Desk:
        return Desk(self.node, self.report, self.history, self.maintenance, seconds=self.clock.seconds)

    def start(self, system: Any, configs: Sequence[VirtualHostConfig]) -> Node:
        """A running node on a system."""
        node = Node(self.knobs, reactor=self.clock, system=system)
        self.successResultOf(node.start(configs))
        self.addCleanup(self.stop, node)
        return node

    def stop(self, node: Node) -> None:
        stopping = node.stop()
        self.clock.pump([0.01] * 10)
        self.successResultOf(stopping)

    def connect(self) -> tuple[ClientProtocol, ControlProtocol, Any]:
        """A client that has not said anything yet, the daemon's end, and what moves octets between them."""
        server = self.factory.buildProtocol(None)
        assert server is not None
        amp = ClientProtocol()
        transport = Transport(server, isServer=True)
        self.addCleanup(transport.close)
        pump = connect(server, transport, amp, FakeTransport(amp, isServer=False))
        return amp, server, pump

    def client(self) -> ControlClient:
        """A client past the handshake."""
        amp, _, self.pump = self.connect()
        self.answer(amp.callRemote(Hello, version="1.0", protocol=PROTOCOL))
        return ControlClient(amp, __version__)

    def flow(self, pump: Any = None) -> None:
        """Let everything arrive that was said."""
        pump = pump or self.pump
        for _ in range(8):
            pump.flush()
            self.clock.advance(0.005)

    def answer(self, asking: Deferred[Any]) -> Any:
        """What a call fires with."""
        self.flow()
        return self.successResultOf(asking)

    def refusal(self, asking: Deferred[Any], kind: type[Exception]) -> str:
        """The text that a call is refused with."""
        # AMP itself ends the chain of a call: what it fails with is to be taken before that.
        refused: list[Any] = []
        asking.addErrback(refused.append)
        self.flow()
        self.assertEqual([failure.type for failure in refused], [kind])
        return str(refused[0].getErrorMessage())
