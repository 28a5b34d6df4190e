"""One timer for many moments, re-armed lazily.

::

    set(3.4)   set(3.5)   set(3.6)          set(9.0)
    |----------|----------|--------- wakes at 3.4: not due, sleeps until 9.0 ------> due

A moment that moves later, which is what nearly every advertisement heard does, only stores a number; the pending
wake-up finds out by itself that it came too early. Only a moment that moves earlier costs a new delayed call.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_NEVER = float("inf")


class Alarm:
    """Calls ``due`` once the clock has reached the moment that was last :meth:`set`."""

    __slots__ = ("_call", "_clock", "_due", "_wakes_at", "_when")

    _log = Logger()

    def __init__(self, clock: IReactorTime, due: Callable[[], object]) -> None:
        self._clock = clock
        self._due = due
        self._when: float | None = None
        self._wakes_at = _NEVER
        self._call: IDelayedCall | None = None

    def set(self, when: float | None) -> None:
        """The moment, in seconds of the clock, or None for never. Replaces the former one."""
        self._when = when
        if when is not None and when < self._wakes_at:
            self._sleep(when)

    def cancel(self) -> None:
        """Never be due, and leave nothing on the clock."""
        self._when = None
        self._wakes_at = _NEVER
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    @property
    def standing(self) -> tuple[float | None, float]:
        """The moment, and when it wakes up to look: later than any time if it does not."""
        return self._when, self._wakes_at

    def stand(self, when: float | None, wakes_at: float) -> None:
        """Be as another one was that :attr:`standing` tells of."""
        self.cancel()
        if wakes_at < _NEVER:
            self._sleep(wakes_at)
        self._when = when

    def _sleep(self, until: float) -> None:
        if self._call is not None:
            self._call.cancel()
        self._wakes_at = until
        self._call = self._clock.callLater(max(0.0, until - self._clock.seconds()), self._wake)

    def _wake(self) -> None:
        self._call = None
        self._wakes_at = _NEVER
        when = self._when
        if when is None:
            return
        early = when - self._clock.seconds()
        if early > 0:
            self._wakes_at = when
            self._call = self._clock.callLater(early, self._wake)
            return
        self._when = None
        self._go_off()

    def _go_off(self) -> None:
        try:
            self._due()
        except Exception:
            self._log.failure("carp: a timer's call failed")
