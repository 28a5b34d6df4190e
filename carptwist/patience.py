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

    def calm() -> None:
        waiting.clear()
        for alarm in alarms:
            if alarm.active():
                alarm.cancel()
        alarms.clear()  # it knows of all of this: what is over is to be gone at once, and not left to the collector

    def abandon(_: object = None) -> None:
        calm()
        work.cancel()

    def ring() -> None:
        bounded.errback(TimeoutError(f"no answer within {seconds:g} s"))
        abandon()

    def tell(result: Any) -> None:
        if waiting:
            calm()
            bounded.callback(result)

    bounded: Deferred[T] = Deferred(abandon)
    waiting = [bounded]
    alarms = [clock.callLater(seconds, ring)]
    work.addBoth(tell)
    return bounded
