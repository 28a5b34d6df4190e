"""Virtual time: everything that is due is done, in its order, at its time."""

from __future__ import annotations

from random import Random

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from carptwist.simulation.clock import HostClock, Timeline


class TimelineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.timeline = Timeline()
        self.made: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.made.append((what, self.timeline.seconds()))

    def test_interfaces(self) -> None:
        """Both clocks and their calls are what Twisted knows."""
        clock = HostClock(self.timeline)
        for subject in (self.timeline, clock):
            self.assertTrue(verifyObject(IReactorTime, subject))
            self.assertTrue(verifyObject(IDelayedCall, subject.callLater(1, self.note, "")))

    def test_each_call_at_its_time(self) -> None:
        """In the order of time, and of asking where that is the same; not after the end."""
        for what, delay in (("c", 2), ("a", 1), ("b", 1), ("d", 3.5)):
            self.timeline.callLater(delay, self.note, what)
        self.timeline.run_until(3)
        self.assertEqual(self.made, [("a", 1), ("b", 1), ("c", 2)])
        self.assertEqual(self.timeline.seconds(), 3)

    def test_a_timer_that_arms_itself_again(self) -> None:
        """Is called each time it is due, however far time goes at once."""
        looping = LoopingCall(self.note, "again")
        looping.clock = self.timeline
        looping.start(1.0, now=False)
        self.timeline.run_until(100.5)
        self.assertEqual([at for _, at in self.made], list(range(1, 101)))

    def test_moving_a_call(self) -> None:
        """reset and delay, earlier and later; it is called once."""
        call = self.timeline.callLater(5, self.note, "moved")
        call.reset(2)
        self.assertEqual(call.getTime(), 2)
        call.delay(4)
        self.assertEqual(call.getTime(), 6)
        self.timeline.run_until(5.5)
        self.assertEqual(self.made, [])
        call.delay(-0.25)
        self.timeline.run_until(20)
        self.assertEqual(self.made, [("moved", 5.75)])
        self.assertEqual(self.timeline.getDelayedCalls(), [])

    def test_a_call_that_is_over(self) -> None:
        """Cannot be moved or cancelled, and says which of the two it was."""
        cancelled = self.timeline.callLater(1, self.note, "never")
        cancelled.cancel()
        called = self.timeline.callLater(1, self.note, "once")
        self.timeline.run_until(2)
        self.assertEqual(self.made, [("once", 1)])
        self.assertFalse(cancelled.active() or called.active())
        self.assertRaises(AlreadyCancelled, cancelled.reset, 1)
        self.assertRaises(AlreadyCalled, called.cancel)

    def test_the_watcher_sees_each_call(self) -> None:
        """After it was made."""
        self.timeline.callLater(1, self.note, "a")
        self.timeline.callLater(2, self.note, "b")
        seen: list[int] = []
        self.timeline.run_until(3, lambda: seen.append(len(self.made)))
        self.assertEqual(seen, [1, 2])


class HostClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.timeline = Timeline()
        self.made: list[tuple[str, float]] = []

    def note(self, what: str) -> None:
        self.made.append((what, self.timeline.seconds()))

    def test_a_slow_clock(self) -> None:
        """Shows less, and all that it counts out takes longer."""
        clock = HostClock(self.timeline, rate=0.5, offset=100.0)
        call = clock.callLater(1, self.note, "late")
        self.assertEqual(call.getTime(), 101.0)
        self.timeline.run_until(3)
        self.assertEqual(self.made, [("late", 2.0)])
        self.assertEqual(clock.seconds(), 101.5)

    def test_lateness(self) -> None:
        """Calls are late by up to the jitter, never early, and each time by the same for the same seed."""

        def lateness(seed: int) -> list[float]:
            self.made.clear()
            clock = HostClock(Timeline(), jitter=0.01, random=Random(seed))
            return [call.getTime() - 1.0 for call in (clock.callLater(1.0, self.note, "") for _ in range(50))]

        drawn = lateness(1)
        self.assertTrue(all(0 <= late <= 0.01 for late in drawn))
        self.assertGreater(max(drawn) - min(drawn), 0.005)
        self.assertEqual(drawn, lateness(1))
        self.assertNotEqual(drawn, lateness(2))

    def test_a_stalled_host(self) -> None:
        """What is due while it stands still is done when it goes on, in its order, and other hosts notice nothing."""
        clock, other = HostClock(self.timeline), HostClock(self.timeline)
        for what, delay in (("b", 2), ("a", 1), ("c", 9)):
            clock.callLater(delay, self.note, what)
        never = clock.callLater(1.5, self.note, "never")
        other.callLater(3, self.note, "other")
        clock.stall()
        self.timeline.run_until(5)
        never.cancel()
        self.assertEqual(clock.seconds(), 5)
        self.assertEqual(len(clock.getDelayedCalls()), 3)
        clock.resume()
        self.timeline.run_until(10)
        self.assertEqual(self.made, [("other", 3), ("a", 5), ("b", 5), ("c", 9)])

    def test_a_dead_host(self) -> None:
        """Does nothing any more, whatever was due or is asked for."""
        clock = HostClock(self.timeline)
        clock.callLater(1, self.note, "a")
        clock.kill()
        clock.callLater(1, self.note, "b")
        self.timeline.run_until(5)
        self.assertEqual(self.made, [])
