"""One timer for many deadlines: a Deferred that is re-armed lazily.

::

    set(3.4)   set(3.5)   set(3.6)          set(9.0)
    |----------|----------|--------- wakes at 3.4: not due, sleeps until 9.0 ------> fires

A deadline that moves later, which is what nearly every advertisement heard does, only stores a
number; the pending wake-up finds out by itself that it came too early. Only a deadline that moves
earlier costs a new delayed call. There is at most one pending Deferred per instance: it fires when
the moment has come, however often that was looked for.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger


class Deadline:
    """Calls ``due`` once the clock has reached the moment that was last :meth:`set`."""

    __slots__ = ("_call", "_clock", "_due", "_pending", "_wakes_at", "_when")

    _log = Logger()

    def __init__(self, clock: IReactorTime, due: Callable[[], object]) -> None:
        self._clock = clock
        self._due = due
        self._when: float | None = None
        self._wakes_at = float("inf")
        self._call: IDelayedCall | None = None
        self._pending: Deferred[None] | None = None

    def set(self, when: float | None) -> None:
        """The moment, in seconds of the clock, or None for never. Replaces the former one."""
        self._when = when
        if when is not None and when < self._wakes_at:
            self._sleep(when)

    def cancel(self) -> None:
        """Never fire, and leave nothing on the clock."""
        self._when = None
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()

    @property
    def standing(self) -> tuple[float | None, float]:
        """The moment, and when it wakes up to look: later than any time if it does not."""
        return self._when, self._wakes_at

    def stand(self, when: float | None, wakes_at: float) -> None:
        """Be as another one was that :attr:`standing` tells of."""
        self.cancel()
        if wakes_at < float("inf"):
            self._sleep(wakes_at)
        self._when = when

    def _sleep(self, until: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._wakes_at = until
        self._call = self._clock.callLater(max(0.0, until - self._clock.seconds()), self._wake)
        if self._pending is None:
            self._pending = Deferred(self._sleep_no_more)
            self._pending.addCallbacks(self._fire, _nothing)

    def _sleep_no_more(self, _: object) -> None:
        self._wakes_at = float("inf")
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _wake(self) -> None:
        self._call = None
        self._wakes_at = float("inf")
        when, pending = self._when, self._pending
        if when is None or pending is None:
            return
        if when > self._clock.seconds():
            self._sleep(when)
            return
        self._when = self._pending = None
        pending.callback(None)

    def _fire(self, _: object) -> None:
        try:
            self._due()
        except Exception:
            self._log.failure("carp: a timer's call failed")


def _nothing(_: object) -> None:
    """It was cancelled."""
