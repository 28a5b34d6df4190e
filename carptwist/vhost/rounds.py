"""What many want done within a while, done on one timer.

::

    a.ask()  b.ask()   c.ask()
    |--------|---------|------- seconds -------> a, b, c, ... at most 16 of them; who is left waits for its own time

Each is done at the latest so many seconds after it was asked for. A host with 255 virtual hosts wakes up for them a
few times in that while, instead of 255 times, and never does them all in one turn of the reactor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

#: So many are done in one turn: what follows from the others' timers waits for them.
MOST_AT_ONCE = 16


class Errand:
    """Something that is done in time whenever it is asked for; once, however often it is asked for until then."""

    __slots__ = ("_rounds", "asked", "work")

    def __init__(self, rounds: Rounds, work: Callable[[], object]) -> None:
        self._rounds = rounds
        self.work = work
        self.asked: float | None = None  # when, unless it was done since

    def ask(self) -> None:
        """It is to be done."""
        if self.asked is None:
            self._rounds.add(self)

    def forget(self) -> None:
        """It is not to be done any more."""
        if self.asked is not None:
            self._rounds.remove(self)


class Rounds:
    """For things that can be done sooner than they have to be.

    :param seconds: how long they can wait.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._asked: deque[Errand] = deque()  # in that order
        self._call: IDelayedCall | None = None

    def errand(self, work: Callable[[], object]) -> Errand:
        """One for this."""
        return Errand(self, work)

    def add(self, errand: Errand) -> None:
        """It is asked for now."""
        errand.asked = self._clock.seconds()
        self._asked.append(errand)
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._go)

    def remove(self, errand: Errand) -> None:
        """It was asked for, and is not any more."""
        errand.asked = None
        self._asked.remove(errand)
        if not self._asked and self._call is not None:
            self._call.cancel()
            self._call = None

    def _go(self) -> None:
        asked = self._asked
        due = [asked.popleft() for _ in range(min(MOST_AT_ONCE, len(asked)))]
        self._call = None
        if asked:
            due_next = (asked[0].asked or 0.0) + self._seconds
            self._call = self._clock.callLater(max(0.0, due_next - self._clock.seconds()), self._go)
        for errand in due:
            errand.asked = None
            try:
                errand.work()
            except Exception:
                self._log.failure("carp: one of those that had waited failed")
