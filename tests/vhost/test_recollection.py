"""What is known of counters outlives a restart."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from carptwist.election import record
from carptwist.election.replay import Replay, Verdict
from carptwist.interfaces import INotebook
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.vhost.recollection import APPENDED_OCTETS, RETRY_SECONDS, WRITE_SECONDS, Recollection
from carptwist.vhost.rounds import Rounds

SOURCE = b"\xc0\x00\x02\x03"


class CountingNotebook(MemoryNotebook):
    """Knows what was asked of it."""

    def __init__(self, octets: bytes = b"") -> None:
        super().__init__(octets)
        self.asked: list[str] = []

    def append(self, octets: bytes) -> Deferred[None] | None:
        self.asked.append("append")
        return super().append(octets)

    def replace(self, whole: Callable[[], bytes]) -> Deferred[int]:
        self.asked.append("replace")
        return super().replace(whole)


class RecollectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.notebook = CountingNotebook()
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        text = str(event.get("log_format", "")).format(**event)
        if text.startswith("carp: "):
            self.logged.append(text)

    def live(self) -> tuple[Replay, Recollection]:
        replay = Replay()
        recollection = Recollection("1@em0", replay, self.notebook, self.clock, Rounds(self.clock, WRITE_SECONDS))
        self.successResultOf(recollection.recall())
        return replay, recollection

    def hear(self, replay: Replay, counter: int) -> Verdict:
        verdict = replay.judge(SOURCE, counter, True)
        if verdict is Verdict.NEW:
            replay.introduced(self.clock.seconds(), SOURCE, counter, True)
        return verdict

    def test_the_notebook_is_one(self) -> None:
        """It keeps the interface."""
        verifyObject(INotebook, self.notebook)

    def test_what_was_heard_and_sent_is_known_after_a_restart(self) -> None:
        """All that is older than a second, without any farewell."""
        replay, _ = self.live()
        for counter in range(5):
            self.hear(replay, counter)
            self.clock.advance(0.4)
        replay.sent(100)
        self.clock.advance(WRITE_SECONDS)
        self.hear(replay, 200)
        again, _ = self.live()
        known = [counter for counter in range(300) if again.knows(counter)]
        self.assertEqual(known, [0, 1, 2, 3, 4, 100])

    def test_the_end_forgets_nothing(self) -> None:
        """And leaves no timer behind."""
        replay, recollection = self.live()
        self.hear(replay, 7)
        recollection.finish()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertTrue(self.live()[0].knows(7))
        self.hear(replay, 8)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_writes_once_a_second_at_most(self) -> None:
        """While something is new; first all of it, then what is new alone."""
        replay, _ = self.live()
        for counter in range(40):
            self.hear(replay, counter)
            self.clock.advance(0.1)
        self.clock.advance(WRITE_SECONDS)
        self.assertEqual(self.notebook.asked, ["replace", "append", "append", "append"])
        self.hear(replay, 5)
        self.clock.pump([1.0] * 10)
        self.assertEqual(len(self.notebook.asked), 4)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_notebook_stays_small(self) -> None:
        """When enough was appended it is written anew."""
        replay, _ = self.live()
        longest = 0
        for counter in range(4000):
            self.hear(replay, counter * 2)  # one lost for each that is heard
            self.clock.advance(WRITE_SECONDS)
            longest = max(longest, len(self.notebook.octets))
        self.assertGreater(self.notebook.asked.count("replace"), 2)
        self.assertLess(longest, APPENDED_OCTETS + len(record.snapshot(replay)()) * 9 // 8 + 100)

    def test_damage_is_told_and_left_out(self) -> None:
        """What is before it is used; and what is written next is whole."""
        replay, recollection = self.live()
        self.hear(replay, 1)
        recollection.finish()
        self.notebook.octets += b"damage, of some length"
        again, recollection = self.live()
        self.assertEqual(len(self.logged), 1)
        self.assertTrue(self.logged[0].startswith("carp: 1@em0: "), self.logged)
        self.assertIn("damaged", self.logged[0])
        self.assertTrue(again.knows(1))
        self.hear(again, 2)
        recollection.finish()
        third, _ = self.live()
        self.assertTrue(third.knows(1) and third.knows(2))
        self.assertEqual(len(self.logged), 1)

    def test_a_notebook_that_cannot_be_read(self) -> None:
        """Nothing is known, and life goes on."""
        self.notebook.trouble = OSError(13, "Permission denied")
        replay, _ = self.live()
        self.assertIs(self.hear(replay, 1), Verdict.NEW)
        self.assertIs(self.hear(replay, 1), Verdict.REPLAYED)
        self.clock.advance(WRITE_SECONDS)

    def test_a_notebook_that_cannot_be_written(self) -> None:
        """Is tried again after a while, with all that is known."""
        replay, _ = self.live()
        self.hear(replay, 1)
        self.clock.advance(WRITE_SECONDS)
        self.notebook.trouble = OSError(28, "No space left on device")
        for counter in range(2, 20):
            self.hear(replay, counter)
            self.clock.advance(WRITE_SECONDS)
        self.assertEqual(self.notebook.asked, ["replace", "append"])
        self.clock.advance(RETRY_SECONDS)  # it was tried once more, and nothing is new from now on
        self.notebook.trouble = None
        asked = self.notebook.asked.copy()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual((asked, self.notebook.asked[3:]), (["replace", "append", "replace"], ["replace"]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        again, _ = self.live()
        self.assertTrue(all(again.knows(counter) for counter in range(1, 20)))

    def test_a_notebook_that_fails_at_the_end(self) -> None:
        """Nothing is tried again after it, and no timer is left."""
        replay, recollection = self.live()
        self.hear(replay, 1)
        self.notebook.trouble = OSError(28, "No space left on device")
        recollection.finish()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_end_before_all_was_read(self) -> None:
        """A vhid that is removed at once writes nothing any more."""
        reading: Deferred[bytes] = Deferred()
        self.notebook.read = lambda: reading  # type: ignore[method-assign]
        replay = Replay()
        recollection = Recollection("1@em0", replay, self.notebook, self.clock, Rounds(self.clock, WRITE_SECONDS))
        recollection.recall()
        recollection.finish()
        reading.callback(b"")
        self.hear(replay, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
