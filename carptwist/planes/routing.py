"""Routes and rules that make what a host sends *from* a shared address leave through the vhid's macvlan.

The connected route of the parent comes first in the main table: without more, answers from a shared
address would leave through the parent, and the ARP requests for their receivers would tie the shared
address to the parent's own MAC. Clients would learn that, and stay with a dead host. So::

    rule   from 192.0.2.1 lookup T                 for each shared address, ahead of the main table
    T      192.0.2.0/24 dev macvlan                the routes of main through the parent, with the macvlan in its
           default via 192.0.2.254 dev macvlan     place: they come after "link up", and go with the link
    T      blackhole 192.0.2.0/24, default         worse ones to the same places: they are always there, so that nothing
                                                   slips out through the parent just before and after
    main   192.0.2.0/24 dev macvlan metric 112xx   in case that the parent has no route to the prefix
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pyroute2 import IPRoute, NetlinkError

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes.marks import PROTOCOL, ROUTE_METRIC, RULE_PRIORITY, is_our_route, is_our_rule

# linux/rtnetlink.h
_MAIN = 254
_LOCAL = 255
_RTN_UNICAST = 1
_RTN_LOCAL = 2
_RTN_BLACKHOLE = 6
_SCOPE_LINK = 253
_ONLINK = 4

#: A metric worse than that of any route.
_LAST_RESORT = 0xFFFF_0000

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Hop(NamedTuple):
    """A route through one device: where to, and by way of whom."""

    family: int
    destination: str  # with prefix length, or "default"
    gateway: str | None


def views(route: IPRoute, parent: int, families: Iterable[int]) -> set[Hop]:
    """The unicast routes of the main table that leave through the parent."""
    return {hop for family in families for hop in _through(route, parent, _FAMILIES[family])}


def close(route: IPRoute, table: int, hops: Iterable[Hop]) -> None:
    """Let nothing leave for these places, unless by a route of :func:`install`."""
    for hop in hops:
        _ignoring((errno.EEXIST,), route, "route", "add", **_blackhole(hop, table))


def unclose(route: IPRoute, table: int, hops: Iterable[Hop]) -> None:
    """Undo :func:`close`."""
    for hop in hops:
        _ignoring((errno.ESRCH, errno.ENOENT), route, "route", "del", **_blackhole(hop, table))


def install(route: IPRoute, table: int, device: int, hops: Iterable[Hop]) -> None:
    """Put hops into the macvlan's table. Those to neighbours first: a gateway is one of them."""
    for hop in sorted(hops, key=lambda hop: (hop.gateway is not None, hop)):
        _add(route, hop, device, table)


def remove(route: IPRoute, table: int, device: int, hops: Iterable[Hop]) -> None:
    """Take hops out of the macvlan's table."""
    for hop in hops:
        _ignoring((errno.ESRCH, errno.ENOENT), route, "route", "del", **_request(hop, device, table))


def connected(addresses: Iterable[AddressWithPrefix]) -> set[Hop]:
    """The prefixes of the shared addresses, as hops to neighbours."""
    return {Hop(_FAMILIES[address.version], str(address.network), None) for address in addresses}


def reach_prefixes(route: IPRoute, device: int, addresses: Iterable[AddressWithPrefix], vhid: int) -> None:
    """In the main table, so far back that it only counts where nothing else leads to the prefix.

    Each vhid has a metric of its own: the kernel takes one route for a prefix and a metric.
    """
    for hop in connected(addresses):
        _ignoring((errno.EEXIST,), route, "route", "add", **_request(hop, device, _MAIN), priority=ROUTE_METRIC + vhid)


def forget_prefixes(route: IPRoute, device: int, addresses: Iterable[AddressWithPrefix], vhid: int) -> None:
    """Undo :func:`reach_prefixes` where the device stays up."""
    for hop in connected(addresses):
        _ignoring(
            (errno.ESRCH, errno.ENOENT),
            route,
            "route",
            "del",
            **_request(hop, device, _MAIN),
            priority=ROUTE_METRIC + vhid,
        )


def forget_local(route: IPRoute, device: int) -> None:
    """Make the IPv4 addresses of a device that is down foreign to this host. They become local again with "link up"."""
    for entry in tuple(route.get_routes(family=socket.AF_INET, table=_LOCAL, oif=device)):
        if entry["type"] == _RTN_LOCAL and entry.get_attr("RTA_OIF") == device:
            _ignoring(
                (errno.ESRCH,),
                route,
                "route",
                "del",
                family=socket.AF_INET,
                table=_LOCAL,
                type=_RTN_LOCAL,
                scope=entry["scope"],
                dst=f"{entry.get_attr('RTA_DST')}/{entry['dst_len']}",
                oif=device,
            )


def set_rules(route: IPRoute, table: int, addresses: Iterable[AddressWithPrefix]) -> None:
    """Exactly one rule for each address, and none for an address that is not among them."""
    wanted = {(_FAMILIES[address.version], str(address.ip)) for address in addresses}
    there = {(family, source) for family, source, _ in _rules(route, table)}
    for family, source in there - wanted:
        _rule(route, "del", family, source, table)
    for family, source in wanted - there:
        _rule(route, "add", family, source, table)


def remove_rules(route: IPRoute, table: int | None = None) -> int:
    """Our rules of one table, or of all tables of ours; gives their number."""
    rules = list(_rules(route, table))
    for family, source, looks_up in rules:
        _rule(route, "del", family, source, looks_up)
    return len(rules)


def remove_routes(route: IPRoute) -> None:
    """Our routes, in the main table and in our own ones."""
    for family in _FAMILIES.values():
        for entry in tuple(route.get_routes(family=family, proto=PROTOCOL)):
            table = entry.get_attr("RTA_TABLE", entry["table"])
            metric = entry.get_attr("RTA_PRIORITY") or 0
            if entry["proto"] != PROTOCOL or not is_our_route(table, metric):
                continue
            destination = entry.get_attr("RTA_DST")
            request = {
                "family": family,
                "table": table,
                "type": entry["type"],
                "dst": "default" if destination is None else f"{destination}/{entry['dst_len']}",
                "proto": PROTOCOL,
                "priority": metric,
            }
            if entry["type"] == _RTN_UNICAST:
                request["oif"] = entry.get_attr("RTA_OIF")
            _ignoring((errno.ESRCH, errno.ENOENT), route, "route", "del", **request)


def _rules(route: IPRoute, table: int | None) -> Iterator[tuple[int, str, int]]:
    for family in _FAMILIES.values():
        for rule in tuple(route.get_rules(family=family)):
            looks_up = rule.get_attr("FRA_TABLE")
            ours = is_our_rule(rule.get_attr("FRA_PROTOCOL"), rule.get_attr("FRA_PRIORITY"), looks_up)
            if ours and (table is None or table == looks_up):
                yield family, rule.get_attr("FRA_SRC"), looks_up


def _rule(route: IPRoute, command: str, family: int, source: str, table: int) -> None:
    length = 32 if family == socket.AF_INET else 128
    _ignoring(
        (errno.EEXIST, errno.ENOENT),
        route,
        "rule",
        command,
        family=family,
        src=f"{source}/{length}",
        table=table,
        priority=RULE_PRIORITY,
        protocol=PROTOCOL,
    )


def _through(route: IPRoute, parent: int, family: int) -> Iterator[Hop]:
    for entry in tuple(route.get_routes(family=family, table=_MAIN)):
        if entry["type"] != _RTN_UNICAST or entry.get_attr("RTA_TABLE", entry["table"]) != _MAIN:
            continue
        destination = entry.get_attr("RTA_DST")
        # A link-local prefix belongs to each link by itself, a multicast one is none of a table's business.
        if destination is not None and destination.startswith(("fe80:", "ff00:")):
            continue
        text = "default" if destination is None else f"{destination}/{entry['dst_len']}"
        for output, gateway in _next_hops(entry):
            if output == parent:
                yield Hop(family, text, gateway)
                break  # of several ways through the parent one is enough


def _next_hops(entry: Any) -> Iterator[tuple[int | None, str | None]]:
    several = entry.get_attr("RTA_MULTIPATH")
    if several is None:
        yield entry.get_attr("RTA_OIF"), entry.get_attr("RTA_GATEWAY")
        return
    for hop in several:
        yield hop.get("oif"), hop.get_attr("RTA_GATEWAY")


def _request(hop: Hop, device: int, table: int) -> dict[str, Any]:
    request: dict[str, Any] = {
        "family": hop.family,
        "dst": hop.destination,
        "oif": device,
        "table": table,
        "proto": PROTOCOL,
    }
    if hop.gateway is not None:
        request |= {"gateway": hop.gateway, "flags": _ONLINK}
    elif hop.family == socket.AF_INET:
        request["scope"] = _SCOPE_LINK
    return request


def _blackhole(hop: Hop, table: int) -> dict[str, Any]:
    return {
        "family": hop.family,
        "dst": hop.destination,
        "type": _RTN_BLACKHOLE,
        "table": table,
        "proto": PROTOCOL,
        "priority": _LAST_RESORT,
    }


def _add(route: IPRoute, hop: Hop, device: int, table: int) -> None:
    _ignoring((errno.EEXIST,), route, "route", "add", **_request(hop, device, table))


def _ignoring(codes: tuple[int, ...], route: IPRoute, what: str, command: str, **request: Any) -> None:
    try:
        getattr(route, what)(command, **request)
    except NetlinkError as error:
        if error.code not in codes:
            raise
