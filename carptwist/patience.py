"""The end of waiting for a Deferred, whatever becomes of it."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


def within(seconds: float, clock: IReactorTime, work: Deferred[T]) -> Deferred[T]:
    """Fires as ``work`` does, or fails with TimeoutError after so many seconds.

    Then, and when it is cancelled itself, ``work`` is cancelled: what it still comes to is nobody's business, and even
    one that does not heed that holds nobody up.
    """

    def abandon(_: object = None) -> None:
        if alarm.active():
            alarm.cancel()
        waiting.clear()
        work.cancel()

    def ring() -> None:
        bounded.errback(TimeoutError(f"no answer within {seconds:g} s"))
        abandon()

    def tell(result: Any) -> None:
        if waiting:
            alarm.cancel()
            waiting.clear()
            bounded.callback(result)

    bounded: Deferred[T] = Deferred(abandon)
    waiting = [bounded]
    alarm = clock.callLater(seconds, ring)
    work.addBoth(tell)
    return bounded
