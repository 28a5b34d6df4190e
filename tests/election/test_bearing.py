"""A machine that its group wants to bear itself otherwise than its election alone would have it."""

from __future__ import annotations

import unittest

from carptwist.election.bearing import FAST_OFFER, GRACE_SECONDS, OFFER_ADVBASE, Bearing, offer
from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.machine import LAST_RESORT, Machine, Settings
from carptwist.election.precedence import interval, patience
from carptwist.election.state import State

WHY = "group: 2@em1 is not able to be MASTER here"


def advertised(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """What was said: advbase, advskew, demote."""
    return [(each.advbase, each.advskew, each.demote) for each in effects if isinstance(each, Advertise)]


class BearingCase(unittest.TestCase):
    def machine(
        self,
        bearing: Bearing = Bearing.FREE,
        *,
        state: State = State.BACKUP,
        preempt: bool = True,
        advbase: int = 1,
        advskew: int = 100,
        counts_demotion: bool = False,
        demotion: int = 0,
    ) -> Machine:
        """One that has been in its state since 0.0."""
        settings = Settings(advbase, advskew, (4,), counts_demotion)
        machine = Machine(0.0, settings, preempt=preempt, demotion=demotion)
        machine.ready(0.0)
        if state is State.MASTER:
            machine.asked(0.0, State.MASTER)
        machine.bear(0.0, bearing, WHY)
        return machine


class YieldingMasterTests(BearingCase):
    """It serves on, and offers what it has."""

    def test_an_offer_is_beyond_every_patience(self) -> None:
        """Of whoever waits for less than 254 s, and nobody else's offer or last resort is preferred to a faster one."""
        for advbase in range(1, 85):
            self.assertLess(patience(advbase, 240), interval(*offer(advbase, 0)))
        self.assertLess(interval(*offer(1, 100)), interval(*offer(1, 101)))
        self.assertLess(interval(*offer(1, 254)), interval(*LAST_RESORT))

    def test_it_offers_at_once_and_as_often_as_ever(self) -> None:
        """And stays MASTER while nobody takes it."""
        machine = self.machine(state=State.MASTER)
        self.assertEqual(machine.bear(1.0, Bearing.YIELDING, WHY), [Advertise(OFFER_ADVBASE, 100)])
        self.assertEqual(machine.advertise_at, 1 + 1 + 100 / 256)
        self.assertEqual(machine.bear(1.1, Bearing.YIELDING, WHY), [])
        self.assertEqual(advertised(machine.tick(2.4)), [(OFFER_ADVBASE, 100, 0)])
        self.assertIs(machine.state, State.MASTER)

    def test_any_other_takes_it(self) -> None:
        """At once, whatever its preempt and its settings; and the one that has offered yields to its advertisement."""
        for counts in (False, True):
            for advskew in (0, 254):
                master = self.machine(state=State.MASTER, counts_demotion=counts)
                (said,) = advertised(master.bear(1.0, Bearing.YIELDING, WHY))
                other = self.machine(preempt=False, advskew=advskew, counts_demotion=counts, demotion=100)
                (answer,) = advertised(other.heard(1.0, 4, *said))
                self.assertIs(other.state, State.MASTER)
                self.assertIsInstance(master.heard(1.0, 4, *answer)[0], Became)
                self.assertIs(master.state, State.BACKUP)

    def test_of_two_that_offer_one_stays(self) -> None:
        """The faster one, when a divided LAN is whole again."""
        fast = self.machine(Bearing.YIELDING, state=State.MASTER, advskew=10)
        slow = self.machine(Bearing.YIELDING, state=State.MASTER, advskew=20)
        self.assertEqual(fast.heard(2.0, 4, *offer(1, 20)), [Announce()])
        slow.heard(2.0, 4, *offer(1, 10))
        self.assertIs(slow.state, State.BACKUP)

    def test_it_says_so_when_it_offers_no_more(self) -> None:
        """At once, with its own values, in every dialect."""
        for counts in (False, True):
            machine = self.machine(Bearing.YIELDING, state=State.MASTER, counts_demotion=counts)
            machine.demoted(0.5, 7)
            self.assertEqual(machine.demote, 255 if counts else 0)
            told = (1, 100, 7) if counts else (1, 107, 0)
            self.assertEqual(advertised(machine.bear(1.0, Bearing.FREE, "")), [told])

    def test_a_last_resort_stays_one(self) -> None:
        """Maintenance comes before groups."""
        machine = self.machine(Bearing.YIELDING)
        machine.resort(0.0, True)
        machine.asked(1.0, State.MASTER)
        self.assertEqual(advertised(machine.bear(2.0, Bearing.FREE, "")), [(*LAST_RESORT, 0)])

    def test_with_advbase_0_it_says_farewell_once(self) -> None:
        """Nobody compares intervals there unless it preempts. Where nobody has taken over it offers as long as it
        lasts."""
        machine = self.machine(state=State.MASTER, advbase=0)
        effects = machine.bear(0.1, Bearing.YIELDING, WHY)
        self.assertEqual(effects, [Became(State.MASTER, State.BACKUP, WHY), Release(), Advertise(255, 255)])
        effects = machine.tick(machine.deadline or 0.0)
        self.assertEqual(effects[1:], [Hold(), Advertise(*FAST_OFFER), Announce()])
        self.assertEqual(machine.bear(3.0, Bearing.YIELDING, WHY), [])

    def test_a_master_that_was_away_has_nothing_to_offer(self) -> None:
        """It is BACKUP, and listens."""
        for advbase in (0, 1):
            machine = self.machine(state=State.MASTER, advbase=advbase)
            effects = machine.bear(60.0, Bearing.YIELDING, WHY)
            self.assertEqual(advertised(effects), [])
            self.assertIs(machine.state, State.BACKUP)


class YieldingBackupTests(BearingCase):
    """It leaves what there is to others."""

    def test_it_takes_nothing_that_is_served(self) -> None:
        """No slow master, no demoted one, no offer and no last resort; its timeout begins anew."""
        for said in ((1, 200, 0), (1, 0, 200), (*offer(1, 0), 255), (*LAST_RESORT, 0)):
            machine = self.machine(Bearing.YIELDING, counts_demotion=True)
            self.assertEqual(machine.heard(1.0, 4, *said), [])
            self.assertEqual(machine.master_down_at, {4: 1 + 3 + 100 / 256})

    def test_it_takes_over_from_silence(self) -> None:
        """After its own timeout, and offers at once what it has."""
        machine = self.machine(Bearing.YIELDING)
        effects = machine.tick(3 + 100 / 256)
        self.assertEqual(effects[0], Became(State.BACKUP, State.MASTER, "master timed out"))
        self.assertEqual(advertised(effects), [(OFFER_ADVBASE, 100, 0)])

    def test_after_a_farewell_others_go_first(self) -> None:
        """For less than a second, and never for longer than its patience."""
        machine = self.machine(Bearing.YIELDING)
        self.assertEqual(machine.heard(1.0, 4, 255, 255), [])
        self.assertEqual(machine.master_down_at, {4: 1 + GRACE_SECONDS + 100 / 256})
        machine.heard(1.1, 4, 1, 0)
        self.assertEqual(machine.master_down_at, {4: 1.1 + 3 + 100 / 256})
        fast = self.machine(Bearing.YIELDING, advbase=0, advskew=2)
        fast.heard(1.0, 4, 255, 255)
        self.assertEqual(fast.master_down_at, {4: 1 + 6 / 256})

    def test_a_family_of_which_it_has_no_address(self) -> None:
        """Starts no timer."""
        machine = self.machine(Bearing.YIELDING)
        machine.heard(1.0, 6, 1, 0)
        self.assertEqual(list(machine.master_down_at), [4])

    def test_what_was_abandoned_is_taken_when_it_may_be(self) -> None:
        """At once; but not what somebody else has taken meanwhile."""
        machine = self.machine(Bearing.YIELDING)
        machine.heard(1.0, 4, 255, 255)
        effects = machine.bear(1.1, Bearing.FREE, "")
        self.assertEqual(effects[0], Became(State.BACKUP, State.MASTER, "master has left"))
        self.assertEqual(advertised(effects), [(1, 100, 0)])
        machine = self.machine(Bearing.YIELDING)
        machine.heard(1.0, 4, 255, 255)
        machine.heard(1.1, 4, 1, 0)
        self.assertEqual(machine.bear(1.2, Bearing.FREE, ""), [])
        self.assertIs(machine.state, State.BACKUP)

    def test_in_init_it_says_nothing(self) -> None:
        """Whatever is asked of it."""
        machine = Machine(0.0, Settings(1, 0, (4,)))
        for bearing in (Bearing.YIELDING, Bearing.INSISTING, Bearing.YIELDING, Bearing.FREE):
            self.assertEqual(machine.bear(1.0, bearing, WHY), [])


class PreemptionTests(BearingCase):
    """A group decides who preempts, whatever the host-wide setting says."""

    def test_modest(self) -> None:
        """It leaves a slower master alone, and takes what is offered or abandoned."""
        for said, state in (((1, 200), State.BACKUP), (offer(1, 0), State.MASTER), ((255, 255), State.MASTER)):
            machine = self.machine(Bearing.MODEST)
            machine.heard(1.0, 4, *said)
            self.assertIs(machine.state, state)

    def test_insisting(self) -> None:
        """It takes over from a slower master, and from no other."""
        for said, state in (((1, 200), State.MASTER), ((1, 100), State.BACKUP), ((1, 0), State.BACKUP)):
            machine = self.machine(Bearing.INSISTING, preempt=False)
            machine.heard(1.0, 4, *said)
            self.assertIs(machine.state, state)

    def test_free(self) -> None:
        """As the host-wide setting says."""
        for preempt, state in ((True, State.MASTER), (False, State.BACKUP)):
            machine = self.machine(preempt=preempt)
            machine.heard(1.0, 4, 1, 200)
            self.assertIs(machine.state, state)
