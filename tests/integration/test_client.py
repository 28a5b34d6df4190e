"""The client that stays connected."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError

from carptwist.api import BusyError, NotFoundError, RefusedError, State, SubscriptionClosedError
from carptwist.vhost.tenants import Lease
from tests.control.support import BOOTED
from tests.integration.support import CompanionTestCase, heard_in_the_log


class ConnectionTests(CompanionTestCase):
    """It is made, and made anew."""

    def test_what_the_log_says_of_it(self) -> None:
        """That it is there, that it is lost, and nothing else."""
        said = heard_in_the_log(self)
        self.companion()
        self.settle()
        self.sever()
        self.settle(1)
        self.assertEqual(
            [each for each in said if "Scheduling retry" not in each],
            [
                "carp: connected to the daemon at its endpoint",
                "carp: the connection to the daemon at its endpoint is lost",
                "carp: connected to the daemon at its endpoint",
            ],
        )

    def test_what_is_asked_before_waits_for_the_connection(self) -> None:
        """However long the daemon is away."""
        self.endpoint.is_away = True
        client = self.companion()
        asking = client.status()
        self.settle(30)
        self.assertNoResult(asking)
        self.assertGreater(self.endpoint.attempts, 5)
        self.endpoint.is_away = False
        self.settle(10)
        self.assertEqual(self.got(asking)["vhids"][0]["vhid"], 1)

    def test_it_connects_again(self) -> None:
        """And answers again."""
        client = self.companion()
        self.got(client.status())
        self.sever()
        self.assertFalse(client.is_connected)
        asking = client.status()
        self.settle(1)
        self.assertEqual(self.got(asking)["host"], "a")

    def test_a_daemon_that_refuses_is_asked_less_and_less(self) -> None:
        """Each time in vain."""
        self.factory.identify = lambda transport: self.nobody
        said = heard_in_the_log(self)
        client = self.companion()
        self.settle(60)
        self.assertFalse(client.is_connected)
        self.assertGreater(self.endpoint.attempts, 5)
        self.assertLess(self.endpoint.attempts, 40)
        told = [each for each in said if "does not let us in" in each]
        self.assertEqual(len(told), 1, said)
        self.assertIn("it hangs up on us: it lets in root and the user that it runs as", told[0])

    @property
    def nobody(self) -> Any:
        from carptwist.control.access import Caller

        return Caller("nobody", False, "uid 7")

    def test_closing_ends_what_waits(self) -> None:
        """With CancelledError, and SubscriptionClosedError."""
        self.endpoint.is_away = True
        client = self.companion()
        asking, awaited, event = client.status(), client.when("1@em0", "MASTER"), client.events().next()
        self.got(client.close())
        self.failureResultOf(asking, CancelledError)
        self.failureResultOf(awaited, CancelledError)
        self.failureResultOf(event, SubscriptionClosedError)

    def test_a_client_that_is_closed(self) -> None:
        """Says so, rather than to let wait for ever; what waited for a demotion fails, and no timer is left."""
        client = self.companion()
        self.settle()
        client.attend("7@em0", lambda lease: None)  # which is refused, and asked for again
        self.settle()
        self.endpoint.is_away = True
        self.sever()
        demoted = client.demote(100, "shop", "ill").in_force()
        self.got(client.close())
        self.failureResultOf(demoted, CancelledError)
        for ask in (client.events, client.connection, lambda: client.demote(1, "shop", "ill")):
            self.assertRaises(RuntimeError, ask)
        self.assertRaises(RuntimeError, client.attend, "1@em0", lambda lease: None)
        for asking in (client.status(), client.when("1@em0", "MASTER")):
            self.failureResultOf(asking, RuntimeError)
        pending = [call for call in self.clock.getDelayedCalls() if "integration" in repr(call)]
        self.assertEqual(pending, [])


class EventTests(CompanionTestCase):
    """States that are waited for, and events."""

    def test_a_state_that_is_there_already(self) -> None:
        """Is not waited for."""
        client = self.companion()
        self.settle()
        self.assertIsNone(self.got(client.when("1@em0", State.BACKUP)))

    def test_a_state_that_comes(self) -> None:
        """Fires when it is there, and not before."""
        client = self.companion()
        waiting = client.when("1@em0", "MASTER")
        self.settle()
        self.assertNoResult(waiting)
        self.become("MASTER")
        self.assertIsNone(self.got(waiting))

    def test_a_state_that_came_while_there_was_no_connection(self) -> None:
        """Is seen with the next one."""
        client = self.companion()
        waiting = client.when("1@em0", "MASTER")
        self.settle()
        self.sever()
        self.desk.state("a test", "1@em0", "MASTER")
        self.settle(1)
        self.assertIsNone(self.got(waiting))

    def test_who_gives_up_waiting(self) -> None:
        """Takes nothing from others: neither at once, nor later, nor without a connection."""
        client = self.companion()
        self.settle()
        events, patient = client.events(), client.when("1@em0", "MASTER")
        impatient = [client.when("1@em0", "MASTER")]
        impatient[0].cancel()
        self.settle()
        impatient.append(client.when("1@em0", "MASTER"))
        self.settle()
        impatient[1].cancel()
        self.sever()
        impatient.append(client.when("1@em0", "MASTER").addTimeout(0.01, self.clock))
        self.settle(1)
        for each, kind in zip(impatient, (CancelledError, CancelledError, TimeoutError), strict=True):
            self.failureResultOf(each, kind)
        self.become("MASTER")
        self.assertIsNone(self.got(patient))
        self.assertEqual(self.got(events.next())["state"], "MASTER")

    def test_a_connection_that_breaks_while_it_is_asked(self) -> None:
        """Is another's business: a state is waited for over the next one."""
        client = self.companion()
        self.settle()
        waiting = client.when("1@em0", "MASTER")
        self.sever()
        self.settle(1)
        self.assertNoResult(waiting)
        self.become("MASTER")
        self.assertIsNone(self.got(waiting))

    def test_a_daemon_that_has_no_room_for_one_more(self) -> None:
        """Is asked again, for as long as there is somebody who wants events."""
        refusals = []
        subscribe = self.factory.subscribe

        def full(*arguments: Any) -> Any:
            refusals.append(arguments)
            raise BusyError("too many programs are subscribed already")

        self.factory.subscribe = full  # type: ignore[method-assign]
        client = self.companion()
        events = client.events()
        self.settle(7)
        self.assertEqual(len(refusals), 2)
        self.factory.subscribe = subscribe  # type: ignore[method-assign]
        self.settle(5)
        self.history.note("state", "1@em0", "something")
        self.assertEqual(self.got(events.next())["text"], "something")

    def test_a_daemon_that_has_forgotten_all(self) -> None:
        """Counts its events anew: they are told."""
        client = self.companion()
        for _ in range(5):
            self.history.note("demotion", "", "long ago")
        events = client.events()
        self.settle()
        self.sever()
        self.history._kept.clear()
        self.become("MASTER")
        self.settle(1)
        self.assertEqual(self.got(events.next())["state"], "MASTER")

    def test_a_vhid_that_there_is_not(self) -> None:
        """Is an error, before and after connecting."""
        client = self.companion()
        early = client.when("7@em0", "MASTER")
        self.settle()
        self.failureResultOf(early, NotFoundError)
        late = client.when("7@em0", "MASTER")
        self.settle()
        self.failureResultOf(late, NotFoundError)
        self.assertRaises(ValueError, lambda: self.failureResultOf(client.when("1@em0", "MISTER")).raiseException())

    def test_events_come_once_each_in_order(self) -> None:
        """Those that were missed while the connection was lost included."""
        client = self.companion()
        events = client.events("1@em0")
        self.settle()
        self.become("MASTER")
        self.sever()
        self.desk.state("a test", "1@em0", "BACKUP")
        self.settle(1)
        self.become("MASTER")
        states = []
        while True:
            taking = events.next()
            self.settle()
            if not taking.called:
                break
            event = self.successResultOf(taking)
            if event["kind"] == "state":
                states.append(event["state"])
        self.assertEqual(states, ["MASTER", "BACKUP", "MASTER"])
        events.close()
        self.failureResultOf(taking, SubscriptionClosedError)

    def test_an_iteration_ends_when_it_is_closed(self) -> None:
        """``async for`` sees the events of its vhid and of the host."""
        client = self.companion()
        events = client.events("1@em0")
        seen = []

        async def read() -> None:
            async for event in events:
                seen.append(event["vhid"])

        reading = Deferred.fromCoroutine(read())
        self.settle()
        self.history.note("state", "2@em0", "not ours")
        self.history.note("demotion", "", "the host's")
        self.settle()
        events.close()
        self.got(reading)
        self.assertEqual(seen, [None])


class DemotionTests(CompanionTestCase):
    """An entry of the ledger lasts as long as its block, and its program."""

    def entries(self) -> list[tuple[str, int, str]]:
        return [(entry.owner, entry.value, entry.reason) for entry in self.node.roster.ledger.entries]

    def test_a_block(self) -> None:
        """It is there within, and gone after."""
        client = self.companion()
        go_on: Deferred[None] = Deferred()

        async def work() -> None:
            async with client.demote(100, "shop", "draining"):
                self.assertEqual(self.entries(), [("shop", 100, "draining")])
                await go_on

        working = Deferred.fromCoroutine(work())
        self.settle()
        self.assertNoResult(working)
        go_on.callback(None)
        self.got(working)
        self.assertEqual(self.entries(), [])

    def test_it_ends_with_the_connection_and_is_made_anew(self) -> None:
        """A program that dies demotes nobody; one that lives on goes on doing so."""
        client = self.companion()
        with client.demote(100, "shop", "ill"):
            self.settle()
            self.assertEqual(self.entries(), [("shop", 100, "ill")])
            self.sever()
            self.assertEqual(self.entries(), [])
            self.settle(1)
            self.assertEqual(self.entries(), [("shop", 100, "ill")])
        self.settle()
        self.assertEqual(self.entries(), [])

    def test_an_entry_that_was_taken_over_stays(self) -> None:
        """Whoever replaced it has it now."""
        client = self.companion()
        client.demote(100, "shop", "ill")
        self.settle()
        self.desk.demote("an operator", 50, "shop", "mine", None)
        self.factory.hold(None, "shop")
        self.sever()
        self.assertEqual(self.entries(), [("shop", 50, "mine")])

    def test_one_within_another(self) -> None:
        """An owner has one entry: that of the inner one while it lasts, and then the outer one's again."""
        client = self.companion()
        with client.demote(100, "shop", "ill"):
            with client.demote(240, "shop", "about to stop"):
                self.settle()
                self.assertEqual(self.entries(), [("shop", 240, "about to stop")])
            self.settle()
            self.assertEqual(self.entries(), [("shop", 100, "ill")])
        self.settle()
        self.assertEqual(self.entries(), [])

    def test_a_refused_one(self) -> None:
        """Fails, and leaves nothing."""
        client = self.companion()
        demotion = client.demote(100, "ifdown", "no")
        self.settle()
        self.failureResultOf(demotion.in_force(), RefusedError)
        self.got(demotion.end())
        self.assertEqual(self.entries(), [])


class AttendanceTests(CompanionTestCase):
    """Leases."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[Lease | None] = []
        self.stopped: Deferred[None] | None = None

    def hear(self, lease: Lease | None) -> Deferred[None] | None:
        self.told.append(lease)
        return self.stopped

    def test_leases_are_told_in_the_clock_of_the_host(self) -> None:
        """At once, with each advertisement, and at the end."""
        client = self.companion()
        client.attend("1@em0", self.hear)
        self.settle()
        self.assertEqual(self.told, [None])
        self.become("MASTER")
        began = self.told[-1]
        assert began is not None
        self.assertLess(abs(BOOTED + self.clock.seconds() - began.since), 0.1)
        self.assertTrue(2.5 < began.until - began.since < 3)
        self.settle(1.1)
        later = self.told[-1]
        assert later is not None
        self.assertEqual((later.since, later.until), (began.since, began.until + 1))
        self.become("BACKUP")
        self.assertIsNone(self.told[-1])

    def test_the_lease_ends_with_the_connection(self) -> None:
        """Nobody knows then; and the next connection tells it again."""
        client = self.companion()
        client.attend("1@em0", self.hear)
        self.settle()
        self.become("MASTER")
        lease = self.told[-1]
        self.sever()
        self.assertIsNone(self.told[-1])
        self.settle(0.5)
        self.assertEqual(self.told[-1], lease)

    def test_the_addresses_stay_until_the_answer(self) -> None:
        """And no farewell is said before."""
        client = self.companion()
        client.attend("1@em0", self.hear, patience_seconds=2)
        self.settle()
        self.become("MASTER")
        self.stopped = Deferred()
        vhost = self.node.roster.all()[0]
        sent = vhost.sending.sent
        self.become("BACKUP")
        self.settle(0.5)
        self.assertTrue(self.holds())
        self.assertEqual(vhost.sending.sent, sent)
        self.stopped.callback(None)
        self.settle()
        self.assertFalse(self.holds())
        self.assertEqual(vhost.sending.sent, sent + 1)

    def test_nobody_is_waited_for_longer_than_it_wants(self) -> None:
        """The addresses go all the same, and it is told."""
        client = self.companion()
        client.attend("1@em0", self.hear, patience_seconds=1)
        self.settle()
        self.become("MASTER")
        self.stopped = Deferred()
        self.become("BACKUP")
        self.settle(0.8)
        self.assertTrue(self.holds())
        self.settle(0.3)
        self.assertFalse(self.holds())
        self.stopped.callback(None)

    def test_one_that_goes_is_not_waited_for(self) -> None:
        """Its connection is its answer."""
        client = self.companion()
        client.attend("1@em0", self.hear, patience_seconds=60)
        self.settle()
        self.become("MASTER")
        self.stopped = Deferred()
        self.become("BACKUP")
        self.sever()
        self.settle()
        self.assertFalse(self.holds())

    def test_a_vhid_that_comes_later(self) -> None:
        """Is attended from then on."""
        said = heard_in_the_log(self)
        client = self.companion()
        client.attend("2@em0", self.hear)
        self.settle(30)
        self.assertEqual(self.told, [])
        told = [each for each in said if each.startswith("carp: 2@em0")]
        self.assertEqual(told, ["carp: 2@em0: there is no virtual host 2@em0 here: there are 1@em0"])
        from tests.control.support import vhid

        self.node.add(vhid(2, "192.0.2.9/24"))
        self.settle(6)
        self.desk.state("a test", "2@em0", "MASTER")
        self.settle()
        self.assertIsNotNone(self.told[-1])
        self.got(self.node.remove("2@em0"))
        self.assertIsNone(self.told[-1])
        self.assertRaises(ValueError, client.attend, "2@em0", self.hear)

    def test_attending_once_more(self) -> None:
        """After an end of it: what is so now is told at once, and the patience is another one."""
        client = self.companion()
        stop = client.attend("1@em0", self.hear)
        self.settle()
        self.become("MASTER")
        stop()
        heard = len(self.told)
        self.settle(3)
        self.assertEqual(len(self.told), heard)
        client.attend("001@em0", self.hear, patience_seconds=2)
        self.settle()
        self.assertEqual(len(self.told), heard + 1)
        self.stopped = Deferred()
        self.become("BACKUP")
        self.settle(0.5)
        self.assertTrue(self.holds())
        self.stopped.callback(None)

    def test_who_fails_when_it_is_told(self) -> None:
        """Keeps nobody else from being told."""
        client = self.companion()

        def fail(lease: Lease | None) -> None:
            raise ValueError("cannot hear")

        from tests.control.support import vhid

        self.node.add(vhid(2, "192.0.2.9/24"))
        client.attend("2@em0", self.hear)
        self.settle()
        client._attended["1@em0"] = (fail, 0.0)
        self.sever()
        self.assertEqual(self.told, [None, None])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
