"""Noticing that somebody else has interfered with what a plane had set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.interfaces import ILinkMonitor

#: Changes come in bursts: one look at what is left of them.
SETTLE_SECONDS = 0.05

T = TypeVar("T")


class Inspection:
    """Watches devices, and examines what is there a moment after each change.

    :param examine: fires with what is wrong, None if nothing is. Not called while the plane itself is at work.
    :param damaged: told what is wrong.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        monitor: ILinkMonitor,
        examine: Callable[[], Deferred[str | None]],
        damaged: Callable[[str], object],
    ) -> None:
        self._busy = 0
        self._clock = clock
        self._monitor = monitor
        self._examine = examine
        self._damaged = damaged
        self._devices: tuple[str, ...] = ()
        self._unwatch: list[Callable[[], None]] = []
        self._pending: IDelayedCall | None = None

    def watch(self, *devices: str) -> None:
        """From now on these devices, and no others."""
        if self._unwatch and devices == self._devices:
            return
        self.stop()
        self._devices = devices
        self._unwatch = [self._monitor.watch(device, lambda link: self._soon()) for device in devices]

    def stop(self) -> None:
        """Look away."""
        stops, self._unwatch = self._unwatch, []
        for stop in stops:
            stop()
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancel()

    def during(self, work: Deferred[T]) -> Deferred[T]:
        """What changes until ``work`` fires is the plane's own doing, or will be looked at then."""
        self._busy += 1
        return work.addBoth(self._done)

    def _done(self, result: T) -> T:
        self._busy -= 1
        return result

    def _soon(self) -> None:
        if self._pending is None:
            self._pending = self._clock.callLater(SETTLE_SECONDS, self._look)

    def _look(self) -> None:
        self._pending = None
        if self._busy:
            self._soon()
            return
        self.during(self._examine()).addCallbacks(self._tell, self._cannot)

    def _tell(self, wrong: str | None) -> None:
        if wrong is not None and self._unwatch:
            self._damaged(wrong)

    def _cannot(self, failure: Failure) -> None:
        self._log.warn("carp: cannot look at {device}: {why}", device=self._devices[0], why=failure.getErrorMessage())
