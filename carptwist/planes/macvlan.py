"""The default plane: a macvlan with the virtual MAC on the parent interface.

::

    BACKUP                                         MASTER
    carp2-1  00:00:5e:00:01:01, down    hold()     carp2-1  00:00:5e:00:01:01, up
      192.0.2.1, 2001:db8::1           -------->     192.0.2.1, 2001:db8::1, routes
                                       <--------
    em0      its own MAC and addresses  release()  em0      unchanged

All that can be done beforehand is done while BACKUP: taking over is one "link up", whatever the number of
addresses, and then the routes. The kernel's ARP is mute on the device and on the parent as far as the
shared addresses go: the responder answers. Its neighbour discovery on the device answers too, with the same MAC.

A step is one order to the kernel's thread, so that no step is ever half done when the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyroute2 import IPRoute
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.config.schema import AddressWithPrefix, VirtualHostConfig
from carptwist.interfaces import ILinkMonitor, IPlane, LinkState
from carptwist.planes import PlaneError, addresses, routing, sysctls
from carptwist.planes.inspection import Inspection
from carptwist.planes.marks import device_alias, device_name, is_our_device, table
from carptwist.planes.orders import Orders, device_gone

# linux/if.h
_IFF_UP = 0x1


T = TypeVar("T")


@implementer(IPlane)
class MacvlanPlane:
    """Needs CAP_NET_ADMIN.

    :param virtual_mac: six octets.
    :param damaged: called with a text when somebody else has changed the device.
    """

    answers = True

    def __init__(
        self,
        config: VirtualHostConfig,
        *,
        virtual_mac: bytes,
        orders: Orders,
        monitor: ILinkMonitor,
        settings: sysctls.Sysctls,
        clock: IReactorTime,
        damaged: Callable[[str], object],
    ) -> None:
        self.link_address = virtual_mac
        self._config = config
        self._orders = orders
        self._monitor = monitor
        self._settings = settings
        self._damaged = damaged
        self._inspection = Inspection(clock, monitor, self._damage, damaged)
        self._device = ""
        self._index = 0
        self._table = 0
        self._hops: set[routing.Hop] = set()
        self._late: tuple[AddressWithPrefix, ...] = ()  # to be added when the device is up
        self._holding = False
        self._prepared = False
        self._acquired = False
        self._unwatch_routes: Callable[[], None] | None = None

    # IPlane

    def prepare(self) -> Deferred[None]:
        parent = self._monitor.state(self._config.interface)
        if not parent.exists:
            return self._ordered(lambda route: self._missing())
        return self._ordered(lambda route: self._prepare(route, parent)).addCallback(self._watch)

    def hold(self) -> Deferred[None]:
        parent = self._monitor.state(self._config.interface)
        self._holding = True
        return self._ordered(lambda route: self._hold(route, parent))

    def release(self) -> Deferred[None]:
        self._holding = False
        return self._ordered(self._release)

    def withdraw(self) -> Deferred[None]:
        self._holding = False
        self._prepared = False
        self._inspection.stop()
        if self._unwatch_routes is not None:
            self._unwatch_routes()
            self._unwatch_routes = None
        return self._ordered(self._withdraw)

    # Orders, on the kernel's thread

    def _prepare(self, route: IPRoute, parent: LinkState) -> None:
        there = addresses.placed(route)
        name = device_name(parent.index, self._config.vhid)
        device = self._find(route, name)
        addresses.refuse_foreign(route, there, self._config.addresses, device)
        if not self._acquired:
            self._settings.acquire(parent.name)
            self._acquired = True
        if device and not self._fits(route, device, parent):
            route.link("del", index=device)
            device = 0
        if not device:
            device = self._create(route, name, parent)
        self._device, self._index = name, device
        self._table = table(parent.index, self._config.vhid)
        self._late = addresses.converge(route, device, there, self._config.addresses, _is_up(route, device))
        self._close(route, parent)
        routing.set_rules(route, self._table, self._config.addresses)
        if not _is_up(route, device):
            routing.forget_local(route, device)
        self._prepared = True

    def _create(self, route: IPRoute, name: str, parent: LinkState) -> int:
        route.link(
            "add",
            ifname=name,
            kind="macvlan",
            macvlan_mode="private",
            link=parent.index,
            address=":".join(f"{octet:02x}" for octet in self.link_address),
        )
        index: int = route.link_lookup(ifname=name)[0]
        # The kernel takes no alias in the request that makes the device.
        route.link("set", index=index, ifalias=device_alias(self._config.name))
        for family, setting, value in _device_settings():
            if sysctls.read(family, name, setting) is not None:
                sysctls.write(family, name, setting, value)
        return index

    def _fits(self, route: IPRoute, device: int, parent: LinkState) -> bool:
        (link,) = route.get_links(device)
        mac = bytes.fromhex((link.get_attr("IFLA_ADDRESS") or "").replace(":", ""))
        return link.get_attr("IFLA_LINK") == parent.index and mac == self.link_address

    def _find(self, route: IPRoute, name: str) -> int:
        """The index of our device, 0 if there is none.

        :raises PlaneError: somebody else's device has its name.
        """
        for index in route.link_lookup(ifname=name):
            (link,) = route.get_links(index)
            if not is_our_device(name, link.get(("linkinfo", "kind")), link.get_attr("IFLA_IFALIAS")):
                raise PlaneError(f"there is a device {name} that is not carptwist's: rename or remove it")
            return int(index)
        return 0

    def _close(self, route: IPRoute, parent: LinkState) -> None:
        """Nothing leaves from a shared address but through the device, wherever the parent leads to now."""
        families = {address.version for address in self._config.addresses}
        hops = routing.views(route, parent.index, families) | routing.connected(self._config.addresses)
        routing.unclose(route, self._table, self._hops - hops)
        routing.close(route, self._table, hops - self._hops)
        self._hops = hops

    def _hold(self, route: IPRoute, parent: LinkState) -> None:
        if not self._index:
            self._missing()
        self._close(route, parent)
        route.link("set", index=self._index, state="up")
        for address in self._late:
            addresses.add(route, self._index, address)
        self._late = ()
        routing.install(route, self._table, self._index, self._hops)
        routing.reach_prefixes(route, self._index, self._config.addresses, self._config.vhid)

    def _follow(self, route: IPRoute, parent: LinkState) -> None:
        """The parent's routes have changed while we hold the addresses."""
        if not self._holding or not _is_up(route, self._index):
            return
        before = self._hops
        self._close(route, parent)
        routing.remove(route, self._table, self._index, before - self._hops)
        routing.install(route, self._table, self._index, self._hops - before)

    def _release(self, route: IPRoute) -> None:
        if not self._index:
            return
        with device_gone():  # with its parent: then nothing is held any more
            route.link("set", index=self._index, state="down")
            routing.forget_local(route, self._index)

    def _withdraw(self, route: IPRoute) -> None:
        if self._index:
            with device_gone():
                route.link("del", index=self._index)
            routing.unclose(route, self._table, self._hops)
            routing.remove_rules(route, self._table)
            self._hops = set()
            self._index = 0
        if self._acquired:
            self._acquired = False
            self._settings.release(self._config.interface)

    def _missing(self) -> None:
        raise PlaneError(f"there is no interface {self._config.interface}")

    def _ordered(self, order: Callable[[IPRoute], None]) -> Deferred[None]:
        self._inspection.busy += 1
        return self._orders.give(order, self._config.name).addBoth(self._done)

    def _done(self, result: T) -> T:
        self._inspection.busy -= 1
        return result

    # Somebody else's doing

    def _watch(self, _: None) -> None:
        self._inspection.watch(self._device)
        if self._unwatch_routes is None:
            self._unwatch_routes = self._monitor.watch_routes(self._routes_changed)

    def _damage(self) -> str | None:
        link = self._monitor.state(self._device)
        if not self._prepared or not self._monitor.state(self._config.interface).exists:
            return None  # without its parent a device cannot be; the vhid hears of that by itself
        if not link.exists:
            return f"{self._device} was removed"
        if self._holding and not link.up:
            return f"{self._device} was set down"
        if not self._holding and link.up:
            return f"{self._device} was set up"
        there = {*link.own4, *link.own6}
        expected = [address for address in self._config.addresses if self._holding or address.version == 4]
        missing = [str(address.ip) for address in expected if address.ip not in there]
        if missing:
            return f"{', '.join(missing)} {'was' if len(missing) == 1 else 'were'} removed from {self._device}"
        return None

    def _routes_changed(self) -> None:
        if self._holding and not self._inspection.busy:
            parent = self._monitor.state(self._config.interface)
            self._ordered(lambda route: self._follow(route, parent)).addErrback(
                lambda failure: self._damaged(f"routes of {self._device}: {failure.getErrorMessage()}")
            )


def _device_settings() -> list[tuple[str, str, int]]:
    loose = 2 if sysctls.read("ipv4", "all", "rp_filter") == 1 else 0
    return [
        ("ipv6", "addr_gen_mode", 1),  # no link-local address of its own
        ("ipv6", "keep_addr_on_down", 1),
        ("ipv6", "accept_dad", 0),
        ("ipv6", "accept_ra", 0),
        ("ipv6", "autoconf", 0),
        ("ipv4", "arp_ignore", 8),
        ("ipv4", "arp_announce", 2),
        ("ipv4", "rp_filter", loose),
    ]


def _is_up(route: IPRoute, device: int) -> bool:
    (link,) = route.get_links(device)
    return bool(link["flags"] & _IFF_UP)
