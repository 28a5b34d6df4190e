"""The check of a network interface: that it has a link, or an address.

What there is to know the kernel has told already: nothing is asked, and nothing can hang.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed

from carptwist.checks.health import Result
from carptwist.config.unicast import HostAddress
from carptwist.interfaces import ILinkMonitor


class InterfaceProbe:
    """Looks at an interface; with ``address``, that it has that one as well."""

    def __init__(self, monitor: ILinkMonitor, name: str, address: HostAddress | None) -> None:
        self._monitor = monitor
        self._name = name
        self._address = address

    def __call__(self) -> Deferred[Result]:
        return succeed(self._look())

    def _look(self) -> Result:
        link = self._monitor.state(self._name)
        if not link.exists:
            return Result(False, f"there is no {self._name}")
        if not link.up:
            return Result(False, f"{self._name} is down")
        if not link.carrier:
            return Result(False, f"{self._name} has no link")
        if self._address is not None and self._address not in (*link.own4, *link.own6):
            return Result(False, f"{self._name} does not have {self._address}")
        return Result(True, f"{self._name} has {self._address or 'a link'}")
