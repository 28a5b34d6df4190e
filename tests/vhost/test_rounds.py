"""Things that can wait, done together."""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.vhost.rounds import MOST_AT_ONCE, Rounds


class RoundsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.done: list[tuple[float, str]] = []
        self.rounds = Rounds(self.clock, 1.0)
        self.works = [self.rounds.errand(partial(self._do, f"{number}")) for number in range(2 * MOST_AT_ONCE + 1)]

    def _do(self, name: str) -> None:
        self.done.append((self.clock.seconds(), name))

    def test_who_asks_later_is_done_with_the_first(self) -> None:
        """Once, however often he has asked, and anew when he asks again; there is one timer for all."""
        one, other, *_ = self.works
        one.ask()
        self.clock.advance(0.5)
        for work in (other, one, other):
            work.ask()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.5)
        self.assertEqual(self.done, [(1.0, "0"), (1.0, "1")])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        other.ask()
        self.clock.advance(1.0)
        self.assertEqual(self.done[2:], [(2.0, "1")])

    def test_nobody_waits_longer_and_no_turn_is_long(self) -> None:
        """Of many that have asked at once each is done in time, in turns of at most so many, in their order."""
        for work in self.works:
            work.ask()
        self.clock.callLater(1.0, self._do, "somebody else")
        self.clock.advance(1.0)
        self.assertEqual(self.done.pop(MOST_AT_ONCE), (1.0, "somebody else"))
        self.assertEqual(self.done, [(1.0, f"{number}") for number in range(len(self.works))])

    def test_who_has_asked_later_waits_for_his_own_time(self) -> None:
        """Where there are more than are done in one turn."""
        for number, work in enumerate(self.works[: MOST_AT_ONCE + 1]):
            self.clock.advance(0.25 if number == MOST_AT_ONCE else 0.0)
            work.ask()
        self.clock.advance(0.75)
        self.assertEqual(len(self.done), MOST_AT_ONCE)
        self.clock.advance(0.25)
        self.assertEqual(self.done[-1], (1.25, f"{MOST_AT_ONCE}"))

    def test_what_is_forgotten_is_not_done(self) -> None:
        """And where nothing is left to do, no timer is."""
        one, other, *_ = self.works
        one.ask()
        other.ask()
        one.forget()
        self.clock.advance(1.0)
        self.assertEqual(self.done, [(1.0, "1")])
        one.ask()
        one.forget()
        other.forget()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_fails_keeps_nobody_from_his_turn(self) -> None:
        """It is a bug, and logged."""

        def fail() -> None:
            raise RuntimeError("a bug")

        self.rounds.errand(fail).ask()
        self.works[0].ask()
        self.clock.advance(1.0)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.done, [(1.0, "0")])
