"""The status is taken a few virtual hosts at a time."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from carptwist.control.commands import RefusedError
from carptwist.control.revision_commands import unpacked
from carptwist.control.snapshot import PIECES_AT_ONCE, Snapshot
from tests.control.support import ControlTestCase, vhid


class SnapshotTests(SynchronousTestCase):
    def test_so_many_pieces_are_made_in_one_turn(self) -> None:
        """Each when its turn comes; everybody who waits gets all of them at the end."""
        made: list[int] = []

        def pieces() -> Iterator[str]:
            yield "["
            for number in range(2 * PIECES_AT_ONCE):
                made.append(number)
                yield f"{', ' if number else ''}{number}"
            yield "]"

        snapshot = Snapshot(pieces(), lambda: 0.0)
        one, other = snapshot.wait(), snapshot.wait()
        self.assertTrue(snapshot.serve())
        self.assertEqual(len(made), PIECES_AT_ONCE - 1)
        self.assertTrue(snapshot.serve())
        self.assertNoResult(one)
        self.assertFalse(snapshot.serve())
        told = self.successResultOf(one)
        self.assertEqual(unpacked(told), list(range(2 * PIECES_AT_ONCE)))
        self.assertEqual(self.successResultOf(other), told)


class StatusTests(ControlTestCase):
    """Of so many that it takes several turns."""

    configs = tuple(vhid(number, f"192.0.2.{number}/24") for number in range(1, 3 * PIECES_AT_ONCE))

    def test_its_pieces_are_what_it_is(self) -> None:
        """As the whole that others in this process use."""
        self.assertEqual(self.answer(self.client().status()), self.report.snapshot())

    def test_all_who_ask_meanwhile_get_the_same(self) -> None:
        """And others are served in between."""
        begun: list[float] = []
        self.report._checks = lambda time: [{"begun": begun.append(self.clock.seconds())}]
        self.factory.turnstile._seconds = iter(range(10**6)).__next__  # one visitor a turn
        client = self.client()
        asking = [client.snapshot() for _ in range(3)]
        interfaces = client.interfaces()
        for _ in range(4):
            self.flow()
        self.assertEqual(len({self.successResultOf(each) for each in asking}), 1)
        self.successResultOf(interfaces)
        self.assertEqual(len(begun), 1)

    def test_a_change_is_in_what_is_asked_after_it(self) -> None:
        """Also where a snapshot is being taken that began before it."""
        client = self.client()
        self.factory.turnstile._seconds = iter(range(10**6)).__next__  # one visitor a turn
        before = client.status()
        for _ in range(2):
            self.pump.flush()
            self.clock.advance(0.005)
        self.desk.demote("somebody", 7, "mine", "to be seen", None)
        after = client.status()
        for _ in range(4):
            self.flow()
        self.assertEqual(self.successResultOf(before)["demotion"], 0)
        self.assertEqual(self.successResultOf(after)["demotion"], 7)

    def test_one_that_cannot_be_taken(self) -> None:
        """Is a bug: it is logged, told to all who wait, and the next one is tried again."""
        client = self.client()
        sound = self.report._checks

        def bug(_: object) -> list[dict[str, object]]:
            raise ZeroDivisionError("a bug")

        self.report._checks = bug
        self.assertIn("its log says more", self.refusal(client.status(), RefusedError))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.report._checks = sound
        self.assertIn("vhids", self.answer(client.status()))
