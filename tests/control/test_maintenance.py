"""Maintenance: what is given away, what is refused, and what survives."""

from __future__ import annotations

from carptwist.control.commands import NobodyElseError, RefusedError
from carptwist.control.maintenance import Maintenance
from carptwist.election.state import State
from carptwist.node import Node
from tests.control.support import ControlTestCase, vhid


class MaintenanceTests(ControlTestCase):
    """Node a, and a node b of advskew 100."""

    def state(self, node: Node) -> State:
        return node.roster.all()[0].state

    def pair(self) -> Node:
        other = self.start(self.system("b"), [vhid(1, advskew=100)])
        self.clock.pump([0.01] * 800)
        self.assertEqual((self.state(self.node), self.state(other)), (State.MASTER, State.BACKUP))
        return other

    def make_known(self, other: Node) -> None:
        """b was MASTER once, and a has heard it."""
        other.roster.all()[0].asked(State.MASTER)
        self.clock.pump([0.01] * 200)
        self.assertEqual(self.state(self.node), State.MASTER)

    def test_it_is_refused_where_nobody_else_was_heard(self) -> None:
        """With the vhid and the remedy; and done where it is forced: then this host comes back after some seconds."""
        self.clock.pump([0.01] * 400)
        client = self.client()
        text = self.refusal(client.maintenance(True), NobodyElseError)
        self.assertIn("1@em0", text)
        self.assertIn("--force", text)
        self.assertFalse(self.node.roster.last_resort)
        self.answer(client.maintenance(True, force=True))
        self.assertEqual(self.state(self.node), State.BACKUP)
        self.clock.pump([0.01] * 700)
        self.assertEqual(self.state(self.node), State.MASTER)

    def test_it_is_refused_where_the_others_have_said_goodbye(self) -> None:
        """One that was stopped takes nothing over, nor does one that is in maintenance itself: both say the same."""
        other = self.pair()
        self.node.roster.all()[0].asked(State.BACKUP)
        self.clock.pump([0.01] * 100)
        self.assertEqual((self.state(self.node), self.state(other)), (State.BACKUP, State.MASTER))
        other.roster.set_last_resort(True)
        self.clock.pump([0.01] * 100)
        self.assertEqual((self.state(self.node), self.state(other)), (State.MASTER, State.BACKUP))
        text = self.refusal(self.client().maintenance(True), NobodyElseError)
        self.assertIn("whoever was heard at 1@em0 said goodbye", text)
        self.answer(self.client().maintenance(True, force=True))

    def test_everything_is_given_away_at_once(self) -> None:
        """The other one has it before its timeout, keeps it, and gives it back afterwards if it may be preempted."""
        other = self.pair()
        self.make_known(other)
        client = self.client()
        self.assertIn("given away 1@em0", self.answer(client.maintenance(True, reason="new memory")))
        self.clock.pump([0.01] * 10)
        self.assertEqual((self.state(self.node), self.state(other)), (State.BACKUP, State.MASTER))
        self.assertEqual(self.answer(client.maintenance(True)), "maintenance is on already")
        entry = self.answer(client.status())["ledger"][0]
        self.assertEqual((entry["owner"], entry["value"], entry["reason"]), ("maintenance", 240, "new memory"))
        self.clock.pump([0.01] * 1000)
        self.assertEqual((self.state(self.node), self.state(other)), (State.BACKUP, State.MASTER))
        self.answer(client.maintenance(False))
        self.answer(client.sysctl("preempt", "1"))
        self.clock.pump([0.01] * 300)
        self.assertEqual((self.state(self.node), self.state(other)), (State.MASTER, State.BACKUP))
        self.assertIn("not on", self.refusal(client.maintenance(False), RefusedError))

    def test_the_ledger_entry_is_its_own(self) -> None:
        """Neither made nor taken back by hand."""
        client = self.client()
        self.answer(client.maintenance(True))
        self.refusal(client.undemote("maintenance"), RefusedError)

    def test_a_vhid_that_is_added_meanwhile_is_the_last_resort_as_well(self) -> None:
        """It is the host that is away."""
        self.answer(self.client().maintenance(True))
        self.assertTrue(self.node.add(vhid(9, "192.0.2.9/24")).machine.last_resort)

    def test_it_survives(self) -> None:
        """Until it is switched off."""
        self.answer(self.client().maintenance(True, reason="new memory"))
        for octets, expected in ((None, True), (b"rubbish", True), (b"", False)):
            roster = self.start(self.system("c"), []).roster
            notebook = self.node.notebook("maintenance")
            if octets is not None:
                self.successResultOf(notebook.replace(lambda octets=octets: octets))  # type: ignore[misc]
            later = Maintenance(roster, notebook, wall=lambda: 0.0, since="now")
            self.successResultOf(later.recall())
            self.assertEqual(roster.last_resort, expected)
            self.assertEqual(roster.ledger.sum, 240 if expected else 0)
