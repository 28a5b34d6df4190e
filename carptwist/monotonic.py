"""A reactor's delayed calls on the clock that no NTP step moves."""

from __future__ import annotations

from typing import Any

from carptwist.guard.process import boottime


def run_on_monotonic_time(reactor: Any) -> None:
    """Make a reactor's delayed calls run on the monotonic clock that counts the time of a suspended host as well.

    Whoever was suspended was away, and must know: by CLOCK_MONOTONIC no time has passed for it. And Twisted's reactors
    schedule by ``time.time``: an NTP step of a few seconds would make every BACKUP believe that its master had died,
    and a step back would silence a MASTER for as long.

    ``reactor.seconds()`` gives the seconds since the start of the host from then on, for all of the program. Calls that
    were scheduled before keep their distance. A second time nothing happens.

    :param reactor: one of Twisted's reactors, before or after it runs.
    """
    if reactor.seconds is boottime:
        return
    shift = boottime() - reactor.seconds()
    reactor.seconds = boottime
    for call in reactor.getDelayedCalls():
        call.time += shift
        call.seconds = boottime


def is_on_monotonic_time(reactor: Any) -> bool:
    """Whether that was done."""
    return reactor.seconds is boottime
