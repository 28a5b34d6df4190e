"""A host without a guard is the worse master."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import Knobs
from carptwist.guard.unguarded import Unguarded
from carptwist.interfaces import IGuard
from carptwist.node import GUARD_DEMOTION, GUARD_OWNER, Node
from carptwist.simulation.system import MemorySystem


class LosingSystem(MemorySystem):
    """Its guard comes and goes as the test says."""

    lacking: Callable[[str | None], object] | None = None

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        self.lacking = lacking
        return Unguarded()


class LackingTests(SynchronousTestCase):
    """The demotion ledger has an entry exactly while there is no guard."""

    def node(self, knobs: Knobs) -> tuple[Node, LosingSystem]:
        clock = Clock()
        system = LosingSystem("a", clock=clock, segments={}, links={}, random=Random(1))
        return Node(knobs, reactor=clock, system=system), system

    def test_demoted_while_there_is_none(self) -> None:
        """With the reason; taken back when there is one again."""
        node, system = self.node(Knobs())
        assert system.lacking is not None
        system.lacking("the guard does not start: exit code 3")
        (entry,) = node.roster.ledger.entries
        self.assertEqual((entry.owner, entry.value), (GUARD_OWNER, GUARD_DEMOTION))
        self.assertIn("exit code 3", entry.reason)
        system.lacking(None)
        self.assertEqual(node.roster.ledger.entries, ())

    def test_not_wanted(self) -> None:
        """With guard = no the host is not asked for one."""
        _, system = self.node(Knobs(guard=False))
        self.assertIsNone(system.lacking)
