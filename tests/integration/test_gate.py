"""When something may run that must run on one host alone."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from carptwist.integration.gate import Gate
from carptwist.vhost.tenants import Lease
from tests.control.support import BOOTED
from tests.integration.support import CompanionTestCase


class Recorder:
    """What is gated: notes what it is told to do, and stops when it may."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.stopping: Deferred[None] | None = None
        self.fails = False

    def opened(self) -> None:
        self.did.append("open")
        if self.fails:
            raise ValueError("cannot be opened")

    def closed(self) -> Deferred[None] | None:
        self.did.append("close")
        return self.stopping


class GateTests(CompanionTestCase):
    """A gate that settles for a second."""

    def setUp(self) -> None:
        super().setUp()
        self.gated = Recorder()
        self.gate = Gate(
            "1@em0",
            self.gated,
            client=self.companion,
            clock=self.clock,
            settle_seconds=1.0,
            patience_seconds=2.0,
            boottime=self.boottime,
        )

    def lease(self, since: float, until: float) -> Lease:
        """In seconds from now."""
        return Lease(self.boottime() + since, self.boottime() + until)

    def test_it_opens_when_it_has_settled(self) -> None:
        """Not before: a former master may not have heard of it yet."""
        self.gate.told(self.lease(0, 3))
        self.clock.advance(0.99)
        self.assertEqual(self.gated.did, [])
        self.clock.advance(0.02)
        self.assertEqual(self.gated.did, ["open"])
        self.assertTrue(self.gate.is_open)
        self.gate.told(None)

    def test_a_lease_that_is_old_enough_opens_it_at_once(self) -> None:
        """The program was started later than the daemon."""
        self.gate.told(self.lease(-5, 2))
        self.assertEqual(self.gated.did, ["open"])
        self.gate.told(None)

    def test_a_lease_that_is_not_renewed_shuts_it(self) -> None:
        """The daemon hangs: others take over."""
        self.gate.told(self.lease(-5, 2))
        self.clock.advance(1.5)
        self.gate.told(self.lease(-6.5, 2))
        self.clock.advance(1.9)
        self.assertEqual(self.gated.did, ["open"])
        self.clock.advance(0.2)
        self.assertEqual(self.gated.did, ["open", "close"])

    def test_a_lease_that_had_run_out_when_it_was_read_opens_nothing(self) -> None:
        """This program itself was stopped."""
        waiting = self.clock.getDelayedCalls()
        self.gate.told(self.lease(-5, -1))
        self.assertEqual(self.gated.did, [])
        self.assertEqual(self.clock.getDelayedCalls(), waiting)

    def test_a_program_that_was_stopped_knows_first(self) -> None:
        """Before any of its timers: whatever is due earlier finds that it may not work."""
        found = []
        self.gate.told(self.lease(-5, 2))
        self.clock.callLater(1, lambda: found.append(self.gate.is_open))
        self.gate._boottime = lambda: BOOTED + self.clock.seconds() + 5
        self.clock.advance(1)
        self.assertEqual((found, self.gated.did), ([False], ["open"]))
        self.gate.told(None)

    def test_it_tells_when_it_is_shut(self) -> None:
        """At once, or when all has stopped."""
        self.successResultOf(self.gate.when_shut())
        self.gate.told(self.lease(-5, 2))
        waiting = self.gate.when_shut()
        stopping: Deferred[None] = Deferred()
        self.gated.stopping = stopping
        self.gate.told(None)
        self.assertNoResult(waiting)
        stopping.callback(None)
        self.successResultOf(waiting)

    def test_it_opens_again_only_when_all_has_stopped(self) -> None:
        """And whoever asked is told when that is."""
        self.gated.stopping = Deferred()
        self.gate.told(self.lease(-5, 2))
        shut = self.gate.told(None)
        self.gate.told(self.lease(-1, 2))
        self.assertNoResult(shut)
        self.assertEqual(self.gated.did, ["open", "close"])
        stopping, self.gated.stopping = self.gated.stopping, None
        stopping.callback(None)
        self.successResultOf(shut)
        self.assertEqual(self.gated.did, ["open", "close", "open"])
        self.gate.told(None)

    def test_failures_of_what_is_gated(self) -> None:
        """Are logged, and do not keep it from being shut."""
        self.gated.fails = True
        self.gate.told(self.lease(-5, 2))
        stopping: Deferred[Any] = Deferred()
        self.gated.stopping = stopping
        shut = self.gate.told(None)
        stopping.errback(ValueError("cannot be closed"))
        self.successResultOf(shut)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_it_follows_the_daemon(self) -> None:
        """From its start to its end, and again."""
        self.gate.start()
        self.gate.start()
        self.settle()
        self.become("MASTER")
        self.settle(1.1)
        self.become("BACKUP")
        self.become("MASTER")
        self.settle(1.1)
        self.assertEqual(self.gated.did, ["open", "close", "open"])
        self.got(self.gate.stop())
        self.gate.start()
        self.settle()
        self.assertEqual(self.gated.did, ["open", "close", "open", "close", "open"])
        self.got(self.gate.stop())
        self.got(self.gate.stop())

    def test_no_lease_opens_what_is_being_stopped(self) -> None:
        """However long that takes: the daemon is MASTER all the time."""
        self.gate.start()
        self.settle()
        self.become("MASTER")
        self.settle(1.1)
        closing = self.gated.stopping = Deferred()
        stopping = self.gate.stop()
        self.settle(3)
        self.assertNoResult(stopping)
        self.gated.stopping = None
        closing.callback(None)
        self.got(stopping)
        self.assertEqual(self.gated.did, ["open", "close"])

    def test_the_daemon_waits_for_what_is_being_stopped(self) -> None:
        """It runs still, whoever asked for its end."""
        self.gate.start()
        self.settle()
        self.become("MASTER")
        self.settle(1.1)
        closing = self.gated.stopping = Deferred()
        stopping = self.gate.stop()
        self.become("BACKUP")
        self.assertTrue(self.holds())
        closing.callback(None)
        self.settle()
        self.assertFalse(self.holds())
        self.got(stopping)

    def test_it_may_be_started_while_it_stops(self) -> None:
        """What the former client still says, and its end, is nothing to the new one."""
        self.gate.start()
        self.settle()
        self.become("MASTER")
        self.settle(1.1)
        closing = self.gated.stopping = Deferred()
        stopping = self.gate.stop()
        self.gate.start()
        self.settle(0.1)
        self.gated.stopping = None
        closing.callback(None)
        self.got(stopping)
        self.settle(0.1)
        self.assertEqual(self.gated.did, ["open", "close", "open"])
        self.become("BACKUP")
        self.assertEqual(self.gated.did, ["open", "close", "open", "close"])
        self.got(self.gate.stop())

    def test_a_daemon_that_is_gone_shuts_it(self) -> None:
        """At once: nobody knows any more."""
        self.gate.start()
        self.settle()
        self.become("MASTER")
        self.settle(1.1)
        self.endpoint.is_away = True
        self.sever()
        self.assertEqual(self.gated.did, ["open", "close"])
        self.got(self.gate.stop())
