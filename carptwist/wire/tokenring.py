"""Token Ring: whole frames, functional addresses, and the Ethernet form: RFC 1042, RFC 1469, RFC 2470.

::

     0    1    2                 8                 14          14 to 32
    +----+----+-----------------+-----------------+- - - - - -+-------------+----------
    | AC | FC |   destination   |     source      |    RIF    | LLC, SNAP   |  payload
    +----+----+-----------------+-----------------+- - - - - -+-------------+----------
     10   40                     |                 |
                                 1.......          type and length (3 + 5 bits), direction, route

The first bit of the source, the highest of its first octet in the ring's order, says that a routing information field
follows; it is no part of the address. The low five bits of the field's first octet are its length: two octets of
control, and two for each of up to eight steps of the route. It is skipped on receipt, and never sent: the frame stays
on its ring.

Addresses are in the ring's order within frames, and everywhere else in canonical form, where functional addresses
begin with 03:00 (c0:00 on the ring). IPv4 groups share one of them (RFC 1469), IPv6 groups ten (RFC 2470, and Linux
while it knew Token Ring: ``ipv6_tr_mc_map`` in include/net/if_inet6.h).

``carp_output`` of FreeBSD 5 and 6 (sys/netinet/ip_carp.c, case IFT_ISO88025) makes the virtual address of a vhid of
03, 00, 0x40 >> (vhid - 1), 0x40000 >> (vhid - 1), 00, 00, each cut to an octet, and puts it into the frame as it is,
although it looks like a canonical one. So vhid 1 to 7 have a bit of the third octet, 12 to 19 one of the fourth,
and the others none: those cannot be told from one another, and are refused here.

No such hardware was at hand: what is here is made from the RFCs and those sources alone.
"""

from __future__ import annotations

from typing import NamedTuple

from . import llc
from .ethernet import HEADER_LENGTH, MAC_LENGTH, checked_mac

_ACCESS_CONTROL = 0x10
_FRAME_CONTROL = 0x40
_FRAME_TYPE = 0xC0
_HAS_ROUTE = 0x80
_ROUTE_LENGTH = 0x1F
_LONGEST_ROUTE = 18
_DESTINATION_AT = 2
_SOURCE_AT = _DESTINATION_AT + MAC_LENGTH
_ROUTE_AT = _SOURCE_AT + MAC_LENGTH

#: RFC 1469 section 4: where all IPv4 groups are. On the ring c0:00:00:04:00:00.
ALL_GROUPS4 = bytes.fromhex("030000200000")
#: RFC 2470 section 5: ff02::1 and the solicited-node groups, the routers' groups, and by three bits all others.
ALL_NODES6 = bytes.fromhex("030080000000")
ALL_ROUTERS6 = bytes.fromhex("030040000000")


class Frame(NamedTuple):
    """One frame that carries an EtherType's packet; the addresses in canonical form, ``route`` as it was received."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes
    route: bytes = b""


def multicast(group: bytes) -> bytes:
    """The functional address, in canonical form, that frames to a multicast group go to.

    :raises ValueError: ``group`` is not a packed multicast address.
    """
    if len(group) == 4 and group[0] & 0xF0 == 0xE0:
        return ALL_GROUPS4
    if len(group) != 16 or group[0] != 0xFF:
        raise ValueError(f"not a packed multicast address: {group.hex()}")
    solicited = bytes.fromhex("ff0200000000000000000001ff")
    if (group[1] in (1, 2) and group[2:] == bytes(13) + b"\x01") or group.startswith(solicited):
        return ALL_NODES6
    if group[1] < 0x10 and group[2:] == bytes(13) + b"\x02":
        return ALL_ROUTERS6
    return b"\x03\x00\x00" + bytes((0x80 >> (group[15] & 7),)) + b"\x00\x00"


def virtual_address(vhid: int) -> bytes:
    """The link source of a vhid's frames, in the ring's order.

    :raises ValueError: the kernels give this vhid none of its own.
    """
    if not (1 <= vhid <= 7 or 12 <= vhid <= 19):
        raise ValueError(f"vhid {vhid}: has no virtual address on Token Ring: 1 to 7 and 12 to 19 have one")
    octets = (3, 0, 0x40 >> (vhid - 1), (0x40000 >> (vhid - 1)) & 0xFF, 0, 0)
    return bytes(octets)


def pack(frame: Frame) -> bytes:
    """The octets of a frame that stays on its ring, without FCS.

    :raises ValueError: one of its values is out of range, or it has a route.
    """
    if frame.route:
        raise ValueError("a route: frames are sent on their own ring only")
    source = llc.reversed_bits(checked_mac("source", frame.source))
    if source[0] & _HAS_ROUTE:
        raise ValueError(f"source {frame.source.hex(':')}: a group sends nothing")
    destination = llc.reversed_bits(checked_mac("destination", frame.destination))
    return bytes((_ACCESS_CONTROL, _FRAME_CONTROL)) + destination + source + llc.wrap(frame.ethertype, frame.payload)


def unpack(octets: bytes) -> Frame | None:
    """What a frame carries, None for one that is cut short or carries no EtherType's packet. Never raises."""
    if len(octets) < _ROUTE_AT or octets[1] & _FRAME_TYPE != _FRAME_CONTROL:
        return None
    source = octets[_SOURCE_AT:_ROUTE_AT]
    length = 0
    if source[0] & _HAS_ROUTE:
        source = bytes((source[0] & ~_HAS_ROUTE,)) + source[1:]
        length = octets[_ROUTE_AT] & _ROUTE_LENGTH if len(octets) > _ROUTE_AT else 0
        if length % 2 or not 2 <= length <= _LONGEST_ROUTE:
            return None
    carried = llc.unwrap(octets[_ROUTE_AT + length :])
    if carried is None:
        return None
    return Frame(
        llc.reversed_bits(octets[_DESTINATION_AT:_SOURCE_AT]),
        llc.reversed_bits(source),
        *carried,
        octets[_ROUTE_AT : _ROUTE_AT + length],
    )


def to_ethernet(octets: bytes) -> bytes | None:
    """The same packet as an Ethernet frame, which the ``read`` of this package takes; None as of :func:`unpack`."""
    frame = unpack(octets)
    if frame is None:
        return None
    return frame.destination + frame.source + frame.ethertype.to_bytes(2, "big") + frame.payload


def from_ethernet(ethernet: bytes, destination: bytes) -> bytes:
    """An Ethernet frame for this medium, to ``destination`` in canonical form: a group's is :func:`multicast`'s.

    :raises ValueError: it is too short, or of no EtherType.
    """
    if len(ethernet) < HEADER_LENGTH:
        raise ValueError(f"{len(ethernet)} octets: an Ethernet header has {HEADER_LENGTH}")
    ethertype = int.from_bytes(ethernet[12:14], "big")
    return pack(Frame(destination, ethernet[6:12], ethertype, ethernet[HEADER_LENGTH:]))
