"""Addresses that several vhids balance, on a host that may hold all of them, some or none.

::

    carp2-1  00:00:5e:00:01:01, up  ---+
    carp2-2  00:00:5e:00:01:02, up  ---+--> lo  192.168.1.10/32 --> whoever listens here
                                                       |
    em0      its own MAC and addresses  <--------------+ answers, by the main table

The clients are divided by the MAC that each has learned, so nothing but the answers to their own questions may
ever tell them one. A kernel that had the address on the macvlans would: it puts the source of what it has to send
into its ARP requests and neighbour solicitations. On the loopback device an address is the host's, and no network
device's: the kernel answers nobody's question about it and asks none in its name. An IPv4 address gets the scope
of the host, or the kernel would still choose it as a sender where it finds no better one.

The macvlans are only the doors by which frames to their virtual MACs come in. What the host sends from the address
leaves by the parent, with the parent's MAC, and what has to be asked for that is asked in the name of the parent's
own address: there must be one.

An address comes with the first vhid that holds it and goes with the last one. Who that is, is kept by
:class:`carptwist.planes.kernel.Kernel`. While none does, a rule leads what is still sent from it into nothing: into a
table as in :mod:`carptwist.planes.routing`, but one that is empty while the address is held.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_interface
from typing import Any

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes import PlaneError, messages
from carptwist.planes.entries import Link
from carptwist.planes.kernel import Kernel
from carptwist.planes.marks import ROUTE_METRIC
from carptwist.planes.routing import MAKESHIFT_SECONDS
from carptwist.planes.view import LOCAL_TABLE, Kind, Route
from carptwist.wire.internet import solicited_node

#: The loopback device of every network namespace.
LOOPBACK = 1
#: On a macvlan that has no other IPv4 address: to a reverse path filter, even a loose one, a device without any has no
#: way back (fib_validate_source of the kernel). Nobody out there can ask for it.
DOORPLATE = IPv4Interface("127.112.0.1/32")

_METRIC = ROUTE_METRIC + 255

Addresses = Iterable[AddressWithPrefix]


def demand_own(kernel: Kernel, parent: Link, addresses: Addresses) -> None:
    """The host can only answer clients from an address of its own in their network.

    :raises PlaneError: the parent has none.
    """
    own = [
        ip_interface((place.address, place.prefix_length)).network
        for place in kernel.addresses()
        if place.device == parent.number
    ]
    for address in addresses:
        if not any(address.ip in network for network in own if network.version == address.version):
            raise PlaneError(
                f"{address.ip} is balanced, and {parent.name} has no address of its own in {address.network}: give it "
                f"one: ip address add ADDRESS/{address.network.prefixlen} dev {parent.name}"
            )


def holding(kernel: Kernel, who: str, addresses: Addresses) -> list[Any]:
    """The messages that make addresses local to this host. ``who`` holds them from now on."""
    requests = []
    for address in addresses:
        kernel.holders.setdefault(address.ip, set()).add(who)
        requests.append(messages.put_address(LOOPBACK, _alone(address.ip), of_host=True))
        if address.version == 6:
            # The kernel does so too, but at its leisure.
            requests.append(messages.put_route(_local(address.ip), LOCAL_TABLE, lifetime=MAKESHIFT_SECONDS))
    return requests


def lasting(addresses: Addresses, seconds: int) -> list[Any]:
    """The messages that keep addresses for so many seconds more, for whoever holds them."""
    return [messages.put_address(LOOPBACK, _alone(address.ip), of_host=True, lifetime=seconds) for address in addresses]


def unlocal(addresses: Addresses) -> list[Any]:
    """The messages that leave it to the kernel what is local, once it has had its leisure."""
    return [messages.take_route(_local(address.ip), LOCAL_TABLE) for address in addresses if address.version == 6]


def leaving(kernel: Kernel, who: str, kept: Addresses = ()) -> list[Any]:
    """The messages that make the addresses that ``who`` holds, but for those that are kept, foreign to this host where
    nobody else holds them. What is gone already does not matter."""
    requests = []
    for address in held(kernel, who) - {each.ip for each in kept}:
        holders = kernel.holders[address]
        holders.discard(who)
        if holders:
            continue
        del kernel.holders[address]
        if address.version == 6:
            requests.append(messages.take_route(_local(address), LOCAL_TABLE))
        requests.append(messages.take_address(LOOPBACK, address, address.max_prefixlen))
    return requests


def held(kernel: Kernel, who: str) -> set[IPv4Address | IPv6Address]:
    """What ``who`` holds."""
    return {address for address, holders in kernel.holders.items() if who in holders}


def missing(kernel: Kernel, who: str) -> list[str]:
    """What of that is not there, because of somebody else."""
    wanted = held(kernel, who)
    there = {place.address for place in kernel.addresses_on(LOOPBACK)} if wanted else set()
    return sorted(str(address) for address in wanted - there)


class Questions:
    """Membership of an interface in the groups to which the questions for IPv6 addresses go: RFC 4291 2.7.1.

    With an address on a device of the interface the kernel would see to that. Without, a switch that snoops would not
    let us hear them.
    """

    def __init__(self) -> None:
        self._member: socket.socket | None = None
        self._joined: tuple[int, frozenset[bytes]] = (0, frozenset())

    def join(self, interface: Link, addresses: Sequence[AddressWithPrefix]) -> None:
        """Be a member of the groups of these addresses, and of no others.

        :raises PlaneError: the kernel does not let us.
        """
        groups = frozenset(solicited_node(address.ip.packed) for address in addresses if address.version == 6)
        if self._joined == (interface.number, groups):
            return
        self.leave()
        if not groups:
            return
        try:
            self._member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            for group in groups:
                request = struct.pack("=16si", group, interface.number)
                self._member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        except OSError as error:
            self.leave()
            raise PlaneError(
                f"{interface.name} cannot join the groups of its balanced IPv6 addresses: {error.strerror}"
            ) from None
        self._joined = (interface.number, groups)

    def leave(self) -> None:
        """Be a member of none."""
        member, self._member = self._member, None
        self._joined = (0, frozenset())
        if member is not None:
            member.close()


def _alone(address: IPv4Address | IPv6Address) -> AddressWithPrefix:
    # With its network's prefix the loopback device would take the whole network for this host.
    alone: AddressWithPrefix = ip_interface((address, address.max_prefixlen))
    return alone


def _local(address: IPv4Address | IPv6Address) -> Route:
    return Route(socket.AF_INET6, str(address), address.max_prefixlen, _METRIC, Kind.LOCAL, LOOPBACK)
