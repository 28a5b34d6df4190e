"""The end of waiting."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.patience import within


class WithinTests(SynchronousTestCase):
    """One Deferred, and a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.cancelled = 0
        self.work: Deferred[str] = Deferred(self._cancel)
        self.bounded = within(2, self.clock, self.work)

    def _cancel(self, _: object) -> None:
        self.cancelled += 1

    def test_what_comes_in_time_is_passed_on(self) -> None:
        """Value or failure, and nothing is left on the clock."""
        self.clock.advance(1.9)
        self.work.callback("here")
        self.assertEqual(self.successResultOf(self.bounded), "here")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.successResultOf(within(2, self.clock, succeed(1))), 1)

    def test_what_does_not_come_in_time_is_cancelled(self) -> None:
        """Once, and whoever waited is told."""
        self.clock.advance(2)
        failure = self.failureResultOf(self.bounded, TimeoutError)
        self.assertEqual(failure.getErrorMessage(), "no answer within 2 s")
        self.assertEqual(self.cancelled, 1)

    def test_what_heeds_no_cancelling_holds_nobody_up(self) -> None:
        """Its answer, when there is one at last, is nobody's business."""
        stubborn: Deferred[str] = Deferred()
        outer: Deferred[str] = Deferred()
        outer.callback("x")
        outer.addCallback(lambda _: stubborn)
        bounded = within(1, self.clock, outer)
        self.clock.advance(1)
        self.failureResultOf(bounded, TimeoutError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_cancelling_cancels_the_work(self) -> None:
        """And nothing is left on the clock."""
        self.bounded.cancel()
        self.failureResultOf(self.bounded, CancelledError)
        self.assertEqual((self.cancelled, self.clock.getDelayedCalls()), (1, []))
