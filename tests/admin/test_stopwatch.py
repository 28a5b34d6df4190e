"""What an administrator types is ended in time."""

from __future__ import annotations

import signal
import threading
import time

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.admin.stopwatch import BOUND_SECONDS, Overdue, Stopwatch
from carptwist.config.schema import Knobs
from carptwist.vhost.roster import Roster


class StopwatchTests(SynchronousTestCase):
    """Real signals."""

    def setUp(self) -> None:
        self.stopwatch = Stopwatch(Roster(Knobs(), Clock()), time.monotonic)
        self.told: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        self.told.append(str(event.get("log_format", "")).format(**event))

    def timed(self, work: object) -> float:
        began = time.monotonic()
        self.stopwatch.run("anna", "'x'", work)  # type: ignore[arg-type]
        return time.monotonic() - began

    def test_what_is_quick_is_left_alone(self) -> None:
        """And nothing is told, and no signal comes later."""
        done: list[int] = []
        self.timed(lambda: done.append(1))
        self.assertEqual(done, [1])
        self.assertEqual(self.told, [])
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))

    def test_what_takes_too_long_is_ended(self) -> None:
        """Asleep or at work; who and what is told."""

        def work() -> None:
            while True:
                pass

        for each in (work, lambda: time.sleep(100)):
            self.assertGreaterEqual(self.timed(each), BOUND_SECONDS)
            self.assertRegex(
                self.told.pop(),
                r"^carp: manhole: anna held the daemon up for 0\.\d+ s with 'x': no advertisement is late",
            )
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))

    def test_whoever_catches_it_is_told_again(self) -> None:
        """Until it gives up."""
        caught: list[int] = []

        def work() -> None:
            while len(caught) < 3:
                try:
                    time.sleep(100)
                except Overdue:
                    caught.append(1)

        self.timed(work)
        self.assertEqual(len(caught), 3)

    def test_an_exception_is_the_callers(self) -> None:
        """And the former handler of the signal is back."""
        former = signal.getsignal(signal.SIGALRM)
        self.assertRaises(ZeroDivisionError, self.stopwatch.run, "anna", "x", lambda: 1 / 0)
        self.assertIs(signal.getsignal(signal.SIGALRM), former)

    def test_on_another_thread_it_only_tells(self) -> None:
        """Signals are the main thread's."""
        thread = threading.Thread(target=self.timed, args=(lambda: time.sleep(BOUND_SECONDS + 0.05),))
        thread.start()
        thread.join()
        self.assertIn("anna held the daemon up", "".join(self.told))
