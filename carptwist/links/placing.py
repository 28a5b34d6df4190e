"""The one piece of news that comes again and again: that an address is there, read without pyroute2.

::

    struct nlmsghdr (16)   struct ifaddrmsg (8)                      attributes
    length type ...        family prefix-length flags scope index    IFA_LOCAL, IFA_FLAGS, IFA_PROTO ...

A MASTER's addresses are refreshed every second. To parse a message as a whole takes twenty times as long as this.
"""

from __future__ import annotations

import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

_NLMSG = struct.Struct("=IHHII")
_IFADDRMSG = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_RTM_NEWADDR = 20

# linux/if_addr.h
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_IFA_PROTO = 11


class Placing(NamedTuple):
    """An address is on a device, by its index. ``flags`` are IFA_F_*."""

    device: int
    address: IPv4Address | IPv6Address
    prefix_length: int
    flags: int
    protocol: int


def read(datagram: bytes) -> Placing | None:
    """What a datagram of rtnetlink(7) says, if it is one message of this kind and nothing else."""
    length, kind, _, _, _ = _NLMSG.unpack_from(datagram)
    if kind != _RTM_NEWADDR or length != len(datagram):
        return None
    family, prefix_length, flags, _, index = _IFADDRMSG.unpack_from(datagram, _NLMSG.size)
    offset = _NLMSG.size + _IFADDRMSG.size
    octets = local = b""
    protocol = 0
    while offset + _ATTRIBUTE.size <= length:
        size, attribute = _ATTRIBUTE.unpack_from(datagram, offset)
        value = datagram[offset + _ATTRIBUTE.size : offset + size]
        if attribute == _IFA_ADDRESS:
            octets = value
        elif attribute == _IFA_LOCAL:
            local = value
        elif attribute == _IFA_FLAGS:
            flags = int.from_bytes(value, sys.byteorder)
        elif attribute == _IFA_PROTO:
            protocol = value[0]
        offset += max(_ATTRIBUTE.size, size + 3 & ~3)
    packed = local or octets
    if len(packed) != (4 if family == socket.AF_INET else 16):
        return None
    address = IPv4Address(packed) if family == socket.AF_INET else IPv6Address(packed)
    return Placing(index, address, prefix_length, flags, protocol)
