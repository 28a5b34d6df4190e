"""One timer for many deadlines: a Deferred that is re-armed lazily.

::

    set(3.4)   set(3.5)   set(3.6)          set(9.0)
    |----------|----------|--------- wakes at 3.4: not due, sleeps until 9.0 ------> fires

A deadline that moves later, which is what nearly every advertisement heard does, only stores a
number; the pending wake-up finds out by itself that it came too early. Only a deadline that moves
earlier costs a new delayed call. There is at most one pending Deferred per instance.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure


class Deadline:
    """Calls ``due`` once the clock has reached the moment that was last :meth:`set`."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, due: Callable[[], object]) -> None:
        self._clock = clock
        self._due = due
        self._when: float | None = None
        self._wakes_at = float("inf")
        self._pending: Deferred[None] | None = None

    def set(self, when: float | None) -> None:
        """The moment, in seconds of the clock, or None for never. Replaces the former one."""
        self._when = when
        if when is not None and when < self._wakes_at:
            self._sleep(when)

    def cancel(self) -> None:
        """Never fire, and leave nothing on the clock."""
        self._when = None
        self._wakes_at = float("inf")
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
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()
        self._wakes_at = until
        # What deferLater does, at half of its price: this is where the time of many vhids goes.
        waking: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(max(0.0, until - self._clock.seconds()), waking.callback, None)
        waking.addCallback(self._wake)
        waking.addErrback(self._failed)
        self._pending = waking

    def _wake(self, _: object) -> None:
        self._pending = None
        self._wakes_at = float("inf")
        if self._when is None:
            return
        if self._when > self._clock.seconds():
            self._sleep(self._when)
            return
        self._when = None
        self._due()

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.failure("carp: a timer's call failed", failure)
