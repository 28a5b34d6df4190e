"""Runs what an administrator types, for so long and no longer: the elections wait meanwhile.

::

    typed ------ runs on the reactor's thread ------+ 0.2 s: SIGALRM -> Overdue is raised in the middle of it
    advertisements due ...... wait ...............  |
                                                    +--> sent; a warning tells who, what, and how late they are

What Python does can be interrupted so. A single call into C that does not come back, such as the power of two huge
numbers, cannot: that is what the guard is for.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from twisted.logger import Logger

from carptwist.election.state import State
from carptwist.vhost.roster import Roster

#: The longest that anything typed may hold up the elections.
BOUND_SECONDS = 0.2
#: Whoever catches it is told again.
_AGAIN_SECONDS = 0.02
#: From here on a warning is logged.
TOLD_SECONDS = 0.05


class Overdue(BaseException):
    """It took too long, and was ended."""

    def __str__(self) -> str:
        return (
            f"ended after {BOUND_SECONDS:g} s: the elections were waiting. Work in steps, with reactor.callLater, or "
            "on a thread, with twisted.internet.threads.deferToThread"
        )


class Stopwatch:
    """Between what is typed and the node.

    :param seconds: a clock that runs while work is done, and that the vhids' timers run on.
    """

    _log = Logger()

    def __init__(self, roster: Roster, seconds: Callable[[], float]) -> None:
        self._roster = roster
        self._seconds = seconds

    def run(self, who: str, what: str, work: Callable[[], object]) -> None:
        """Do it. :class:`Overdue` is raised inside ``work`` when its time is over, and ends here."""
        began = self._seconds()
        try:
            if threading.current_thread() is threading.main_thread():
                self._run_bounded(work)
            else:
                work()
        except Overdue:
            pass
        finally:
            taken = self._seconds() - began
            if taken >= TOLD_SECONDS:
                self._tell(who, what, taken)

    def _run_bounded(self, work: Callable[[], object]) -> None:
        former = signal.signal(signal.SIGALRM, _ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, BOUND_SECONDS, _AGAIN_SECONDS)
            work()
        finally:
            _silence()
            signal.signal(signal.SIGALRM, former)

    def _tell(self, who: str, what: str, taken: float) -> None:
        now = self._seconds()
        late = [
            now - due
            for vhost in self._roster.all()
            if vhost.state is State.MASTER and (due := vhost.machine.advertise_at) is not None and due < now
        ]
        told = f"{len(late)} vhids advertise late, by up to {max(late):.3f} s" if late else "no advertisement is late"
        self._log.warn(
            "carp: manhole: {who} held the daemon up for {taken:.3f} s with {what}: {told}",
            who=who,
            taken=taken,
            what=what,
            told=told,
        )


def _ring(number: int, frame: object) -> None:
    raise Overdue


def _silence() -> None:
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        except Overdue:
            continue  # it came just before
