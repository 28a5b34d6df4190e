"""A virtual host: its obstacles, and the order in which its effects are performed."""

from __future__ import annotations

import errno
from dataclasses import replace
from ipaddress import ip_interface

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from carptwist.config.schema import Knobs, VirtualHostConfig
from carptwist.election.effects import Advertise
from carptwist.election.state import State
from carptwist.interfaces import Hearing, IPlane, IVirtualHost, IVoice, LinkState
from carptwist.planes import PlaneError
from carptwist.vhost.custody import RETRY_SECONDS
from carptwist.vhost.outlook import ADVICE_SECONDS
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from tests.vhost.fakes import ABSENT, DOWN, UP, WrittenPlane, WrittenVoice

MAC = bytes.fromhex("00005e000101")
BOW_OUT = ("advertise", 4, 255, 255)
TIMEOUT = 3 + 100 / 256


def hearing(advskew: int, advbase: int = 1, family: int = 4) -> Hearing:
    """An advertisement of another node."""
    source = bytes.fromhex("c0000203") if family == 4 else bytes.fromhex("20010db8" + "00" * 11 + "03")
    return Hearing(family, source, "freebsd or carptwist", advbase, advskew, 0, 77)


class VirtualHostCase(SynchronousTestCase):
    """A vhid 1@em0 with advskew 100 and one IPv4 address, on a clock of its own."""

    addresses: tuple[str, ...] = ("192.0.2.1/24",)
    knobs = Knobs()

    def setUp(self) -> None:
        self.clock = Clock()
        self.said: list[tuple[object, ...]] = []
        self.roster = Roster(self.knobs, self.clock)
        self.voice = WrittenVoice(self.said)
        self.plane = WrittenPlane(self.said, MAC)
        config = VirtualHostConfig(1, "em0", tuple(map(ip_interface, self.addresses)), advskew=100)
        self.vhost = VirtualHost(config, roster=self.roster, plane=self.plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(self.vhost)
        self.attempts = self.plane.attempts
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        text = str(event.get("log_format", "")).format(**event)
        if text.startswith("carp: "):
            self.logged.append(text)

    def link(self, link: LinkState, voice: IVoice | None) -> None:
        """The interface is in this state now, as an attachment tells it."""
        self.vhost.link_changed(link, voice)
        self.vhost.account_for_link()

    def start(self) -> None:
        """Bring it up, on a link that carries."""
        self.vhost.start()
        self.link(UP, self.voice)

    def become_master(self) -> None:
        self.start()
        self.clock.advance(TIMEOUT)
        self.assertIs(self.vhost.state, State.MASTER)
        self.said.clear()


class InterfaceTests(VirtualHostCase):
    """The objects keep their promises."""

    def test_interfaces(self) -> None:
        """All names and signatures are there."""
        verifyObject(IVirtualHost, self.vhost)
        verifyObject(IVoice, self.voice)
        verifyObject(IPlane, self.plane)


class StartTests(VirtualHostCase):
    """From INIT to MASTER."""

    def test_the_plane_is_prepared_before_it_takes_part(self) -> None:
        """As long as the plane is at work the vhid stays in INIT."""
        self.plane.slow = True
        self.start()
        self.assertIs(self.vhost.state, State.INIT)
        self.plane.finish()
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual(self.said, [("prepare",)])
        self.assertEqual(self.logged, ["carp: 1@em0: INIT -> BACKUP (initialization complete)"])

    def test_becoming_master_in_order(self) -> None:
        """The addresses become reachable, then one advertisement, then the announcement; and it is repeated once."""
        self.start()
        self.said.clear()
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.said, [("hold",), ("advertise", 4, 1, 100), ("announce",)])
        self.assertTrue(self.vhost.holding)
        self.assertEqual(self.logged[-1], "carp: 1@em0: BACKUP -> MASTER (master timed out)")
        for _ in range(40):
            self.clock.advance(0.25)
        self.assertEqual(self.said.count(("announce",)), 2)

    def test_nothing_is_said_before_the_addresses_are_there(self) -> None:
        """A slow plane holds back the advertisement and the announcement, and nobody answers meanwhile."""
        self.start()
        self.said.clear()
        self.plane.slow = True
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.said, [])
        self.assertFalse(self.vhost.holding)
        self.plane.finish()
        self.assertEqual(self.said, [("hold",), ("advertise", 4, 1, 100), ("announce",)])

    def test_an_election_lost_meanwhile_leaves_the_speeches_unsaid(self) -> None:
        """A BACKUP never says what it wanted to say as MASTER."""
        self.start()
        self.said.clear()
        self.plane.slow = True
        self.clock.advance(TIMEOUT)
        self.vhost.heard(hearing(0))
        self.assertIs(self.vhost.state, State.BACKUP)
        self.plane.finish()
        self.assertFalse(self.vhost.holding)
        self.plane.finish()
        self.assertEqual(self.said, [("hold",), ("release",)])

    def test_a_lost_and_won_election_holds_again(self) -> None:
        """Planes' calls never overlap, and the last word counts."""
        self.start()
        self.said.clear()
        self.plane.slow = True
        self.clock.advance(TIMEOUT)
        self.vhost.heard(hearing(0))
        self.vhost.heard(hearing(255, 255))
        self.assertIs(self.vhost.state, State.MASTER)
        for _ in range(3):
            self.plane.finish()
        self.assertEqual(self.said, [("hold",), ("release",), ("hold",), ("advertise", 4, 1, 100), ("announce",)])
        self.assertTrue(self.vhost.holding)

    def test_a_vhid_without_addresses_stays_in_init(self) -> None:
        """There is nothing to share."""
        config = VirtualHostConfig(2, "em0", ())
        vhost = VirtualHost(config, roster=self.roster, plane=self.plane, clock=self.clock, draw=lambda: 5)
        vhost.start()
        vhost.link_changed(UP, self.voice)
        self.assertIs(vhost.state, State.INIT)
        self.assertIn("no address", vhost.obstacles)

    def test_what_is_asked_for_within_a_job_comes_after_it(self) -> None:
        """Another advskew, and a send error that demotes, never make two calls of a plane overlap."""
        self.start()
        self.said.clear()
        self.plane.slow = True
        self.clock.advance(TIMEOUT)
        changed = self.vhost.reconfigure(replace(self.vhost.config, advskew=101))
        self.vhost.heard(hearing(0))
        self.vhost.heard(hearing(255, 255))
        for _ in range(3):
            self.plane.finish()
        self.successResultOf(changed)
        self.assertIs(self.vhost.state, State.MASTER)
        self.assertTrue(self.vhost.holding)
        self.assertEqual([said for said in self.said if len(said) == 1][:3], [("hold",), ("release",), ("hold",)])

    def test_a_backup_that_stood_still_listens_first(self) -> None:
        """What its master said meanwhile waits in the sockets, which come after the timers."""
        self.start()
        self.clock.advance(TIMEOUT + 10)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.vhost.heard(hearing(0))
        self.clock.pump([0.1] * 33)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.clock.pump([0.1] * 2)
        self.assertIs(self.vhost.state, State.MASTER)

    def test_a_backup_that_stood_still_and_hears_nothing_takes_over(self) -> None:
        """After it has listened for one interval of any master: a host that was suspended has nothing in its queues."""
        self.start()
        self.clock.advance(TIMEOUT + 10)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.clock.advance(1 + 240 / 256)
        self.assertIs(self.vhost.state, State.MASTER)


class LinkTests(VirtualHostCase):
    """The interface comes and goes."""

    def test_a_lost_link_demotes_and_ends_in_init(self) -> None:
        """No bow-out, since nobody would hear it; the demotion is taken back when the link comes back."""
        self.become_master()
        self.link(DOWN, self.voice)
        self.assertIs(self.vhost.state, State.INIT)
        self.assertEqual(self.said, [("release",)])
        self.assertEqual(self.roster.ledger.sum, 240)
        self.assertIn("carp: demoted by 240 to 240 (interface down em0)", self.logged)
        self.link(UP, self.voice)
        self.assertEqual(self.roster.ledger.sum, 0)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_an_absent_interface_is_an_obstacle(self) -> None:
        """Which the vhid names."""
        self.vhost.start()
        self.link(ABSENT, None)
        self.assertEqual(self.vhost.machine.reason, "no interface em0")
        self.assertEqual(self.roster.ledger.sum, 240)

    def test_another_device_of_the_same_name_is_prepared_anew(self) -> None:
        """What was set up on the former one is not there."""
        self.become_master()
        self.link(ABSENT, None)
        self.said.clear()
        self.link(replace(UP, index=9), self.voice)
        self.assertEqual(self.said, [("prepare",)])
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_a_device_that_is_replaced_at_once(self) -> None:
        """The vhid starts anew on the new one, although it never heard of the old one's end."""
        self.become_master()
        self.link(replace(UP, index=9), self.voice)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual([said for said in self.said if said != BOW_OUT], [("release",), ("prepare",)])

    def test_a_link_that_is_down_at_the_start(self) -> None:
        """The plane is prepared all the same, so that nothing is missing when the link comes up."""
        self.vhost.start()
        self.link(DOWN, self.voice)
        self.assertEqual(self.said, [("prepare",)])
        self.link(UP, self.voice)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_without_a_voice_it_does_not_take_part(self) -> None:
        """Deaf, it would take every master for dead, and make a second one."""
        self.vhost.start()
        self.link(UP, None)
        self.clock.advance(10)
        self.assertIs(self.vhost.state, State.INIT)
        self.assertEqual(self.vhost.machine.reason, "no packet socket on em0")
        self.link(UP, self.voice)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_loopback_is_refused(self) -> None:
        """CARP needs Ethernet."""
        self.vhost.start()
        self.link(replace(UP, name="lo", hardware=772), None)
        self.assertEqual(
            self.vhost.machine.reason,
            "lo is the loopback interface, not an Ethernet interface: name the one that the LAN is on",
        )


class StopTests(VirtualHostCase):
    """Leaving in good order."""

    def test_a_master_bows_out(self) -> None:
        """The addresses go first, then the bow-out, then silence, then everything is put back."""
        self.become_master()
        stopped = self.vhost.stop()
        self.successResultOf(stopped)
        self.assertEqual(self.said, [("release",), BOW_OUT, ("withdraw",)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_backup_says_nothing(self) -> None:
        """It owns nothing to give away."""
        self.start()
        self.said.clear()
        self.successResultOf(self.vhost.stop())
        self.assertEqual(self.said, [("withdraw",)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_waits_for_the_plane(self) -> None:
        """Its Deferred fires when nothing is left."""
        self.become_master()
        self.plane.slow = True
        stopped = self.vhost.stop()
        self.assertNoResult(stopped)
        self.plane.finish()
        self.assertNoResult(stopped)
        self.plane.finish()
        self.successResultOf(stopped)

    def test_stopping_takes_its_demotions_back(self) -> None:
        """A vhid that is gone is no reason to be demoted."""
        self.start()
        self.link(DOWN, self.voice)
        self.vhost.stop()
        self.assertEqual(self.roster.ledger.sum, 0)

    def test_a_link_that_goes_while_it_stops(self) -> None:
        """Nobody would ever take that demotion back."""
        self.become_master()
        self.plane.slow = True
        self.vhost.stop()
        self.link(DOWN, self.voice)
        self.assertEqual(self.roster.ledger.entries, ())

    def test_a_change_under_way_while_it_stops(self) -> None:
        """The same, where the change comes to its end after the stop."""
        self.start()
        self.link(DOWN, self.voice)
        self.plane.slow = True
        addresses = (*self.vhost.config.addresses, ip_interface("192.0.2.5/24"))
        self.vhost.reconfigure(replace(self.vhost.config, addresses=addresses))
        self.vhost.stop()
        self.plane.finish()
        self.assertEqual(self.roster.ledger.entries, ())

    def test_no_farewell_to_somebody_who_has_taken_over(self) -> None:
        """While the plane was at work another node became MASTER: a bow-out would dethrone that one."""
        self.become_master()
        self.plane.slow = True
        self.vhost.asked(State.BACKUP)
        self.vhost.heard(hearing(200))
        self.plane.finish()
        self.assertEqual(self.said, [("release",)])

    def test_an_observer_that_wants_no_master(self) -> None:
        """Nothing is said in the name of a MASTER that is over before it began."""
        self.roster.observe(lambda vhost, became: vhost.asked(State.BACKUP))
        self.start()
        self.said.clear()
        self.clock.advance(TIMEOUT)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual([said for said in self.said if said[0] in ("hold", "advertise", "announce")], [])

    def test_a_hold_that_ends_in_the_next_tenure(self) -> None:
        """The release between the two is still to come: nothing is held."""
        self.start()
        self.plane.slow = True
        for state in (State.MASTER, State.BACKUP, State.MASTER):
            self.vhost.asked(state)
        self.plane.finish()
        self.assertEqual(self.plane.attempts[-2:], ["hold", "release"])
        self.assertFalse(self.vhost.holding)

    def test_no_farewell_that_is_too_late(self) -> None:
        """The others have run into their timeouts by now, whether they are heard or not."""
        self.become_master()
        self.plane.slow = True
        stopped = self.vhost.stop()
        self.clock.advance(3)
        self.plane.finish()
        self.plane.finish()
        self.successResultOf(stopped)
        self.assertEqual(self.said, [("release",), ("withdraw",)])


class PlaneTests(VirtualHostCase):
    """What happens when the host does not do what it is told."""

    def test_a_failing_plane_keeps_the_vhid_in_init_and_is_tried_again(self) -> None:
        """It says why, once, and goes on trying."""
        self.plane.failing = PlaneError("192.0.2.1 is on em0 already: remove it there")
        self.start()
        self.assertIs(self.vhost.state, State.INIT)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(
            [line for line in self.logged if "already" in line],
            ["carp: 1@em0: 192.0.2.1 is on em0 already: remove it there"],
        )
        self.plane.failing = None
        self.clock.advance(2 * RETRY_SECONDS)
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_a_master_that_cannot_hold_its_addresses_gives_up(self) -> None:
        """Without a farewell: nobody has heard of it, and one would dethrone whoever is master."""
        self.start()
        self.said.clear()
        self.plane.failing = PlaneError("no memory")
        self.clock.advance(TIMEOUT)
        self.assertIs(self.vhost.state, State.INIT)
        self.assertEqual(self.said, [])

    def test_it_tries_less_and_less_often(self) -> None:
        """What fails again and again need not fail every five seconds."""
        self.plane.failing = PlaneError("no memory")
        self.start()
        began = len(self.attempts)
        for _ in range(int(RETRY_SECONDS) * 3):
            self.clock.advance(1)
        self.assertEqual(len(self.attempts) - began, 2)  # after 5 and after 15 seconds

    def test_nothing_is_made_after_the_end(self) -> None:
        """Damage or a new device that is told of while the vhid stops leads to nothing."""
        self.become_master()
        self.plane.slow = True
        stopped = self.vhost.stop()
        self.vhost.damaged("carp2-1 was removed")
        self.link(replace(UP, index=9), self.voice)
        self.plane.finish()
        self.plane.finish()
        self.successResultOf(stopped)
        self.assertEqual(self.said, [("release",), BOW_OUT, ("withdraw",)])

    def test_damage_is_mended(self) -> None:
        """What somebody else removed is put back, and announced again if it was in use."""
        self.become_master()
        self.vhost.damaged("192.0.2.1 was removed from carp2-1")
        self.assertEqual(self.said, [("prepare",), ("hold",), ("announce",)])
        self.assertIn("carp: 1@em0: 192.0.2.1 was removed from carp2-1: putting it back", self.logged)


class BalanceTests(VirtualHostCase):
    """Other vhids of the interface have come to share its address, or have ceased to."""

    def test_a_master_holds_its_addresses_in_another_way(self) -> None:
        """The plane prepares and holds anew, and what may be announced is."""
        self.become_master()
        self.logged.clear()
        self.vhost.balance_changed()
        self.assertEqual(self.said, [("prepare",), ("hold",), ("announce",)])
        self.assertEqual(self.logged, [])

    def test_a_backup_is_prepared_for_it(self) -> None:
        """It goes on taking part meanwhile."""
        self.start()
        self.said.clear()
        self.plane.slow = True
        self.vhost.balance_changed()
        self.assertIs(self.vhost.state, State.BACKUP)
        self.plane.finish()
        self.assertEqual(self.said, [("prepare",)])

    def test_nothing_is_prepared_before_its_time(self) -> None:
        """Nor where there is no interface, nor after the end."""
        self.vhost.balance_changed()
        self.vhost.start()
        self.vhost.balance_changed()
        self.assertEqual(self.attempts, [])
        self.link(UP, self.voice)
        self.successResultOf(self.vhost.stop())
        self.attempts.clear()
        self.vhost.balance_changed()
        self.assertEqual(self.attempts, [])


class SendErrorTests(VirtualHostCase):
    """Advertisements that do not leave."""

    def test_three_in_a_row_demote_and_three_good_ones_take_it_back(self) -> None:
        """senderr_demotion_factor, as the kernels have it."""
        self.become_master()
        self.voice.failing = OSError(errno.ENOBUFS, "No buffer space available")
        before = self.vhost.sending.sent
        self.clock.advance(1 + 100 / 256)
        self.vhost.perform([Advertise(1, 100)])
        self.assertEqual(self.roster.ledger.sum, 0)
        self.vhost.perform([Advertise(1, 100)])
        # The change of demotion is advertised at once, in vain.
        self.assertEqual(self.roster.ledger.sum, 240)
        self.assertEqual(self.vhost.sending.errors, 4)
        self.assertEqual(self.roster.counters.refused["nomem"], 4)
        self.voice.failing = None
        for good, demotion in ((1, 240), (2, 240), (3, 0)):
            while self.vhost.sending.sent < before + good:
                self.clock.advance(0.05)
            self.assertEqual(self.roster.ledger.sum, demotion)

    def test_nothing_for_a_whole_lease(self) -> None:
        """It is tried once more before the end; then this is no MASTER any more, and demoted, for whoever waits less
        takes over now; a farewell is not said."""
        self.become_master()
        self.said.clear()
        self.voice.failing = OSError(errno.ENOBUFS, "No buffer space available")
        self.clock.pump([0.01] * 274)
        self.assertEqual((self.vhost.state, self.vhost.sending.errors), (State.MASTER, 2))
        self.clock.pump([0.01] * 4)
        self.assertIs(self.vhost.state, State.BACKUP)
        self.assertEqual(self.roster.ledger.sum, 240)
        self.assertEqual(self.said, [("release",), ("prepare",)])
        self.assertEqual(self.vhost.machine.reason, "could send nothing")

    def test_a_last_try_that_succeeds(self) -> None:
        """Nobody has noticed anything."""
        self.become_master()
        self.voice.failing = OSError(errno.ENOBUFS, "No buffer space available")
        self.clock.pump([0.01] * 150)
        self.voice.failing = None
        self.said.clear()
        self.clock.pump([0.01] * 115)
        self.assertEqual(self.said, [("advertise", 4, 1, 100)])
        self.clock.pump([0.01] * 300)
        self.assertIs(self.vhost.state, State.MASTER)
        self.assertEqual(self.roster.ledger.sum, 0)


class DemotionTests(VirtualHostCase):
    """The host-wide sum."""

    def test_every_master_advertises_a_change_at_once(self) -> None:
        """With the new effective advskew."""
        self.become_master()
        self.roster.demote("operator", 100, "testing")
        self.assertEqual(self.said, [("advertise", 4, 1, 200)])
        self.roster.undemote("operator", "done")
        self.assertEqual(self.said[1:], [("advertise", 4, 1, 100)])

    def test_an_entry_with_an_end_goes_by_itself(self) -> None:
        """After its seconds, and not before."""
        self.roster.demote("operator", 100, "testing", seconds=10)
        self.clock.advance(9.9)
        self.assertEqual(self.roster.ledger.sum, 100)
        self.clock.advance(0.1)
        self.assertEqual(self.roster.ledger.sum, 0)


class SeveralVhidsTests(VirtualHostCase):
    """Two vhids on one interface, whose link goes down."""

    def test_none_advertises_on_a_dead_link(self) -> None:
        """All hear of it before the demotion makes the MASTERs among them advertise."""
        self.become_master()
        config = VirtualHostConfig(2, "em0", (ip_interface("192.0.2.2/24"),))
        plane = WrittenPlane([], MAC)
        other = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(other)
        other.start()
        other.link_changed(UP, self.voice)
        self.clock.pump([0.2] * 17)
        self.assertIs(other.state, State.MASTER)
        self.voice.failing = OSError(errno.ENETDOWN, "Network is down")
        for vhost in (self.vhost, other):
            vhost.link_changed(DOWN, self.voice)
        for vhost in (self.vhost, other):
            vhost.account_for_link()
        self.assertEqual((self.vhost.sending.errors, other.sending.errors), (0, 0))
        self.assertEqual(self.roster.ledger.sum, 480)

    def test_send_errors_are_forgiven_when_the_link_goes(self) -> None:
        """They have their cause then; a BACKUP sends nothing that could take them back."""
        self.become_master()
        self.voice.failing = OSError(errno.ENETDOWN, "Network is down")
        for _ in range(3):
            self.clock.advance(2)
        self.assertIn("senderr 1@em0", [entry.owner for entry in self.roster.ledger.entries])
        self.link(DOWN, self.voice)
        self.link(UP, self.voice)
        self.assertEqual(self.roster.ledger.entries, ())


class QuietTests(VirtualHostCase):
    """log = 0."""

    knobs = Knobs(log=0)

    def test_nothing_is_logged(self) -> None:
        """Neither changes of state nor of demotion."""
        self.become_master()
        self.roster.demote("operator", 100, "testing")
        self.assertEqual(self.logged, [])


class DualStackTests(VirtualHostCase):
    """IPv4 and IPv6 addresses in one vhid."""

    addresses = ("192.0.2.1/24", "2001:db8::1/64")

    def test_both_families_are_advertised(self) -> None:
        """IPv4 first, as the kernels do."""
        self.start()
        self.said.clear()
        self.clock.advance(TIMEOUT)
        self.assertEqual(self.said, [("hold",), ("advertise", 4, 1, 100), ("advertise", 6, 1, 100), ("announce",)])

    def test_a_peer_of_both_that_dies_is_not_taken_for_one_of_one(self) -> None:
        """Though its last word over IPv6 came a moment after that over IPv4."""
        self.start()
        self.vhost.heard(hearing(0))
        self.clock.advance(0.02)
        self.vhost.heard(hearing(0, family=6))
        self.clock.advance(TIMEOUT - 0.02)
        self.assertEqual([line for line in self.logged if "alone" in line], [])
        self.assertIs(self.vhost.state, State.MASTER)

    def test_a_peer_of_one_family_is_pointed_out(self) -> None:
        """The flapping that follows has its cause in the log, once a minute at most."""
        self.start()
        for _ in range(int(ADVICE_SECONDS)):
            self.clock.advance(1)
            self.vhost.heard(hearing(0))
        advice = [line for line in self.logged if "IPv4 alone" in line]
        self.assertEqual(len(advice), 1)
        self.assertGreater(self.vhost.transitions, 10)
