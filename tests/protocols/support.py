"""One interface of one node on a segment in memory, with a station beside it that sends and looks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_interface
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import AddressWithPrefix, Dialect, Knobs, Phrase, VirtualHostConfig
from carptwist.interfaces import LinkState
from carptwist.protocols.advertisement import AdvertisementProtocol
from carptwist.protocols.arp import ArpProtocol
from carptwist.protocols.neighbor import NeighborProtocol
from carptwist.protocols.voice import Voice
from carptwist.simulation.segment import Segment
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.carp import virtual_mac
from tests.vhost.fakes import UP, WrittenPlane

PHRASE = b"mekmitasdigoat"
OWN4 = ip_address("192.0.2.2")
OWN6 = ip_address("fe80::2")
OTHER4 = ip_address("192.0.2.3").packed
OTHER6 = ip_address("fe80::3").packed
OTHER_MAC = bytes.fromhex("020000000303")
LINK = LinkState(
    **{name: getattr(UP, name) for name in UP.__slots__ if name not in ("own4", "own6")},
    own4=(OWN4,),  # type: ignore[arg-type]
    own6=(ip_address("2001:db8::2"), OWN6),  # type: ignore[arg-type]
)


class NodeCase(SynchronousTestCase):
    """A node with em0 on ``segment``. What it sends is in ``frames()``."""

    knobs = Knobs()
    forwards = False

    def setUp(self) -> None:
        self.clock = Clock()
        self.chance = random.Random(1)
        self.segment = Segment(self.clock)
        self.roster = Roster(self.knobs, self.clock)
        vhosts = self.roster.on("em0")
        self.advertisements = AdvertisementProtocol("em0", self.roster, self.clock)

        def balances(address: bytes) -> bool:
            return self.roster.balances("em0", address)

        self.arp = ArpProtocol(vhosts, self.clock, balances)
        self.neighbor = NeighborProtocol(vhosts, self.clock, lambda: self.forwards, balances)
        ports = self.ports = [
            self.segment.open("node", "em0", receiver) for receiver in (self.advertisements, self.arp, self.neighbor)
        ]
        self.hushed: list[bool] = []
        self.voice = Voice(
            self.advertisements, self.arp, self.neighbor, ports=ports, hush=lambda: self.hushed.append(True)
        )
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    @staticmethod
    def interfaces(addresses: Iterable[str]) -> list[AddressWithPrefix]:
        """Addresses with their prefixes, from text."""
        return [ip_interface(address) for address in addresses]

    def _observe(self, event: dict[str, object]) -> None:
        text = str(event.get("log_format", "")).format(**event)
        if text.startswith("carp: "):
            self.logged.append(text)

    dialect = Dialect.FREEBSD
    link = LINK
    unicast: Mapping[str, Any] = {}  # peers, peers6, sources

    def vhid(self, number: int = 1, *addresses: str, answers: bool = True, advskew: int = 100) -> VirtualHost:
        """A vhid of the node that takes part, with the virtual MAC."""
        config = VirtualHostConfig(
            number,
            "em0",
            tuple(map(ip_interface, addresses or ("192.0.2.1/24", "2001:db8::1/64"))),
            (Phrase(PHRASE),),
            advskew=advskew,
            dialect=self.dialect,
            **self.unicast,
        )
        plane = WrittenPlane([], virtual_mac(number))
        plane.answers = answers
        vhost = VirtualHost(
            config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: self.chance.getrandbits(64)
        )
        self.roster.add(vhost)
        vhost.start()
        self.voice.link_changed(self.link)
        vhost.link_changed(self.link, self.voice)
        return vhost

    def master(self, number: int = 1, *addresses: str, answers: bool = True) -> VirtualHost:
        """A vhid that has become MASTER, its words spoken."""
        vhost = self.vhid(number, *addresses, answers=answers)
        self.clock.advance(3.5)
        self.assertTrue(vhost.holding)
        for _ in range(6):
            self.clock.advance(0.5)
        self.clock.advance(0.01)
        self.segment.passed.clear()
        return vhost

    def hear(self, frame: bytes) -> None:
        """The node hears a frame of another station."""
        self.segment.send("other", frame)
        self.clock.advance(0.001)

    def frames(self) -> list[bytes]:
        """What the node has sent."""
        return [passed.frame for passed in self.segment.passed if passed.station == "node"]
