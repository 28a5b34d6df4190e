"""A client of every LAN, which asks for each IPv4 address again and again: so that whoever answers is looked at too."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_interface

from carptwist.simulation.segment import Segment
from carptwist.simulation.world import World
from carptwist.wire import arp

INQUIRY_SECONDS = 0.73

_CLIENT = "client"
_CLIENT_MAC = bytes.fromhex("0200000000c8")
_CLIENT_ADDRESS = bytes((192, 0, 2, 200))


def inquire(world: World) -> None:
    """Begin to ask, on every segment."""
    for segment in world.segments.values():
        _ask(world, segment, _questions(world, segment))


def _questions(world: World, segment: Segment) -> list[bytes]:
    """An ARP request for each IPv4 address of a segment."""
    shared = {
        ip_interface(address).ip
        for ownership in world.ownerships.values()
        if ownership.service.segment == segment.name
        for address in ownership.service.addresses
    }
    asked = sorted(address.packed for address in shared if address.version == 4)
    return [arp.request(address, _CLIENT_MAC, _CLIENT_ADDRESS) for address in asked]


def _ask(world: World, segment: Segment, questions: Sequence[bytes]) -> None:
    for question in questions:
        segment.send(_CLIENT, question)
    world.timeline.callLater(INQUIRY_SECONDS, _ask, world, segment, questions)
