"""Drawn schedules of failures on real daemons: one of those that ``make soak LAB=1`` performs without an end."""

from __future__ import annotations

import unittest
from dataclasses import replace

from carptwist.config.schema import Knobs
from carptwist.simulation.breaker import draw_tangible
from carptwist.simulation.scenario import Heal, HostEvent, Order, Scheduled
from tests.lab.ordeal import Ordeal

#: Of three hosts.
SEED = 3


class OrdealTests(unittest.TestCase):
    def test_a_drawn_schedule(self) -> None:
        """Nobody has the addresses beside another one, all comes to one owner, and nothing is left."""
        ordeal = Ordeal(draw_tangible(SEED))
        self.assertEqual(ordeal.perform(), [])
        self.assertGreaterEqual(ordeal.healed_after, 0.0)

    def test_daemons_without_guards(self) -> None:
        """What breaks the rules is told: nobody takes the addresses of a killed daemon away."""
        drawn = draw_tangible(0)
        parts = tuple(
            replace(
                part, configuration=replace(part.configuration, knobs=Knobs(preempt=True, guard=False, expire=False))
            )
            for part in drawn.parts[:2]
        )
        killed = Scheduled(0.5, HostEvent(Order.KILL, "a"), "the daemon of a is killed")
        later = Scheduled(5.5, Heal(None), "nothing happens")
        offences = Ordeal(replace(drawn, parts=parts, failures=(killed, later))).perform()
        self.assertRegex(offences[0], "^a and b had the addresses together for [0-9.]+ s, from [0-9.]+ s on$")
