"""Ethernet: the 14 octets before everything else, and the MAC addresses of groups.

::

     0                 6                 12     14
    +-----------------+-----------------+------+----
    |   destination   |     source      | type | payload
    +-----------------+-----------------+------+----

Frames are whole, from the destination MAC on, without FCS, and never carry an 802.1Q tag. They are
not padded to 60 octets: the driver does that.
"""

from __future__ import annotations

import re

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD

#: Octets of the header.
HEADER_LENGTH = 14
MAC_LENGTH = 6

BROADCAST = b"\xff" * 6
#: The target MAC of an ARP request: not known yet.
UNKNOWN = bytes(6)

_MAC_TEXT = re.compile(r"[0-9A-Fa-f]{1,2}(?:([:-])[0-9A-Fa-f]{1,2})(?:\1[0-9A-Fa-f]{1,2}){4}")


def is_group(mac: bytes) -> bool:
    """Whether a MAC is a multicast or the broadcast address (the lowest bit of its first octet)."""
    return bool(mac[0] & 1)


def multicast_mac(group: bytes) -> bytes:
    """The MAC that frames to a multicast group go to, from the packed group address.

    :raises ValueError: ``group`` is not a packed multicast address.

    RFC 1112 section 6.4 (IPv4), RFC 2464 section 7 (IPv6).
    """
    if len(group) == 4 and group[0] & 0xF0 == 0xE0:
        return b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:]
    if len(group) == 16 and group[0] == 0xFF:
        return b"\x33\x33" + group[12:]
    raise ValueError(f"not a packed multicast address: {group.hex()}")


def format_mac(mac: bytes) -> str:
    """``00:00:5e:00:01:07``."""
    return mac.hex(":")


def parse_mac(text: str) -> bytes:
    """The six octets of ``00:00:5e:00:01:07`` (or with ``-``, or without leading zeros).

    :raises ValueError: it is not a MAC address.
    """
    match = _MAC_TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a MAC address: {text!r}")
    return bytes(int(octet, 16) for octet in text.split(match[1]))


def checked_mac(name: str, mac: bytes) -> bytes:
    """``mac`` itself.

    :raises ValueError: it is not six octets long; ``name`` says which one it is.
    """
    if len(mac) != MAC_LENGTH:
        raise ValueError(f"{name}: {len(mac)} octets: a MAC address has 6")
    return mac
