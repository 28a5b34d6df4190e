"""The macvlan of one vhid, as the kernel's thread sets it up, takes it up and down, and removes it.

::

              prepare               hold                 release               withdraw
    nothing ----------> down,     ----------> up,      ----------> down,     -----------> nothing
                        addresses             routes               addresses

Every step brings about what it stands for from whatever it finds.

Addresses under balancing are not on the device but where :mod:`carptwist.planes.balanced` says: it is only the door by
which what is sent to its MAC comes in. Which ones they are is settled by each preparation.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable
from typing import Any

from pyroute2 import NetlinkError

from carptwist.config.schema import AddressWithPrefix, VirtualHostConfig
from carptwist.planes import PlaneError, addresses, balanced, messages, routing, sysctls
from carptwist.planes.entries import Link
from carptwist.planes.kernel import Kernel, reason
from carptwist.planes.marks import balanced_table, device_alias, device_name, is_our_device, table
from carptwist.planes.upkeep import Term, datagrams
from carptwist.planes.view import Route


class MacvlanDevice:
    """All methods are for the kernel's thread.

    :param mac: the virtual one, six octets.
    :param term: the upkeep of its addresses while it is up.
    :param group: of devices, which it is to belong to.
    """

    def __init__(
        self, config: VirtualHostConfig, mac: bytes, settings: sysctls.Sysctls, term: Term, group: int = 0
    ) -> None:
        self.name = ""
        self.ending: tuple[bytes, ...] = ()  # what takes it down, ready to be sent by anybody
        self._config = config
        self._mac = mac
        self._settings = settings
        self._alone = config.addresses  # those that are this vhid's alone
        self._balanced: tuple[AddressWithPrefix, ...] = ()
        self._questions = balanced.Questions()
        self.term = term
        self._group = group
        self._index = 0
        self._parent = 0
        self._table = self._balanced_table = 0
        self._up = False
        self._view: set[Route] = set()  # what belongs into the table of a MASTER, as of the last look at the main one
        self._routes: set[Route] = set()  # what was put into the table as MASTER
        self._late: set[AddressWithPrefix] = set()  # to be added once the device is up
        self._local: set[AddressWithPrefix] = set()  # for which there are routes that say so, as long as it is up

    def prepare(
        self, kernel: Kernel, config: VirtualHostConfig, under_balancing: Collection[AddressWithPrefix] = ()
    ) -> None:
        """Down, with the addresses of ``config``; if it is up because it is held, it stays so."""
        before, self._config = self._alone, config
        parent = kernel.link(self._config.interface)
        if parent is None:
            raise PlaneError(f"there is no interface {self._config.interface}")
        if self._has_ipv6 and not sysctls.has_ipv6():
            raise PlaneError(
                f"this kernel has no IPv6, and {self._config.name} has IPv6 addresses: take those out of its "
                "addresses, or ipv6.disable=1 out of the kernel's command line"
            )
        name = device_name(parent.number, self._config.vhid)
        if self.name not in ("", name):
            self._remove(kernel)  # on another interface that had the name
        found = kernel.link(name)
        if found is not None and not is_our_device(name, found.kind, found.alias):
            raise PlaneError(f"there is a device {name} that is not carptwist's: rename or remove it")
        mine = found.number if found is not None else 0
        addresses.refuse_foreign(kernel, self._config.addresses, mine, excepted=kernel.holders)
        balanced.demand_own(kernel, parent, under_balancing)
        self._settings.acquire(parent.number, parent.name, self._config.name, sysctls.for_macvlans(parent.name))
        device = self._make(kernel, name, parent, found)
        self.name, self._index, self._parent = name, device.number, parent.number
        self._table = table(parent.number, self._config.vhid)
        self._balanced_table = balanced_table(parent.number, self._config.vhid)
        if self._has_ipv6 and sysctls.read("ipv6", name, "disable_ipv6") != 0:
            sysctls.write("ipv6", name, "disable_ipv6", 0)  # whatever is the default for new devices
        self._up = self._up and device.up
        if device.up and not self._up:
            kernel.send([messages.set_down(device.number)])
        shared = self._config.addresses
        self._balanced = tuple(address for address in shared if address in under_balancing)
        self._alone = tuple(address for address in shared if address not in under_balancing)
        self._questions.join(parent, self._balanced)
        self._converge_balanced(kernel)
        there = kernel.addresses_on(device.number)
        if self._up and not any(place.address.version == 4 for place in there):
            kernel.send(self._gone_with_addresses(), tolerant=True)
        self._late = set(addresses.converge(kernel, device.number, there, self._on_device, self._up))
        kernel.send(routing.unlocal6(device.number, self._local - set(self._alone)), tolerant=True)
        self._local &= set(self._alone)
        if self._up:
            abandoned = routing.abandoned(before, self._alone)
            kernel.send(routing.unreaching(device.number, abandoned, config.vhid), tolerant=True)
        else:
            kernel.send(routing.unlocal4(device.number, self._alone), tolerant=True)
            for number, those in self._tables:
                closed = routing.closed(kernel, number, those)
                routing.settle(kernel, number, set(kernel.routes(number)), closed)
            self._routes, self._local = set(), set()
        for number, those in self._tables:
            routing.set_rules(kernel, number, those)
        self._look(kernel)
        # Apart, as a guard may send the first one early.
        self.ending = (
            *datagrams(routing.silencing(self._table, self._alone)),
            *datagrams([messages.set_down(self._index), *routing.unlocal4(self._index, self._alone)]),
        )
        if self._up:
            self._begin_term()

    def hold(self, kernel: Kernel) -> str | None:
        """Up, and the routes with it, as they were last seen: to read a large main table takes longer than the whole
        takeover, and :meth:`follow` makes up for what has changed since. Gives, in words, which routes the kernel does
        not want there; None if none."""
        if not self._index:
            raise PlaneError(f"there is no interface {self._config.interface}")
        shared = self._alone
        routes = self._view
        refused = None
        kernel.send(
            [
                *balanced.holding(kernel, self._config.name, self._balanced),
                messages.set_up(self._index),
                *(messages.put_address(self._index, address) for address in self._late),
                *routing.local6(self._index, shared),
                *routing.reaching(self._index, shared, self._config.vhid),
            ]
        )
        self._up, self._late, self._local = True, set(), set(shared)
        self._begin_term()
        try:
            kernel.send(routing.opening(self._table, routes))
        except NetlinkError as error:
            # Somebody's odd route is no reason not to be there for all the others.
            kernel.send(routing.opening(self._table, routes), tolerant=True)
            refused = f"not all routes of {self._config.interface} can be had on {self.name}: {reason(error)}"
        stale = [messages.take_route(route, self._table) for route in self._routes - routes]
        opened = [message for number, those in self._tables for message in routing.opened(kernel, number, those)]
        kernel.send(stale + opened, tolerant=True)
        self._routes = routes
        return refused

    def follow(self, kernel: Kernel) -> str | None:
        """Routes or rules have changed, or may have. Gives, in words, what of ours somebody else has removed; None if
        nothing."""
        if not self._index:
            return None
        self._look(kernel)
        if self._up:  # otherwise it was for the next "hold"
            routing.settle(kernel, self._table, self._routes, self._view)
            self._routes = self._view
        return self._missing_rules(kernel)

    def release(self, kernel: Kernel) -> None:
        """Down; if it has gone already, with its parent, so much the better."""
        if not self._index:
            return
        shared = self._alone
        self._up = False  # first: if this fails, to prepare it again must take it down, and not leave it up as held
        mortal = self.term.end()
        # IPv6 addresses that will expire do not outlive "link down". After a guard's doing they have gone already, and
        # must not be put on a device that is down.
        lasting = self._forever(6) if mortal and self._is_up(kernel) else []
        kernel.send(balanced.leaving(kernel, self._config.name), tolerant=True)
        closing = [message for number, those in self._tables for message in routing.closing(kernel, number, those)]
        try:
            kernel.send([*closing, *lasting, messages.set_down(self._index)])
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise
        # Routes through the device went with "link down"; those that throw back to the main table did not.
        left = [messages.take_route(route, self._table) for route in self._routes if not route.device]
        lasting = self._forever(4) if mortal else []
        kernel.send(lasting + routing.unlocal4(self._index, shared) + left, tolerant=True)
        self._routes, self._local = set(), set()
        self._late |= {address for address in shared if address.version == 6 and address.is_link_local}

    def withdraw(self, kernel: Kernel) -> None:
        """Nothing is left of it."""
        self.term.end()
        if self.name:
            self._remove(kernel)
        self._questions.leave()
        self._settings.release(self._config.name)

    def examine(self, kernel: Kernel) -> str | None:
        """What somebody else has done to it, in words; None if nothing."""
        if not self._index:
            return None
        device = kernel.link(self.name)
        if device is None:
            # Without its parent it cannot be; the vhid hears of that by itself.
            return f"{self.name} was removed" if kernel.link_at(self._parent) is not None else None
        if device.number != self._index or device.mac != self._mac:
            return f"{self.name} was given another MAC"
        if device.up is not self._up:
            return f"{self.name} was set {'up' if device.up else 'down'}"
        there = {place.address for place in kernel.addresses_on(self._index)}
        expected = [address for address in self._on_device if address not in self._late]
        missing = [str(address.ip) for address in expected if address.ip not in there]
        if missing:
            return f"{_were(missing)} removed from {self.name}"
        missing = balanced.missing(kernel, self._config.name)
        if missing:
            return f"{_were(missing)} removed from the loopback device"
        return self._missing_rules(kernel)

    def _forever(self, version: int) -> list[Any]:
        return [messages.put_address(self._index, each) for each in self._alone if each.version == version]

    def _begin_term(self) -> None:
        index, alone, shared = self._index, self._alone, self._balanced
        self.term.begin(
            lambda seconds: [
                *(messages.put_address(index, each, lifetime=seconds) for each in alone),
                *balanced.lasting(shared, seconds),
            ],
            # The kernel has made its own by then, which go with the addresses.
            then=lambda: [*routing.unlocal6(index, alone), *balanced.unlocal(shared)],
            lost=self._gone_with_addresses,
        )

    def _gone_with_addresses(self) -> list[Any]:
        """The messages that make what the kernel removes together with the last IPv4 address of a device that is up:
        before there is one again, lest anything is sent from it by another device."""
        reaching = routing.reaching(self._index, self._alone, self._config.vhid)
        return [*reaching, *routing.opening(self._table, self._routes)]

    def _is_up(self, kernel: Kernel) -> bool:
        link = kernel.link_at(self._index)
        return link is not None and link.up

    @property
    def has_balanced(self) -> bool:
        """Whether some of the addresses are under balancing, as of the last preparation."""
        return bool(self._balanced)

    @property
    def _on_device(self) -> tuple[AddressWithPrefix, ...]:
        if any(address.version == 4 for address in self._balanced):
            return (*self._alone, balanced.DOORPLATE)
        return self._alone

    @property
    def _tables(self) -> tuple[tuple[int, tuple[AddressWithPrefix, ...]], ...]:
        """Which addresses ask which table first. That of the balanced ones is empty while one of them is held, and the
        main table has the word."""
        return (self._table, self._alone), (self._balanced_table, self._balanced)

    @property
    def _has_ipv6(self) -> bool:
        return any(address.version == 6 for address in self._config.addresses)

    def _converge_balanced(self, kernel: Kernel) -> None:
        """What was balanced and is not any more goes from where it was, and the other way round."""
        kept = self._balanced if self._up else ()
        kernel.send(balanced.leaving(kernel, self._config.name, kept), tolerant=True)
        kernel.send(balanced.holding(kernel, self._config.name, kept))

    def _look(self, kernel: Kernel) -> None:
        self._view = routing.view(kernel, self._parent, self._index, self._alone, self._config.vhid)

    def _missing_rules(self, kernel: Kernel) -> str | None:
        missing = sorted(
            source for number, those in self._tables for source in routing.missing_rules(kernel, number, those)
        )
        return f"the routing rule{'s' * (len(missing) > 1)} of {_were(missing)} removed" if missing else None

    def _make(self, kernel: Kernel, name: str, parent: Link, found: Link | None) -> Link:
        if found is not None:
            if found.parent == parent.number and found.mac == self._mac:
                if found.group != self._group:
                    kernel.send([messages.set_group(found.number, self._group)])
                return found
            kernel.send([messages.remove_device(found.number)])
        # In one message: whoever is killed leaves nothing without its mark.
        try:
            kernel.send(
                [
                    messages.new_macvlan(name, parent.number, self._mac, self._group),
                    messages.name_alias(name, device_alias(self._config.name)),
                ]
            )
        except NetlinkError as error:
            master = kernel.link_at(parent.master) if parent.master else None
            if error.code != errno.EBUSY or master is None:
                raise
            raise PlaneError(
                f"{parent.name} is a port of {master.name}: put the vhid on {master.name} "
                f"([vhid {self._config.vhid}@{master.name}])"
            ) from error
        for family, setting, value in _device_settings(parent.name):
            if sysctls.read(family, name, setting) not in (None, value):
                sysctls.write(family, name, setting, value)
        device = kernel.link(name)
        if device is None:
            raise PlaneError(f"{name} was removed by somebody while it was being set up")
        return device

    def _remove(self, kernel: Kernel) -> None:
        device = kernel.link(self.name)
        if device is not None and is_our_device(self.name, device.kind, device.alias):
            kernel.send([messages.remove_device(device.number)], tolerant=True)
        kernel.send(balanced.leaving(kernel, self._config.name), tolerant=True)
        for number, _ in self._tables:
            kernel.open_tables.discard(number)
            routing.remove_rules(kernel, number)
            routing.settle(kernel, number, set(kernel.routes(number)), set())
        self.name = ""
        self._index = 0
        self._up = False
        self._routes, self._local = set(), set()


def _were(texts: Iterable[str]) -> str:
    several = list(texts)
    return f"{', '.join(several)} {'was' if len(several) == 1 else 'were'}"


def _device_settings(parent: str) -> list[tuple[str, str, int]]:
    loose = 2 if sysctls.read("ipv4", "all", "rp_filter") == 1 else 0
    return [
        ("ipv6", "addr_gen_mode", 1),  # no link-local address of its own
        ("ipv6", "keep_addr_on_down", 1),
        ("ipv6", "accept_dad", 0),
        ("ipv6", "accept_ra", 0),
        ("ipv6", "autoconf", 0),
        ("ipv6", "proxy_ndp", 0),
        # Where an address expires the kernel says twice, with the virtual MAC, that it leaves its group: by default the
        # second time up to a second later, when others may be MASTER, and switches have learned so.
        ("ipv6", "mldv2_unsolicited_report_interval", 10),
        ("ipv4", "arp_ignore", 8),
        ("ipv4", "arp_announce", 2),
        ("ipv4", "proxy_arp", 0),
        ("ipv4", "promote_secondaries", 1),
        ("ipv4", "rp_filter", loose),
        # A router routes what comes in through the device as it would through the parent.
        ("ipv4", "forwarding", sysctls.read("ipv4", parent, "forwarding") or 0),
        ("ipv6", "forwarding", sysctls.read("ipv6", parent, "forwarding") or 0),
    ]
