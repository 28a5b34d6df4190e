"""Neighbour discovery, against scapy's: RFC 4861 sections 7.1.1 and 7.1.2, rule by rule."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

import pytest
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from carptwist.wire import neighbor
from carptwist.wire.ethernet import multicast_mac
from carptwist.wire.internet import ALL_NODES, solicited_node
from carptwist.wire.neighbor import NeighborAdvertisement, Solicitation
from carptwist.wire.refusal import Cause, Refusal

MAC = bytes.fromhex("00005e000107")
CLIENT_MAC = bytes.fromhex("020000000005")
SHARED = IPv6Address("2001:db8::1").packed
CLIENT = IPv6Address("2001:db8::5").packed
NOBODY = bytes(16)
GROUP = solicited_node(SHARED)

SOURCE_OPTION = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:05")
TARGET_OPTION = ICMPv6NDOptDstLLAddr(lladdr="00:00:5e:00:01:07")
NONCE = ICMPv6NDOptUnknown(type=14, len=1, data=b"nonce!")


def asking(*options: Packet, **fields: Any) -> bytes:
    """A client asks for the shared address; the fields are those of IPv6, or of the message."""
    header = {"src": "2001:db8::5", "dst": "ff02::1:ff00:1", "hlim": 255}
    body = {"tgt": "2001:db8::1"}
    for name, value in fields.items():
        (header if name in ("src", "dst", "hlim", "plen", "nh") else body)[name] = value
    packet = Ether(src="02:00:00:00:00:05", dst="33:33:ff:00:00:01") / IPv6(**header) / ICMPv6ND_NS(**body)
    for option in options:
        packet /= option
    return bytes(packet)


def telling(*options: Packet, **fields: Any) -> bytes:
    """The master tells where the shared address is, unasked."""
    header = {"src": "2001:db8::1", "dst": "ff02::1", "hlim": 255}
    body: dict[str, Any] = {"tgt": "2001:db8::1", "R": 0, "S": 0, "O": 1}
    for name, value in fields.items():
        (header if name in ("src", "dst", "hlim") else body)[name] = value
    packet = Ether(src="00:00:5e:00:01:07", dst="33:33:00:00:00:01") / IPv6(**header) / ICMPv6ND_NA(**body)
    for option in options:
        packet /= option
    return bytes(packet)


# Solicitations


def test_solicitation() -> None:
    """A question is read and built as scapy writes it."""
    said = Solicitation(CLIENT, GROUP, SHARED, CLIENT_MAC, CLIENT_MAC)
    assert neighbor.read(asking(SOURCE_OPTION)) == said
    assert neighbor.read(asking(SOURCE_OPTION) + bytes(4)) == said
    assert neighbor.read(asking()) == said._replace(link_address=b"")
    built = neighbor.solicitation(SHARED, source=CLIENT, source_mac=CLIENT_MAC, link_address=CLIENT_MAC)
    assert built == asking(SOURCE_OPTION)


def test_unicast_solicitation() -> None:
    """Reachability is asked for of the host itself."""
    frame = neighbor.solicitation(SHARED, source=CLIENT, source_mac=CLIENT_MAC, destination=SHARED, destination_mac=MAC)
    assert frame[:6] == MAC
    assert neighbor.read(frame) == Solicitation(CLIENT, SHARED, SHARED, CLIENT_MAC, b"")


def test_duplicate_address_detection() -> None:
    """A question from :: has no link-layer address; a nonce may come with it."""
    frame = asking(NONCE, src="::")
    assert neighbor.read(frame) == Solicitation(NOBODY, GROUP, SHARED, CLIENT_MAC, b"")
    options = bytes(NONCE)
    assert neighbor.solicitation(SHARED, source=NOBODY, source_mac=CLIENT_MAC, options=options) == frame


def test_options_in_any_order() -> None:
    """Unknown options and the other kind of link-layer option are skipped; the first one of two counts."""
    other = ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:06")
    said = neighbor.read(asking(NONCE, TARGET_OPTION, SOURCE_OPTION, other))
    assert said == Solicitation(CLIENT, GROUP, SHARED, CLIENT_MAC, CLIENT_MAC)


# Advertisements


@pytest.mark.parametrize("router", [False, True])
def test_unsolicited(router: bool) -> None:
    """An announcement to all nodes is read and built as scapy writes it."""
    frame = telling(TARGET_OPTION, R=int(router))
    assert neighbor.advertisement(SHARED, MAC, source=SHARED, source_mac=MAC, router=router) == frame
    assert neighbor.read(frame) == NeighborAdvertisement(SHARED, ALL_NODES, SHARED, router, False, True, MAC, MAC)


def test_solicited() -> None:
    """An answer goes to the asker."""
    frame = neighbor.advertisement(
        SHARED,
        MAC,
        source=SHARED,
        source_mac=MAC,
        destination=CLIENT,
        destination_mac=CLIENT_MAC,
        solicited=True,
        override=False,
        options=bytes(NONCE),
    )
    assert frame[:6] == CLIENT_MAC
    assert frame[6:] == telling(TARGET_OPTION, NONCE, dst="2001:db8::5", S=1, O=0)[6:]
    assert neighbor.read(frame) == NeighborAdvertisement(SHARED, CLIENT, SHARED, False, True, False, MAC, MAC)


def test_without_a_link_address() -> None:
    """An answer to a unicast question may leave the link-layer address out."""
    said = neighbor.read(telling())
    assert said == NeighborAdvertisement(SHARED, ALL_NODES, SHARED, False, False, True, b"", MAC)
    assert neighbor.advertisement(SHARED, b"", source=SHARED, source_mac=MAC) == telling()


# None of ours, and refused


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        asking()[:54],
        asking(nh=17),
        asking()[:12] + b"\x08\x00" + asking()[14:],
        bytes(Ether() / IPv6(hlim=255) / ICMPv6EchoRequest()),
        bytes(Ether() / IPv6(hlim=255, nh=0) / IPv6ExtHdrHopByHop(nh=58) / ICMPv6ND_NS(tgt="2001:db8::1")),
    ],
)
def test_none_of_ours(frame: bytes) -> None:
    """Other protocols, other messages, and messages behind extension headers are nobody's to count."""
    assert neighbor.read(frame) is None


def raw_option(octets: bytes) -> Packet:
    return Raw(octets)


@pytest.mark.parametrize(
    ("frame", "cause", "why"),
    [
        (asking()[:14] + b"\x40" + asking()[15:], Cause.HDROPS, "not an IPv6 header"),
        (asking()[:-1], Cause.HDROPS, "IPv6 length does not fit the frame"),
        (asking(hlim=254), Cause.BADTTL, "hop limit is not 255"),
        (asking(plen=23), Cause.BADLEN, "shorter than a neighbour discovery message"),
        (asking(plen=0), Cause.BADLEN, "shorter than a neighbour discovery message"),
        (asking(cksum=1), Cause.BADSUM, "wrong ICMPv6 checksum"),
        (asking(code=1), Cause.HDROPS, "ICMPv6 code is not 0"),
        (asking(tgt="ff02::1"), Cause.HDROPS, "target is multicast"),
        (asking(raw_option(bytes(8))), Cause.BADLEN, "malformed option"),
        (asking(raw_option(b"\x01")), Cause.BADLEN, "malformed option"),
        (asking(raw_option(b"\x01\x02" + bytes(6))), Cause.BADLEN, "malformed option"),
        (asking(raw_option(b"\x01\x02" + bytes(14))), Cause.BADLEN, "malformed option"),
        (asking(src="::", dst="2001:db8::1"), Cause.HDROPS, "from :: but not to a solicited-node group"),
        (asking(src="::", dst="ff02::1"), Cause.HDROPS, "from :: but not to a solicited-node group"),
        (asking(SOURCE_OPTION, src="::"), Cause.HDROPS, "from :: but with a link-layer address"),
        (telling(TARGET_OPTION, S=1), Cause.HDROPS, "solicited but to a group"),
        (telling(TARGET_OPTION, tgt="ff02::1"), Cause.HDROPS, "target is multicast"),
        (telling(TARGET_OPTION, code=3), Cause.HDROPS, "ICMPv6 code is not 0"),
        (telling(TARGET_OPTION, hlim=64), Cause.BADTTL, "hop limit is not 255"),
    ],
)
def test_refusals(frame: bytes, cause: Cause, why: str) -> None:
    """Each rule of RFC 4861, broken alone."""
    refusal = neighbor.read(frame)
    assert isinstance(refusal, Refusal)
    assert (refusal.cause, refusal.why) == (cause, why)


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": bytes(4)},
        {"link_address": bytes(8)},
        {"source": bytes(4)},
        {"source_mac": b""},
        {"destination": CLIENT},
        {"destination_mac": bytes(1)},
        {"options": bytes(7)},
    ],
)
def test_misuse(wrong: dict[str, bytes]) -> None:
    """What has not the size that it must have is never sent, nor is anything to a peer without a MAC."""
    right = {"target": SHARED, "link_address": MAC, "source": SHARED, "source_mac": MAC, "destination": ALL_NODES}
    with pytest.raises(ValueError, match=r"octets|multicast"):
        neighbor.advertisement(**{**right, **wrong})  # type: ignore[arg-type]


def test_groups() -> None:
    """Where a message to a group goes is computed from the group."""
    frame = neighbor.solicitation(SHARED, source=CLIENT, source_mac=CLIENT_MAC)
    assert frame[:6] == multicast_mac(GROUP)
