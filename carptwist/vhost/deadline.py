"""What drives the state of a virtual host or a group: an alarm that fires a Deferred.

There is at most one pending Deferred for each: it fires when the moment has come, however often that was looked for.
It costs as much as all the rest of an alarm, and whatever only keeps a host in order does without.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from carptwist.vhost.alarm import Alarm


class Deadline(Alarm):
    """Calls ``due`` once the clock has reached the moment that was last :meth:`set`."""

    __slots__ = ("_pending",)

    def __init__(self, clock: IReactorTime, due: Callable[[], object]) -> None:
        super().__init__(clock, due)
        self._pending: Deferred[None] | None = None

    def cancel(self) -> None:
        super().cancel()
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()

    def _sleep(self, until: float) -> None:
        super()._sleep(until)
        if self._pending is None:
            self._pending = Deferred()
            self._pending.addCallbacks(self._fire, _nothing)

    def _go_off(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.callback(None)

    def _fire(self, _: object) -> None:
        super()._go_off()


def _nothing(_: object) -> None:
    """It was cancelled."""
