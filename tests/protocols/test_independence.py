"""Many elections beside one another: 255 vhids on one interface, one vhid on two interfaces."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_interface

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import Knobs, Phrase, VirtualHostConfig
from carptwist.election.state import State
from carptwist.interfaces import LinkState
from carptwist.protocols.advertisement import AdvertisementProtocol
from carptwist.protocols.arp import ArpProtocol
from carptwist.protocols.neighbor import NeighborProtocol
from carptwist.protocols.voice import Voice
from carptwist.simulation.segment import Segment
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.carp import virtual_mac
from tests.vhost.fakes import WrittenPlane


class Node:
    """A host with vhids, on one segment per interface."""

    def __init__(self, name: str, number: int, segments: dict[str, Segment], clock: Clock) -> None:
        self.name = name
        self.number = number
        self.clock = clock
        self.chance = random.Random(number)
        self.roster = Roster(Knobs(preempt=True, log=0), clock)
        self.voices = {interface: self._voice(interface, segment) for interface, segment in segments.items()}

    def _voice(self, interface: str, segment: Segment) -> Voice:
        vhosts = self.roster.on(interface)
        advertisements = AdvertisementProtocol(interface, self.roster, self.clock)
        arp, neighbor = ArpProtocol(vhosts, self.clock), NeighborProtocol(vhosts, self.clock, lambda: False)
        ports = [segment.open(self.name, interface, receiver) for receiver in (advertisements, arp, neighbor)]
        return Voice(advertisements, arp, neighbor, ports=ports, hush=lambda: None)

    def _draw(self) -> int:
        return self.chance.getrandbits(64)

    def vhid(self, number: int, interface: str, advskew: int) -> VirtualHost:
        address = ip_interface(f"198.51.100.{number}/24")
        config = VirtualHostConfig(number, interface, (address,), (Phrase(b"secret"),), advskew=advskew)
        plane = WrittenPlane([], virtual_mac(number))
        vhost = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=self._draw)
        self.roster.add(vhost)
        link = LinkState(
            interface,
            index=2,
            up=True,
            carrier=True,
            mac=bytes((2, 0, 0, 0, 0, self.number)),
            hardware=1,
            own4=(ip_address(f"198.51.100.{250 + self.number}"),),
        )
        vhost.start()
        self.voices[interface].link_changed(link)
        vhost.link_changed(link, self.voices[interface])
        return vhost


class IndependenceTests(SynchronousTestCase):
    """No election takes notice of another."""

    def setUp(self) -> None:
        self.clock = Clock()

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)

    def test_255_vhids_on_one_interface(self) -> None:
        """Odd ones prefer a, even ones prefer b: each ends where it belongs, and with one master."""
        segment = Segment(self.clock)
        nodes = [Node(name, number, {"em0": segment}, self.clock) for number, name in enumerate("ab", 1)]
        for number in range(1, 256):
            for node in nodes:
                preferred = (number % 2 == 1) == (node.name == "a")
                node.vhid(number, "em0", 0 if preferred else 100)
        self.run_for(6)
        for number in range(1, 256):
            states = {node.name: node.roster.on("em0")[number].state for node in nodes}
            winner = "a" if number % 2 else "b"
            self.assertEqual([name for name, state in states.items() if state is State.MASTER], [winner], number)
        self.assertEqual(sum(sum(node.roster.counters.refused.values()) for node in nodes), 0)

    def test_one_vhid_on_two_interfaces(self) -> None:
        """Its namesake's fate on the other interface is none of its business."""
        segments = {"em0": Segment(self.clock), "em1": Segment(self.clock)}
        a, b = (Node(name, number, segments, self.clock) for number, name in enumerate("ab", 1))
        for interface, skews in (("em0", (0, 100)), ("em1", (100, 0))):
            a.vhid(7, interface, skews[0])
            b.vhid(7, interface, skews[1])
        self.run_for(6)

        def masters(interface: str) -> list[str]:
            return [node.name for node in (a, b) if node.roster.on(interface)[7].state is State.MASTER]

        self.assertEqual((masters("em0"), masters("em1")), (["a"], ["b"]))
        segments["em0"].cut.add("a")
        self.run_for(6)
        self.assertEqual((masters("em0"), masters("em1")), (["a", "b"], ["b"]))
