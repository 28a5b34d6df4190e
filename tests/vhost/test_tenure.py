"""What guard and kernel are told of a vhid's time as MASTER."""

from __future__ import annotations

from carptwist.config.schema import Knobs
from carptwist.election.effects import Advertise
from carptwist.election.state import State
from carptwist.simulation.guard import MemoryGuard
from carptwist.vhost.virtualhost import VirtualHost
from tests.vhost.test_virtualhost import TIMEOUT, VirtualHostCase, hearing

INTERVAL = 1 + 100 / 256
LEASE = 2.75


class GuardedCase(VirtualHostCase):
    """1@em0 with a guard in memory, whose doings are in ``said``."""

    def setUp(self) -> None:
        super().setUp()
        self.roster.remove(self.vhost)
        self.guard = MemoryGuard(self.clock, lambda requests, frames: self.said.append(("guard", requests, frames)))
        self.vhost = VirtualHost(
            self.vhost.config,
            roster=self.roster,
            plane=self.plane,
            clock=self.clock,
            draw=lambda: 5,
            guard=self.guard,
        )
        self.roster.add(self.vhost)

    def serve(self, seconds: float) -> None:
        """Time passes as it does for a daemon that runs."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            self.clock.advance(min(0.1, end - self.clock.seconds()))


class WillTests(GuardedCase):
    """The guard knows what to do, and until when not to do it."""

    def test_from_the_takeover_to_the_release(self) -> None:
        """There is a will while MASTER, and none before and after; nobody carries it out while the daemon runs."""
        self.start()
        self.assertEqual(self.guard.kept, {})
        self.serve(TIMEOUT + 20)
        self.assertEqual(list(self.guard.kept), ["1@em0"])
        self.vhost.asked(State.BACKUP)
        self.assertEqual(self.guard.kept, {})
        self.assertNotIn("guard", [what for what, *_ in self.said])

    def test_the_daemon_dies(self) -> None:
        """The addresses go and the farewell is said, if it was heard of before."""
        self.start()
        self.plane.slow = True
        self.clock.advance(TIMEOUT)
        self.guard.daemon_died()  # before its addresses were up
        self.assertEqual(self.said[-1], ("guard", (b"down",), ()))

    def test_the_daemon_dies_later(self) -> None:
        """Then the others are told."""
        self.become_master()
        self.guard.daemon_died()
        self.assertEqual(self.said, [("guard", (b"down",), (b"bye 4 255 255",))])

    def test_the_guard_acts(self) -> None:
        """A daemon that hears of that is BACKUP, says nothing, and has its plane prepared anew."""
        self.become_master()
        self.plane.slow = False
        self.guard.kept["1@em0"].ended("the daemon does not run", self.clock.seconds())
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual(self.said, [("release",)])
        self.assertIn("carp: 1@em0: the guard has ended it: the daemon does not run", self.logged)

    def test_away(self) -> None:
        """Whoever was away for longer than its lease is BACKUP, has said nothing, and mends what the guard has left."""
        self.become_master()
        self.clock.advance(10)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual([what for what, *_ in self.said if what != "guard"], ["release", "prepare"])
        self.assertIn("carp: 1@em0: MASTER -> BACKUP (was away for 8.6 s)", self.logged)

    def test_no_answer_after_the_lease(self) -> None:
        """Questions that have waited meanwhile are not answered, even before any timer has fired."""
        self.become_master()
        self.assertTrue(self.vhost.holding)
        self.clock.rightNow += LEASE  # type: ignore[attr-defined]
        self.assertFalse(self.vhost.holding)
        self.vhost.heard(hearing(200))
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertNotIn(("announce",), self.said)

    def test_stopped_after_the_last_word(self) -> None:
        """A lease counts from before the advertisement, not from when it went on after it: the questions that have
        waited meanwhile are not answered, and the addresses are not refreshed."""
        self.become_master()

        def stopped() -> None:
            self.clock.rightNow += 30  # type: ignore[attr-defined]

        self.voice.when_advertising = stopped
        until = self.clock.seconds() + LEASE
        self.vhost.speech.advertise(Advertise(1, 100, 0))
        self.assertEqual(self.vhost.until, until)
        self.assertFalse(self.vhost.holding)
        self.assertEqual(self.plane.refreshed[-1][1], until)

    def test_a_farewell_has_an_end_too(self) -> None:
        """Who is stopped just before its bow-out does not dethrone, when it goes on, whoever has taken over."""
        self.become_master()
        lease, said = self.vhost.until, list[float]()
        self.voice.when_advertising = lambda: said.append(self.vhost.until)
        self.vhost.stop()
        self.assertEqual(said, [lease])
        self.assertEqual(self.vhost.until, float("inf"))

    def test_held_up_by_its_plane(self) -> None:
        """What waited behind a plane at work for longer than the lease is left unsaid."""
        self.become_master()
        self.plane.slow = True
        self.vhost.damaged("carp2-1 was removed")
        self.serve(4)
        self.said.clear()
        self.plane.finish()
        self.assertNotIn("advertise", [what for what, *_ in self.said])


class LifetimeTests(GuardedCase):
    """The kernel is told how long the addresses may stay."""

    def test_refreshed_between_advertisements_too(self) -> None:
        """With advbase 1 for 2 s each time; never for longer than 3.1 s after an advertisement."""
        self.start()
        self.clock.advance(TIMEOUT)
        first = self.clock.seconds()
        self.assertEqual(self.plane.refreshed, [(2, first + 1.1)])
        self.serve(INTERVAL - 0.1)
        self.assertEqual(self.plane.refreshed, [(2, first + 1.1)] * 2)
        self.serve(0.2)
        self.assertEqual(len(self.plane.refreshed), 3)

    def test_not_after_the_release(self) -> None:
        """Nothing is refreshed that is not held."""
        self.become_master()
        self.vhost.asked(State.BACKUP)
        before = len(self.plane.refreshed)
        self.serve(3)
        self.assertEqual(len(self.plane.refreshed), before)


class LastingTests(GuardedCase):
    """expire = no."""

    knobs = Knobs(expire=False)

    def test_for_good(self) -> None:
        """Nothing is refreshed, and so nothing expires."""
        self.become_master()
        self.serve(5)
        self.assertEqual(self.plane.refreshed, [])
