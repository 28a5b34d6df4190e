"""The default plane: a macvlan with the virtual MAC on the parent interface.

::

    BACKUP                                         MASTER
    carp2-1  00:00:5e:00:01:01, down    hold()     carp2-1  00:00:5e:00:01:01, up
      192.0.2.1, 2001:db8::1           -------->     192.0.2.1, 2001:db8::1, routes
                                       <--------
    em0      its own MAC and addresses  release()  em0      unchanged

All that can be done beforehand is done while BACKUP: taking over is three messages to the kernel, the first of them
with "link up" in it, whatever the number of addresses and routes. The kernel's ARP is mute on the device and on the
parent as far as the shared addresses go: the responder answers. Its neighbour discovery on the device answers too,
with the same MAC.

A step is one order to the kernel's thread, so that no step is ever half done when the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import ILinkMonitor, IPlane
from carptwist.planes.device import MacvlanDevice
from carptwist.planes.inspection import Inspection
from carptwist.planes.kernel import Kernel
from carptwist.planes.orders import Orders, Urgency
from carptwist.planes.sysctls import Sysctls
from carptwist.planes.upkeep import Upkeep

T = TypeVar("T")


@implementer(IPlane)
class MacvlanPlane:
    """Needs CAP_NET_ADMIN.

    :param virtual_mac: six octets.
    :param damaged: called with a text when somebody else has changed what was set up.
    :param balances: whether a packed address of the vhid is under balancing; asked at each preparation.
    :param group: of devices, which its own is to belong to: those that go together.
    """

    answers = True

    _log = Logger()

    def __init__(
        self,
        config: VirtualHostConfig,
        *,
        virtual_mac: bytes,
        orders: Orders,
        monitor: ILinkMonitor,
        settings: Sysctls,
        upkeep: Upkeep,
        clock: IReactorTime,
        damaged: Callable[[str], object],
        balances: Callable[[bytes], bool] = lambda address: False,
        group: int = 0,
    ) -> None:
        self.link_address = virtual_mac
        self._config = config
        self._orders = orders
        self._monitor = monitor
        self._damaged = damaged
        self._balances = balances
        self._term = upkeep.term()
        self._device = MacvlanDevice(config, virtual_mac, settings, self._term, group)
        examine = self._device.examine
        self._inspection = Inspection(clock, monitor, lambda: orders.give(examine, config.name), damaged)
        self._holding = False
        self._unwatch_routes: Callable[[], None] | None = None
        self._following = False
        self._follow_again = False

    @property
    def ending(self) -> tuple[bytes, ...]:
        return self._device.ending

    # IPlane

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config

    def prepare(self) -> Deferred[None]:
        config = self._config
        balanced = [address for address in config.addresses if self._balances(address.ip.packed)]
        return self._order(lambda kernel: self._device.prepare(kernel, config, balanced)).addCallback(self._watch)

    def hold(self) -> Deferred[None]:
        self._holding = True
        return self._order(self._device.hold, Urgency.TAKEOVER).addCallback(self._held)

    def refresh(self, seconds: int, until: float) -> None:
        self._term.refresh(seconds, until)

    def release(self) -> Deferred[None]:
        self._holding = False
        return self._order(self._device.release, Urgency.TAKEOVER)

    def withdraw(self) -> Deferred[None]:
        self._holding = False
        self._inspection.stop()
        if self._unwatch_routes is not None:
            self._unwatch_routes()
            self._unwatch_routes = None
        return self._order(self._device.withdraw)

    def _held(self, refused: str | None) -> None:
        if refused is not None:
            self._log.warn("carp: {name}: {refused}", name=self._config.name, refused=refused)

    # Somebody else's doing

    def _watch(self, _: None) -> None:
        self._inspection.watch(self._device.name, *(["lo"] if self._device.has_balanced else []))
        if self._unwatch_routes is None:
            self._unwatch_routes = self._monitor.watch_routes(self._routes_changed)
            self._routes_changed()  # maybe they have, before anybody watched

    def _routes_changed(self) -> None:
        # A route that flaps may do so faster than a large table can be read: one look is enough for all changes before.
        self._follow_again = self._following
        if not self._following:
            self._following = True
            following = self._orders.give(self._device.follow, self._config.name)
            following.addCallbacks(self._tell, self._cannot_follow).addBoth(self._followed)

    def _followed(self, _: None) -> None:
        self._following = False
        if self._follow_again:
            self._routes_changed()

    def _tell(self, wrong: str | None) -> None:
        if wrong is not None and self._unwatch_routes is not None:
            self._damaged(wrong)

    def _cannot_follow(self, failure: Failure) -> None:
        # A device that has gone is for the inspection to tell of.
        if self._holding and self._monitor.state(self._device.name).up:
            self._damaged(f"the routes of {self._device.name}: {failure.getErrorMessage()}")

    def _order(self, order: Callable[[Kernel], T], urgency: Urgency = Urgency.CARE) -> Deferred[T]:
        return self._inspection.during(self._orders.give(order, self._config.name, urgency))
