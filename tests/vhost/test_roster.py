"""What the vhids of a host share."""

from __future__ import annotations

from ipaddress import ip_interface

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import Knobs, VirtualHostConfig
from carptwist.election.effects import Became
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from tests.vhost.fakes import UP, WrittenPlane, WrittenVoice


class RosterTests(SynchronousTestCase):
    """Two vhids on em0."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.roster = Roster(Knobs(log=0), self.clock)
        self.voice = WrittenVoice([])
        self.vhosts = [self.vhost(number) for number in (1, 2)]

    def vhost(self, number: int) -> VirtualHost:
        config = VirtualHostConfig(number, "em0", (ip_interface(f"192.0.2.{number}/24"),))
        plane = WrittenPlane([], bytes(6))
        vhost = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(vhost)
        vhost.start()
        vhost.link_changed(UP, self.voice)
        return vhost

    def test_a_vhid_is_there_once(self) -> None:
        """A second one of the same number on the same interface is a mistake of ours."""
        self.assertRaises(ValueError, self.roster.add, self.vhosts[0])

    def test_observers_hear_of_every_change(self) -> None:
        """One that fails is logged, and the others hear of it all the same; one that has had enough hears no more."""
        heard: list[str] = []

        def fail(vhost: VirtualHost, became: Became) -> None:
            raise RuntimeError("a bug")

        self.roster.observe(fail)
        enough = self.roster.observe(lambda vhost, became: heard.append(f"{vhost.name} {became.state.value}"))
        self.clock.advance(3)
        self.assertEqual(heard, ["1@em0 MASTER", "2@em0 MASTER"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        enough()
        self.vhosts[0].obstruct("test", "testing")
        self.assertEqual(len(heard), 2)
        self.flushLoggedErrors(RuntimeError)

    def test_a_change_of_demotion_within_another_leaves_all_with_the_same_sum(self) -> None:
        """An answer to the first may already be the second."""
        self.clock.advance(3)

        self.voice.when_advertising = lambda: self.roster.demote("second", 5, "an answer")
        self.roster.demote("first", 10, "testing")
        self.assertEqual([vhost.machine.effective_advskew for vhost in self.vhosts], [15, 15])
