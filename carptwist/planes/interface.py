"""The plane ``interface``: the shared addresses on the interface itself, with its own MAC, as ucarp does it.

For interfaces on which there can be no macvlan, or switches that tolerate no second MAC on a port. Neighbours must
learn the new MAC at each takeover: they are told, but some will be late. The kernel answers for the addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyroute2 import IPRoute
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import ILinkMonitor, IPlane, LinkState
from carptwist.planes import PlaneError, addresses, routing
from carptwist.planes.inspection import Inspection
from carptwist.planes.orders import Orders, device_gone

T = TypeVar("T")


@implementer(IPlane)
class InterfacePlane:
    """Needs CAP_NET_ADMIN.

    :param damaged: called with a text when somebody else has taken an address away.
    """

    answers = False

    def __init__(
        self,
        config: VirtualHostConfig,
        *,
        orders: Orders,
        monitor: ILinkMonitor,
        clock: IReactorTime,
        damaged: Callable[[str], object],
    ) -> None:
        self._config = config
        self._orders = orders
        self._monitor = monitor
        self._index = 0
        self._holding = False
        self._inspection = Inspection(clock, monitor, self._damage, damaged)

    @property
    def link_address(self) -> bytes:
        """The interface's own MAC, whatever it is now."""
        return self._monitor.state(self._config.interface).mac

    # IPlane

    def prepare(self) -> Deferred[None]:
        interface = self._monitor.state(self._config.interface)
        self._inspection.watch(self._config.interface)
        return self._ordered(lambda route: self._prepare(route, interface))

    def hold(self) -> Deferred[None]:
        self._holding = True
        return self._ordered(self._hold)

    def release(self) -> Deferred[None]:
        self._holding = False
        return self._ordered(self._release)

    def withdraw(self) -> Deferred[None]:
        self._holding = False
        self._inspection.stop()
        return self._ordered(self._release)

    # Orders, on the kernel's thread

    def _prepare(self, route: IPRoute, interface: LinkState) -> None:
        if not interface.exists:
            raise PlaneError(f"there is no interface {self._config.interface}")
        self._index = interface.index
        shared = {address.ip for address in self._config.addresses}
        foreign = [place for place in addresses.placed(route) if place.address in shared and not place.ours]
        addresses.refuse_foreign(route, foreign, self._config.addresses, mine=0)

    def _hold(self, route: IPRoute) -> None:
        there = {place.address for place in addresses.placed(route) if place.device == self._index}
        for address in self._config.addresses:
            if address.ip not in there:
                addresses.add(route, self._index, address)
        routing.reach_prefixes(route, self._index, self._config.addresses, self._config.vhid)

    def _release(self, route: IPRoute) -> None:
        if not self._index:
            return
        with device_gone():
            for address in self._config.addresses:
                addresses.delete(route, self._index, address.ip, address.network.prefixlen)
            routing.forget_prefixes(route, self._index, self._config.addresses, self._config.vhid)

    def _ordered(self, order: Callable[[IPRoute], None]) -> Deferred[None]:
        self._inspection.busy += 1
        return self._orders.give(order, self._config.name).addBoth(self._done)

    def _done(self, result: T) -> T:
        self._inspection.busy -= 1
        return result

    # Somebody else's doing

    def _damage(self) -> str | None:
        interface = self._monitor.state(self._config.interface)
        if not self._holding or not interface.exists:
            return None
        there = {*interface.own4, *interface.own6}
        missing = [str(address.ip) for address in self._config.addresses if address.ip not in there]
        return f"{', '.join(missing)} no longer on {interface.name}" if missing else None
