"""What a plane asks of the kernel, as rtnetlink(7) messages: :meth:`carptwist.planes.kernel.Kernel.send` takes them.

Everything that can bear a mark bears the one of :mod:`carptwist.planes.marks`.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST
from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETADDR,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    RTM_SETLINK,
)
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes.entries import Rule
from carptwist.planes.marks import PROTOCOL, RULE_PRIORITY
from carptwist.planes.view import LOCAL_TABLE, Kind, Route

# linux/if.h
_IFF_UP = 0x1

# linux/if_addr.h
_IFA_F_NODAD = 0x02
_IFA_F_NOPREFIXROUTE = 0x200

# linux/rtnetlink.h
_RTNH_F_ONLINK = 4
_SCOPE_LINK = 253
_SCOPE_HOST = 254
_SCOPE_NOWHERE = 255
_TABLE_COMPAT = 252

# linux/fib_rules.h
_TO_TABLE = 1


def set_up(device: int) -> Any:
    """ "Link up"."""
    message = _request(ifinfmsg(), RTM_NEWLINK)
    message["index"], message["flags"], message["change"] = device, _IFF_UP, _IFF_UP
    return message


def set_down(device: int) -> Any:
    """ "Link down"."""
    message = _request(ifinfmsg(), RTM_NEWLINK)
    message["index"], message["flags"], message["change"] = device, 0, _IFF_UP
    return message


def remove_device(device: int) -> Any:
    """The device goes, and all that is on it."""
    message = _request(ifinfmsg(), RTM_DELLINK)
    message["index"] = device
    return message


def remove_group(group: int) -> Any:
    """All devices of a group go, in one go."""
    message = _request(ifinfmsg(), RTM_DELLINK)
    message["attrs"] = [["IFLA_GROUP", group]]
    return message


def set_group(device: int, group: int) -> Any:
    """Put a device into a group."""
    message = _request(ifinfmsg(), RTM_SETLINK)
    message["index"] = device
    message["attrs"] = [["IFLA_GROUP", group]]
    return message


def name_alias(device_name: str, alias: str) -> Any:
    """Give the device of a name an alias."""
    message = _request(ifinfmsg(), RTM_SETLINK)
    message["attrs"] = [["IFLA_IFNAME", device_name], ["IFLA_IFALIAS", alias]]
    return message


def new_macvlan(name: str, parent: int, mac: bytes, group: int) -> Any:
    """Make a macvlan in mode ``private``, which is down."""
    message = _request(ifinfmsg(), RTM_NEWLINK, NLM_F_CREATE)
    message["attrs"] = [
        ["IFLA_IFNAME", name],
        ["IFLA_LINK", parent],
        ["IFLA_ADDRESS", ":".join(f"{octet:02x}" for octet in mac)],
        ["IFLA_GROUP", group],
        [
            "IFLA_LINKINFO",
            {
                "attrs": [
                    ["IFLA_INFO_KIND", "macvlan"],
                    ["IFLA_INFO_DATA", {"attrs": [["IFLA_MACVLAN_MODE", "private"]]}],
                ]
            },
        ],
    ]
    return message


def put_address(device: int, address: AddressWithPrefix, *, of_host: bool = False, lifetime: int = 0) -> Any:
    """Put an address on a device, without duplicate address detection and without a route of the kernel's. ``of_host``:
    one that the kernel never chooses for a sender by itself, if it is an IPv4 address; 127.0.0.0/8 always is.
    ``lifetime``: for so many seconds; without, for good."""
    message = _request(ifaddrmsg(), RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)
    message["index"], message["prefixlen"] = device, address.network.prefixlen
    message["family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    message["scope"] = _SCOPE_HOST if of_host or address.is_loopback else 0
    message["attrs"] = [
        ["IFA_LOCAL", str(address.ip)],
        ["IFA_ADDRESS", str(address.ip)],
        ["IFA_FLAGS", _IFA_F_NODAD | _IFA_F_NOPREFIXROUTE],
        ["IFA_PROTO", PROTOCOL],
    ]
    if lifetime:
        # Preferred to the end: what is merely valid is not chosen as a source any more.
        message["attrs"].append(["IFA_CACHEINFO", {"ifa_preferred": lifetime, "ifa_valid": lifetime}])
    return message


def take_address(device: int, address: IPv4Address | IPv6Address, prefix_length: int) -> Any:
    """Take an address off a device."""
    message = _request(ifaddrmsg(), RTM_DELADDR)
    message["index"], message["prefixlen"] = device, prefix_length
    message["family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    message["attrs"] = [["IFA_LOCAL", str(address)], ["IFA_ADDRESS", str(address)]]
    return message


def put_rule(rule: Rule) -> Any:
    """What comes from an address asks a table first."""
    return _rule(_request(fibmsg(), RTM_NEWRULE, NLM_F_CREATE), rule)


def take_rule(rule: Rule) -> Any:
    """Undo :func:`put_rule`."""
    return _rule(_request(fibmsg(), RTM_DELRULE), rule)


def put_route(route: Route, table: int, *, lifetime: int = 0) -> Any:
    """Put a route into a table, in the place of another one for the same prefix and metric. ``lifetime``: for so many
    seconds, if it is an IPv6 route; without, for good."""
    message = _route(_request(rtmsg(), RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE), route, table)
    if lifetime:
        # pyroute2 knows this attribute as octets.
        message["attrs"].append(["RTA_EXPIRES", struct.pack("=I", lifetime)])
    return message


def take_route(route: Route, table: int) -> Any:
    """Take a route out of a table."""
    message = _route(_request(rtmsg(), RTM_DELROUTE), route, table)
    message["scope"] = _SCOPE_NOWHERE  # whatever it is
    if route.kind is Kind.LOCAL:
        message["proto"] = 0  # the kernel's, or ours
    return message


def dump_addresses(family: int, device: int = 0) -> Any:
    """All addresses of a family, or those of one device."""
    message = _dump(ifaddrmsg(), RTM_GETADDR, family)
    message["index"] = device
    return message


def dump_routes(family: int, *, table: int = 0, device: int = 0, protocol: int = 0) -> Any:
    """The routes of a family, or those of one table, device or protocol."""
    message = _dump(rtmsg(), RTM_GETROUTE, family)
    message["proto"] = protocol
    message["attrs"] = [["RTA_TABLE", table]] if table else []
    if device:
        message["attrs"].append(["RTA_OIF", device])
    return message


def dump_rules(family: int) -> Any:
    """All rules of a family."""
    return _dump(fibmsg(), RTM_GETRULE, family)


def _dump(message: Any, kind: int, family: int) -> Any:
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST | NLM_F_DUMP
    message["family"] = family
    return message


def _request(message: Any, kind: int, flags: int = 0) -> Any:
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST | NLM_F_ACK | flags
    return message


def _rule(message: Any, rule: Rule) -> Any:
    message["family"], message["action"] = rule.family, _TO_TABLE
    message["src_len"] = 32 if rule.family == socket.AF_INET else 128
    message["table"] = rule.table if rule.table <= LOCAL_TABLE else _TABLE_COMPAT
    message["attrs"] = [
        ["FRA_SRC", rule.source],
        ["FRA_TABLE", rule.table],
        ["FRA_PRIORITY", RULE_PRIORITY],
        ["FRA_PROTOCOL", PROTOCOL],
    ]
    if rule.incoming:
        message["attrs"].append(["FRA_IIFNAME", rule.incoming])
    return message


def _route(message: Any, route: Route, table: int) -> Any:
    message["family"], message["type"], message["dst_len"] = route.family, route.kind.value, route.length
    message["table"] = table if table <= LOCAL_TABLE else _TABLE_COMPAT
    message["proto"] = PROTOCOL
    attributes: list[list[Any]] = [["RTA_TABLE", table]]
    if route.length:
        attributes.append(["RTA_DST", route.destination])
    if route.metric:
        attributes.append(["RTA_PRIORITY", route.metric])
    if route.kind in (Kind.UNICAST, Kind.LOCAL):
        attributes.append(["RTA_OIF", route.device])
    if route.gateway:
        via = socket.AF_INET6 if ":" in route.gateway else socket.AF_INET
        if via == route.family:
            attributes.append(["RTA_GATEWAY", route.gateway])
        else:
            attributes.append(["RTA_VIA", {"family": via, "addr": route.gateway}])
        # IPv4 takes a gateway's word; IPv6 refuses "onlink" where another device has a route to the gateway.
        if route.onlink or route.family == socket.AF_INET:
            message["flags"] = _RTNH_F_ONLINK
    elif route.kind is Kind.UNICAST and route.family == socket.AF_INET:
        message["scope"] = _SCOPE_LINK
    if route.mtu:
        attributes.append(["RTA_METRICS", {"attrs": [["RTAX_MTU", route.mtu]]}])
    message["attrs"] = attributes
    return message
