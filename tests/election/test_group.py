"""The machine of a group: what it orders, state by state. The patience of all members is 4 s here."""

from __future__ import annotations

import unittest

from carptwist.election.bearing import Bearing
from carptwist.election.group import (
    FORGIVEN_AFTER_SECONDS,
    LONGEST_HOLD_SECONDS,
    Group,
    Phase,
    Standing,
)
from carptwist.election.state import State

FREE, MODEST, YIELDING, INSISTING = Bearing.FREE, Bearing.MODEST, Bearing.YIELDING, Bearing.INSISTING

STATES = {"I": State.INIT, "B": State.BACKUP, "M": State.MASTER}


def members(picture: str, since: float = 0.0) -> list[Standing]:
    """``BM``: 1@em0 is BACKUP, 2@em1 MASTER; the last one has been so since then."""
    return [
        Standing(f"{number}@em{number - 1}", STATES[letter], since, "as told", 4.0)
        for number, letter in enumerate(picture, 1)
    ]


class GroupTests(unittest.TestCase):
    """One group of two or three."""

    def setUp(self) -> None:
        self.group = Group()

    def decide(self, now: float, picture: str, since: float = 0.0) -> tuple[Bearing, ...]:
        return tuple(order.bearing for order in self.group.decide(now, members(picture, since)).values())

    def test_together_here(self) -> None:
        """Nothing is ordered, and nothing will be."""
        self.assertEqual(self.decide(100.0, "MMM"), (FREE, FREE, FREE))
        self.assertIs(self.group.phase, Phase.LEADING)
        self.assertIsNone(self.group.deadline)

    def test_a_member_that_cannot(self) -> None:
        """All others yield at once, whoever it is; and it is told who it is."""
        for picture in ("IM", "MI", "IB", "BI", "II"):
            self.assertEqual(self.decide(0.0, picture), (YIELDING, YIELDING), picture)
            self.assertIs(self.group.phase, Phase.UNABLE)
            self.assertIsNone(self.group.deadline)
        told = self.group.decide(0.0, members("MI"))["1@em0"].why
        self.assertEqual(told, "2@em1 is not able to be MASTER here (as told)")

    def test_nothing_is_decided_yet(self) -> None:
        """Only the first one preempts, until another host has been MASTER of it for a patience."""
        self.assertEqual(self.decide(1.0, "BB"), (FREE, MODEST))
        self.assertIs(self.group.phase, Phase.WAITING)
        self.assertEqual(self.group.deadline, 4.0)
        self.assertEqual(self.decide(1.0, "BM"), (FREE, FREE))
        self.assertEqual(self.decide(4.0, "BB"), (FREE, YIELDING))
        self.assertIs(self.group.phase, Phase.FOLLOWING)
        self.assertIsNone(self.group.deadline)

    def test_the_first_one_is_elsewhere_for_good(self) -> None:
        """What is here is offered; if nobody takes it, the first one is claimed."""
        self.assertEqual(self.decide(4.0, "BM"), (FREE, YIELDING))
        self.assertEqual(self.group.deadline, 12.0)
        self.assertEqual(self.decide(12.0, "BM"), (INSISTING, YIELDING))
        self.assertIsNone(self.group.deadline)
        self.assertEqual(self.decide(13.0, "MM", 13.0), (FREE, FREE))

    def test_one_that_has_yielded_goes_on_yielding(self) -> None:
        """What it has given away, or has had to serve again, it does not take back from whoever offers it."""
        self.decide(4.0, "BM")
        self.assertEqual(self.decide(5.0, "BB", 5.0), (FREE, YIELDING))
        self.assertEqual(self.decide(6.0, "BM", 6.0), (FREE, YIELDING))
        self.assertEqual(self.decide(7.0, "MB", 7.0), (FREE, FREE))
        self.assertEqual(self.decide(8.0, "BB", 8.0), (FREE, MODEST))

    def test_another_one_is_elsewhere_for_good(self) -> None:
        """It is claimed; if it cannot be won, it decides from now on, and the others yield."""
        self.assertEqual(self.decide(1.0, "MBM"), (FREE, FREE, FREE))
        self.assertEqual(self.group.deadline, 8.0)
        self.assertEqual(self.decide(8.0, "MBM"), (FREE, INSISTING, FREE))
        self.assertEqual(self.group.deadline, 12.0)
        self.assertEqual(self.decide(12.0, "MBM"), (YIELDING, INSISTING, YIELDING))
        self.assertIs(self.group.phase, Phase.FOLLOWING)
        self.assertEqual(self.decide(13.0, "BBB", 13.0), (YIELDING, FREE, YIELDING))
        self.assertEqual(self.decide(99.0, "BBB", 13.0), (YIELDING, FREE, YIELDING))

    def test_one_that_could_not_be_won_decides_until_it_is_here(self) -> None:
        """Then the first one does so again."""
        self.decide(12.0, "MB")
        self.decide(13.0, "BB", 13.0)
        self.assertEqual(self.decide(20.0, "BM", 20.0), (FREE, YIELDING))
        self.assertEqual(self.decide(21.0, "MM", 21.0), (FREE, FREE))

    def test_one_that_could_not_be_won_and_then_cannot_be_here(self) -> None:
        """Or has left the group: the first one decides again."""
        self.decide(12.0, "MB")
        self.decide(13.0, "BI", 13.0)
        self.assertEqual(self.decide(14.0, "BB", 14.0), (FREE, MODEST))
        self.decide(30.0, "MBM", 15.0)
        self.assertEqual(self.decide(31.0, "MM", 15.0), (FREE, FREE))

    def test_a_group_of_one(self) -> None:
        """Is as without a group."""
        for picture in ("B", "M"):
            self.assertEqual(self.decide(99.0, picture), (FREE,))

    def test_a_link_that_comes_and_goes(self) -> None:
        """The first time costs nothing; each further one costs the right to preempt for longer."""
        now, held = 0.0, []
        for _ in range(7):
            now += 1
            self.decide(now, "MM", now)
            now += 1
            self.decide(now, "BI", now)
            now += 1
            bearing, _ = self.decide(now, "BB", now)
            until = self.group.deadline
            self.assertIsNotNone(until)
            held.append(0.0 if bearing is FREE else (until or 0.0) - now)
        # Its deadline is that of a decision, after 4 s, where that comes first.
        self.assertEqual(held, [0.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0])
        self.assertEqual(self.decide(now + 4, "BB", now), (MODEST, YIELDING))
        self.assertEqual(self.group.deadline, now + LONGEST_HOLD_SECONDS)
        self.assertEqual(self.decide(now + LONGEST_HOLD_SECONDS, "BB", now), (FREE, YIELDING))
        now += FORGIVEN_AFTER_SECONDS
        self.decide(now, "IB", now)
        self.assertEqual(self.decide(now + 1, "BB", now + 1), (FREE, MODEST))

    def test_what_is_said_of_a_link_that_comes_and_goes(self) -> None:
        """How often it was."""
        for now in (1.0, 3.0):
            self.decide(now, "MM", now)
            self.decide(now + 1, "MI", now + 1)
        order = self.group.decide(5.0, members("BB", 5.0))["1@em0"]
        self.assertEqual(order.why, "a member was not able to be MASTER here 2 times lately")

    def test_a_start_is_no_loss(self) -> None:
        """Members are in INIT before they are ready."""
        for now in (1.0, 2.0, 3.0):
            self.decide(now, "II", now)
        self.decide(4.0, "BB", 4.0)
        self.decide(5.0, "BI", 5.0)
        self.assertEqual(self.decide(6.0, "BB", 6.0), (FREE, MODEST))

    def test_the_longest_patience_counts(self) -> None:
        """Of whichever member."""
        slow = Standing("2@em1", State.BACKUP, 0.0, "", 40.0)
        self.group.decide(4.0, [*members("B"), slow])
        self.assertIs(self.group.phase, Phase.WAITING)
        self.assertEqual(self.group.deadline, 40.0)
