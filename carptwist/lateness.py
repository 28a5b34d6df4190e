"""How late the reactor comes to what it has to do, and why: each time that matters is counted, and told with its cause.

::

    due        due        due                       due
    |----------|----------|----- stopped, suspended, at work, swapped out ------> 4.2 s late: what was it?

Every half second the clock is looked at, with what the kernel knows of this thread. After a late look the differences
tell what has happened meanwhile. Nothing is decided here: who was away for too long finds out by its own clock.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.vhost.alarm import Alarm
from carptwist.vhost.counters import Counters

LOOK_SECONDS = 0.5
#: So late a timer is told of.
LATE_SECONDS = 0.5
#: A cause accounts for most of a delay.
_MOST = 0.5

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class Usage(NamedTuple):
    """What the kernel knows at one moment: seconds since the start of the host with and without its being suspended,
    seconds for which this thread had a processor and waited for one, and pages that had to be read from a disk."""

    boottime: float
    monotonic: float
    ran: float
    waited: float
    major_faults: int


def usage() -> Usage:
    """Of the calling thread, now."""
    waited = 0.0
    with suppress(OSError, ValueError, IndexError):  # a kernel without the statistics
        waited = int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    faults = resource.getrusage(resource.RUSAGE_THREAD).ru_majflt
    boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Usage(boottime, time.monotonic(), time.thread_time(), waited, faults)


def cause(before: Usage, after: Usage) -> str:
    """What has most likely kept a thread away between two moments, in words."""
    away = after.boottime - before.boottime
    suspended = away - (after.monotonic - before.monotonic)
    if suspended >= _MOST * away:
        return f"the host was suspended for {suspended:.1f} s"
    if after.ran - before.ran >= _MOST * away:
        return f"the daemon itself was at work for {after.ran - before.ran:.1f} s"
    if after.waited - before.waited >= _MOST * away:
        return f"other processes had the processors for {after.waited - before.waited:.1f} s"
    faults = after.major_faults - before.major_faults
    if faults > 10 * away:
        return f"memory had to be read back from a disk, {faults} times"
    return "it was stopped, or blocked, or its machine was"


class Lateness:
    """Looks at a clock, between :meth:`start` and :meth:`stop`.

    :param counters: where it is counted.
    :param look: gives what the kernel knows now.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, counters: Counters, look: Callable[[], Usage] = usage) -> None:
        self._clock = clock
        self._counters = counters
        self._look = look
        self._due = 0.0
        self._before = look()
        self._deadline = Alarm(clock, self._judge)

    def start(self) -> None:
        """Begin."""
        self._before = self._look()
        self._next()

    def stop(self) -> None:
        """Leave nothing on the clock."""
        self._deadline.cancel()

    def _next(self) -> None:
        self._due = self._clock.seconds() + LOOK_SECONDS
        self._deadline.set(self._due)

    def _judge(self) -> None:
        late, now = self._clock.seconds() - self._due, self._look()
        self._counters.most_late = max(self._counters.most_late, late)
        if late >= LATE_SECONDS:
            self._counters.late += 1
            self._log.warn("carp: timers were late by {late:.1f} s: {cause}", late=late, cause=cause(self._before, now))
        self._before = now
        self._next()
