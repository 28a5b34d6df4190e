"""What carptwist sends is what the kernels send, octet by octet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from carptwist.wire import advertisement, carp
from carptwist.wire.advertisement import Heard
from carptwist.wire.authentication import Authenticator
from carptwist.wire.carp import Advertisement
from carptwist.wire.ethernet import parse_mac
from tests.wire.golden import DIALECTS, Vector, vectors

EVERY = [vector for dialect in DIALECTS for vector in vectors(dialect)]


def sent(vector: Vector) -> Advertisement:
    """What the vector's kernel put into the header, with the digest that it has to have."""
    raw = vector.raw
    return Advertisement(
        vector.vhid,
        raw["advskew_wire"],
        raw["advbase_wire"],
        raw["demote_wire"],
        vector.counter,
        bytes.fromhex(raw["hmac_hex"]),
    )


@pytest.mark.parametrize("vector", EVERY, ids=repr)
def test_digest(vector: Vector) -> None:
    """The kernel's key and addresses make the kernel's digest, and verify it; one bit off does not."""
    authenticator = Authenticator(vector.key, vector.vhid, vector.addresses, link_local=vector.dialect != "openbsd")
    digest = bytes.fromhex(vector.raw["hmac_hex"])
    assert authenticator.sign(vector.counter) == digest
    assert authenticator.verify(vector.counter, digest)
    assert not authenticator.verify(vector.counter ^ 1, digest)
    assert not authenticator.verify(vector.counter, bytes((digest[0] ^ 1,)) + digest[1:])


@pytest.mark.parametrize("vector", vectors("openbsd"), ids=repr)
def test_digest_that_openbsd_accepts_as_well(vector: Vector) -> None:
    """With link-local addresses, the digest is the one that OpenBSD accepts besides its own."""
    digest = bytes.fromhex(vector.raw["hmac_orig_hex_also_accepted"])
    assert Authenticator(vector.key, vector.vhid, vector.addresses).sign(vector.counter) == digest


@pytest.mark.parametrize("vector", EVERY, ids=repr)
def test_header(vector: Vector) -> None:
    """The 36 octets, checksum included, and back."""
    octets = bytes.fromhex(vector.raw["carp_header_hex"])
    assert carp.pack(sent(vector)) == octets
    assert carp.unpack(octets) == sent(vector)


@pytest.mark.parametrize("vector", [vector for vector in EVERY if "ip4_packet_hex" in vector.raw], ids=repr)
def test_frame_over_ipv4(vector: Vector) -> None:
    """The whole frame over IPv4, and back."""
    raw = vector.raw
    source, source_mac = ip_address(raw["ip_src"]).packed, parse_mac(raw["src_mac"])
    assert source_mac == carp.virtual_mac(vector.vhid)
    frame = advertisement.frame4(sent(vector), source_mac=source_mac, source=source, dscp=raw["ip_tos"] >> 2)
    assert frame == parse_mac(raw["dst_mac"]) + source_mac + b"\x08\x00" + bytes.fromhex(raw["ip4_packet_hex"])
    destination = ip_address(raw["ip_dst"]).packed
    assert advertisement.read(frame) == Heard(sent(vector), 4, source, destination, source_mac, raw["ip_tos"])


@pytest.mark.parametrize("vector", [vector for vector in EVERY if "ip6_packet_hex" in vector.raw], ids=repr)
def test_frame_over_ipv6(vector: Vector) -> None:
    """The whole frame over IPv6, and back."""
    raw = vector.raw
    source, source_mac = ip_address(raw["ip6_src"]).packed, parse_mac(raw["src_mac"])
    frame = advertisement.frame6(sent(vector), source_mac=source_mac, source=source, dscp=raw["ip6_tclass"] >> 2)
    assert frame == parse_mac(raw["dst_mac6"]) + source_mac + b"\x86\xdd" + bytes.fromhex(raw["ip6_packet_hex"])
    destination = ip_address(raw["ip6_dst"]).packed
    assert advertisement.read(frame) == Heard(sent(vector), 6, source, destination, source_mac, raw["ip6_tclass"])
