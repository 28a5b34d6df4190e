"""A check's configuration -> its probe.

What speaks HTTP takes memory to be loaded: it is imported when a check first needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from carptwist.checks.check import Probe
from carptwist.checks.command import CommandProbe
from carptwist.checks.file import FileProbe
from carptwist.checks.health import Result
from carptwist.checks.interface import InterfaceProbe
from carptwist.config.health import CheckConfig
from carptwist.http.names import Names
from carptwist.interfaces import ILinkMonitor

if TYPE_CHECKING:
    from carptwist.http.client import Client


class Prober:
    """Makes probes.

    :param plugged: makes those that are plug-ins'.
    """

    def __init__(
        self,
        reactor: Any,
        monitor: ILinkMonitor,
        names: Names,
        plugged: Callable[[CheckConfig], Probe] = lambda config: _Impossible("there are no plug-ins"),
    ) -> None:
        self._plugged = plugged
        self._reactor = reactor
        self._monitor = monitor
        self._names = names
        self._clients: dict[str | None, Client] = {}

    def __call__(self, config: CheckConfig) -> Probe:
        if config.url is not None:
            return self._web(config)
        if config.command is not None:
            return CommandProbe(self._reactor, config.command, {"check": config.name})
        if config.plugin is not None:
            return self._plugged(config)
        if config.interface is not None:
            return InterfaceProbe(self._monitor, config.interface, config.address)
        assert config.file is not None
        return FileProbe(self._reactor, config.file, config.content)

    def _web(self, config: CheckConfig) -> Probe:
        from carptwist.checks.web import WebProbe
        from carptwist.http.client import Client

        if config.authorities not in self._clients:
            try:
                self._clients[config.authorities] = Client(self._reactor, self._names, config.authorities)
            except ValueError as error:
                return _Impossible(f"ca_file: {error}")
        return WebProbe(config, self._clients[config.authorities])


class _Impossible:
    """The probe of a check that cannot be made."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __call__(self) -> Deferred[Result]:
        return succeed(Result(False, self._why))
