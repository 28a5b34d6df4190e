"""IPv6 neighbour discovery: solicitations and advertisements, and nothing else of ICMPv6.

::

     0          14           54     55     56       58      62        78
    +----------+------------+------+------+--------+-------+---------+----------------+
    | Ethernet | IPv6,      | type | code |checksum| flags | target  | options: type, |
    |          | hop lim 255|135, 6|  0   |        | R S O |         | length/8, ...  |
    +----------+------------+------+------+--------+-------+---------+----------------+

:func:`read` validates all that RFC 4861 sections 7.1.1 and 7.1.2 demand: hop limit 255, checksum,
code 0, length, option lengths above zero, a target that is not multicast; a solicitation from ::
goes to a solicited-node group and names no link-layer address; an advertisement to a group is not
"solicited". Unknown options (the nonce of RFC 7527) are skipped. A message behind an extension
header is none of ours: RFC 6980 forbids fragments here, and nobody sends others.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .ethernet import ETHERTYPE_IPV6, HEADER_LENGTH, checked_mac, multicast_mac
from .internet import (
    ALL_NODES,
    ANY6,
    HEADER6_LENGTH,
    HOPS,
    IPPROTO_ICMPV6,
    checksum,
    header6,
    holds,
    pseudo6,
    solicited_node,
)
from .refusal import Cause, Refusal

SOLICITATION = 135
ADVERTISEMENT = 136

_SOURCE_LINK_ADDRESS = 1
_TARGET_LINK_ADDRESS = 2
_ROUTER = 0x80000000
_SOLICITED = 0x40000000
_OVERRIDE = 0x20000000

_ETHERNET_IPV6 = struct.Struct(">6x6sHIHBB16s16s")
_MESSAGE = struct.Struct(">BBHI16s")
_SOLICITED_NODE = solicited_node(ANY6)[:13]
_BODY = HEADER_LENGTH + HEADER6_LENGTH


class Solicitation(NamedTuple):
    """Somebody asks for the link-layer address of ``target``. IPv6 addresses are packed.

    ``link_address`` is what the source link-layer option says, empty where there is none. A
    ``source`` of :: is duplicate address detection.
    """

    source: bytes
    destination: bytes
    target: bytes
    source_mac: bytes
    link_address: bytes


class NeighborAdvertisement(NamedTuple):
    """Somebody tells, or claims, the link-layer address of ``target``. IPv6 addresses are packed.

    ``link_address`` is what the target link-layer option says, empty where there is none.
    """

    source: bytes
    destination: bytes
    target: bytes
    router: bool
    solicited: bool
    override: bool
    link_address: bytes
    source_mac: bytes


def read(frame: bytes) -> Solicitation | NeighborAdvertisement | Refusal | None:
    """The message in a whole Ethernet frame; None where there is none. Never raises."""
    if len(frame) <= _BODY:
        # Without an ICMPv6 type nobody can say that it was one of these messages.
        return None
    mac, ethertype, head, length, protocol, hops, source, destination = _ETHERNET_IPV6.unpack_from(frame)
    kind = frame[_BODY]
    if ethertype != ETHERTYPE_IPV6 or protocol != IPPROTO_ICMPV6 or (kind != SOLICITATION and kind != ADVERTISEMENT):
        return None
    if head >> 28 != 6:
        return Refusal(Cause.HDROPS, "not an IPv6 header")
    if length > len(frame) - _BODY:
        return Refusal(Cause.HDROPS, "IPv6 length does not fit the frame")
    if hops != HOPS:
        return Refusal(Cause.BADTTL, "hop limit is not 255", source)
    message = frame[_BODY : _BODY + length]
    if length < _MESSAGE.size:
        return Refusal(Cause.BADLEN, "shorter than a neighbour discovery message", source)
    if not holds(pseudo6(source, destination, IPPROTO_ICMPV6, length) + message):
        return Refusal(Cause.BADSUM, "wrong ICMPv6 checksum", source)
    _, code, _, flags, target = _MESSAGE.unpack_from(message)
    if code != 0:
        return Refusal(Cause.HDROPS, "ICMPv6 code is not 0", source)
    if target[0] == 0xFF:
        return Refusal(Cause.HDROPS, "target is multicast", source)
    wanted = _SOURCE_LINK_ADDRESS if kind == SOLICITATION else _TARGET_LINK_ADDRESS
    link_address = _link_address(message, wanted)
    if link_address is None:
        return Refusal(Cause.BADLEN, "malformed option", source)
    if kind == SOLICITATION:
        if source == ANY6 and destination[:13] != _SOLICITED_NODE:
            return Refusal(Cause.HDROPS, "from :: but not to a solicited-node group", source)
        if source == ANY6 and link_address:
            return Refusal(Cause.HDROPS, "from :: but with a link-layer address", source)
        return Solicitation(source, destination, target, mac, link_address)
    if flags & _SOLICITED and destination[0] == 0xFF:
        return Refusal(Cause.HDROPS, "solicited but to a group", source)
    return NeighborAdvertisement(
        source,
        destination,
        target,
        bool(flags & _ROUTER),
        bool(flags & _SOLICITED),
        bool(flags & _OVERRIDE),
        link_address,
        mac,
    )


def advertisement(
    target: bytes,
    link_address: bytes,
    *,
    source: bytes,
    source_mac: bytes,
    destination: bytes = ALL_NODES,
    destination_mac: bytes = b"",
    router: bool = False,
    solicited: bool = False,
    override: bool = True,
    options: bytes = b"",
) -> bytes:
    """The frame that tells that ``target`` is at ``link_address``.

    As it stands it is the unsolicited one, to all nodes. For an answer, give the asker's address and
    MAC and ``solicited=True``; the answer to duplicate address detection goes to all nodes again,
    not solicited (RFC 4861 section 7.2.4). ``link_address`` can be empty; ``options`` are packed
    ones, behind it.

    :raises ValueError: an address or option has not the length that it must have, or a unicast
        destination no MAC.
    """
    flags = router * _ROUTER | solicited * _SOLICITED | override * _OVERRIDE
    everything = _link_option(_TARGET_LINK_ADDRESS, link_address) + options
    return _frame(ADVERTISEMENT, flags, target, everything, source, source_mac, destination, destination_mac)


def solicitation(
    target: bytes,
    *,
    source: bytes,
    source_mac: bytes,
    destination: bytes = b"",
    destination_mac: bytes = b"",
    link_address: bytes = b"",
    options: bytes = b"",
) -> bytes:
    """The frame that asks for the link-layer address of ``target``, by default its solicited-node
    group; from :: it is duplicate address detection. Otherwise as :func:`advertisement`."""
    everything = _link_option(_SOURCE_LINK_ADDRESS, link_address) + options
    to = destination or solicited_node(target)
    return _frame(SOLICITATION, 0, target, everything, source, source_mac, to, destination_mac)


def _link_address(message: bytes, wanted: int) -> bytes | None:
    """The first link-layer address of the wanted kind; empty without one; None if an option is bad."""
    found = b""
    at = _MESSAGE.size
    while at < len(message):
        # A lone octet at the end is an option whose length is missing, and so is zero.
        size = int.from_bytes(message[at + 1 : at + 2], "big") * 8
        if size == 0 or at + size > len(message):
            return None
        if message[at] == wanted and not found:
            if size != 8:
                return None
            found = message[at + 2 : at + 8]
        at += size
    return found


def _link_option(kind: int, link_address: bytes) -> bytes:
    if not link_address:
        return b""
    return bytes((kind, 1)) + checked_mac("link_address", link_address)


def _frame(
    kind: int,
    flags: int,
    target: bytes,
    options: bytes,
    source: bytes,
    source_mac: bytes,
    destination: bytes,
    destination_mac: bytes,
) -> bytes:
    if len(target) != 16:
        raise ValueError("an IPv6 address has 16 octets")
    if len(options) % 8:
        raise ValueError(f"options of {len(options)} octets: they come in units of 8")
    bare = _MESSAGE.pack(kind, 0, 0, flags, target) + options
    header = header6(source, destination, IPPROTO_ICMPV6, len(bare))
    total = checksum(pseudo6(source, destination, IPPROTO_ICMPV6, len(bare)) + bare)
    to = checked_mac("destination_mac", destination_mac) if destination_mac else multicast_mac(destination)
    ethernet = to + checked_mac("source_mac", source_mac) + ETHERTYPE_IPV6.to_bytes(2, "big")
    return ethernet + header + bare[:2] + total.to_bytes(2, "big") + bare[4:]
