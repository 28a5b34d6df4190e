"""Every frame that two pairs of real kernels exchanged: understood, believed, and rebuilt octet by octet."""

from __future__ import annotations

from collections import Counter

import pytest

from carptwist.wire import advertisement, arp, neighbor
from carptwist.wire.advertisement import Heard
from carptwist.wire.arp import Arp
from carptwist.wire.authentication import Authenticator
from carptwist.wire.neighbor import NeighborAdvertisement, Solicitation
from carptwist.wire.recognition import FREEBSD, NETBSD, Recognition
from tests.wire.golden import ADDRESSES, CAPTURES, PHRASE, capture

#: Ethernet, IPv6 and the fixed part of a neighbour discovery message.
OPTIONS_AT = 14 + 40 + 24


def rebuilt(frame: bytes, said: object) -> bytes:
    """The frame made anew from what was read of it; only options that nobody reads are taken over."""
    if isinstance(said, Heard):
        build = advertisement.frame4 if said.family == 4 else advertisement.frame6
        return build(
            said.advertisement,
            source_mac=said.source_mac,
            source=said.source,
            destination=said.destination,
            dscp=said.tos >> 2,
        )
    if isinstance(said, Arp):
        return arp.pack(said)
    if isinstance(said, Solicitation):
        assert not said.link_address
        return neighbor.solicitation(
            said.target, source=said.source, source_mac=said.source_mac, options=frame[OPTIONS_AT:]
        )
    assert isinstance(said, NeighborAdvertisement)
    return neighbor.advertisement(
        said.target,
        said.link_address,
        source=said.source,
        source_mac=said.source_mac,
        destination=said.destination,
        router=said.router,
        solicited=said.solicited,
        override=said.override,
    )


@pytest.mark.parametrize("name", CAPTURES)
def test_every_frame(name: str) -> None:
    """Exactly one reader understands a frame, every digest is right, and building gives the same octets."""
    kinds: Counter[str] = Counter()
    authenticators = {vhid: Authenticator(PHRASE, vhid, ADDRESSES[name]) for vhid in (7, 9)}
    for frame in capture(name):
        said = [found for read in (advertisement.read, arp.read, neighbor.read) if (found := read(frame)) is not None]
        assert len(said) == 1
        kinds[type(said[0]).__name__] += 1
        assert rebuilt(frame, said[0]) == frame
        if isinstance(said[0], Heard):
            heard = said[0].advertisement
            assert authenticators[heard.vhid].verify(heard.counter, heard.digest)
    assert (
        kinds
        == {
            "freebsd": {"Heard": 40, "Arp": 14, "Solicitation": 4, "NeighborAdvertisement": 1},
            "netbsd": {"Heard": 20, "Arp": 14},
        }[name]
    )


@pytest.mark.parametrize(("name", "implementation"), [("freebsd", FREEBSD), ("netbsd", NETBSD)])
def test_implementation(name: str, implementation: str) -> None:
    """Both hosts of a capture are recognised for what they are, and never taken for another in between."""
    senders: dict[bytes, Recognition] = {}
    for frame in capture(name):
        said = advertisement.read(frame)
        if isinstance(said, Heard):
            recognition = senders.setdefault(said.source, Recognition())
            recognition.heard(said)
            assert implementation.split()[0] in recognition.implementation
    assert {recognition.implementation for recognition in senders.values()} == {implementation}


def test_gratuitous_arp_is_the_kernels() -> None:
    """An announcement is FreeBSD's but for its Ethernet source, the virtual MAC, which switches learn from."""
    mac = bytes.fromhex("00005e000107")
    ours = arp.gratuitous(bytes((192, 0, 2, 1)), mac)
    assert ours[6:12] == mac
    kernels = [
        said for frame in capture("freebsd") if isinstance(said := arp.read(frame), Arp) and said.sender_mac == mac
    ]
    assert ours[:6] + ours[12:] in [frame[:6] + frame[12:] for frame in map(arp.pack, kernels)]
