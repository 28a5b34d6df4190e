"""Explanations."""

from __future__ import annotations

from typing import Any

from carptwist.config.schema import Knobs
from carptwist.control.commands import BadRequestError, NotFoundError
from carptwist.election.bearing import Bearing
from carptwist.election.group import Order
from tests.control.support import PHRASE, ControlTestCase, vhid


class ExplanationCase(ControlTestCase):
    """Of node a, beside others."""

    def explained(self, name: str = "1@em0") -> dict[str, str]:
        """Title -> sentences."""
        answer = self.answer(self.client().explain(name))
        self.assertNotIn(PHRASE, str(answer))
        return {part["title"]: " ".join(part["sentences"]) for part in answer["parts"]}

    def neighbour(self, **settings: Any) -> None:
        self.start(self.system("b"), [vhid(1, **settings)])
        self.clock.pump([0.01] * 800)


class ExplanationTests(ExplanationCase):
    """Of vhids without a group."""

    def test_a_master(self) -> None:
        """State, since when, why, and what would end it."""
        self.clock.pump([0.01] * 400)
        told = self.explained()
        self.assertIn("1@em0 has been MASTER for ", told["state"])
        self.assertIn("master timed out", told["state"])
        self.assertIn("every 1.000 s: advbase 1, advskew 0", told["state"])
        self.assertIn("None since this daemon started", told["last advertisement heard"])
        self.assertIn("an interval of 1.000 s or less", told["what would change it"])
        self.assertIn("the ledger is empty", told["demotion"])

    def test_a_backup(self) -> None:
        """Whom it follows, how the two compare, and when it would take over."""
        self.answer(self.client().ifconfig("em0", ["vhid", "1", "advskew", "100"]))
        self.neighbour(advskew=10)
        told = self.explained()
        heard = told["last advertisement heard"]
        self.assertIn("advbase 1, advskew 10", heard)
        self.assertIn("1.039 s is shorter than ours of 1.391 s", heard)
        self.assertIn("does not preempt", heard)
        self.assertRegex(told["what would change it"], r"no advertisement over IPv4 for [23]\.\d s")
        self.assertIn("preempt = 0", told["what would change it"])
        self.answer(self.client().demote(-95, "me", "to see"))
        self.desk.sysctl("me", "preempt", "1")
        parts = self.desk.explain("1@em0")["parts"]
        told = {part["title"]: " ".join(part["sentences"]) for part in parts}
        self.assertIn("-95 by me", told["demotion"])
        self.assertIn("effective advskew of 5", told["state"])
        self.assertIn("it would make this host MASTER (preempting a slower master)", told["last advertisement heard"])

    def test_mishaps(self) -> None:
        """Others that claim its addresses, and advertisements that did not leave."""
        self.clock.pump([0.01] * 400)
        self.assertNotIn("claimed", self.explained()["others on the wire"])
        vhost = self.node.find("1@em0")
        assert vhost is not None
        vhost.conflicts = 1
        vhost.sending.errors = 3
        told = self.explained()["others on the wire"]
        self.assertIn("Others have claimed its addresses, once since this daemon started: carpctl events 1@em0", told)
        self.assertIn("3 advertisements could not be sent", told)

    def test_an_obstructed_one(self) -> None:
        """Every obstacle."""
        self.answer(self.client().sysctl("allow", "0"))
        told = self.explained()
        self.assertIn("It does not take part: not allowed (net.inet.carp.allow = 0)", told["state"])
        self.assertIn("as soon as nothing is in the way", told["what would change it"])

    def test_a_wrong_digest_is_diagnosed(self) -> None:
        """The variant that fits is named; and when it has been mended, that too."""
        self.answer(self.client().ifconfig("em0", ["vhid", "1", "192.0.2.10/24"]))
        self.neighbour(advskew=10)
        told = self.explained()["refused"]
        self.assertRegex(told, r"\d+ from 0\.0\.0\.0 as badauth")
        self.assertIn("it signs without 192.0.2.10", told)
        self.answer(self.client().ifconfig("em0", ["192.0.2.10", "delete"]))
        self.assertIn("By now it would be accepted", self.explained()["refused"])

    def test_the_refused_are_bounded(self) -> None:
        """By sender and cause; the latest are kept."""
        vhost = self.node.roster.all()[0]
        for number in range(1000):
            vhost.refused("badauth", bytes([10, 0, number // 256, number % 256]), lambda: "its pass phrase differs")
        kept = vhost.turned_away.all()
        self.assertLessEqual(len(kept), 16)
        self.assertEqual(kept[-1].source, bytes([10, 0, 3, 231]))

    def test_maintenance(self) -> None:
        """Says so."""
        self.answer(self.client().maintenance(True))
        told = self.explained()
        self.assertIn("in maintenance", told["state"])
        self.assertIn("Nothing else makes it MASTER", told["what would change it"])

    def test_nobody(self) -> None:
        """A vhid that is not there, and what is no vhid."""
        client = self.client()
        self.assertIn("there are 1@em0", self.refusal(client.explain("2@em0"), NotFoundError))
        self.refusal(client.explain("em0"), BadRequestError)


class PreemptingTests(ExplanationTests):
    """The same with preempt."""

    knobs = Knobs(preempt=True)

    def test_a_backup(self) -> None:
        """It waits, for it is not the faster one."""
        self.answer(self.client().ifconfig("em0", ["vhid", "1", "advskew", "100"]))
        self.neighbour(advskew=10)
        self.assertIn("not the faster one, and waits", self.explained()["last advertisement heard"])


class GroupExplanationTests(ExplanationCase):
    """Of a vhid that its group wants something of."""

    def ordered(self, bearing: Bearing, why: str = "2@em1 is not able to be MASTER here (interface down em1)") -> None:
        vhost = self.node.find("1@em0")
        assert vhost is not None
        vhost.bear(Order(bearing, why))

    def test_a_master_that_is_held_back(self) -> None:
        """What it offers, and that it serves."""
        self.clock.pump([0.01] * 400)
        self.ordered(Bearing.YIELDING)
        told = self.explained()
        self.assertIn("every 1.000 s, advbase 1, advskew 0, but to be replaced", told["state"])
        self.assertIn("2@em1 is not able to be MASTER here (interface down em1): whoever can takes", told["state"])
        self.assertIn("an interval of 254.000 s or less", told["what would change it"])

    def test_a_backup_that_is_held_back(self) -> None:
        """What it does not do now."""
        self.answer(self.client().ifconfig("em0", ["vhid", "1", "advskew", "100"]))
        self.neighbour(advskew=10)
        self.ordered(Bearing.YIELDING)
        told = self.explained()
        self.assertIn("2@em1 is not able to be MASTER here (interface down em1).", told["state"])
        self.assertIn("held back by its group, and waits", told["last advertisement heard"])
        self.assertIn("a farewell after which nobody else advertises", told["what would change it"])
        self.desk.sysctl("me", "preempt", "1")
        self.ordered(Bearing.MODEST, "3@em0, which decides, is not MASTER here")
        told = self.explained()
        self.assertIn("3@em0, which decides, is not MASTER here: it preempts nobody", told["state"])
        self.assertIn("does not preempt now (its group)", told["what would change it"])
        self.desk.sysctl("me", "preempt", "0")
        self.ordered(Bearing.INSISTING, "3@em0, which decides, is MASTER here")
        told = self.explained()
        self.assertIn("which decides, is MASTER here: it takes over from a slower master", told["state"])
        self.assertIn(
            "MASTER at once: an advertisement of a slower master, whose interval is longer than 1.391 s",
            told["what would change it"],
        )
