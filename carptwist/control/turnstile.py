"""Who is served next: connections take turns, one request each, and never for long at a time.

::

    a: 5 requests wait   --.
    b: 1 request waits   ---+-->  a b c a c a …   for WORK_SECONDS, then everything else of the reactor
    c: 900 wait          --'                      for at least REST_SECONDS, then on

However many programs ask however much, advertisements leave in time, and the control protocol has about a third of one
processor at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

WORK_SECONDS = 0.002
REST_SECONDS = 0.004


class Visitor(Protocol):
    """What takes turns."""

    def serve(self) -> bool:
        """Do one thing; whether there may be more to do. Must not raise."""


class Turnstile:
    """Serves visitors in turn.

    :param seconds: a clock that runs while work is done.
    """

    def __init__(self, clock: IReactorTime, seconds: Callable[[], float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._queue: deque[Visitor] = deque()
        self._queued: set[int] = set()
        self._next: IDelayedCall | None = None

    def enter(self, visitor: Visitor) -> None:
        """There is something to do for this one."""
        if id(visitor) in self._queued:
            return
        self._queued.add(id(visitor))
        self._queue.append(visitor)
        if self._next is None:
            self._next = self._clock.callLater(0, self._turn)

    def close(self) -> None:
        """Serve nobody any more."""
        self._queue.clear()
        self._queued.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _turn(self) -> None:
        self._next = None
        until = self._seconds() + WORK_SECONDS
        while self._queue:
            visitor = self._queue.popleft()
            self._queued.discard(id(visitor))
            if visitor.serve():
                self._queued.add(id(visitor))
                self._queue.append(visitor)
            if self._seconds() >= until:
                break
        if self._queue and self._next is None:
            self._next = self._clock.callLater(REST_SECONDS, self._turn)
