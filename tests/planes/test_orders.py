"""In which order orders are carried out."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.trial.unittest import TestCase

from carptwist.planes.kernel import Kernel
from carptwist.planes.orders import Orders, Urgency

Step = Generator[Deferred[Any], Any, None]


class OrdersTests(TestCase):
    """:class:`carptwist.planes.orders.Orders`."""

    timeout = 30

    def setUp(self) -> None:
        self.done: list[str] = []
        self.go = threading.Event()
        self.orders = Orders(reactor)  # type: ignore[arg-type]
        self.orders.start()
        self.addCleanup(self.orders.stop)
        self.addCleanup(self.go.set)

    def order(self, name: str, urgency: Urgency = Urgency.CARE) -> Deferred[str]:
        """One that waits for ``go``, notes its name and returns it."""

        def carry_out(_: Kernel) -> str:
            assert self.go.wait(20)
            self.done.append(name)
            return name

        return self.orders.give(carry_out, "test", urgency)

    @inlineCallbacks
    def test_takeovers_first(self) -> Step:
        """They overtake all that waits, and not each other; what runs is not interrupted."""
        running = threading.Event()
        first = self.orders.give(lambda _: (running.set(), self.go.wait(20), self.done.append("running")), "test")
        assert running.wait(20)
        orders = [
            self.order("a"),
            self.order("b"),
            self.order("c", Urgency.TAKEOVER),
            self.order("d", Urgency.TAKEOVER),
        ]
        self.go.set()
        results = yield gatherResults(orders)
        yield first
        self.assertEqual(self.done, ["running", "c", "d", "a", "b"])
        self.assertEqual(results, ["a", "b", "c", "d"])

    @inlineCallbacks
    def test_failure(self) -> Step:
        """What an order raises is what its giver gets, and the next one is carried out."""
        self.go.set()
        yield self.assertFailure(self.orders.give(lambda _: {}["nothing"], "test"), KeyError)
        result = yield self.order("next")
        self.assertEqual(result, "next")

    @inlineCallbacks
    def test_stop(self) -> Step:
        """It comes after all that was ordered before."""
        self.go.set()
        orders = [self.order("a"), self.order("b", Urgency.TAKEOVER)]
        self.orders.stop()
        self.assertEqual(sorted(self.done), ["a", "b"])
        yield gatherResults(orders)
