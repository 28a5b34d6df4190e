"""What the vhids of a host share."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

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

    def vhost(self, number: int, *more: str) -> VirtualHost:
        addresses = (f"192.0.2.{number}/24", *more)
        config = VirtualHostConfig(number, "em0", tuple(map(ip_interface, addresses)))
        plane = WrittenPlane([], bytes(6))
        vhost = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(vhost)
        vhost.start()
        vhost.link_changed(UP, self.voice)
        return vhost

    def test_a_vhid_is_there_once(self) -> None:
        """A second one of the same number on the same interface is a mistake of ours."""
        self.assertRaises(ValueError, self.roster.add, self.vhosts[0])

    def test_an_address_of_several_is_balanced_if_the_knob_of_its_family_says_so(self) -> None:
        """The vhids of one interface count, in whatever state, and the knobs as they are now."""
        for number in (3, 4):
            self.vhost(number, "192.0.2.99/24", "2001:db8::99/64")
        both = [ip_address(text).packed for text in ("192.0.2.99", "2001:db8::99")]
        self.assertEqual([self.roster.balances("em0", address) for address in both], [False, False])
        self.roster.knobs = Knobs(log=0, arpbalance=True)
        self.assertEqual([self.roster.balances("em0", address) for address in both], [True, False])
        self.roster.knobs = Knobs(log=0, ndbalance=True)
        self.assertEqual([self.roster.balances("em0", address) for address in both], [False, True])
        self.roster.on("em0")[3].obstruct("test", "testing")
        self.assertTrue(self.roster.balances("em0", both[1]))
        self.assertFalse(self.roster.balances("em1", both[1]))
        self.roster.knobs = Knobs(log=0, arpbalance=True)
        self.assertFalse(self.roster.balances("em0", ip_address("192.0.2.3").packed))

    def test_those_that_share_an_address_hear_of_one_another(self) -> None:
        """Their planes have to hold it in another way, from the second one on and until there is one again."""
        third = self.vhost(3, "192.0.2.99/24")
        plane = third.plane
        assert isinstance(plane, WrittenPlane)
        plane.said.clear()
        fourth = self.vhost(4, "192.0.2.99/24")
        self.assertEqual(plane.said, [("prepare",)])
        self.vhost(5, "192.0.2.98/24")
        self.assertEqual(plane.said, [("prepare",)])
        self.successResultOf(fourth.stop())
        self.roster.remove(fourth)
        self.assertEqual(plane.said, [("prepare",)] * 2)

    def test_those_that_share_an_address_hear_of_the_knobs(self) -> None:
        """And of an address that another one gets or loses; all others are left alone."""
        third, fourth = self.vhost(3, "192.0.2.99/24"), self.vhost(4, "192.0.2.99/24")
        planes = [vhost.plane for vhost in (*self.vhosts, third, fourth)]

        def heard() -> list[int]:
            said = [plane.said.copy() for plane in planes if isinstance(plane, WrittenPlane)]
            for plane in planes:
                assert isinstance(plane, WrittenPlane)
                plane.said.clear()
            return [each.count(("prepare",)) for each in said]

        heard()
        self.roster.set_knobs(Knobs(log=0, arpbalance=True))
        self.assertEqual(heard(), [0, 0, 1, 1])
        self.roster.set_knobs(Knobs(log=0, arpbalance=True, dscp=0))
        self.assertEqual(heard(), [0, 0, 0, 0])
        for addresses in (("192.0.2.1/24", "192.0.2.2/24"), ("192.0.2.4/24",)):
            config = replace(fourth.config, addresses=tuple(map(ip_interface, addresses)))
            self.successResultOf(fourth.reconfigure(config))
            self.assertEqual(heard(), [1, 1, int(addresses[0] == "192.0.2.1/24"), 1])

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

    def test_an_entry_of_nothing_that_runs_out(self) -> None:
        """Those that run out after it do so all the same."""
        self.roster.demote("idle", 0, "nothing", seconds=1)
        self.roster.demote("busy", 100, "something", seconds=5)
        self.clock.advance(1)
        self.clock.advance(4)
        self.assertEqual(self.roster.ledger.entries, ())
