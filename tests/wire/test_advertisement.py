"""Whole frames: which are ours, which are believed, and what the others are counted under."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.packet import Packet, Raw

from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.carp import GROUP4, GROUP6, Advertisement
from carptwist.wire.internet import HEADER4_LENGTH, checksum
from carptwist.wire.refusal import Cause, Refusal

SAID = Advertisement(vhid=7, advskew=0, advbase=1, demote=0, counter=1, digest=bytes(range(20)))
PAYLOAD = carp.pack(SAID)
MAC = carp.virtual_mac(7)
ADDRESS4 = bytes((192, 0, 2, 2))
ADDRESS6 = bytes.fromhex("20010db8000000000000000000000002")

FRAME4 = frame4(SAID, source_mac=MAC, source=ADDRESS4)
FRAME6 = frame6(SAID, source_mac=MAC, source=ADDRESS6)
HEARD4 = Heard(SAID, 4, ADDRESS4, GROUP4, MAC, 0xE0)
HEARD6 = Heard(SAID, 6, ADDRESS6, GROUP6, MAC, 0xE0)


def ether(packet: Packet) -> bytes:
    """A frame of scapy's making, from the virtual MAC."""
    return bytes(Ether(src="00:00:5e:00:01:07", dst="01:00:5e:00:00:12") / packet)


def ip(**fields: Any) -> IP:
    return IP(**{"src": "192.0.2.2", "dst": "224.0.0.18", "ttl": 255, "proto": 112, "tos": 0xE0, **fields})


def ip6(**fields: Any) -> IPv6:
    return IPv6(**{"src": "2001:db8::2", "dst": "ff02::12", "hlim": 255, "nh": 112, "tc": 0xE0, **fields})


def test_ours() -> None:
    """What is sent is read back as it was meant."""
    assert read(FRAME4) == HEARD4
    assert read(FRAME6) == HEARD6


def test_scapy_agrees() -> None:
    """Frames of scapy's making are understood: nothing hangs on the header being ours."""
    assert read(ether(ip(id=4711) / Raw(PAYLOAD))) == HEARD4
    assert read(ether(ip6(fl=0xFFFFF) / Raw(PAYLOAD))) == HEARD6


def test_unicast() -> None:
    """A peer gets its own MAC and address; any destination is heard."""
    peer = bytes.fromhex("020000000003")
    to4 = frame4(SAID, source_mac=MAC, source=ADDRESS4, destination=bytes((192, 0, 2, 3)), destination_mac=peer)
    assert to4[:6] == peer
    assert read(to4) == HEARD4._replace(destination=bytes((192, 0, 2, 3)))
    to6 = frame6(SAID, source_mac=MAC, source=ADDRESS6, destination=ADDRESS6, destination_mac=peer)
    assert to6[:6] == peer
    assert read(to6) == HEARD6._replace(destination=ADDRESS6)


def test_dscp() -> None:
    """The DSCP is the upper six bits of the TOS octet and of the traffic class."""
    for dscp in (0, 4, 63):
        four = read(frame4(SAID, source_mac=MAC, source=ADDRESS4, dscp=dscp))
        six = read(frame6(SAID, source_mac=MAC, source=ADDRESS6, dscp=dscp))
        assert (four, six) == (HEARD4._replace(tos=dscp << 2), HEARD6._replace(tos=dscp << 2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"source_mac": bytes(5)},
        {"source": bytes(5)},
        {"destination": b"\xff\xff"},
        {"destination_mac": bytes(7)},
        {"dscp": 64},
        {"dscp": -1},
    ],
)
def test_misuse(wrong: dict[str, Any]) -> None:
    """A value of the wrong size is refused; a unicast peer without a MAC too."""
    with pytest.raises(ValueError, match=r"octets|0 to 63|not a packed multicast"):
        frame4(SAID, **{"source_mac": MAC, "source": ADDRESS4, **wrong})
    with pytest.raises(ValueError, match=r"octets|0 to 63|not a packed multicast"):
        frame6(SAID, **{"source_mac": MAC, "source": ADDRESS6, **wrong})
    with pytest.raises(ValueError, match="not a packed multicast"):
        frame4(SAID, source_mac=MAC, source=ADDRESS4, destination=ADDRESS4)


# What kernels accept


def test_padding_is_not_payload() -> None:
    """What Ethernet adds behind the IP packet is not looked at, nor are octets behind the advertisement."""
    assert read(FRAME4 + bytes(26)) == HEARD4
    assert read(FRAME6 + bytes(2)) == HEARD6
    assert read(ether(ip() / Raw(PAYLOAD + b"behind"))) == HEARD4
    assert read(ether(ip6() / Raw(PAYLOAD + b"behind"))) == HEARD6
    # The padding cannot make up for what the packet itself lacks.
    short = ether(ip(len=HEADER4_LENGTH + 35) / Raw(PAYLOAD))
    assert read(short) == Refusal(Cause.BADLEN, "shorter than an advertisement", ADDRESS4)


def test_any_source_mac() -> None:
    """FreeBSD's unicast advertisements and ucarp's come from other MACs than the virtual one."""
    mac = bytes.fromhex("00005e000007")
    assert read(FRAME4[:6] + mac + FRAME4[12:]) == HEARD4._replace(source_mac=mac)


def test_ipv4_options() -> None:
    """IPv4 options move the advertisement, and nothing else."""
    frame = ether(ip(options=[IPOption_Router_Alert()]) / Raw(PAYLOAD))
    assert frame[14] == 0x46
    assert read(frame) == HEARD4


# What is none of ours


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        FRAME4[:13],
        FRAME4[:14],
        # Cut before the protocol can be told.
        FRAME4[:23],
        FRAME6[:20],
        ether(ip(proto=17) / Raw(PAYLOAD)),
        ether(ip(proto=17) / Raw(PAYLOAD))[:24],
        ether(ip6(nh=17) / Raw(PAYLOAD)),
        ether(ip6(nh=17) / Raw(PAYLOAD))[:21],
        ether(ip6(nh=0) / IPv6ExtHdrHopByHop(nh=112) / Raw(PAYLOAD)),
        ether(Dot1Q(vlan=5) / ip() / Raw(PAYLOAD)),
        FRAME4[:12] + b"\x08\x06" + FRAME4[14:],
    ],
)
def test_none_of_ours(frame: bytes) -> None:
    """Other protocols, other VLANs, and what is too short to tell are nobody's to count."""
    assert read(frame) is None


# What is refused


@pytest.mark.parametrize(
    ("frame", "refusal"),
    [
        (FRAME4[:24], Refusal(Cause.HDROPS, "IPv4 header cut short")),
        (FRAME4[:33], Refusal(Cause.HDROPS, "IPv4 header cut short")),
        (FRAME4[:34], Refusal(Cause.HDROPS, "IPv4 length does not fit the frame")),
        (FRAME4[:-1], Refusal(Cause.HDROPS, "IPv4 length does not fit the frame")),
        (ether(ip(len=19) / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "IPv4 length does not fit the frame")),
        (ether(ip(ihl=15, len=56) / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "IPv4 length does not fit the frame")),
        (ether(ip(ihl=4) / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "not an IPv4 header")),
        (FRAME4[:14] + b"\x65" + FRAME4[15:], Refusal(Cause.HDROPS, "not an IPv4 header")),
        (ether(ip(chksum=1) / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "wrong IPv4 header checksum")),
        (ether(ip(flags="MF") / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "IPv4 fragment", ADDRESS4)),
        (ether(ip(frag=1) / Raw(PAYLOAD)), Refusal(Cause.HDROPS, "IPv4 fragment", ADDRESS4)),
        (ether(ip(ttl=254) / Raw(PAYLOAD)), Refusal(Cause.BADTTL, "TTL is not 255", ADDRESS4)),
        (ether(ip()), Refusal(Cause.BADLEN, "shorter than an advertisement", ADDRESS4)),
        (ether(ip() / Raw(PAYLOAD[:-1] + b"x")), Refusal(Cause.BADSUM, "wrong checksum", ADDRESS4)),
        (FRAME6[:21], Refusal(Cause.HDROPS, "IPv6 header cut short")),
        (FRAME6[:53], Refusal(Cause.HDROPS, "IPv6 header cut short")),
        (FRAME6[:-1], Refusal(Cause.HDROPS, "IPv6 length does not fit the frame")),
        (FRAME6[:14] + b"\x4e" + FRAME6[15:], Refusal(Cause.HDROPS, "not an IPv6 header")),
        (ether(ip6(hlim=1) / Raw(PAYLOAD)), Refusal(Cause.BADTTL, "hop limit is not 255", ADDRESS6)),
        (ether(ip6()), Refusal(Cause.BADLEN, "shorter than an advertisement", ADDRESS6)),
        (ether(ip6() / Raw(PAYLOAD[:-1] + b"x")), Refusal(Cause.BADSUM, "wrong checksum", ADDRESS6)),
    ],
)
def test_refusals(frame: bytes, refusal: Refusal) -> None:
    """From the outside in: IP header, fragment, TTL, then the advertisement."""
    assert read(frame) == refusal


def test_a_right_checksum_tells_the_vhid() -> None:
    """A refusal names source and vhid where they can be believed."""
    strange = bytearray(PAYLOAD)
    strange[3], strange[6:8] = 8, bytes(2)
    strange[6:8] = checksum(bytes(strange)).to_bytes(2, "big")
    assert read(ether(ip() / Raw(bytes(strange)))) == Refusal(Cause.BADLEN, "authlen is not 7", ADDRESS4, 7)


# VRRP


def vrrp2(addresses: int, **fields: Any) -> Packet:
    return VRRP(vrid=3, priority=100, addrlist=[f"10.0.0.{n}" for n in range(1, addresses + 1)], **fields)


@pytest.mark.parametrize("addresses", [1, 2, 5, 6, 8, 20])
def test_vrrp2(addresses: int) -> None:
    """A VRRP version 2 router is told apart, and its VRID named, however many addresses it has."""
    frame = ether(ip() / vrrp2(addresses, auth1=0x61626364))
    assert read(frame) == Refusal(Cause.VRRP, "VRRP version 2", ADDRESS4, 3)


@pytest.mark.parametrize("addresses", [1, 2, 7, 8])
def test_vrrp3(addresses: int) -> None:
    """A VRRP version 3 router too, over both families, with or without the pseudo-header over IPv4."""
    four = ip() / VRRPv3(vrid=3, addrlist=[f"10.0.0.{n}" for n in range(1, addresses + 1)])
    assert read(ether(four)) == Refusal(Cause.VRRP, "VRRP version 3", ADDRESS4, 3)
    bare = bytes(four[VRRPv3])
    bare = bare[:6] + checksum(bare[:6] + b"\0\0" + bare[8:]).to_bytes(2, "big") + bare[8:]
    assert read(ether(ip() / Raw(bare))) == Refusal(Cause.VRRP, "VRRP version 3", ADDRESS4, 3)
    six = ip6() / VRRPv3(vrid=3, addrlist=[f"2001:db8::{n}" for n in range(1, addresses + 1)])
    assert read(ether(six)) == Refusal(Cause.VRRP, "VRRP version 3", ADDRESS6, 3)


def test_not_quite_vrrp() -> None:
    """With a wrong checksum or length nobody knows what it was: it is judged as an advertisement."""
    wrong2 = bytes(vrrp2(8, chksum=1))
    assert read(ether(ip() / Raw(wrong2))) == Refusal(Cause.BADSUM, "wrong checksum", ADDRESS4)
    right3 = ether(ip() / VRRPv3(vrid=3, addrlist=[f"10.0.0.{n}" for n in range(8)]))
    assert read(right3[:-1] + b"x") == Refusal(Cause.BADSUM, "wrong checksum", ADDRESS4)
    assert read(ether(ip() / Raw(bytes(vrrp2(1)) + b"x"))) == Refusal(
        Cause.BADLEN, "shorter than an advertisement", ADDRESS4
    )
    right3 = ether(ip6() / VRRPv3(vrid=3, addrlist=["2001:db8::1"]))
    assert read(right3[:-1] + b"x") == Refusal(Cause.BADLEN, "shorter than an advertisement", ADDRESS6)


def test_seven_vrrp_addresses_without_authentication_data() -> None:
    """The one VRRP packet that is a whole advertisement too is taken for one, for its digest to fail."""
    heard = read(ether(ip() / vrrp2(7)))
    assert isinstance(heard, Heard)
    assert heard.advertisement.vhid == 3
