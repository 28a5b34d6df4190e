"""Things to be done strictly one after the other, some of which take time.

::

    add(a) add(b) add(c)      a ----> b (a Deferred: at work) ......... fires ----> c ----> idle

What is asked for while something is done comes after it, never beside it: also when it is asked for by the very
thing that is being begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

#: Does it at once and gives None, or begins it and gives what fires when it is done.
Job = Callable[[], "Deferred[None] | None"]


class Agenda:
    """Jobs of several kinds, in the order in which they were added.

    :param failed: told of a Deferred that failed; the next job is done all the same.
    """

    __slots__ = ("_at_work", "_failed", "_jobs", "_waiting")

    def __init__(self, failed: Callable[[Failure], object]) -> None:
        self._failed = failed
        self._jobs: deque[tuple[str, Job]] = deque()
        self._at_work = False
        self._waiting: list[Deferred[None]] = []

    def add(self, kind: str, job: Job) -> None:
        """One more, not begun before :meth:`work`."""
        self._jobs.append((kind, job))

    def forget(self, kind: str) -> None:
        """What has not been begun of a kind will not be."""
        if self._jobs:
            self._jobs = deque(each for each in self._jobs if each[0] != kind)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do, and nobody waits for that."""
        return not (self._at_work or self._jobs or self._waiting)

    def work(self) -> None:
        """Do what there is, as far as it can be done now. What a job raises comes out of here."""
        while self._jobs and not self._at_work:
            _, job = self._jobs.popleft()
            self._at_work = True
            doing: Deferred[None] | None = None
            try:
                doing = job()
            finally:
                self._at_work = doing is not None
            if doing is not None:
                doing.addErrback(self._failed)
                doing.addCallback(self._done)
        if not self._at_work:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def when_idle(self) -> Deferred[None]:
        """Fires when there is nothing left to do."""
        if not self._at_work and not self._jobs:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _done(self, _: object) -> None:
        self._at_work = False
        self.work()
