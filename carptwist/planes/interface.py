"""The plane ``interface``: the shared addresses on the interface itself, with its own MAC, as ucarp does it.

For interfaces on which there can be no macvlan, or switches that tolerate no second MAC on a port. Neighbours must
learn the new MAC at each takeover: they are told, but some will be late. The kernel answers for the addresses.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from pyroute2 import NetlinkError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.config.schema import AddressWithPrefix, VirtualHostConfig
from carptwist.interfaces import ILinkMonitor, IPlane
from carptwist.planes import PlaneError, addresses, messages, routing, sysctls
from carptwist.planes.inspection import Inspection
from carptwist.planes.kernel import Kernel
from carptwist.planes.orders import Orders, Urgency
from carptwist.planes.upkeep import Upkeep, datagrams

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
        settings: sysctls.Sysctls,
        upkeep: Upkeep,
        clock: IReactorTime,
        damaged: Callable[[str], object],
    ) -> None:
        self._config = config
        self._orders = orders
        self._monitor = monitor
        self._settings = settings
        self._term = upkeep.term()
        self.ending: tuple[bytes, ...] = ()
        self._index = 0
        self._wanted = config.addresses  # as of the last "prepare"; for the kernel's thread
        self._held: dict[IPv4Address | IPv6Address, int] = {}  # our addresses, with their prefix lengths
        self._up = False  # whether they are there because they are to be
        self._inspection = Inspection(clock, monitor, lambda: orders.give(self._examine, config.name), damaged)

    @property
    def link_address(self) -> bytes:
        """The interface's own MAC, whatever it is now."""
        return self._monitor.state(self._config.interface).mac

    # IPlane

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config

    def prepare(self) -> Deferred[None]:
        self._inspection.watch(self._config.interface)
        wanted = self._config.addresses
        return self._order(lambda kernel: self._prepare(kernel, wanted))

    def hold(self) -> Deferred[None]:
        return self._order(self._hold, Urgency.TAKEOVER)

    def refresh(self, seconds: int, until: float) -> None:
        self._term.refresh(seconds, until)

    def release(self) -> Deferred[None]:
        return self._order(self._release, Urgency.TAKEOVER)

    def withdraw(self) -> Deferred[None]:
        self._inspection.stop()
        return self._order(self._withdraw)

    # Orders, on the kernel's thread

    def _prepare(self, kernel: Kernel, wanted: tuple[AddressWithPrefix, ...]) -> None:
        interface = kernel.link(self._config.interface)
        if interface is None:
            raise PlaneError(f"there is no interface {self._config.interface}")
        if interface.number != self._index:
            self._held.clear()  # they went with the former interface of that name
        addresses.refuse_foreign(kernel, wanted, mine=0, excepted=self._held)
        self._settings.acquire(interface.number, interface.name, self._config.name, sysctls.for_addresses())
        self._index = interface.number
        if self._held:
            kernel.send(
                routing.unreaching(self._index, routing.abandoned(self._wanted, wanted), self._config.vhid),
                tolerant=True,
            )
        self._wanted = wanted
        staying = {address.ip for address in wanted if self._up}
        self._begin_term([address for address in wanted if address.ip in self._held and self._up])
        self.ending = datagrams(
            [
                *(messages.take_address(self._index, each.ip, each.network.prefixlen) for each in wanted),
                *routing.unreaching(self._index, wanted, self._config.vhid),
            ]
        )
        self._take_off(kernel, [address for address in self._held if address not in staying])

    def _hold(self, kernel: Kernel) -> None:
        if not self._index:
            raise PlaneError(f"there is no interface {self._config.interface}")
        addresses.refuse_foreign(kernel, self._wanted, mine=0, excepted=self._held)
        self._up = True
        self._held |= {address.ip: address.network.prefixlen for address in self._wanted}
        kernel.send(
            [
                *(messages.put_address(self._index, address) for address in self._wanted),
                *routing.reaching(self._index, self._wanted, self._config.vhid),
            ]
        )
        self._begin_term(self._wanted)

    def _begin_term(self, addresses: Iterable[AddressWithPrefix]) -> None:
        index, held = self._index, tuple(addresses)
        self._term.begin(lambda seconds: [messages.put_address(index, each, lifetime=seconds) for each in held])

    def _release(self, kernel: Kernel) -> None:
        self._up = False  # first: if this fails, to prepare it again must take off what is left
        self._term.end()
        if not self._held:
            return
        kernel.send(routing.unreaching(self._index, self._wanted, self._config.vhid), tolerant=True)
        self._take_off(kernel, list(self._held))

    def _withdraw(self, kernel: Kernel) -> None:
        self._release(kernel)
        self._settings.release(self._config.name)

    def _take_off(self, kernel: Kernel, leaving: list[IPv4Address | IPv6Address]) -> None:
        for address in reversed(leaving):
            try:
                kernel.send([messages.take_address(self._index, address, self._held[address])])
            except NetlinkError as error:
                if error.code not in (errno.EADDRNOTAVAIL, errno.ENODEV):  # gone already, or with its interface
                    raise
            del self._held[address]

    def _examine(self, kernel: Kernel) -> str | None:
        interface = kernel.link(self._config.interface)
        if not self._held or interface is None or interface.number != self._index:
            return None
        there = {place.address for place in kernel.addresses_on(self._index)}
        missing = [str(address) for address in self._held if address not in there]
        return f"{', '.join(missing)} no longer on {interface.name}" if missing else None

    def _order(self, order: Callable[[Kernel], T], urgency: Urgency = Urgency.CARE) -> Deferred[T]:
        return self._inspection.during(self._orders.give(order, self._config.name, urgency))
