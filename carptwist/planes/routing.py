"""Routes and rules that make what a host sends *from* a shared address leave through the vhid's macvlan.

The connected route of the parent comes first in the main table: without more, answers from a shared
address would leave through the parent, and the ARP requests for their receivers would tie the shared
address to the parent's own MAC. Clients would learn that, and stay with a dead host. So::

    rule   from 192.0.2.1 iif lo lookup T          for each shared address, ahead of the main table
    T      as MASTER: what carptwist.planes.view makes of the main table
    T      as BACKUP: blackhole default            what a former MASTER still has to say stays unsaid
    main   192.0.2.0/24 dev macvlan metric 112xx   in case that the parent has no route to the prefix

``iif lo`` is what the host sends itself. What it forwards is no affair of ours: a BACKUP may be the router of the
MASTER.

The blackhole is there until all routes are, and again before the first one goes: nothing slips out through the
parent just before and after a takeover.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes import messages
from carptwist.planes.entries import Rule
from carptwist.planes.kernel import Kernel
from carptwist.planes.marks import ROUTE_METRIC
from carptwist.planes.view import LOCAL_TABLE, MAIN_TABLE, Kind, Route, families, nothing, prefixes, through

Addresses = Iterable[AddressWithPrefix]

#: How long a route is there that is to do until the kernel has made its own. Addresses expire where daemon and guard
#: are killed together; such a route would go on in their place.
MAKESHIFT_SECONDS = 2


def view(kernel: Kernel, parent: int, device: int, addresses: Addresses, vhid: int) -> set[Route]:
    """What belongs into the table of a macvlan that is up, as the main table stands now."""
    shared = list(addresses)
    return through(kernel.main_routes(families(shared)), parent, device, shared, ROUTE_METRIC + vhid)


def opening(table: int, routes: set[Route]) -> list[Any]:
    """The messages that fill a table, to be sent after "link up"."""
    return _put(routes, table)


def opened(kernel: Kernel, table: int, addresses: Addresses) -> list[Any]:
    """The messages that end a BACKUP's silence, once its table is open: what no route takes goes where the main table
    says. Another vhid with the same address must not silence it either."""
    kernel.open_tables.add(table)
    tables = {table, *_sharers(kernel, table, addresses)}
    return [messages.take_route(route, each) for route in nothing(families(addresses)) for each in tables]


def closed(kernel: Kernel, table: int, addresses: Addresses) -> set[Route]:
    """What a BACKUP's table holds: it is silent, unless another vhid holds the same address."""
    kernel.open_tables.discard(table)
    if _sharers(kernel, table, addresses) & kernel.open_tables:
        return set()
    return nothing(families(addresses))


def closing(kernel: Kernel, table: int, addresses: Addresses) -> list[Any]:
    """The messages that close a table, to be sent before "link down"."""
    return _put(closed(kernel, table, addresses), table)


def silencing(table: int, addresses: Addresses) -> list[Any]:
    """The messages that close a table without a look at who else has the addresses."""
    return _put(nothing(families(addresses)), table)


def settle(kernel: Kernel, table: int, there: set[Route], wanted: set[Route]) -> None:
    """Make a table of ours that has some routes have others."""
    kernel.send(_put(wanted - there, table))
    # A route that another one has replaced is gone already, and so are those of a device that went.
    kernel.send((messages.take_route(route, table) for route in there - wanted), tolerant=True)


def reaching(device: int, addresses: Addresses, vhid: int) -> list[Any]:
    """The messages that make routes to the addresses' prefixes in the main table, so far back that they only count
    where nothing else leads there. Each vhid has a metric of its own: a table has one route for a prefix and a metric.
    """
    return [messages.put_route(route, MAIN_TABLE) for route in prefixes(addresses, device, ROUTE_METRIC + vhid)]


def unreaching(device: int, addresses: Addresses, vhid: int) -> list[Any]:
    """The messages that undo :func:`reaching` where the device stays up."""
    return [messages.take_route(route, MAIN_TABLE) for route in prefixes(addresses, device, ROUTE_METRIC + vhid)]


def abandoned(before: Addresses, after: Addresses) -> list[AddressWithPrefix]:
    """The addresses whose prefixes need not be reached any more."""
    staying = {address.network for address in after}
    return [address for address in before if address.network not in staying]


def local6(device: int, addresses: Addresses) -> list[Any]:
    """The messages that make IPv6 addresses of a device local to this host, to be sent after "link up". The kernel does
    so too, but at its leisure, when the answers to our messages are long there. These go with "link down", too."""
    return [
        messages.put_route(_local(device, address), LOCAL_TABLE, lifetime=MAKESHIFT_SECONDS)
        for address in addresses
        if address.version == 6
    ]


def unlocal6(device: int, addresses: Addresses) -> list[Any]:
    """The messages that undo :func:`local6` while the device is up."""
    return [messages.take_route(_local(device, address), LOCAL_TABLE) for address in addresses if address.version == 6]


def unlocal4(device: int, addresses: Addresses) -> list[Any]:
    """The messages that make the IPv4 addresses of a device that is down foreign to this host: the kernel keeps them
    local to it, so that a BACKUP would talk to itself instead of to the MASTER. "Link up" makes them local again."""
    return [messages.take_route(_local(device, address), LOCAL_TABLE) for address in addresses if address.version == 4]


def missing_rules(kernel: Kernel, table: int, addresses: Addresses) -> set[str]:
    """The addresses that have lost their rule."""
    there = kernel.rules()
    return {rule.source for rule in _rules(table, addresses) if rule not in there}


def set_rules(kernel: Kernel, table: int, addresses: Addresses) -> None:
    """Exactly one rule for each address, and none of the same table for any other."""
    there = {rule for rule in kernel.rules() if rule.table == table}
    wanted = _rules(table, addresses)
    if there != wanted:
        kernel.change_rules(
            [(rule, messages.put_rule(rule)) for rule in wanted - there],
            [(rule, messages.take_rule(rule)) for rule in there - wanted],
        )


def remove_rules(kernel: Kernel, table: int | None = None) -> int:
    """Our rules of one table, or of all tables of ours; gives their number."""
    rules = [rule for rule in kernel.rules() if table in (None, rule.table)]
    if rules:
        kernel.change_rules([], [(rule, messages.take_rule(rule)) for rule in rules])
    return len(rules)


def remove_routes(kernel: Kernel) -> None:
    """Our routes, in the main table and in our own ones."""
    kernel.send([messages.take_route(route, table) for table, route in kernel.our_routes()], tolerant=True)


def _local(device: int, address: AddressWithPrefix) -> Route:
    (family,) = families([address])
    # IPv6 takes 0 for a metric of its own choice; the kernel's own route comes before any that we may make.
    metric = ROUTE_METRIC if address.version == 6 else 0
    return Route(family, str(address.ip), address.ip.max_prefixlen, metric, Kind.LOCAL, device)


def _put(routes: set[Route], table: int) -> list[Any]:
    # Those to neighbours first: a gateway is one of them.
    return [messages.put_route(route, table) for route in sorted(routes, key=lambda route: bool(route.gateway))]


def _sharers(kernel: Kernel, table: int, addresses: Addresses) -> set[int]:
    """The tables of other vhids that have one of the addresses."""
    sources = {str(address.ip) for address in addresses}
    return {rule.table for rule in kernel.rules() if rule.source in sources} - {table}


def _rules(table: int, addresses: Addresses) -> set[Rule]:
    return {Rule(family, str(address.ip), table) for address in addresses for family in families([address])}
