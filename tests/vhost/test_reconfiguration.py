"""A virtual host whose settings change while it runs."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from carptwist.config.schema import Knobs, Phrase
from carptwist.election.state import State
from carptwist.planes import PlaneError
from tests.vhost.fakes import ABSENT
from tests.vhost.test_virtualhost import BOW_OUT, TIMEOUT, VirtualHostCase, hearing

ADDED = (ip_interface("192.0.2.1/24"), ip_interface("192.0.2.5/24"))
ADOPTED = ("adopt", "192.0.2.1/24", "192.0.2.5/24")


class SettingsTests(VirtualHostCase):
    """advbase, advskew and pass phrase: nothing on the host changes."""

    def test_a_master_goes_on(self) -> None:
        """It says at once what it is now, without letting go of anything."""
        self.become_master()
        since = self.vhost.machine.since
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, advskew=7)))
        self.assertEqual(self.said[1:], [("advertise", 4, 1, 7)])
        self.assertTrue(self.vhost.holding)
        self.assertEqual(self.vhost.machine.since, since)

    def test_a_backup_waits_longer_or_shorter(self) -> None:
        """Counted from what it heard last."""
        self.start()
        self.clock.advance(3)
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, advskew=0)))
        self.clock.advance(0)
        self.assertIs(self.vhost.state, State.MASTER)


class AddressTests(VirtualHostCase):
    """The plane is asked first."""

    def test_a_master_holds_one_more(self) -> None:
        """Without letting go of the others; then all are announced."""
        self.become_master()
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)))
        self.assertEqual(self.said, [ADOPTED, ("prepare",), ("hold",), ("advertise", 4, 1, 100), ("announce",)])
        self.assertIn(ADDED[1].ip.packed, self.vhost.shared)
        self.assertTrue(self.vhost.holding)

    def test_a_backup_only_prepares(self) -> None:
        """It holds nothing."""
        self.start()
        self.said.clear()
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)))
        self.assertEqual(self.said, [ADOPTED, ("prepare",)])

    def test_what_the_host_cannot_carry_changes_nothing(self) -> None:
        """The former addresses stay, and whoever wanted the change hears why not."""
        self.become_master()
        self.plane.slow = True
        self.plane.failing = PlaneError("192.0.2.5 is on em1 of this host already")
        before = self.vhost.config
        change = self.vhost.reconfigure(replace(before, addresses=ADDED))
        self.plane.finish()
        self.plane.failing = None
        self.assertNoResult(change)
        self.plane.finish()
        failure = self.failureResultOf(change, PlaneError)
        self.assertIn("on em1", failure.getErrorMessage())
        self.assertEqual(self.said, [ADOPTED, ("adopt", "192.0.2.1/24"), ("prepare",)])
        self.assertIs(self.vhost.config, before)
        self.assertTrue(self.vhost.holding)

    def test_a_host_that_cannot_even_go_back(self) -> None:
        """That is a plane that has failed, as at any other time."""
        self.become_master()
        self.plane.failing = PlaneError("no such device")
        self.failureResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)), PlaneError)
        self.assertIs(self.vhost.state, State.INIT)
        self.assertEqual(self.vhost.obstacles, ("no such device",))

    def test_the_last_address_goes(self) -> None:
        """It bows out under the digest that the others know, and takes part again when it has one."""
        self.become_master()
        self.voice.when_advertising = lambda: self.said.append(("with", len(self.vhost.config.addresses)))
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=())))
        self.assertEqual(self.said, [("release",), ("with", 1), BOW_OUT, ("adopt",), ("prepare",)])
        self.assertEqual((self.vhost.state, self.vhost.obstacles), (State.INIT, ("no address",)))
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)))
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_the_last_address_cannot_be_given_up(self) -> None:
        """Then it is still there, and the vhid takes part with it as before."""
        self.become_master()
        self.plane.slow = True
        change = self.vhost.reconfigure(replace(self.vhost.config, addresses=()))
        self.plane.finish()  # the release
        self.plane.failing = PlaneError("out of memory")
        self.plane.finish()
        self.plane.failing = None
        self.plane.finish()
        self.failureResultOf(change, PlaneError)
        self.assertEqual((self.vhost.state, self.vhost.obstacles), (State.BACKUP, ()))

    def test_another_family(self) -> None:
        """Its timeout begins now."""
        self.start()
        self.clock.advance(1)
        both = (*self.vhost.config.addresses, ip_interface("2001:db8::1/64"))
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=both)))
        self.assertEqual(self.vhost.machine.master_down_at, {4: TIMEOUT, 6: 1 + TIMEOUT})

    def test_without_an_interface(self) -> None:
        """There is nothing to prepare yet; it counts when the interface comes."""
        self.vhost.start()
        self.link(ABSENT, None)
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)))
        self.assertEqual(self.said, [ADOPTED])

    def test_what_could_not_be_prepared_so_far(self) -> None:
        """Other addresses are a reason to try again at once."""
        self.plane.failing = PlaneError("192.0.2.1 is on em1 of this host already")
        self.start()
        self.assertIs(self.vhost.state, State.INIT)
        self.plane.failing = None
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED)))
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_while_it_stops(self) -> None:
        """It is too late then."""
        self.become_master()
        self.plane.slow = True
        self.vhost.stop()
        change = self.vhost.reconfigure(replace(self.vhost.config, addresses=ADDED))
        for _ in range(2):
            self.plane.finish()
        self.failureResultOf(change, ValueError)


class KnobTests(VirtualHostCase):
    """What all vhids of the host obey."""

    def test_allow(self) -> None:
        """0 sends a MASTER to INIT, in good order; 1 lets it take part again."""
        self.become_master()
        self.roster.set_knobs(Knobs(allow=False))
        self.assertEqual(self.said, [("release",), BOW_OUT])
        self.assertEqual(self.vhost.obstacles, ("not allowed (net.inet.carp.allow = 0)",))
        self.roster.set_knobs(Knobs())
        self.assertIs(self.vhost.state, State.BACKUP)

    def test_allow_before_the_start(self) -> None:
        """It starts into INIT."""
        self.roster.set_knobs(Knobs(allow=False))
        self.start()
        self.assertEqual(self.vhost.obstacles, ("not allowed (net.inet.carp.allow = 0)",))

    def test_preempt(self) -> None:
        """It counts from the next advertisement on."""
        self.start()
        self.vhost.heard(hearing(200))
        self.assertIs(self.vhost.state, State.BACKUP)
        self.roster.set_knobs(Knobs(preempt=True))
        self.vhost.heard(hearing(200))
        self.assertIs(self.vhost.state, State.MASTER)

    def test_ifdown_demotion_factor(self) -> None:
        """An interface that is down counts for as much as it would now."""
        self.vhost.start()
        self.link(ABSENT, None)
        self.assertEqual(self.roster.ledger.sum, 240)
        self.roster.set_knobs(Knobs(ifdown_demotion_factor=10))
        self.assertEqual(self.roster.ledger.sum, 10)

    def test_senderr_demotion_factor(self) -> None:
        """Likewise for what cannot be sent; a vhid that can send is not demoted."""
        self.become_master()
        self.roster.set_knobs(Knobs(senderr_demotion_factor=20))
        self.assertEqual(self.roster.ledger.sum, 0)
        self.voice.failing = OSError("no buffer")
        for _ in range(3):
            self.clock.advance(1.5)
        self.assertEqual(self.roster.ledger.sum, 20)
        self.roster.set_knobs(Knobs(senderr_demotion_factor=30))
        self.assertEqual(self.roster.ledger.sum, 30)


class PhraseTests(VirtualHostCase):
    """Which pass phrase a peer signs with."""

    def test_told_when_it_changes(self) -> None:
        """Once per peer, and again when it moves on to another; not where there is one phrase alone."""
        self.start()
        self.vhost.heard(hearing(0))
        self.assertEqual([line for line in self.logged if "phrase" in line], [])
        phrases = (Phrase(b"new"), Phrase(b"old"))
        self.successResultOf(self.vhost.reconfigure(replace(self.vhost.config, phrases=phrases)))
        for number in (1, 1, 0, 0):
            self.vhost.heard(hearing(0)._replace(phrase=number))
        self.assertEqual(
            [line for line in self.logged if "phrase" in line],
            [
                "carp: 1@em0: 192.0.2.3 signs with pass phrase 2 of 2",
                "carp: 1@em0: 192.0.2.3 signs with pass phrase 1 of 2",
            ],
        )
