"""How late the reactor was, and why."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.lateness import Lateness, Usage, cause, usage
from carptwist.vhost.counters import Counters

BEFORE = Usage(boottime=100.0, monotonic=90.0, ran=5.0, waited=1.0, major_faults=3)


class CauseTests(SynchronousTestCase):
    """What the kernel knows tells what it was."""

    def after(self, seconds: float, **more: float) -> Usage:
        """So many seconds later."""
        values = BEFORE._asdict()
        values["boottime"] += seconds
        values["monotonic"] += seconds
        return Usage(**{name: value + more.get(name, 0) for name, value in values.items()})  # type: ignore[arg-type]

    def test_each(self) -> None:
        """Most of the time decides."""
        for after, words in (
            (self.after(4, monotonic=-4), "the host was suspended for 4.0 s"),
            (self.after(4, ran=3.5), "the daemon itself was at work for 3.5 s"),
            (self.after(4, waited=3.0), "other processes had the processors for 3.0 s"),
            (self.after(4, major_faults=500), "memory had to be read back from a disk, 500 times"),
            (self.after(4, ran=0.1), "it was stopped, or blocked, or its machine was"),
        ):
            self.assertEqual(cause(BEFORE, after), words)

    def test_real(self) -> None:
        """What this thread does is seen."""
        before = usage()
        while usage().ran - before.ran < 0.05:
            pass
        self.assertIn("at work", cause(before, usage()._replace(boottime=before.boottime + 0.06)))


class LatenessTests(SynchronousTestCase):
    """Every half second there is a look at the clock."""

    def test_counted_and_told(self) -> None:
        """Once for each time that matters, with the cause; the longest is remembered."""
        clock, counters, logged = Clock(), Counters(), list[str]()
        observer = lambda event: logged.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        lateness = Lateness(clock, counters, lambda: BEFORE._replace(boottime=clock.seconds(), ran=clock.seconds()))
        lateness.start()
        for _ in range(20):
            clock.advance(0.1)
        self.assertEqual((counters.late, [line for line in logged if "late" in line]), (0, []))
        clock.advance(4.7)
        self.assertEqual(counters.late, 1)
        self.assertTrue(4 < counters.most_late < 4.8)
        (line,) = [line for line in logged if "late" in line]
        self.assertRegex(line, r"carp: timers were late by 4\.\d s: ")
        lateness.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
