"""What the kernel's rtnetlink(7) messages say, as values."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

from carptwist.planes.marks import PROTOCOL, is_our_route
from carptwist.planes.view import Kind, Route

# linux/if.h
_IFF_UP = 0x1

# linux/if_addr.h, linux/rtnetlink.h
_IFA_PROTO = 11
_IFADDRMSG_LENGTH = 8
_RTNH_F_ONLINK = 4

_ATTRIBUTE = struct.Struct("=HH")
_KINDS = {kind.value: kind for kind in Kind}


class Link(NamedTuple):
    """A network device. ``number`` is its index; ``parent`` is that of the device on top of which it is, ``master``
    that of the bridge or bond of which it is a port, 0 if there is none; ``group`` is ip-link(8)'s."""

    number: int
    name: str
    up: bool
    mac: bytes
    kind: str
    alias: str
    parent: int
    master: int
    group: int = 0


class Placed(NamedTuple):
    """An address somewhere on this host. ``ours``: it bears our mark."""

    device: int
    address: IPv4Address | IPv6Address
    prefix_length: int
    ours: bool


class Rule(NamedTuple):
    """A rule of ours: what comes in at ``incoming`` from ``source`` asks ``table`` first. What the host itself sends
    comes in at the loopback device; empty: at any."""

    family: int
    source: str
    table: int
    incoming: str = "lo"


class Entry:
    """A route as it stands in a table."""

    def __init__(self, message: Any, hop: Any = None) -> None:
        source = message if hop is None else hop
        kind = _KINDS.get(message["type"], Kind.OTHER)
        via = source.get_attr("RTA_VIA")
        output = source.get_attr("RTA_OIF") if hop is None else hop["oif"]
        metrics = message.get_attr("RTA_METRICS")
        self.table: int = message.get_attr("RTA_TABLE") or message["table"]
        self.way = Route(
            message["family"],
            message.get_attr("RTA_DST") or "",
            message["dst_len"],
            message.get_attr("RTA_PRIORITY") or 0,
            kind,
            # IPv6 names the loopback device where no device is meant.
            (output or 0) if kind in (Kind.UNICAST, Kind.LOCAL) else 0,
            source.get_attr("RTA_GATEWAY") or (via["addr"] if via else ""),
            bool(source["flags"] & _RTNH_F_ONLINK),
            (metrics.get_attr("RTAX_MTU") if metrics else None) or 0,
        )
        self.ours = message["proto"] == PROTOCOL and is_our_route(self.table, self.way.metric)
        #: Only for packets of certain sources or types of service: no table of ours has such routes.
        self.special = bool(message["src_len"] or message["tos"])


def read_link(message: Any) -> Link:
    """A message about a device."""
    mac = bytes.fromhex((message.get_attr("IFLA_ADDRESS") or "").replace(":", ""))
    return Link(
        message["index"],
        message.get_attr("IFLA_IFNAME"),
        bool(message["flags"] & _IFF_UP),
        mac,
        message.get(("linkinfo", "kind")) or "",
        message.get_attr("IFLA_IFALIAS") or "",
        message.get_attr("IFLA_LINK") or 0,
        message.get_attr("IFLA_MASTER") or 0,
        message.get_attr("IFLA_GROUP") or 0,
    )


def read_address(message: Any) -> Placed:
    """A message about an address."""
    return Placed(
        message["index"],
        ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")),
        message["prefixlen"],
        message.get_attr("IFA_PROTO") == PROTOCOL,
    )


def is_marked(body: memoryview) -> bool:
    """Whether a message about an address says that the address is ours."""
    offset = _IFADDRMSG_LENGTH
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if kind == _IFA_PROTO:
            return body[offset + _ATTRIBUTE.size] == PROTOCOL
        offset += max(_ATTRIBUTE.size, length + 3 & ~3)
    return False
