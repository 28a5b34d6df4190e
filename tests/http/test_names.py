"""Names -> addresses."""

from __future__ import annotations

from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults, inlineCallbacks
from twisted.trial.unittest import TestCase

from carptwist.http.names import Names, ask


class NamesTests(TestCase):
    """On threads."""

    timeout = 60

    def test_an_address_is_its_own(self) -> None:
        """Nobody is asked."""
        names = Names(reactor, lambda host: self.fail(host))
        self.assertEqual(self.successResultOf(names.lookup("192.0.2.1")), ["192.0.2.1"])
        self.assertEqual(self.successResultOf(names.lookup("2001:db8::1")), ["2001:db8::1"])

    @inlineCallbacks
    def test_who_is_asked_when_nobody_else_is_given(self) -> Any:
        """The system, which knows its own name."""
        found = yield Names(reactor).lookup("localhost")
        self.assertEqual(found, ask("localhost"))
        self.assertTrue(set(found) <= {"127.0.0.1", "::1"})

    @inlineCallbacks
    def test_one_question_for_all_who_want_to_know(self) -> Any:
        """At a time; one of them may lose interest. A name that hangs holds up no other."""
        go_on, asked = Event(), []
        self.addCleanup(go_on.set)

        def slow(host: str) -> list[str]:
            asked.append(host)
            if host == "slow.example":
                go_on.wait(30)
            return ["192.0.2.9"]

        names = Names(reactor, slow)
        waiting = [names.lookup("slow.example") for _ in range(50)]
        waiting[7].cancel()
        waiting[7].addErrback(lambda _: ["192.0.2.9"])
        quick = yield names.lookup("quick.example")
        self.assertEqual(quick, ["192.0.2.9"])
        go_on.set()
        found = yield gatherResults(waiting)
        self.assertEqual(found, 50 * [["192.0.2.9"]])
        self.assertEqual(asked, ["slow.example", "quick.example"])
        yield names.lookup("slow.example")
        self.assertEqual(len(asked), 3)

    @inlineCallbacks
    def test_a_failure_is_everybodys(self) -> Any:
        """And the next one asks again."""

        def fail(host: str) -> list[str]:
            raise OSError(-2, "Name or service not known")

        names = Names(reactor, fail)
        yield self.assertFailure(names.lookup("a.example"), OSError)
        yield self.assertFailure(names.lookup("a.example"), OSError)
