"""FDDI and Token Ring: octets written down from the RFCs, and nothing that comes in raises."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carptwist.wire import advertisement, fddi, llc, tokenring
from carptwist.wire.advertisement import Heard
from tests.wire.golden import every_frame

OCTETS = st.binary(max_size=120)
MAC = st.binary(min_size=6, max_size=6)
ETHERTYPE = st.integers(0x0600, 0xFFFF)

# IPv4, protocol 112: the payload is of no interest here.
PACKET = bytes.fromhex("4500001400010000ff70000000000000e0000012")

FDDI = bytes.fromhex(
    "50"  # RFC 1390: asynchronous LLC frame, 48-bit addresses, priority 0
    "01005e000012"  # 224.0.0.18, mapped as on Ethernet
    "00005e000107"  # the virtual MAC of vhid 7
    "aaaa03"  # RFC 1042: DSAP and SSAP 170, unnumbered information
    "000000"  # organization code 0: an EtherType follows
    "0800"  # IPv4
    "4500001400010000ff70000000000000e0000012"
)

TOKEN_RING = bytes.fromhex(
    "10"  # access control: a frame, of priority 0
    "40"  # frame control: LLC
    "c00000040000"  # RFC 1469: the functional address of IP multicast, most significant bit first
    "030001000000"  # FreeBSD's virtual address of vhid 7: 0x40 >> 6
    "aaaa03"
    "000000"
    "0800"
    "4500001400010000ff70000000000000e0000012"
)

SOURCE_ROUTED = bytes.fromhex(
    "1040"
    "c00000040000"
    "830001000000"  # the same source, with the bit that says: routing information
    "c820"  # all routes broadcast (110), 8 octets; direction 0, frames of up to 4472 octets
    "001100220030"  # three route designators
    "aaaa030000000800"
    "4500001400010000ff70000000000000e0000012"
)


# Bits


def test_the_bits_of_each_octet_are_turned() -> None:
    """RFC 1469 gives one address in both forms."""
    assert llc.reversed_bits(bytes.fromhex("030000200000")) == bytes.fromhex("c00000040000")


@given(OCTETS)
def test_turned_twice_is_as_before(octets: bytes) -> None:
    """Both directions are the same."""
    assert llc.reversed_bits(llc.reversed_bits(octets)) == octets


# LLC and SNAP


@given(ETHERTYPE, OCTETS)
def test_what_was_wrapped_is_there(ethertype: int, payload: bytes) -> None:
    """Round trip."""
    assert llc.unwrap(llc.wrap(ethertype, payload)) == (ethertype, payload)


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "aaaa0300000008",  # cut short
        "aaaa0300000005dc",  # a length, no EtherType
        "aaaa0300000c2000",  # another organization
        "4242030000000800",  # the spanning tree's SAP
    ],
)
def test_what_is_no_ethertype_is_not_ours(octets: str) -> None:
    """None, whatever it is."""
    assert llc.unwrap(bytes.fromhex(octets)) is None


@pytest.mark.parametrize("ethertype", [-1, 0x05FF, 0x10000])
def test_an_ethertype_has_a_range(ethertype: int) -> None:
    """Our own misuse raises."""
    with pytest.raises(ValueError, match="must be 0x0600"):
        llc.wrap(ethertype, b"")


# FDDI


def test_an_fddi_frame_of_the_rfcs() -> None:
    """Both ways."""
    frame = fddi.Frame(bytes.fromhex("01005e000012"), bytes.fromhex("00005e000107"), 0x0800, PACKET)
    assert fddi.pack(frame) == FDDI
    assert fddi.unpack(FDDI) == frame
    assert fddi.to_ethernet(FDDI) == bytes.fromhex("01005e00001200005e0001070800") + PACKET


@given(MAC, MAC, ETHERTYPE, OCTETS, st.integers(0, 7))
def test_an_fddi_frame_comes_back(
    destination: bytes, source: bytes, ethertype: int, payload: bytes, priority: int
) -> None:
    """Every value, with every priority."""
    frame = fddi.Frame(destination, source, ethertype, payload, priority)
    assert fddi.unpack(fddi.pack(frame)) == frame


@pytest.mark.parametrize("control", ["40", "4f", "58", "c1", "d0", "00"])
def test_other_fddi_frames_are_not_ours(control: str) -> None:
    """Station management, tokens, synchronous and 16-bit frames."""
    assert fddi.unpack(bytes.fromhex(control) + FDDI[1:]) is None


@pytest.mark.parametrize(
    "frame",
    [
        fddi.Frame(bytes(5), bytes(6), 0x0800, b""),
        fddi.Frame(bytes(6), bytes(7), 0x0800, b""),
        fddi.Frame(bytes(6), bytes(6), 0x0800, b"", 8),
    ],
)
def test_an_fddi_frame_that_cannot_be(frame: fddi.Frame) -> None:
    """Our own misuse raises."""
    with pytest.raises(ValueError):
        fddi.pack(frame)


# Token Ring


def test_a_token_ring_frame_of_the_rfcs() -> None:
    """Both ways; the addresses are in canonical form outside of it."""
    frame = tokenring.Frame(bytes.fromhex("030000200000"), bytes.fromhex("c00080000000"), 0x0800, PACKET)
    assert tokenring.pack(frame) == TOKEN_RING
    assert tokenring.unpack(TOKEN_RING) == frame
    assert tokenring.to_ethernet(TOKEN_RING) == bytes.fromhex("030000200000c000800000000800") + PACKET


def test_a_route_is_skipped() -> None:
    """And its bit is no part of the source."""
    plain = tokenring.unpack(TOKEN_RING)
    assert plain is not None
    assert tokenring.unpack(SOURCE_ROUTED) == plain._replace(route=bytes.fromhex("c820001100220030"))
    assert tokenring.to_ethernet(SOURCE_ROUTED) == tokenring.to_ethernet(TOKEN_RING)


@pytest.mark.parametrize("length", [0, 1, 7, 20, 31])
def test_a_route_has_a_length_that_can_be(length: int) -> None:
    """Even, 2 to 18 octets."""
    frame = bytearray(SOURCE_ROUTED)
    frame[14] = 0xC0 | length
    assert tokenring.unpack(bytes(frame)) is None


@given(st.integers(0, len(SOURCE_ROUTED) - len(PACKET) - 1))
def test_frames_cut_short(length: int) -> None:
    """Before the end of the headers there is nothing."""
    assert tokenring.unpack(SOURCE_ROUTED[:length]) is None
    if length < len(FDDI) - len(PACKET):
        assert fddi.unpack(FDDI[:length]) is None


@pytest.mark.parametrize("control", ["00", "80", "c0"])
def test_other_token_ring_frames_are_not_ours(control: str) -> None:
    """Those of the ring's own management."""
    assert tokenring.unpack(TOKEN_RING[:1] + bytes.fromhex(control) + TOKEN_RING[2:]) is None


@given(MAC, MAC, ETHERTYPE, OCTETS)
def test_a_token_ring_frame_comes_back(destination: bytes, source: bytes, ethertype: int, payload: bytes) -> None:
    """Every value, of any source that is no group."""
    frame = tokenring.Frame(destination, bytes((source[0] & 0xFE,)) + source[1:], ethertype, payload)
    assert tokenring.unpack(tokenring.pack(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [
        tokenring.Frame(bytes(6), bytes(5), 0x0800, b""),
        tokenring.Frame(bytes(7), bytes(6), 0x0800, b""),
        tokenring.Frame(bytes(6), b"\x01" + bytes(5), 0x0800, b""),
        tokenring.Frame(bytes(6), bytes(6), 0x0800, b"", b"\x02\x00"),
    ],
)
def test_a_token_ring_frame_that_cannot_be(frame: tokenring.Frame) -> None:
    """Our own misuse raises; a route is never sent."""
    with pytest.raises(ValueError):
        tokenring.pack(frame)


@pytest.mark.parametrize(
    ("group", "functional"),
    [
        ("224.0.0.18", "030000200000"),
        ("239.255.255.250", "030000200000"),
        ("ff02::1", "030080000000"),
        ("ff02::1:ff34:5678", "030080000000"),
        ("ff02::2", "030040000000"),
        ("ff05::2", "030040000000"),
        ("ff01::1", "030080000000"),
        # Neither all nodes nor routers.
        ("ff05::1", "030000400000"),
        ("ff15::2", "030000200000"),
        # The three lowest bits of the group: 000 to 111.
        ("ff02::10", "030000800000"),
        ("ff02::12", "030000200000"),
        ("ff02::6", "030000020000"),
        ("ff02::f", "030000010000"),
    ],
)
def test_groups_have_functional_addresses(group: str, functional: str) -> None:
    """RFC 1469 section 4, RFC 2470 section 5."""
    assert tokenring.multicast(ip_address(group).packed) == bytes.fromhex(functional)


@pytest.mark.parametrize("octets", [ip_address("192.0.2.1").packed, ip_address("2001:db8::1").packed, b"", b"\xff"])
def test_a_host_has_no_functional_address(octets: bytes) -> None:
    """Only a group."""
    with pytest.raises(ValueError, match="not a packed multicast address"):
        tokenring.multicast(octets)


def test_virtual_addresses_are_those_of_the_kernel() -> None:
    """No two the same, and none with the bit of a route."""
    known = {
        1: "030040000000",
        2: "030020000000",
        7: "030001000000",
        12: "030000800000",
        19: "030000010000",
    }
    assert {vhid: tokenring.virtual_address(vhid).hex() for vhid in known} == known
    every = [tokenring.virtual_address(vhid) for vhid in (*range(1, 8), *range(12, 20))]
    assert len(set(every)) == 15
    assert all(len(address) == 6 and not address[0] & 0x80 for address in every)


@pytest.mark.parametrize("vhid", [0, 8, 11, 20, 255])
def test_other_vhids_have_none(vhid: int) -> None:
    """The kernel gives them all 03:00:00:00:00:00."""
    with pytest.raises(ValueError, match="1 to 7 and 12 to 19"):
        tokenring.virtual_address(vhid)


# Advertisements


def test_recorded_advertisements_are_the_same_on_every_medium() -> None:
    """What was heard on Ethernet is heard over FDDI and Token Ring, digest and all."""
    heard = 0
    for frame in every_frame():
        reading = advertisement.read(frame)
        if not isinstance(reading, Heard):
            continue
        heard += 1
        over_fddi = fddi.to_ethernet(fddi.from_ethernet(frame))
        assert over_fddi == frame
        functional = tokenring.multicast(reading.destination)
        over_ring = tokenring.to_ethernet(tokenring.from_ethernet(frame, functional))
        assert over_ring is not None
        assert over_ring[:6] == functional
        assert over_ring[6:] == frame[6:]
        again = advertisement.read(over_ring)
        assert isinstance(again, Heard)
        assert again.advertisement == reading.advertisement
    assert heard > 10


def test_what_is_shorter_than_an_ethernet_header_has_no_other_form() -> None:
    """Our own misuse raises."""
    with pytest.raises(ValueError, match="13 octets"):
        fddi.from_ethernet(bytes(13))
    with pytest.raises(ValueError, match="13 octets"):
        tokenring.from_ethernet(bytes(13), bytes(6))


@given(OCTETS)
def test_nothing_that_comes_in_raises(octets: bytes) -> None:
    """Neither rubbish nor rubbish with a beginning that is right."""
    for beginning in (b"", FDDI[:1], TOKEN_RING[:2], SOURCE_ROUTED[:14]):
        fddi.to_ethernet(beginning + octets)
        tokenring.to_ethernet(beginning + octets)
