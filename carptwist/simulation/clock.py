"""Virtual time: a heap of calls that is run to the end of a scenario as fast as the processor can.

::

    Timeline  (one, the world's time)      heap: (when, order, call) -> the earliest first, ties in the order of asking
        |
        +-- HostClock a   local = offset + rate x world      each is an IReactorTime of its own:
        +-- HostClock b   late by up to `jitter`             stalled: due calls wait; dead: none is ever made

Rules that this file keeps:

- The time stands still within a call, and moves only from call to call: nothing due is ever left out or made late,
  unlike :meth:`twisted.internet.task.Clock.advance`, which makes a self-re-arming timer once however far it goes.
- Calls of the same moment are made in the order in which they were asked for, so that a run is the same each time.
- A call that is moved later only stores a number; the heap finds out when it gets there.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer


@implementer(IDelayedCall)
class VirtualCall:
    """One call to come. ``when`` is in the world's seconds; what a caller hears of it is in its own clock's."""

    __slots__ = ("args", "armed", "call", "called", "cancelled", "kwargs", "owner", "when")

    def __init__(
        self, owner: HostClock | Timeline, when: float, call: Callable[..., object], args: Any, kwargs: Any
    ) -> None:
        self.owner = owner
        self.when = when
        self.armed = when  # where the heap has it
        self.call = call
        self.args = args
        self.kwargs = kwargs
        self.called = False
        self.cancelled = False

    def getTime(self) -> float:
        return self.owner.local(self.when)

    def cancel(self) -> None:
        self._check()
        self.cancelled = True
        # What it holds is not wanted any more, while the heap may keep the call itself for long.
        self.call = _nothing
        self.args = self.kwargs = None

    def delay(self, secondsLater: float) -> None:
        self._check()
        self._move(self.when + self.owner.world_seconds(secondsLater))

    def reset(self, secondsFromNow: float) -> None:
        self._check()
        self._move(self.owner.timeline.now + self.owner.world_seconds(secondsFromNow))

    def active(self) -> bool:
        return not (self.called or self.cancelled)

    def _check(self) -> None:
        if self.called:
            raise AlreadyCalled
        if self.cancelled:
            raise AlreadyCancelled

    def _move(self, when: float) -> None:
        earlier = when < self.armed
        self.when = when
        if earlier:
            self.owner.timeline.arm(self)


class Running:
    """Whose program runs now: known to whoever wants to say who did something."""

    __slots__ = ("station",)

    def __init__(self) -> None:
        self.station = ""


def _nothing() -> None:
    pass


@implementer(IReactorTime)
class Timeline:
    """The world's time, in seconds from 0."""

    def __init__(self, running: Running | None = None) -> None:
        self.now = 0.0
        self.running = running or Running()
        self.made = 0  # how many calls were made so far
        self.timeline = self
        self._heap: list[tuple[float, int, VirtualCall]] = []
        self._order = 0

    # IReactorTime

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object) -> VirtualCall:
        call = VirtualCall(self, self.now + delay, callable, args, kwargs)
        self.arm(call)
        return call

    def getDelayedCalls(self) -> list[VirtualCall]:
        return self.pending(self)

    # What clocks need

    def local(self, when: float) -> float:
        """The world's seconds are its own."""
        return when

    def world_seconds(self, seconds: float) -> float:
        """The world's seconds are its own."""
        return seconds

    def arm(self, call: VirtualCall) -> None:
        """Put a call where its time says."""
        call.armed = call.when
        self._order += 1
        heappush(self._heap, (call.when, self._order, call))

    def may_call(self, call: VirtualCall) -> bool:
        """The world never stands still."""
        return True

    def pending(self, owner: object) -> list[VirtualCall]:
        """The calls that one clock waits for."""
        return list({id(call): call for _, _, call in self._heap if call.owner is owner and call.active()}.values())

    # Running

    def run_until(self, moment: float, watch: Callable[[], object] | None = None) -> None:
        """Make every call that is due until then, and let it be then. ``watch`` is called after each."""
        heap = self._heap
        while heap and heap[0][0] <= moment:
            armed, _, call = heappop(heap)
            if call.called or call.cancelled or armed != call.armed:
                continue  # over, or in the heap once more at an earlier time
            if call.when > armed:
                self.arm(call)
                continue
            if armed > self.now:
                self.now = armed
            if not call.owner.may_call(call):
                continue
            call.called = True
            self.made += 1
            if call.kwargs:
                call.call(*call.args, **call.kwargs)
            else:
                call.call(*call.args)
            if watch is not None:
                watch()
        self.now = max(self.now, moment)


@implementer(IReactorTime)
class HostClock:
    """The monotonic clock of one life of one host.

    :param rate: its seconds per second of the world: 0.99 is a slow clock, whose timers all fire late.
    :param offset: what it showed when the world began.
    :param jitter: how late at most a call is made, in seconds of the world: what the scheduler of a real host adds.
    :param random: where the lateness is drawn.
    :param station: whose clock it is.
    """

    def __init__(
        self,
        timeline: Timeline,
        *,
        rate: float = 1.0,
        offset: float = 0.0,
        jitter: float = 0.0,
        random: Random | None = None,
        station: str = "",
    ) -> None:
        self.timeline = timeline
        self.station = station
        self.stalled = False
        self.dead = False
        self.resumed = float("-inf")  # when it last went on, in the world's seconds
        self.stalled_since = float("-inf")  # and when it last stood still
        self.dead_since = float("-inf")
        self._rate = rate
        self._offset = offset
        self._jitter = jitter
        self._random = random or Random(0)
        self._waiting: list[VirtualCall] = []  # due while it was stalled

    # IReactorTime

    def seconds(self) -> float:
        return self._offset + self.timeline.now * self._rate

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kwargs: object) -> VirtualCall:
        if delay < 0:
            raise ValueError(f"{delay} is no delay")
        timeline = self.timeline
        world = self.world_seconds(delay) if self._jitter else delay / self._rate
        call = VirtualCall(self, timeline.now + world, callable, args, kwargs)
        if not self.dead:
            timeline.arm(call)
        return call

    def getDelayedCalls(self) -> list[VirtualCall]:
        return self.timeline.pending(self) + [call for call in self._waiting if call.active()]

    # What happens to it

    def stall(self) -> None:
        """Nothing of this host runs until it is resumed; its time goes on."""
        if not self.stalled:
            self.stalled_since = self.timeline.now
        self.stalled = True

    def resume(self) -> None:
        """Run again: what was due meanwhile is due now, in its order."""
        self.stalled = False
        self.resumed = self.timeline.now
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if call.active():
                call.when = max(call.when, self.timeline.now)
                self.timeline.arm(call)

    def kill(self) -> None:
        """No call is ever made any more."""
        self.dead = True
        self.dead_since = self.timeline.now
        self._waiting.clear()

    # What the timeline asks

    def local(self, when: float) -> float:
        return self._offset + when * self._rate

    def world_seconds(self, seconds: float) -> float:
        world = seconds / self._rate
        return world + self._random.random() * self._jitter if self._jitter else world

    def may_call(self, call: VirtualCall) -> bool:
        """Whether this call is made now, when it is due."""
        if self.dead:
            return False
        if self.stalled:
            self._waiting.append(call)
            return False
        self.timeline.running.station = self.station
        return True
