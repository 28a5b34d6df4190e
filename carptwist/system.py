"""The Linux host that the daemon runs on: the concrete parts behind :class:`carptwist.interfaces.ISystem`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, assert_never

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.config.belongings import of_configuration, of_vhid
from carptwist.config.schema import Configuration, PlaneKind, VirtualHostConfig
from carptwist.exclusion import Share, TakenError, join
from carptwist.guard.keeper import GuardKeeper
from carptwist.interfaces import IFramePort, IFrameReceiver, IGuard, INotebook, IPlane, ISystem, LinkState
from carptwist.links import deaf, membership
from carptwist.links.netlink import LinkMonitor
from carptwist.links.packet import PacketPort
from carptwist.monotonic import is_on_monotonic_time
from carptwist.notebooks import Notebooks
from carptwist.planes import leftovers, messages
from carptwist.planes.claimed import ClaimedPlane
from carptwist.planes.interface import InterfacePlane
from carptwist.planes.macvlan import MacvlanPlane
from carptwist.planes.marks import PROTOCOL
from carptwist.planes.nothing import NoPlane
from carptwist.planes.orders import Orders
from carptwist.planes.sysctls import namespace
from carptwist.planes.sysctls import read as read_sysctl
from carptwist.planes.upkeep import Upkeep, datagrams
from carptwist.privileges import MissingPrivilegeError, may_change_host, missing_privileges
from carptwist.wire.carp import virtual_mac


@implementer(ISystem)
class LinuxSystem:
    """Needs CAP_NET_RAW, and CAP_NET_ADMIN for any plane but ``none``. Without the latter it cannot remove leftovers
    either.

    :param configuration: of the service that it is for: which things of the host that wants for itself.
    """

    _log = Logger()

    def __init__(self, reactor: Any, configuration: Configuration) -> None:
        self._reactor = reactor
        self._configuration = configuration
        self._share: Share | None = None
        state_dir = self._state_dir = Path(configuration.knobs.state_dir)
        self._orders = Orders(reactor)
        self._upkeep = Upkeep(reactor.seconds)
        # Nobody else's, not even another service's of this process: its guard removes all of it.
        self._group = 1 << 30 | secrets.randbits(30)
        self._notebooks = Notebooks(reactor, state_dir / "replay")
        self._records = Notebooks(
            reactor, state_dir, what="events and maintenance", lost="the history is gone, and maintenance is off"
        )
        self._recording = state_dir / "recorder" / "flight"
        self.monitor = LinkMonitor(reactor, own_protocol=PROTOCOL)

    @inlineCallbacks
    def start(self) -> Generator[Deferred[Any], Any, None]:
        missing = missing_privileges(self._configuration)
        if missing is not None:
            raise MissingPrivilegeError(missing)
        share = join()
        # As a whole and before anything else: a start that fails for this has changed nothing.
        try:
            share.take("the service", of_configuration(self._configuration))
            for config in self._configuration.vhids:
                share.take(config.name, of_vhid(config))
        except TakenError:
            share.close()  # nothing of it is ours, nor is it for us to leave
            raise
        self._share = share
        settings = share.settings
        settings.join(self._state_dir)
        self._orders.start()
        self._upkeep.start()
        self._notebooks.start()
        self._records.start()
        if may_change_host():
            found = yield share.clean(
                lambda: self._orders.give(lambda kernel: leftovers.clean(kernel, settings), "carptwist")
            )
            if found is None:  # by another service; but that has not looked at this one's journal
                recovered = yield self._orders.give(lambda _: settings.recover(), "carptwist")
                found = [f"settings of {interface}" for interface in recovered]
            if found:
                self._log.warn("carp: removed what a former daemon had left behind: {found}", found=", ".join(found))
        if not is_on_monotonic_time(self._reactor):
            self._log.warn(
                "carp: this program's timers follow the clock on the wall: a step of that clock makes a BACKUP take "
                "over, or silences a MASTER; call carptwist.api.run_on_monotonic_time(reactor) at the start of it"
            )
        # Only now, so that the leftovers are no news.
        self.monitor.start()

    def stop(self) -> Deferred[None]:
        self.monitor.stop()
        self._orders.stop()
        self._upkeep.stop()
        self._notebooks.stop()
        self._records.stop()
        if self._share is not None:
            self._share.settings.leave(self._state_dir)
            self._share.close()
        return succeed(None)

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        assert self._share is not None, "not started"
        return ClaimedPlane(config, self._plane(config, damaged, balances), self._share)

    def _plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        assert self._share is not None
        settings = self._share.settings
        if config.plane is PlaneKind.MACVLAN:
            return MacvlanPlane(
                config,
                virtual_mac=virtual_mac(config.vhid),
                orders=self._orders,
                monitor=self.monitor,
                settings=settings,
                upkeep=self._upkeep,
                clock=self._reactor,
                damaged=damaged,
                balances=balances,
                group=self._group,
            )
        if config.plane is PlaneKind.INTERFACE:
            return InterfacePlane(
                config,
                orders=self._orders,
                monitor=self.monitor,
                settings=settings,
                upkeep=self._upkeep,
                clock=self._reactor,
                damaged=damaged,
            )
        if config.plane is PlaneKind.PLUGIN:
            raise ValueError(f"{config.name}: a plane of others, and nobody to ask for it")
        if config.plane is PlaneKind.NONE:
            return NoPlane(virtual_mac(config.vhid))
        assert_never(config.plane)

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        (sweep,) = datagrams([messages.remove_group(self._group)])
        note = self._state_dir / f"guard-{namespace()}.txt"
        return GuardKeeper(self._reactor, note=note, lacking=lacking, sweep=sweep)

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        return PacketPort(self._reactor, interface, program, receiver)

    def join(self, link: LinkState) -> Callable[[], None]:
        leave = membership.join(link.name, link.index)
        let_go = deaf.claim_protocol(link.name)

        def end() -> None:
            let_go()
            leave()

        return end

    def forwards(self, interface: str) -> bool:
        return bool(read_sysctl("ipv6", interface, "forwarding"))

    def notebook(self, name: str) -> INotebook:
        # Those of vhids, VHID@INTERFACE, beside one another.
        return (self._notebooks if "@" in name else self._records).open(name)

    def recording(self) -> INotebook:
        return self._notebooks.elsewhere(self._recording)

    def draw(self) -> int:
        return secrets.randbits(64)
