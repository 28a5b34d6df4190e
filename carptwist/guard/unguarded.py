"""No guard: where the configuration says ``guard = no``, and for whoever embeds the service without processes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from carptwist.interfaces import IGuard, Will


@implementer(IGuard)
class Unguarded:
    """Keeps nothing."""

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        pass

    def renew(self, name: str, until: float) -> None:
        pass

    def forget(self, name: str) -> None:
        pass
