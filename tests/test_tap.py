"""The twistd plugin."""

from __future__ import annotations

import time

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.guard.process import boottime
from carptwist.tap import run_on_monotonic_time


class ReactorTests(SynchronousTestCase):
    """The clock under everything."""

    def test_a_step_of_the_wall_clock_moves_no_timer(self) -> None:
        """The reactor's delayed calls run on monotonic time, those that were made before included."""
        reactor = MemoryReactorClock()
        before = reactor.callLater(5, lambda: None)
        for _ in range(2):  # a second time changes nothing
            run_on_monotonic_time(reactor)
            self.assertIs(reactor.seconds, boottime)
            self.assertLess(abs(before.getTime() - time.clock_gettime(time.CLOCK_BOOTTIME) - 5), 1)
