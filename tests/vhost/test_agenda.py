"""Jobs in order, one at a time."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from carptwist.vhost.agenda import Agenda


class AgendaTests(SynchronousTestCase):
    """``done`` has what was begun; what takes time is in ``pending``."""

    def setUp(self) -> None:
        self.done: list[str] = []
        self.pending: list[Deferred[None]] = []
        self.failures: list[Failure] = []
        self.agenda = Agenda(self.failures.append)

    def at_once(self, name: str) -> None:
        self.agenda.add("word", lambda: self.done.append(name))

    def slow(self, name: str) -> None:
        def begin() -> Deferred[None]:
            self.done.append(name)
            self.pending.append(Deferred())
            return self.pending[-1]

        self.agenda.add("work", begin)

    def test_in_order(self) -> None:
        """What takes time holds back what comes after it."""
        self.at_once("a")
        self.slow("b")
        self.at_once("c")
        self.agenda.work()
        self.assertEqual(self.done, ["a", "b"])
        self.pending.pop().callback(None)
        self.assertEqual(self.done, ["a", "b", "c"])

    def test_what_is_asked_for_on_the_way_comes_after(self) -> None:
        """Also by a job that is only just being begun: nothing runs beside another."""

        def begin() -> Deferred[None]:
            self.slow("b")
            self.agenda.work()
            self.done.append("a")
            self.pending.append(Deferred())
            return self.pending[-1]

        self.agenda.add("work", begin)
        self.agenda.work()
        self.assertEqual(self.done, ["a"])
        self.pending.pop().callback(None)
        self.assertEqual(self.done, ["a", "b"])

    def test_a_failure_is_told_and_stops_nothing(self) -> None:
        """Nor does a job that raises, which is a bug of its own."""
        self.slow("a")
        self.at_once("b")
        self.agenda.work()
        self.pending.pop().errback(ValueError("no"))
        self.assertEqual([failure.getErrorMessage() for failure in self.failures], ["no"])
        self.assertEqual(self.done, ["a", "b"])

        def bug() -> None:
            raise RuntimeError("a bug")

        self.agenda.add("work", bug)
        self.assertRaises(RuntimeError, self.agenda.work)
        self.at_once("c")
        self.agenda.work()
        self.assertEqual(self.done, ["a", "b", "c"])

    def test_what_is_forgotten_is_not_done(self) -> None:
        """Of its kind alone, and only what was not begun."""
        self.slow("a")
        self.at_once("b")
        self.slow("c")
        self.agenda.work()
        self.agenda.forget("word")
        self.pending.pop().callback(None)
        self.assertEqual(self.done, ["a", "c"])

    def test_idle(self) -> None:
        """At once if there is nothing to do, else when the last is done."""
        self.successResultOf(self.agenda.when_idle())
        self.slow("a")
        idle = self.agenda.when_idle()
        self.agenda.work()
        self.assertNoResult(idle)
        self.pending.pop().callback(None)
        self.successResultOf(idle)
