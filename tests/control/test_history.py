"""The history: bounded, kept, told."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.control import connection, listener
from carptwist.control.commands import BusyError, RefusedError
from carptwist.control.history import FLUSH_SECONDS, MOST_BY_OTHERS, MOST_KEPT, MOST_REFUSALS, History
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.vhost.roster import Occurrence
from tests.control.support import ControlTestCase, vhid


class HistoryTests(SynchronousTestCase):
    """Events in memory and in a notebook."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.notebook = MemoryNotebook()
        self.history = self.open()

    def open(self) -> History:
        history = History(self.notebook, clock=self.clock, wall=lambda: 1_800_000_000.0 + self.clock.seconds())
        self.successResultOf(history.recall())
        return history

    def texts(self, history: History) -> list[str]:
        return [event["text"] for event in history.after(0, MOST_KEPT)]

    def test_it_outlives_the_daemon(self) -> None:
        """Numbers go on, also behind what happened before the notebook was read."""
        self.history.note("change", "", "one")
        self.history.note("change", "1@em0", "two")
        self.clock.advance(FLUSH_SECONDS)
        self.history.note("change", "1@em0", "three")
        self.history.finish()
        later = History(self.notebook, clock=self.clock, wall=lambda: 0.0)
        later.note("change", "", "four")
        self.successResultOf(later.recall())
        self.assertEqual(self.texts(later), ["one", "two", "three", "four"])
        self.assertEqual([event["number"] for event in later.after(2, 10)], [3, 4])
        later.finish()
        self.assertEqual(self.texts(self.open()), ["one", "two", "three", "four"])

    def test_a_torn_or_foreign_line_is_left_out(self) -> None:
        """What can be read is read."""
        self.history.note("change", "", "one")
        self.history.finish()
        self.notebook.octets += b'{"number": 9}\nrubbish\n\xff\n[]\n{"number": 2, "text": "to'
        self.assertEqual(self.texts(self.open()), ["one"])

    def test_it_is_bounded(self) -> None:
        """In memory and on disk."""
        for number in range(3 * MOST_KEPT):
            self.history.note("change", "", f"event {number}")
            if number % 100 == 0:
                self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(len(self.history.after(0, 10**6)), MOST_KEPT)
        self.history.finish()
        self.assertLess(self.notebook.octets.count(b"\n"), 4 * MOST_KEPT)
        self.assertEqual(self.texts(self.open())[-1], f"event {3 * MOST_KEPT - 1}")

    def test_a_disk_that_fails_costs_nothing_but_the_memory_of_it(self) -> None:
        """When it is well again, everything is written."""
        self.history.note("change", "", "one")
        self.notebook.trouble = OSError("disk full")
        self.clock.advance(FLUSH_SECONDS)
        self.history.note("change", "", "two")
        self.notebook.trouble = None
        self.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.texts(self.open()), ["one", "two"])

    def test_of_one_vhid(self) -> None:
        """And of the host, which concerns every vhid."""
        for name in ("1@em0", "2@em0", ""):
            self.history.note("state", name, name or "host")
        self.assertEqual([event["text"] for event in self.history.after(0, 9, "1@em0")], ["1@em0", "host"])
        self.assertEqual(self.history.after(0, 0), [])

    def test_refusals_cannot_drive_everything_else_out(self) -> None:
        """Of a flood so many a second are kept, and the rest counted."""
        self.history.note("state", "1@em0", "precious")
        for _ in range(5):
            for number in range(500):
                self.history.occurred(Occurrence("refusal", "1@em0", f"bad digest {number}"))
            self.clock.advance(1)
        refusals = [event for event in self.history.after(0, MOST_KEPT) if event["kind"] == "refusal"]
        self.assertEqual(len(refusals), 5 * MOST_REFUSALS)
        self.assertEqual(sum(event.get("unsaid", 0) for event in refusals), 4 * (500 - MOST_REFUSALS))
        self.assertEqual(self.texts(self.history)[0], "precious")

    def test_nor_by_and_by(self) -> None:
        """A neighbour with a wrong pass phrase, all night; and so it is after a restart, in the order of events."""
        self.history.note("state", "1@em0", "precious")
        for number in range(3 * MOST_KEPT):
            self.history.occurred(Occurrence("refusal", "1@em0", f"bad digest {number}"))
            self.clock.advance(1)
        self.history.note("change", "", "last")
        self.history.finish()
        for history in (self.history, self.open()):
            told = history.after(0, 10**6)
            self.assertEqual(len(told), MOST_BY_OTHERS + 2)
            self.assertEqual((told[0]["text"], told[-1]["text"]), ("precious", "last"))
            self.assertEqual(sorted(told, key=lambda event: event["number"]), told)
        self.assertLess(self.notebook.octets.count(b"\n"), 4 * MOST_KEPT)
        self.assertTrue(self.history.knows("1@em0"))
        self.assertFalse(self.history.knows("2@em0"))


class SubscriberTests(ControlTestCase):
    """Events are pushed."""

    configs = (vhid(1), vhid(2, "192.0.2.2/24"))

    def setUp(self) -> None:
        super().setUp()
        self.node.roster.observe(self.history.changed)
        self.node.roster.witness(self.history.occurred)

    def test_a_subscriber_hears_what_happens(self) -> None:
        """From the subscription on, of its vhid and the host."""
        client = self.client()
        heard: list[dict[str, Any]] = []
        self.assertEqual(self.answer(client.subscribe(heard.append, "1@em0")), self.history.last)
        self.refusal(client.subscribe(heard.append), RefusedError)
        self.clock.pump([0.01] * 400)
        self.answer(client.demote(40, "me", "a look"))
        self.flow()
        self.assertEqual(
            [event["text"] for event in heard],
            [
                "BACKUP -> MASTER (master timed out)",
                "demoted by 40 to 40 (a look)",
                "demote 40 --owner me --reason a look",
            ],
        )
        self.assertEqual(self.answer(client.events(most=len(heard), vhid="1@em0")), heard)

    def test_a_state_has_what_led_to_it(self) -> None:
        """The advertisement that was heard last, and the own interval."""
        other = self.start(self.system("b"), [vhid(1, advskew=100)])
        self.clock.pump([0.01] * 700)
        self.assertEqual(other.roster.all()[0].state.value, "BACKUP")
        self.node.roster.set_last_resort(True)
        self.clock.pump([0.01] * 10)
        self.node.roster.all()[0].asked(self.node.roster.all()[0].state.MASTER)
        event = self.history.after(0, 100, "1@em0")[-1]
        self.assertEqual((event["heard"]["advbase"], event["heard"]["advskew"]), (1, 100))
        self.assertLess(event["heard"]["seconds_ago"], 1)

    def test_a_slow_subscriber_is_dropped(self) -> None:
        """It is not buffered for: so many unanswered events are too many."""
        _, server, self.pump = self.connect()
        server._greeted = True
        server._caller = self.factory.identify(server.transport)
        server._subscribe()
        for number in range(connection.MOST_UNANSWERED):
            self.history.note("change", "", f"{number}")
        self.assertFalse(server.lost)
        self.history.note("change", "", "one too many")
        self.assertTrue(server.lost)

    def test_subscribers_are_bounded(self) -> None:
        """And a place is free again when one goes."""
        self.factory._subscribers = listener.MOST_SUBSCRIBERS - 1
        first, second = self.client(), None
        pump = self.pump
        self.answer(first.subscribe(lambda event: None))
        second = self.client()
        self.refusal(second.subscribe(lambda event: None), BusyError)
        first.close()
        self.flow(pump)
        self.answer(second.subscribe(lambda event: None))
