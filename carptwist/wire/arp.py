"""ARP for IPv4 over Ethernet: 42 octets, asking for and claiming addresses.

::

     0        6      12     14      16       18    19    20     22           28      32           38      42
    +--------+------+------+-------+--------+-----+-----+------+------------+-------+------------+-------+
    | to MAC | from | 0806 | hw: 1 |  0800  |  6  |  4  | 1, 2 | sender MAC | sender| target MAC | target|
    +--------+------+------+-------+--------+-----+-----+------+------------+-------+------------+-------+

RFC 826; RFC 5227 for probes (sender 0.0.0.0) and announcements (sender = target). Operation 1 is a
request, 2 a reply; others have nothing to do with keeping an address. A sender whose MAC is a group
is not believed (RFC 1812 section 3.3.2). Frames are not padded: the driver does that.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .ethernet import (
    BROADCAST,
    ETHERTYPE_ARP,
    HEADER_LENGTH,
    UNKNOWN,
    checked_mac,
    is_group,
)
from .internet import ANY4
from .refusal import Cause, Refusal

REQUEST = 1
REPLY = 2

_ETHERNET = 1
_IPV4 = 0x0800
_FRAME = struct.Struct(">6s6sHHHBBH6s4s6s4s")
#: Octets of an ARP frame, Ethernet header included.
LENGTH = _FRAME.size


class Arp(NamedTuple):
    """One ARP packet and the Ethernet addresses around it; IPv4 addresses are packed."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes
    destination_mac: bytes
    source_mac: bytes

    @property
    def is_probe(self) -> bool:
        """Somebody asks whether an address is free before using it (RFC 5227 section 2.1.1)."""
        return self.operation == REQUEST and self.sender == ANY4

    @property
    def is_announcement(self) -> bool:
        """Somebody claims an address, by a request or a reply (RFC 5227 section 2.3)."""
        return self.sender == self.target


def read(frame: bytes) -> Arp | Refusal | None:
    """The ARP packet in a whole Ethernet frame; None where there is none. Never raises."""
    if int.from_bytes(frame[12:HEADER_LENGTH], "big") != ETHERTYPE_ARP:
        return None
    if len(frame) < LENGTH:
        return Refusal(Cause.HDROPS, "ARP packet cut short")
    to, by, _, hardware, protocol, mac_length, length, operation, sender_mac, sender, target_mac, target = (
        _FRAME.unpack_from(frame)
    )
    if hardware != _ETHERNET or protocol != _IPV4 or mac_length != 6 or length != 4:
        return Refusal(Cause.HDROPS, "ARP is not for IPv4 over Ethernet")
    if operation != REQUEST and operation != REPLY:
        return Refusal(Cause.HDROPS, "ARP is neither request nor reply", sender)
    if is_group(sender_mac):
        return Refusal(Cause.HDROPS, "ARP sender MAC is a group", sender)
    return Arp(operation, sender_mac, sender, target_mac, target, to, by)


def pack(arp: Arp) -> bytes:
    """The 42 octets of an ARP frame.

    :raises ValueError: an address has not the length that it must have.
    """
    operation, sender_mac, sender, target_mac, target, destination_mac, source_mac = arp
    if len(sender) != 4 or len(target) != 4:
        raise ValueError("an IPv4 address has 4 octets")
    return _FRAME.pack(
        checked_mac("destination_mac", destination_mac),
        checked_mac("source_mac", source_mac),
        ETHERTYPE_ARP,
        _ETHERNET,
        _IPV4,
        6,
        4,
        operation,
        checked_mac("sender_mac", sender_mac),
        sender,
        checked_mac("target_mac", target_mac),
        target,
    )


def gratuitous(address: bytes, mac: bytes) -> bytes:
    """The frame that tells everybody that ``address`` is at ``mac``: a request for itself.

    It leaves with ``mac`` as its Ethernet source too, since that is what switches learn from.
    """
    return pack(Arp(REQUEST, mac, address, UNKNOWN, address, BROADCAST, mac))


def request(target: bytes, mac: bytes, sender: bytes = ANY4) -> bytes:
    """The frame that asks everybody who has ``target``. Without a ``sender`` it is a probe."""
    return pack(Arp(REQUEST, mac, sender, UNKNOWN, target, BROADCAST, mac))


def reply(asked: Arp, mac: bytes, address: bytes) -> bytes:
    """The frame that tells the one who asked, and nobody else, that ``address`` is at ``mac``.

    A probe is answered in the same way: that defends the address (RFC 5227 section 2.1.1).
    """
    return pack(Arp(REPLY, mac, address, asked.sender_mac, asked.sender, asked.sender_mac, mac))
