"""Whatever is on the wire: no reader raises, and what is built is what is read."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from carptwist.wire import advertisement, arp, carp, neighbor
from carptwist.wire.advertisement import Heard
from carptwist.wire.arp import Arp
from carptwist.wire.authentication import Address, Authenticator
from carptwist.wire.carp import Advertisement
from carptwist.wire.diagnosis import RIGHT, UNKNOWN, likeliest_cause
from carptwist.wire.ethernet import format_mac, parse_mac
from carptwist.wire.neighbor import NeighborAdvertisement, Solicitation
from carptwist.wire.refusal import Cause, Refusal
from tests.wire.golden import every_frame
from tests.wire.mutation import mutated

FRAMES = every_frame()
READERS = (advertisement.read, arp.read, neighbor.read)

macs = st.binary(min_size=6, max_size=6)
addresses4 = st.binary(min_size=4, max_size=4)
addresses6 = st.binary(min_size=16, max_size=16)
unicast6 = addresses6.filter(lambda octets: octets[0] != 0xFF and octets != bytes(16))
octets = st.integers(0, 255)
counters = st.integers(0, 2**64 - 1)
advertisements = st.builds(
    Advertisement,
    vhid=st.integers(1, 255),
    advskew=octets,
    advbase=octets,
    demote=octets,
    counter=counters,
    digest=st.binary(min_size=20, max_size=20),
)
phrases = st.binary(max_size=20)


def understood(frame: bytes) -> list[object]:
    """What the readers say of a frame; one of an unforeseen kind fails."""
    said: list[object] = [found for read in READERS if (found := read(frame)) is not None]
    for each in said:
        assert type(each) in (Heard, Arp, Solicitation, NeighborAdvertisement, Refusal)
        if isinstance(each, Refusal):
            assert isinstance(each.cause, Cause)
            assert each.why
            assert len(each.source) in (0, 4, 16)
            assert 0 <= each.vhid <= 255
    assert len(said) <= 1
    return said


@given(st.binary(max_size=200))
@example(b"")
def test_random_frames(frame: bytes) -> None:
    """Random octets raise nothing, and are never taken for two things."""
    understood(frame)


@given(st.sampled_from(FRAMES), st.data())
def test_real_frames_cut_and_altered(frame: bytes, data: st.DataObject) -> None:
    """Nor do real frames, cut anywhere and altered in places."""
    altered = bytearray(frame[: data.draw(st.integers(0, len(frame)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if altered:
            altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(octets)
    understood(bytes(altered))


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_every_truncation(frame: bytes) -> None:
    """Every real frame at every length: a part is refused, or is not known for what it was; never believed."""
    for length in range(len(frame)):
        assert all(isinstance(said, Refusal) for said in understood(frame[:length]))


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_every_octet(frame: bytes) -> None:
    """Every real frame with each octet in turn complemented: an altered CARP header is never believed."""
    for at in range(len(frame)):
        said = understood(frame[:at] + bytes((frame[at] ^ 0xFF,)) + frame[at + 1 :])
        if isinstance(advertisement.read(frame), Heard) and at >= len(frame) - carp.LENGTH:
            assert isinstance(said[0], Refusal)


def test_a_hundred_thousand_frames() -> None:
    """A run of random, truncated, altered and spliced frames raises nothing, and meets every kind of answer."""
    kinds: Counter[object] = Counter()
    for frame in islice(mutated(FRAMES, Random(112)), 100_000):
        said = understood(frame)
        kinds[said[0].cause if said and isinstance(said[0], Refusal) else type(said[0]) if said else None] += 1
    assert {None, Heard, Arp, Solicitation, NeighborAdvertisement} <= set(kinds)
    assert {Cause.HDROPS, Cause.BADTTL, Cause.BADSUM, Cause.BADLEN} <= set(kinds)


@given(advertisements, macs, addresses4, st.integers(0, 63), st.binary(max_size=30))
def test_ipv4_there_and_back(said: Advertisement, mac: bytes, source: bytes, dscp: int, padding: bytes) -> None:
    """An advertisement over IPv4 is read as it was built, whatever Ethernet puts behind it."""
    frame = advertisement.frame4(said, source_mac=mac, source=source, dscp=dscp)
    assert advertisement.read(frame + padding) == Heard(said, 4, source, carp.GROUP4, mac, dscp << 2)


@given(advertisements, macs, addresses6, st.integers(0, 63), st.binary(max_size=30))
def test_ipv6_there_and_back(said: Advertisement, mac: bytes, source: bytes, dscp: int, padding: bytes) -> None:
    """And over IPv6."""
    frame = advertisement.frame6(said, source_mac=mac, source=source, dscp=dscp)
    assert advertisement.read(frame + padding) == Heard(said, 6, source, carp.GROUP6, mac, dscp << 2)


@given(st.builds(Arp, st.sampled_from((1, 2)), macs, addresses4, macs, addresses4, macs, macs))
def test_arp_there_and_back(said: Arp) -> None:
    """ARP is read as it was built, unless a group claims to be its sender."""
    read = arp.read(arp.pack(said))
    assert read == said if not said.sender_mac[0] & 1 else isinstance(read, Refusal)


@given(unicast6, macs, unicast6, macs, unicast6, macs, st.booleans(), st.booleans(), st.booleans())
def test_neighbor_advertisement_there_and_back(
    target: bytes,
    link_address: bytes,
    source: bytes,
    source_mac: bytes,
    destination: bytes,
    destination_mac: bytes,
    router: bool,
    solicited: bool,
    override: bool,
) -> None:
    """A neighbour advertisement is read as it was built."""
    frame = neighbor.advertisement(
        target,
        link_address,
        source=source,
        source_mac=source_mac,
        destination=destination,
        destination_mac=destination_mac,
        router=router,
        solicited=solicited,
        override=override,
    )
    assert neighbor.read(frame) == NeighborAdvertisement(
        source, destination, target, router, solicited, override, link_address, source_mac
    )


@given(unicast6, unicast6, macs, st.one_of(st.just(b""), macs))
def test_solicitation_there_and_back(target: bytes, source: bytes, mac: bytes, link_address: bytes) -> None:
    """A neighbour solicitation is read as it was built."""
    frame = neighbor.solicitation(target, source=source, source_mac=mac, link_address=link_address)
    read = neighbor.read(frame)
    assert isinstance(read, Solicitation)
    assert read._replace(destination=b"") == Solicitation(source, b"", target, mac, link_address)


@given(macs)
def test_mac_there_and_back(mac: bytes) -> None:
    """A MAC address is read as it was written."""
    assert parse_mac(format_mac(mac)) == mac


@given(phrases, st.integers(1, 255), st.lists(st.ip_addresses(), max_size=8), counters, st.randoms())
def test_order_of_addresses(phrase: bytes, vhid: int, addresses: list[Address], counter: int, random: Random) -> None:
    """The digest does not hang on the order or the repetition of addresses; it does on the counter."""
    digest = Authenticator(phrase, vhid, addresses).sign(counter)
    shuffled = addresses + addresses[:2]
    random.shuffle(shuffled)
    again = Authenticator(phrase, vhid, shuffled)
    assert again.verify(counter, digest)
    assert not again.verify(counter ^ 1, digest)


@given(advertisements, st.lists(phrases, max_size=3), st.lists(st.ip_addresses(), max_size=4), macs)
def test_a_random_digest_is_never_explained(
    said: Advertisement, ours: list[bytes], addresses: list[Address], mac: bytes
) -> None:
    """A diagnosis never blames what was not done: a random digest is nobody's mistake."""
    assert likeliest_cause(said, ours, addresses, source_mac=mac) == UNKNOWN


@given(advertisements, phrases, st.lists(st.ip_addresses(), max_size=4))
def test_a_right_digest_is_called_right(said: Advertisement, phrase: bytes, addresses: list[Address]) -> None:
    """And what is right is called right."""
    digest = Authenticator(phrase, said.vhid, addresses).sign(said.counter)
    assert likeliest_cause(said._replace(digest=digest), [phrase], addresses) == RIGHT
