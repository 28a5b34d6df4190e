"""A node that is the last resort: in maintenance."""

from __future__ import annotations

import unittest

from carptwist.election.effects import Advertise, Became, Release
from carptwist.election.machine import Machine, Settings
from carptwist.election.precedence import is_bow_out, master_down_seconds
from carptwist.election.state import State


class LastResortTests(unittest.TestCase):
    """A node that is MASTER only while nobody else is."""

    def machine(self, *, preempt: bool = True, **settings: int) -> Machine:
        given = {"advbase": 1, "advskew": 0, **settings}
        machine = Machine(0.0, Settings(given["advbase"], given["advskew"], (4,)), preempt=preempt)
        machine.ready(0.0)
        return machine

    def test_a_master_says_goodbye(self) -> None:
        """And is BACKUP."""
        machine = self.machine()
        machine.asked(1.0, State.MASTER)
        self.assertEqual(
            machine.resort(2.0, True),
            [Became(State.MASTER, State.BACKUP, "maintenance"), Release(), Advertise(255, 255)],
        )
        self.assertEqual(machine.resort(2.0, True), [])

    def test_it_waits_longer_than_any_other_node(self) -> None:
        """By more than a second, whatever the settings."""
        for advbase, advskew in ((1, 0), (0, 0), (0, 254), (10, 100)):
            machine = self.machine(advbase=advbase, advskew=advskew)
            machine.resort(0.0, True)
            slowest = master_down_seconds(advbase, 254)
            self.assertGreaterEqual(machine.master_down_at[4], slowest + 1)

    def test_it_follows_any_master(self) -> None:
        """A slow one, and one that says goodbye: others are to be faster."""
        machine = self.machine()
        machine.resort(0.0, True)
        for advbase, advskew in ((1, 240), (200, 0), (255, 255)):
            self.assertEqual(machine.heard(1.0, 4, advbase, advskew), [])
        self.assertEqual(machine.heard(1.0, 6, 1, 240), [])
        self.assertNotIn(6, machine.master_down_at)

    def test_as_master_it_asks_to_be_relieved(self) -> None:
        """With an interval beyond every patience, and it yields to whoever advertises."""
        machine = self.machine()
        machine.resort(0.0, True)
        due = machine.master_down_at[4]
        effects = machine.tick(due)
        self.assertEqual(effects[0], Became(State.BACKUP, State.MASTER, "master timed out"))
        said = next(effect for effect in effects if isinstance(effect, Advertise))
        self.assertFalse(is_bow_out(said.advbase, said.advskew))
        self.assertEqual(machine.advertise_at, due + 1)
        for preempt in (False, True):
            other = self.machine(preempt=preempt, advskew=200)
            self.assertEqual(other.heard(due, 4, said.advbase, said.advskew)[0].state, State.MASTER)  # type: ignore[union-attr]
        self.assertEqual(machine.heard(due + 1, 4, 1, 240)[0].state, State.BACKUP)  # type: ignore[union-attr]

    def test_it_ends(self) -> None:
        """A BACKUP is as patient as before, a MASTER tells at once what it is now."""
        machine = self.machine(advskew=7)
        machine.resort(0.0, True)
        self.assertEqual(machine.resort(5.0, False), [])
        self.assertEqual(machine.master_down_at, {4: 5.0 + master_down_seconds(1, 7)})
        machine.resort(6.0, True)
        machine.asked(7.0, State.MASTER)
        self.assertEqual(machine.resort(8.0, False), [Advertise(1, 7)])
        idle = Machine(0.0, Settings(1, 0, (4,)))
        self.assertEqual(idle.resort(1.0, True), [])

    def test_what_is_foreseen_changes_nothing(self) -> None:
        """And is what is done."""
        machine = self.machine()
        before = (machine.state, machine.deadline)
        foreseen = machine.foresee(1.0, 4, 1, 100)
        self.assertEqual((machine.state, machine.deadline), before)
        machine.foresee(2.0, 4, 1, 0)
        self.assertEqual((machine.state, machine.deadline), before)
        self.assertEqual(machine.heard(1.0, 4, 1, 100), foreseen)
