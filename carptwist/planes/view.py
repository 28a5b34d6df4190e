"""The main table's view of the world, with a macvlan in the place of its parent.

What a host sends from a shared address must go where the main table would send it, but through the macvlan
where the main table says the parent::

    main                                          the macvlan's table
    default via 192.0.2.254 dev em0               default via 192.0.2.254 dev carp2-1 onlink
    192.0.2.0/24 dev em0                          192.0.2.0/24 dev carp2-1
    10.0.0.0/8 dev em1                            throw 10.0.0.0/8        (back to the main table)

Without the last line the default route would take what belongs on em1. Only what a route of the left half of
the table covers is thrown back; the rest falls through to the main table by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from carptwist.config.schema import AddressWithPrefix

MAIN_TABLE = 254
LOCAL_TABLE = 255

#: The metric at which nothing else is: what has it counts last.
LAST_METRIC = 0xFFFF_FFFF

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_HOST_LENGTHS = {socket.AF_INET: 32, socket.AF_INET6: 128}


class Kind(Enum):
    """What becomes of a packet: RTN_* of linux/rtnetlink.h."""

    UNICAST = 1
    LOCAL = 2
    BLACKHOLE = 6
    THROW = 9
    OTHER = 0


class Route(NamedTuple):
    """One way to somewhere. ``destination`` is empty in a default route, ``gateway`` where there is none; ``metric``
    and ``mtu`` are 0 where none is set; ``device`` is 0 where a route leads through none; ``onlink``: the gateway is a
    neighbour whatever the other routes say."""

    family: int
    destination: str = ""
    length: int = 0
    metric: int = 0
    kind: Kind = Kind.UNICAST
    device: int = 0
    gateway: str = ""
    onlink: bool = False
    mtu: int = 0

    @property
    def network(self) -> IPv4Network | IPv6Network:
        return ip_network((self.destination or ("0.0.0.0" if self.family == socket.AF_INET else "::"), self.length))

    @property
    def is_link_local(self) -> bool:
        """To a prefix that each link has for itself."""
        return bool(self.length) and (self.network.is_link_local or self.network.is_multicast)


def families(addresses: Iterable[AddressWithPrefix]) -> tuple[int, ...]:
    """The families that there are addresses of, as AF_* numbers."""
    return tuple(sorted({_FAMILIES[address.version] for address in addresses}))


def prefixes(addresses: Iterable[AddressWithPrefix], device: int, metric: int) -> set[Route]:
    """Routes to the prefixes of addresses. A prefix of one address only leads nowhere."""
    routes = {
        Route(
            _FAMILIES[address.version],
            str(address.network.network_address),
            address.network.prefixlen,
            metric,
            device=device,
        )
        for address in addresses
    }
    return {route for route in routes if route.length < _HOST_LENGTHS[socket.AddressFamily(route.family)]}


def nothing(address_families: Iterable[int]) -> set[Route]:
    """Routes that swallow what nothing else in a table takes. Then the main table is not asked."""
    return {Route(family, metric=LAST_METRIC, kind=Kind.BLACKHOLE) for family in address_families}


def through(
    main: Iterable[Route], parent: int, device: int, addresses: Iterable[AddressWithPrefix], metric: int
) -> set[Route]:
    """What belongs into the table of a macvlan.

    :param main: all routes of the main table but our own, of the families of the addresses.
    :param parent: the device in whose place ``device`` is.
    :param metric: of the prefixes of the addresses themselves.
    """
    main = list(main)
    shared = list(addresses)
    ours: dict[tuple[int, str, int, int], Route] = {}
    for route in main:
        if route.kind is Kind.UNICAST and route.device == parent and not route.is_link_local:
            # Of several ways through the parent one is enough.
            ours.setdefault(_place(route), route._replace(device=device))
    for route in prefixes(shared, device, metric):
        ours.setdefault(_place(route), route)
    if socket.AF_INET6 in families(shared):
        link_local = Route(socket.AF_INET6, "fe80::", 64, metric, device=device)
        ours.setdefault(_place(link_local), link_local)
    covered = _Cover(ours.values())
    thrown = {
        Route(route.family, route.destination, route.length, route.metric, Kind.THROW)
        for route in main
        if not (route.kind is Kind.UNICAST and route.device == parent)
        and not route.is_link_local
        and _place(route) not in ours
        and route in covered
    }
    return {*ours.values(), *thrown}


def _place(route: Route) -> tuple[int, str, int, int]:
    """A table has one route for each of these."""
    return route.family, route.destination, route.length, route.metric


class _Cover:
    """The prefixes of some routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._prefixes = {(route.family, route.network) for route in routes}
        self._lengths = sorted({(route.family, route.length) for route in routes})

    def __contains__(self, route: Route) -> bool:
        network = route.network
        return any(
            (family, network.supernet(new_prefix=length)) in self._prefixes
            for family, length in self._lengths
            if family == route.family and length <= route.length
        )
