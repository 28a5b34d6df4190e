"""The Internet checksum and the IP headers, against scapy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.utils import checksum as scapys_checksum

from carptwist.wire.internet import (
    checksum,
    header4,
    header6,
    holds,
    pseudo4,
    pseudo6,
    solicited_node,
)


@given(st.binary(max_size=80))
def test_checksum(octets: bytes) -> None:
    """It is the one that a loop over 16-bit words gives."""
    assert checksum(octets) == scapys_checksum(octets)


@given(st.binary(min_size=2, max_size=80))
def test_a_checksum_put_in_place_holds(octets: bytes) -> None:
    """Octets with their checksum hold, and one bit of difference does not."""
    bare = b"\0\0" + octets
    whole = checksum(bare).to_bytes(2, "big") + octets
    assert holds(whole)
    for bit in (1, 0x80):
        assert not holds(bytes((whole[0] ^ bit,)) + whole[1:])


def test_nothing_but_zeros() -> None:
    """All zeros do not hold: their checksum would be 0xffff."""
    assert not holds(bytes(36))
    assert checksum(bytes(36)) == 0xFFFF
    assert holds(b"\xff\xff" + bytes(34))


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.integers(0, 255), st.integers(0, 1400))
def test_header4(source: bytes, destination: bytes, tos: int, length: int) -> None:
    """An IPv4 header is scapy's with identification 0, "don't fragment" and TTL 255."""
    header = header4(source, destination, 112, length, tos)
    theirs = IP(tos=tos, len=20 + length, id=0, flags="DF", ttl=255, proto=112)
    theirs.src, theirs.dst = (".".join(map(str, address)) for address in (source, destination))
    assert header == bytes(theirs)
    assert holds(header)
    assert pseudo4(source, destination, 112, length) == source + destination + bytes((0, 112)) + length.to_bytes(
        2, "big"
    )


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 255), st.integers(0, 1400))
def test_header6(source: object, destination: object, traffic_class: int, length: int) -> None:
    """An IPv6 header is scapy's with flow label 0 and hop limit 255."""
    theirs = IPv6(tc=traffic_class, plen=length, nh=58, hlim=255, src=str(source), dst=str(destination))
    packed = source.packed, destination.packed  # type: ignore[attr-defined]
    assert header6(*packed, 58, length, traffic_class) == bytes(theirs)
    assert pseudo6(*packed, 58, length) == packed[0] + packed[1] + length.to_bytes(4, "big") + bytes((0, 0, 0, 58))


@pytest.mark.parametrize(
    ("source", "destination", "tos"),
    [(bytes(4), bytes(16), 0), (bytes(3), bytes(4), 0), (bytes(16), bytes(4), 0), (bytes(4), bytes(4), 256)],
)
def test_misuse(source: bytes, destination: bytes, tos: int) -> None:
    """Addresses of another family and impossible values are refused."""
    with pytest.raises(ValueError, match=r"octets|0 to 255"):
        header4(source, destination, 112, 36, tos)
    with pytest.raises(ValueError, match=r"octets|0 to 255"):
        header6(source * 4, destination * 4, 112, 36, tos)


def test_solicited_node() -> None:
    """ff02::1:ffXX:XXXX, of the address' last three octets (RFC 4291)."""
    address = bytes.fromhex("4037000000000000000001 800200e8c6".replace(" ", ""))
    assert solicited_node(address) == bytes.fromhex("ff0200000000000000000001ff00e8c6")
