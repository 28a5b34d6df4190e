"""A host some of whose links and planes are plug-ins'.

::

    Node --> PluggedSystem --- plane = plugin, [link em0] plugin ---> Catalogue --> the plug-in's own
                   |
                   +--- everything else ---> LinuxSystem, or a host in memory
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from carptwist.config.schema import LinkConfig, PlaneKind, VirtualHostConfig
from carptwist.interfaces import (
    IFramePort,
    IFrameReceiver,
    IGuard,
    ILink,
    ILinkMonitor,
    INotebook,
    IPlane,
    ISystem,
    LinkState,
)
from carptwist.plugins.accounts import Accounts
from carptwist.plugins.catalogue import Catalogue
from carptwist.plugins.link import open_port
from carptwist.plugins.making import Made
from carptwist.plugins.plane import PluggedPlane


@implementer(ISystem)
class PluggedSystem:
    """Everything but links and planes is the other system's."""

    def __init__(
        self, system: ISystem, links: Iterable[LinkConfig], *, reactor: Any, catalogue: Catalogue, accounts: Accounts
    ) -> None:
        self._system = system
        self._reactor = reactor
        self._catalogue = catalogue
        self._accounts = accounts
        self._links = {config.name: config for config in links if config.plugin is not None}
        self._made: dict[str, Made] = {}

    @property
    def monitor(self) -> ILinkMonitor:
        monitor: ILinkMonitor = self._system.monitor
        return monitor

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        if config.plane is not PlaneKind.PLUGIN:
            return self._system.plane(config, damaged, balances)
        name = str(config.plugin)

        def make(config: VirtualHostConfig) -> Any:
            return self._catalogue.find("vhid", name).plane(config, self._reactor, damaged)

        beneath = replace(config, plane=PlaneKind.NONE, plugin=None, argument=())
        return PluggedPlane(
            config,
            self._system.plane(beneath, damaged, balances),
            make,
            self._accounts.of(f"vhid {config.name}", name),
            self._reactor,
        )

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        config = self._links.get(interface)
        if config is None:
            return self._system.open_port(interface, program, receiver)
        name = str(config.plugin)
        account = self._accounts.of(f"link {interface}", name)
        if interface not in self._made:
            self._made[interface] = Made(
                lambda: self._catalogue.find("link", name).link(config, self._reactor), ILink, account, (OSError,)
            )
        return open_port(self._made[interface], interface, program, receiver, account)

    def start(self) -> Deferred[None]:
        return self._system.start()

    def stop(self) -> Deferred[None]:
        return self._system.stop()

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        return self._system.guard(lacking)

    def join(self, link: LinkState) -> Callable[[], None]:
        leave: Callable[[], None] = self._system.join(link)
        return leave

    def forwards(self, interface: str) -> bool:
        return bool(self._system.forwards(interface))

    def notebook(self, name: str) -> INotebook:
        return self._system.notebook(name)

    def recording(self) -> INotebook:
        return self._system.recording()

    def draw(self) -> int:
        return int(self._system.draw())
