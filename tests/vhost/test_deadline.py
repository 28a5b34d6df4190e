"""The lazily re-armed timer, alone and with a Deferred."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.vhost.alarm import Alarm
from carptwist.vhost.deadline import Deadline


class AlarmTests(SynchronousTestCase):
    """One delayed call at most, whatever happens."""

    kind = Alarm

    def setUp(self) -> None:
        self.clock = Clock()
        self.fired: list[float] = []
        self.deadline = self.kind(self.clock, lambda: self.fired.append(self.clock.seconds()))

    def test_fires_at_its_moment(self) -> None:
        """Not before, and once."""
        self.deadline.set(3.0)
        self.clock.advance(2.9)
        self.assertEqual(self.fired, [])
        self.clock.advance(0.1)
        self.clock.advance(10)
        self.assertEqual(self.fired, [3.0])

    def test_moving_later_costs_no_new_call(self) -> None:
        """The pending wake-up stays; it finds out by itself that it came too early."""
        self.deadline.set(1.0)
        pending = self.clock.getDelayedCalls()
        for tenth in range(1, 10):
            self.deadline.set(1.0 + tenth / 10)
        self.assertEqual(self.clock.getDelayedCalls(), pending)
        self.clock.pump([0.5, 0.5, 0.5])
        self.assertEqual(self.fired, [])
        self.clock.advance(0.4)
        self.assertEqual(self.fired, [1.9])

    def test_moving_earlier_fires_earlier(self) -> None:
        """And still holds one call only."""
        self.deadline.set(5.0)
        self.deadline.set(1.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1.0)
        self.assertEqual(self.fired, [1.0])

    def test_none_means_never(self) -> None:
        """A deadline that was taken back does not fire."""
        self.deadline.set(1.0)
        self.deadline.set(None)
        self.clock.advance(5)
        self.assertEqual(self.fired, [])

    def test_cancel_leaves_nothing_on_the_clock(self) -> None:
        """And it can be set again afterwards."""
        self.deadline.set(1.0)
        self.deadline.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.deadline.set(2.0)
        self.clock.advance(2.0)
        self.assertEqual(self.fired, [2.0])

    def test_a_moment_in_the_past_fires_at_the_next_turn(self) -> None:
        """Never within set(), where its caller is not ready for it."""
        self.clock.advance(10)
        self.deadline.set(3.0)
        self.assertEqual(self.fired, [])
        self.clock.advance(0)
        self.assertEqual(self.fired, [10.0])

    def test_it_may_be_set_again_while_it_fires(self) -> None:
        """As a MASTER does with each advertisement."""
        deadline = self.kind(self.clock, lambda: (self.fired.append(self.clock.seconds()), again()))

        def again() -> None:
            if len(self.fired) < 3:
                deadline.set(self.clock.seconds() + 1)

        deadline.set(1.0)
        self.clock.pump([1, 1, 1, 1])
        self.assertEqual(self.fired, [1.0, 2.0, 3.0])

    def test_a_failing_call_is_logged(self) -> None:
        """And the deadline can be used again."""

        def fail() -> None:
            raise RuntimeError("a bug")

        deadline = self.kind(self.clock, fail)
        deadline.set(1.0)
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class DeadlineTests(AlarmTests):
    """The same with a Deferred."""

    kind = Deadline
