"""Takes down what happens to a node, in order, and gives it a time that stands still meanwhile.

::

    outside --> input(record, work)   time := now      record     work: answers and decisions, below it     time runs on

One input is over before the next begins: what comes in the middle of one waits until it is over. All that the node
does within an input it does at the same moment, which is how a replay can give it the same times.

An input of which nothing follows, such as an ARP request for somebody else's address, is not taken down:
:meth:`Tape.hear` waits until something is said below it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.recorder.records import Answer, Input, Record, seconds

#: More than this between two writings is a flood, of which the record has the beginning.
MOST_RECORDS = 20_000


class Tape:
    """What was taken down since the last :meth:`take`.

    :param clock: the node's clock, as it runs.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self.now: float | None = None  # the moment that an input is at; None between inputs
        self.us = 0
        self.timers = 0  # how many were asked for since the last keyframe
        self.outside = 0  # what others were asked to do, as often
        self.traits: dict[tuple[str, ...], Any] = {}
        self.lost = 0  # records since the tape was full, or something was out of order
        self._clock = clock
        self._records: list[Record] = []
        self._pending: Record | None = None
        self._waiting: deque[Callable[[], object]] = deque()
        self._catching_up = False

    @property
    def busy(self) -> bool:
        """Whether an input is at work."""
        return self.now is not None

    def take(self) -> list[Record]:
        """All that was taken down since the last call."""
        taken, self._records = self._records, []
        return taken

    # Inputs

    def input(self, kind: str, fields: tuple[Any, ...], work: Callable[[], object]) -> None:
        """Something happens. If something else is happening, it happens after that."""
        if self.now is not None:
            self._waiting.append(lambda: self.input(kind, fields, work))
            return
        self._begin()
        self._put([kind, self.us, *fields])
        try:
            work()
        finally:
            self._end()

    def hear(self, port: str, frame: bytes, receive: Callable[[bytes], object]) -> None:
        """A frame arrives, of which perhaps nothing follows."""
        if self.now is not None:
            self._waiting.append(lambda: self.hear(port, frame, receive))
            return
        self._begin()
        self._pending = [Input.FRAME, self.us, port, frame]
        try:
            receive(frame)
        finally:
            self._pending = None
            if self._waiting:
                self._end()
            else:
                self.now = None

    def afterwards(self, work: Callable[[], object]) -> None:
        """Do something that is no part of the node as soon as no input is at work."""
        if self.now is None:
            work()
        else:
            self._waiting.append(work)

    def _begin(self) -> None:
        # Up to the next microsecond, never down: a timer must not find that it is early.
        self.us = max(self.us, ceil(self._clock.seconds() * 1_000_000))
        self.now = seconds(self.us)

    def _end(self) -> None:
        self.now = None
        if self._catching_up:
            return  # not one within the other: there may be hundreds
        self._catching_up = True
        while self._waiting:
            try:
                self._waiting.popleft()()
            except Exception:
                self._log.failure("carp: what had to wait for something else failed")
        self._catching_up = False

    # Below an input

    def matters(self) -> None:
        """Something follows of what was heard."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._put(pending)

    def say(self, kind: str, *fields: Any) -> None:
        """An answer or a decision."""
        if self.now is None:
            self.lost += 1  # whatever has brought this about, it was not taken down
            return
        if self._pending is not None:
            self.matters()
        self._put([kind, *fields])

    def remark(self, kind: str, *fields: Any) -> None:
        """Something that nothing follows from."""
        self._put([kind, *fields])

    def trait(self, key: tuple[str, ...], value: Any) -> None:
        """A property of the host, of which only changes are taken down. Between inputs somebody else asks."""
        if self.now is not None and self.traits.get(key, self) != value:
            self.traits[key] = value
            self.say(Answer.TRAIT, list(key), value)

    def _put(self, record: Record) -> None:
        if self.lost or len(self._records) >= MOST_RECORDS:
            self.lost += 1
        else:
            self._records.append(record)


@implementer(IReactorTime)
class TapedClock:
    """A clock that stands still within an input, and whose calls are inputs."""

    def __init__(self, tape: Tape, clock: IReactorTime) -> None:
        self._tape = tape
        self._clock = clock

    def seconds(self) -> float:
        now = self._tape.now
        return self._clock.seconds() if now is None else now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        tape = self._tape
        if tape.now is None:
            tape.lost += 1
        else:
            # The clock may have gone on since this moment, or may not have reached it.
            delay = max(0.0, tape.now + delay - self._clock.seconds())
        tape.timers += 1
        number = tape.timers
        return self._clock.callLater(
            delay, lambda: tape.input(Input.TIMER, (number,), lambda: callable(*args, **kwargs))
        )

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        calls: Sequence[IDelayedCall] = self._clock.getDelayedCalls()
        return calls
