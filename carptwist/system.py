"""The Linux host that the daemon runs on: the concrete parts behind :class:`carptwist.interfaces.ISystem`."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, assert_never

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.config.schema import PlaneKind, VirtualHostConfig
from carptwist.exclusion import claim
from carptwist.guard.keeper import GuardKeeper
from carptwist.interfaces import IFramePort, IFrameReceiver, IGuard, INotebook, IPlane, ISystem, LinkState
from carptwist.links import deaf, membership
from carptwist.links.netlink import LinkMonitor
from carptwist.links.packet import PacketPort
from carptwist.notebooks import Notebooks
from carptwist.planes import leftovers
from carptwist.planes.interface import InterfacePlane
from carptwist.planes.macvlan import MacvlanPlane
from carptwist.planes.marks import PROTOCOL
from carptwist.planes.nothing import NoPlane
from carptwist.planes.orders import Orders
from carptwist.planes.sysctls import Sysctls, namespace
from carptwist.planes.sysctls import read as read_sysctl
from carptwist.planes.upkeep import Upkeep
from carptwist.wire.carp import virtual_mac


@implementer(ISystem)
class LinuxSystem:
    """Needs CAP_NET_RAW, and CAP_NET_ADMIN for any plane but ``none``.

    :param state_dir: where it is written down which kernel settings were changed, and what notebooks hold.
    :param may_change_host: whether this process has CAP_NET_ADMIN; if not, it cannot remove leftovers either.
    """

    _log = Logger()

    def __init__(self, reactor: Any, *, state_dir: str, may_change_host: bool = True) -> None:
        self._reactor = reactor
        self._may_change_host = may_change_host
        self._claim: socket.socket | None = None
        self._state_dir = Path(state_dir)
        self._orders = Orders(reactor)
        self._upkeep = Upkeep(reactor.seconds)
        self._settings = Sysctls(Path(state_dir))
        self._notebooks = Notebooks(reactor, Path(state_dir, "replay"))
        self._records = Notebooks(
            reactor, Path(state_dir), what="events and maintenance", lost="the history is gone, and maintenance is off"
        )
        self._recording = Path(state_dir, "recorder", "flight")
        self.monitor = LinkMonitor(reactor, own_protocol=PROTOCOL)

    @inlineCallbacks
    def start(self) -> Generator[Deferred[Any], Any, None]:
        self._claim = claim()
        self._orders.start()
        self._upkeep.start()
        self._notebooks.start()
        self._records.start()
        if self._may_change_host:
            found = yield self._orders.give(lambda route: leftovers.clean(route, self._settings), "carptwist")
            if found:
                self._log.warn("carp: removed what a former daemon had left behind: {found}", found=", ".join(found))
        # Only now, so that the leftovers are no news.
        self.monitor.start()

    def stop(self) -> Deferred[None]:
        self.monitor.stop()
        self._orders.stop()
        self._upkeep.stop()
        self._notebooks.stop()
        self._records.stop()
        if self._claim is not None:
            self._claim.close()
        return succeed(None)

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        if config.plane is PlaneKind.MACVLAN:
            return MacvlanPlane(
                config,
                virtual_mac=virtual_mac(config.vhid),
                orders=self._orders,
                monitor=self.monitor,
                settings=self._settings,
                upkeep=self._upkeep,
                clock=self._reactor,
                damaged=damaged,
                balances=balances,
            )
        if config.plane is PlaneKind.INTERFACE:
            return InterfacePlane(
                config,
                orders=self._orders,
                monitor=self.monitor,
                settings=self._settings,
                upkeep=self._upkeep,
                clock=self._reactor,
                damaged=damaged,
            )
        if config.plane is PlaneKind.NONE:
            return NoPlane(virtual_mac(config.vhid))
        assert_never(config.plane)

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        return GuardKeeper(self._reactor, note=self._state_dir / f"guard-{namespace()}.txt", lacking=lacking)

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
