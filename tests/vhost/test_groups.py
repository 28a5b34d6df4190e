"""Groups on a node: who tells whom, and when. What is ordered is tested in tests/election/test_group.py."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.election.bearing import Bearing
from carptwist.election.state import State
from carptwist.node import Node
from carptwist.simulation.history import Kind
from carptwist.simulation.host import SimulatedHost
from carptwist.simulation.inspector import Inspector
from carptwist.simulation.ownership import FaultKind
from carptwist.simulation.world import World
from carptwist.vhost.roster import Occurrence
from carptwist.vhost.virtualhost import VirtualHost

BOTH = (State.MASTER, State.MASTER)
NONE = (State.BACKUP, State.BACKUP)


def configuration(advskew: int, *, preempt: bool = False, group: str | None = "edge") -> Configuration:
    """Two vhids, on em0 and em1."""
    vhids = tuple(
        VirtualHostConfig(
            number,
            interface,
            (ip_interface(f"192.168.{number}.1/24"),),
            (Phrase(b"mekmitasdigoat"),),
            advskew=advskew,
            group=group,
        )
        for number, interface in ((1, "em0"), (2, "em1"))
    )
    return Configuration(Knobs(preempt=preempt), vhids)


class GroupsCase(SynchronousTestCase):
    """a (advskew 0) is MASTER of both since a while, beside b (advskew 100)."""

    preempt = False
    group: str | None = "edge"

    def setUp(self) -> None:
        self.world = World(7)
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        for name, advskew in (("a", 0), ("b", 100)):
            part = configuration(advskew, preempt=self.preempt, group=self.group)
            self.world.add(name, part, {"em0": "lan0", "em1": "lan1"})
        self.a, self.b = self.world.hosts["a"], self.world.hosts["b"]
        self.occurrences: list[Occurrence] = []
        self.a.start()
        self.node(self.a).roster.witness(self.occurrences.append)
        self.world.run(1)
        self.b.start()
        self.world.run(9)
        self.assertEqual((self.states(self.a), self.states(self.b)), (BOTH, NONE))

    def node(self, host: SimulatedHost) -> Node:
        assert host.node is not None
        return host.node

    def vhost(self, host: SimulatedHost, name: str) -> VirtualHost:
        vhost = host.find(name)
        assert vhost is not None
        return vhost

    def states(self, host: SimulatedHost) -> tuple[State | None, State | None]:
        return host.state("1@em0"), host.state("2@em1")

    def outages(self, since: float) -> list[float]:
        """For how long vhid 1 had no owner, each time."""
        self.world.finish()
        faults = self.world.ownerships["lan0", 1].faults
        return [each.seconds for each in faults if each.kind is FaultKind.OUTAGE and each.begin >= since]


class GroupsTests(GroupsCase):
    """Without preempt."""

    def test_a_link_is_lost(self) -> None:
        """The other member is offered and taken within a handover, and nobody misses it; why is told."""
        began = self.world.now
        self.a.set_carrier("em1", False)
        self.world.run(0.1)
        self.assertEqual(self.a.state("1@em0"), State.BACKUP)
        self.assertEqual(self.b.state("1@em0"), State.MASTER)
        self.world.run(5)
        self.assertEqual(self.states(self.b), BOTH)
        self.assertEqual(self.outages(began), [])
        told = [each.text for each in self.occurrences if each.kind == "group"]
        self.assertEqual(told[-1], "group edge: unable (2@em1 is not able to be MASTER here (interface down em1))")

    def test_it_is_there_again(self) -> None:
        """Nothing moves."""
        self.a.set_carrier("em1", False)
        self.world.run(10)
        self.a.set_carrier("em1", True)
        self.world.run(60)
        self.assertEqual((self.states(self.a), self.states(self.b)), (NONE, BOTH))

    def test_a_link_that_is_lost_by_many_is_one_change(self) -> None:
        """A host whose links all go down offers nothing to anybody."""
        before, sent = len(self.occurrences), self.vhost(self.a, "1@em0").sending.sent
        self.a.set_carrier("em0", False)
        self.a.set_carrier("em1", False)
        self.world.run(1)
        told = [each.text for each in self.occurrences[before:] if each.kind == "group"]
        self.assertEqual(told, ["group edge: unable (1@em0 is not able to be MASTER here (interface down em0))"])
        self.assertEqual(self.vhost(self.a, "1@em0").sending.sent, sent)

    def test_a_farewell_to_a_group_that_follows(self) -> None:
        """A host that stops gives both away at once, also the one that waits for the other."""
        self.assertIs(self.vhost(self.b, "2@em1").machine.bearing, Bearing.YIELDING)
        self.a.stop()
        self.world.run(0.1)
        self.assertEqual(self.states(self.b), BOTH)

    def test_maintenance_moves_both_at_once(self) -> None:
        """In whatever order they are given away."""
        self.node(self.a).roster.set_last_resort(True)
        self.world.run(0.1)
        self.assertEqual((self.states(self.a), self.states(self.b)), (NONE, BOTH))

    def test_the_operator_moves_one(self) -> None:
        """The one that decides takes the other with it; the other one alone comes back."""
        self.vhost(self.b, "2@em1").asked(State.MASTER)
        self.world.run(0.1)
        self.vhost(self.a, "2@em1").asked(State.BACKUP)
        self.world.run(30)
        self.assertEqual((self.states(self.a), self.states(self.b)), (BOTH, NONE))
        self.vhost(self.a, "1@em0").asked(State.BACKUP)
        self.world.run(30)
        self.assertEqual((self.states(self.a), self.states(self.b)), (NONE, BOTH))

    def test_a_member_leaves(self) -> None:
        """Removed, it holds nobody back any more; no order outlives the group."""
        self.a.set_carrier("em1", False)
        self.world.run(10)
        self.assertIs(self.vhost(self.a, "1@em0").machine.bearing, Bearing.YIELDING)
        removing: Deferred[None] = self.node(self.a).remove("2@em1")
        self.world.run(0.1)
        self.successResultOf(removing)
        self.assertIs(self.vhost(self.a, "1@em0").machine.bearing, Bearing.FREE)

    def test_a_node_that_stops_leaves_no_timer(self) -> None:
        """Not even when it is told of a change afterwards."""
        inspector = Inspector(self.world)
        node = self.node(self.a)
        self.a.stop()
        node.groups.review()
        self.world.run(1, inspector.look)
        self.assertEqual(inspector.violations, [])


class ReconfigurationTests(GroupsCase):
    """There are no groups to begin with."""

    group = None

    def change(self, host: SimulatedHost, group: str | None) -> None:
        for name in ("1@em0", "2@em1"):
            changing: Deferred[None] = self.node(host).change(replace(self.vhost(host, name).config, group=group))
            self.world.run(0.1)
            self.successResultOf(changing)

    def test_members_join_and_leave(self) -> None:
        """At once, and nothing else about them changes."""
        self.a.set_carrier("em1", False)
        self.world.run(10)
        self.assertEqual((self.a.state("1@em0"), self.b.state("2@em1")), (State.MASTER, State.MASTER))
        self.change(self.a, "edge")
        self.assertEqual((self.a.state("1@em0"), self.b.state("1@em0")), (State.BACKUP, State.MASTER))
        self.change(self.a, None)
        self.assertIs(self.vhost(self.a, "1@em0").machine.bearing, Bearing.FREE)
        self.assertEqual(self.vhost(self.a, "1@em0").order.why, "")

    def test_a_member_is_added(self) -> None:
        """It holds the others back until it is ready, and counts from then on."""
        third = replace(configuration(0).vhids[0], vhid=3, addresses=(ip_interface("192.168.3.1/24"),))
        self.change(self.a, "edge")
        self.node(self.a).add(third)
        self.world.run(20)
        self.assertEqual([self.a.state(name) for name in ("1@em0", "2@em1", "3@em0")], [State.MASTER] * 3)


class PreemptionTests(GroupsCase):
    """With preempt."""

    preempt = True

    def test_both_move_back_together(self) -> None:
        """When the preferred host can carry both again, within two intervals; and that is all that happens."""
        self.a.set_carrier("em1", False)
        self.world.run(10)
        self.assertEqual(self.states(self.b), BOTH)
        self.a.set_carrier("em1", True)
        self.world.run(3)
        self.assertEqual((self.states(self.a), self.states(self.b)), (BOTH, NONE))
        changes = len(self.world.history.of(Kind.STATE))
        self.world.run(100)
        self.assertEqual(len(self.world.history.of(Kind.STATE)), changes)

    def test_a_link_that_comes_and_goes_does_not_move_them_every_time(self) -> None:
        """After the third time the group stays away until the link has held for a while."""
        for _ in range(6):
            self.a.set_carrier("em1", False)
            self.world.run(4)
            self.a.set_carrier("em1", True)
            self.world.run(4)
        taken = [each for each in self.world.history.of(Kind.STATE) if each.host == "a" and each.states[1] == "MASTER"]
        self.assertLessEqual(len(taken), 2 + 2 * 2)
        self.world.run(60)
        self.assertEqual((self.states(self.a), self.states(self.b)), (BOTH, NONE))
