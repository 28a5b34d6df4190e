"""What many want done within a while, done on one timer.

::

    ask(a)   ask(b)    ask(c)
    |--------|---------|------- seconds -------> a, b, c, ... at most 16 of them; who is left waits for its own time

Each is done at the latest so many seconds after it was asked for. A host with 255 virtual hosts wakes up for them a
few times in that while, instead of 255 times, and never does them all in one turn of the reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.vhost.deadline import Deadline

#: So many are done in one turn: what follows from the others' timers waits for them.
MOST_AT_ONCE = 16

Work = Callable[[], object]


class Rounds:
    """For things that can be done sooner than they have to be.

    :param seconds: how long they can wait.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._asked: dict[Work, float] = {}  # when for each, in that order
        self._deadline = Deadline(clock, self._go)

    def ask(self, work: Work) -> None:
        """Call this in time; once, however often it is asked for until then."""
        asked = self._asked
        if work in asked:
            return
        now = self._clock.seconds()
        if not asked:
            self._deadline.set(now + self._seconds)
        asked[work] = now

    def forget(self, work: Work) -> None:
        """This is not to be done any more."""
        self._asked.pop(work, None)
        if not self._asked:
            self._deadline.cancel()

    def _go(self) -> None:
        due = list(islice(self._asked, MOST_AT_ONCE))
        for work in due:
            del self._asked[work]
        if self._asked:
            self._deadline.set(next(iter(self._asked.values())) + self._seconds)
        for work in due:
            try:
                work()
            except Exception:
                self._log.failure("carp: one of those that had waited failed")
