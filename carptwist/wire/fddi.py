"""FDDI: whole frames as drivers hand them over, and their Ethernet form, RFC 1390 and RFC 2467.

::

     0    1                 7                 13            21
    +----+-----------------+-----------------+-------------+----------
    | FC |   destination   |     source      | LLC, SNAP   |  payload
    +----+-----------------+-----------------+-------------+----------

FC 50 to 57 hexadecimal is an asynchronous LLC frame with 48-bit addresses, of priority 0 to 7. Addresses are in
canonical form here, as Linux's and the BSDs' drivers give them; where a capture has them as they are on the ring,
:func:`carptwist.wire.llc.reversed_bits` turns them. Groups have the addresses that they have on Ethernet: 224.0.0.18 is
01:00:5e:00:00:12 (RFC 1390), ff02::12 is 33:33:00:00:00:12 (RFC 2467). The virtual MAC is Ethernet's as well,
00:00:5e:00:01:VHID: ``carp_output`` of FreeBSD 5 and 6 (sys/netinet/ip_carp.c, case IFT_FDDI).

No such hardware was at hand: what is here is made from the RFCs and that source alone.
"""

from __future__ import annotations

from typing import NamedTuple

from . import llc
from .ethernet import HEADER_LENGTH, MAC_LENGTH, checked_mac

_LLC_FRAME = 0x50
_PRIORITY = 0x07
_DESTINATION_AT = 1
_SOURCE_AT = _DESTINATION_AT + MAC_LENGTH
_LLC_AT = _SOURCE_AT + MAC_LENGTH


class Frame(NamedTuple):
    """One frame that carries an EtherType's packet; the addresses in canonical form, ``priority`` 0 to 7."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes
    priority: int = 0


def pack(frame: Frame) -> bytes:
    """The octets of a frame, without FCS.

    :raises ValueError: one of its values is out of range.
    """
    if not 0 <= frame.priority <= _PRIORITY:
        raise ValueError(f"priority {frame.priority}: must be 0 to 7")
    destination = checked_mac("destination", frame.destination)
    source = checked_mac("source", frame.source)
    return bytes((_LLC_FRAME | frame.priority,)) + destination + source + llc.wrap(frame.ethertype, frame.payload)


def unpack(octets: bytes) -> Frame | None:
    """What a frame carries, None for one that is cut short or carries no EtherType's packet. Never raises."""
    if len(octets) < _LLC_AT or octets[0] & ~_PRIORITY != _LLC_FRAME:
        return None
    carried = llc.unwrap(octets[_LLC_AT:])
    if carried is None:
        return None
    return Frame(octets[_DESTINATION_AT:_SOURCE_AT], octets[_SOURCE_AT:_LLC_AT], *carried, octets[0] & _PRIORITY)


def to_ethernet(octets: bytes) -> bytes | None:
    """The same packet as an Ethernet frame, which the ``read`` of this package takes; None as of :func:`unpack`."""
    frame = unpack(octets)
    if frame is None:
        return None
    return frame.destination + frame.source + frame.ethertype.to_bytes(2, "big") + frame.payload


def from_ethernet(ethernet: bytes) -> bytes:
    """An Ethernet frame, such as one of :mod:`carptwist.wire.advertisement`, for this medium.

    :raises ValueError: it is too short, or of no EtherType.
    """
    if len(ethernet) < HEADER_LENGTH:
        raise ValueError(f"{len(ethernet)} octets: an Ethernet header has {HEADER_LENGTH}")
    ethertype = int.from_bytes(ethernet[12:14], "big")
    return pack(Frame(ethernet[:6], ethernet[6:12], ethertype, ethernet[HEADER_LENGTH:]))
