"""One input after the other, each at a moment of its own."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.recorder.records import Input
from carptwist.recorder.tape import MOST_RECORDS, Tape, TapedClock


class TapeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.tape = Tape(self.clock)
        self.taped = TapedClock(self.tape, self.clock)

    def test_the_time_stands_still_within_an_input(self) -> None:
        """Up to the next microsecond, and runs on after it."""
        self.clock.advance(1.0000003)
        seen = []

        def work() -> None:
            seen.append(self.taped.seconds())
            self.clock.advance(5)
            seen.append(self.taped.seconds())

        self.tape.input("T", (1,), work)
        self.assertEqual(seen, [1.000001, 1.000001])
        self.assertEqual(self.taped.seconds(), 6.0000003)
        self.assertEqual(self.tape.take(), [["T", 1_000_001, 1]])

    def test_what_comes_in_the_middle_waits(self) -> None:
        """Also if the one in the middle fails; and so does what others are to do afterwards."""
        done: list[str] = []

        def first() -> None:
            self.tape.input("P", (), lambda: done.append("second"))
            self.tape.afterwards(lambda: done.append("others"))
            self.tape.say("b", "first")
            done.append("first")

        self.tape.input("C", (), first)
        self.assertEqual(done, ["first", "second", "others"])
        self.assertEqual([record[0] for record in self.tape.take()], ["C", "b", "P"])
        with self.assertRaises(ZeroDivisionError):
            self.tape.input("C", (), lambda: 1 / 0)
        self.assertFalse(self.tape.busy)

    def test_thousands_that_wait(self) -> None:
        """Are done one after the other, in their order, and not one within the other; also if each has brought about
        the next."""
        done: list[int] = []

        def wait(number: int) -> None:
            self.tape.afterwards(lambda: self.tape.input("O", (number,), lambda: done.append(number)))

        self.tape.input("C", (), lambda: [wait(number) for number in range(5000)])

        def next_one(number: int) -> None:
            done.append(number)
            if number < 10_000:
                self.tape.input("O", (number,), lambda: next_one(number + 1))

        self.tape.input("C", (), lambda: next_one(5000))
        self.assertEqual(done, list(range(10_001)))

    def test_what_nothing_follows_from_is_not_taken_down(self) -> None:
        """A frame is, if anything is said below it, or it matters."""
        self.tape.hear("em0/arp", b"1", lambda frame: None)
        self.assertEqual(self.tape.take(), [])
        self.tape.hear("em0/arp", b"2", lambda frame: self.tape.say("s", "em0/arp", b"answer"))
        self.tape.hear("em0/arp", b"3", lambda frame: self.tape.matters())
        self.assertEqual(
            self.tape.take(),
            [["F", 0, "em0/arp", b"2"], ["s", "em0/arp", b"answer"], ["F", 0, "em0/arp", b"3"]],
        )

    def test_timers(self) -> None:
        """Are numbered, are inputs, and fire when they are due although the clock has gone on meanwhile."""
        fired: list[float] = []

        def work() -> None:
            self.clock.advance(0.25)
            self.taped.callLater(1, lambda: fired.append(self.taped.seconds()))
            self.taped.callLater(2, lambda: None).cancel()

        self.tape.input("C", (), work)
        self.clock.advance(0.7)
        self.assertEqual(fired, [])
        self.clock.advance(0.05)
        self.assertEqual(fired, [1.0])
        self.assertEqual(self.tape.take(), [["C", 0], [Input.TIMER, 1_000_000, 1]])
        self.assertEqual(self.taped.getDelayedCalls(), [])

    def test_a_trait_is_told_when_it_changes(self) -> None:
        """And only within an input: in between somebody else has asked."""
        self.tape.trait(("forwards", "em0"), True)

        def work() -> None:
            for value in (True, True, False):
                self.tape.trait(("forwards", "em0"), value)

        self.tape.input("C", (), work)
        self.assertEqual(
            self.tape.take(), [["C", 0], ["t", ["forwards", "em0"], True], ["t", ["forwards", "em0"], False]]
        )

    def test_a_flood_is_bounded(self) -> None:
        """What is too much is counted, and nothing is taken down after it."""
        for _ in range(MOST_RECORDS + 5):
            self.tape.input("T", (1,), lambda: None)
        self.assertEqual(len(self.tape.take()), MOST_RECORDS)
        self.assertEqual(self.tape.lost, 5)
        self.tape.input("T", (1,), lambda: None)
        self.assertEqual(self.tape.take(), [])

    def test_what_happens_behind_its_back_is_noticed(self) -> None:
        """A decision, or a timer asked for, between two inputs makes what is on record worthless from there on."""
        self.tape.say("b", "1@em0")
        self.taped.callLater(1, lambda: None).cancel()
        self.assertEqual(self.tape.lost, 2)
