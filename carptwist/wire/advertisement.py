"""Whole frames that carry an advertisement: Ethernet, IPv4 or IPv6, CARP.

::

    +----------+--------------------------+----------------+- - - - - - -+
    | Ethernet | IPv4 (20) or IPv6 (40)   |   CARP (36)    |   anything  |
    |   (14)   | protocol 112, TTL 255    |                |             |
    +----------+--------------------------+----------------+- - - - - - -+

What :func:`read` looks at, in this order, and what a frame that fails is counted under:

1. IPv4 or IPv6 of protocol 112, else it is none of ours (None);
2. a whole IP header with a right checksum, and not a fragment: ``hdrops``;
3. TTL or hop limit 255: ``badttl``;
4. a right advertisement (:func:`carptwist.wire.carp.unpack`), else
5. a right VRRP packet: ``vrrp``, with its VRID; else the cause that step 4 found: ``badlen``,
   ``badsum``, ``badver``, ``badlen`` again for authlen, ``badvhid`` for vhid 0.

VRRP is asked for last, so that the common case does not pay for it, but before any complaint about
an advertisement, since a VRRP packet is not a broken CARP one. A VRRP version 2 packet of exactly 7
addresses and all-zero authentication data is also a whole advertisement with octets after it. It
is read as one; its digest cannot be right.

As kernels do, any destination address, any source MAC, IPv4 options, and octets behind the 36 are
accepted. The IP length says where the packet ends: what Ethernet pads is not looked at.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from . import carp
from .carp import GROUP4, GROUP6, PROTOCOL, Advertisement
from .ethernet import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    HEADER_LENGTH,
    checked_mac,
    multicast_mac,
)
from .internet import FRAGMENT, HOPS, header4, header6, holds, pseudo4, pseudo6
from .refusal import Cause, Refusal

#: Where 224.0.0.18 and ff02::12 live on Ethernet.
GROUP4_MAC = multicast_mac(GROUP4)
GROUP6_MAC = multicast_mac(GROUP6)
#: CS7, network control: the default of ``net.inet.carp.dscp``.
DEFAULT_DSCP = 56

_ETHERNET_IPV4 = struct.Struct(">6x6s2xBBHHHBBH4s4s")
_ETHERNET_IPV6 = struct.Struct(">6x6s2xIHBB16s16s")
_PROTOCOL4_AT = HEADER_LENGTH + 9
_PROTOCOL6_AT = HEADER_LENGTH + 6


class Heard(NamedTuple):
    """One advertisement and what carried it. Whether its digest is right is not known yet.

    ``family`` is 4 or 6, ``source`` and ``destination`` are packed IP addresses, ``tos`` is the
    TOS octet or the traffic class.
    """

    advertisement: Advertisement
    family: int
    source: bytes
    destination: bytes
    source_mac: bytes
    tos: int


def read(frame: bytes) -> Heard | Refusal | None:
    """What a whole Ethernet frame has to say about CARP; None where it is not IP protocol 112.

    Never raises, whatever the octets.
    """
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == ETHERTYPE_IPV4:
        return _read4(frame)
    if ethertype == ETHERTYPE_IPV6:
        return _read6(frame)
    return None


def frame4(
    advertisement: Advertisement,
    *,
    source_mac: bytes,
    source: bytes,
    destination: bytes = GROUP4,
    destination_mac: bytes = b"",
    dscp: int = DEFAULT_DSCP,
) -> bytes:
    """The frame that carries an advertisement over IPv4. Addresses are packed.

    ``destination_mac`` can be left out for a group, never for a unicast peer.

    :raises ValueError: a value is out of its range.
    """
    payload = carp.pack(advertisement)
    header = header4(source, destination, PROTOCOL, len(payload), _tos(dscp))
    return _ethernet(destination_mac, destination, source_mac) + b"\x08\x00" + header + payload


def frame6(
    advertisement: Advertisement,
    *,
    source_mac: bytes,
    source: bytes,
    destination: bytes = GROUP6,
    destination_mac: bytes = b"",
    dscp: int = DEFAULT_DSCP,
) -> bytes:
    """The frame that carries an advertisement over IPv6; otherwise as :func:`frame4`."""
    payload = carp.pack(advertisement)
    header = header6(source, destination, PROTOCOL, len(payload), _tos(dscp))
    return _ethernet(destination_mac, destination, source_mac) + b"\x86\xdd" + header + payload


def _ethernet(destination_mac: bytes, destination: bytes, source_mac: bytes) -> bytes:
    to = checked_mac("destination_mac", destination_mac) if destination_mac else multicast_mac(destination)
    return to + checked_mac("source_mac", source_mac)


def _tos(dscp: int) -> int:
    if not 0 <= dscp <= 63:
        raise ValueError(f"dscp = {dscp}: must be 0 to 63")
    return dscp << 2


def _read4(frame: bytes) -> Heard | Refusal | None:
    if len(frame) < HEADER_LENGTH + 20:
        # Cut so short that the protocol may be missing too.
        if len(frame) > _PROTOCOL4_AT and frame[_PROTOCOL4_AT] == PROTOCOL:
            return Refusal(Cause.HDROPS, "IPv4 header cut short")
        return None
    mac, version, tos, total, _, flags, ttl, protocol, _, source, destination = _ETHERNET_IPV4.unpack_from(frame)
    if protocol != PROTOCOL:
        return None
    begin = HEADER_LENGTH + (version & 0x0F) * 4
    end = HEADER_LENGTH + total
    if version >> 4 != 4 or begin < HEADER_LENGTH + 20:
        return Refusal(Cause.HDROPS, "not an IPv4 header")
    if end < begin or end > len(frame):
        return Refusal(Cause.HDROPS, "IPv4 length does not fit the frame")
    if not holds(frame[HEADER_LENGTH:begin]):
        return Refusal(Cause.HDROPS, "wrong IPv4 header checksum")
    if flags & FRAGMENT:
        return Refusal(Cause.HDROPS, "IPv4 fragment", source)
    if ttl != HOPS:
        return Refusal(Cause.BADTTL, "TTL is not 255", source)
    payload = frame[begin:end]
    said = carp.unpack(payload)
    if isinstance(said, Advertisement):
        return Heard(said, 4, source, destination, mac, tos)
    return _vrrp4(payload, source, destination) or said._replace(source=source)


def _read6(frame: bytes) -> Heard | Refusal | None:
    if len(frame) < HEADER_LENGTH + 40:
        if len(frame) > _PROTOCOL6_AT and frame[_PROTOCOL6_AT] == PROTOCOL:
            return Refusal(Cause.HDROPS, "IPv6 header cut short")
        return None
    mac, head, length, protocol, hops, source, destination = _ETHERNET_IPV6.unpack_from(frame)
    if protocol != PROTOCOL:
        return None
    begin = HEADER_LENGTH + 40
    end = begin + length
    if head >> 28 != 6:
        return Refusal(Cause.HDROPS, "not an IPv6 header")
    if end > len(frame):
        return Refusal(Cause.HDROPS, "IPv6 length does not fit the frame")
    if hops != HOPS:
        return Refusal(Cause.BADTTL, "hop limit is not 255", source)
    payload = frame[begin:end]
    said = carp.unpack(payload)
    if isinstance(said, Advertisement):
        return Heard(said, 6, source, destination, mac, head >> 20 & 0xFF)
    return _vrrp6(payload, source, destination) or said._replace(source=source)


def _vrrp4(payload: bytes, source: bytes, destination: bytes) -> Refusal | None:
    """VRRP over IPv4, by its structure and checksum. RFC 3768 section 5.1, RFC 9568 section 5.1."""
    length = len(payload)
    if length < 12:
        return None
    addresses = payload[3]
    if payload[0] == 0x21 and length == 8 + 4 * addresses + 8 and holds(payload):
        return Refusal(Cause.VRRP, "VRRP version 2", source, payload[1])
    if payload[0] == 0x31 and length == 8 + 4 * addresses:
        # The pseudo-header is covered; some routers leave it out over IPv4.
        whole = pseudo4(source, destination, PROTOCOL, length) + payload
        if holds(whole) or holds(payload):
            return Refusal(Cause.VRRP, "VRRP version 3", source, payload[1])
    return None


def _vrrp6(payload: bytes, source: bytes, destination: bytes) -> Refusal | None:
    """VRRP over IPv6, by its structure and checksum. RFC 9568 section 5.1."""
    length = len(payload)
    if length < 24 or payload[0] != 0x31 or length != 8 + 16 * payload[3]:
        return None
    if not holds(pseudo6(source, destination, PROTOCOL, length) + payload):
        return None
    return Refusal(Cause.VRRP, "VRRP version 3", source, payload[1])
