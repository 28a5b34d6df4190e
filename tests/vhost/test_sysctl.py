"""net.inet.carp.*, read and written."""

from __future__ import annotations

from ipaddress import ip_interface

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.schema import Knobs, VirtualHostConfig
from carptwist.vhost.roster import Roster
from carptwist.vhost.sysctl import SysctlError, Sysctls
from carptwist.vhost.virtualhost import VirtualHost
from tests.vhost.fakes import ABSENT, DOWN, UP, WrittenPlane, WrittenVoice


class SysctlTests(SynchronousTestCase):
    """A node with one vhid."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.roster = Roster(Knobs(log=0), self.clock)
        self.sysctls = Sysctls(self.roster)
        self.voice = WrittenVoice([])
        config = VirtualHostConfig(1, "em0", (ip_interface("192.0.2.1/24"),))
        plane = WrittenPlane([], bytes(6))
        self.vhost = VirtualHost(config, roster=self.roster, plane=plane, clock=self.clock, draw=lambda: 5)
        self.roster.add(self.vhost)
        self.vhost.start()
        self.vhost.link_changed(UP, self.voice)

    def test_every_knob_can_be_read_and_written(self) -> None:
        """The value is in force at once."""
        for name, text, after in (
            ("allow", "0", 0),
            ("preempt", "1", 1),
            ("dscp", "0", 0),
            ("log", "2", 2),
            ("ifdown_demotion_factor", "1", 1),
            ("senderr_demotion_factor", " 2 ", 2),
        ):
            before = self.sysctls.read(name)
            self.assertEqual(self.sysctls.write(name, text), (before, after), name)
            self.assertEqual(getattr(self.roster.knobs, name), after)
            self.assertIn(name, self.sysctls.names())

    def test_demotion_is_added(self) -> None:
        """Signed, to one entry that says whose it is, and which is gone when nothing is left of it."""
        self.assertEqual(self.sysctls.write("demotion", "+10"), (0, 10))
        self.assertEqual(self.sysctls.write("demotion", "-15"), (10, -5))
        self.assertEqual([(entry.owner, entry.value) for entry in self.roster.ledger.entries], [("sysctl", -5)])
        self.sysctls.write("demotion", "5")
        self.assertEqual(self.roster.ledger.entries, ())

    def test_suppress_preempt_counts_troubles(self) -> None:
        """Links that are down, not what the operator has put there."""
        self.sysctls.write("demotion", "100")
        self.assertEqual(self.sysctls.read("suppress_preempt"), 0)
        for link, count in ((DOWN, 1), (UP, 0), (ABSENT, 1)):
            self.vhost.link_changed(link, self.voice)
            self.vhost.account_for_link()
            self.assertEqual(self.sysctls.read("suppress_preempt"), count)

    def test_stats(self) -> None:
        """The counters, under their names."""
        stats = self.sysctls.read("stats")
        assert isinstance(stats, dict)
        self.assertEqual(stats["opackets"], 0)
        self.assertIn("badauth", stats)

    def test_refusals(self) -> None:
        """Each names what is wrong, and changes nothing."""
        before = self.roster.knobs
        for name, text, why in (
            ("prempt", "1", "unknown oid 'net.inet.carp.prempt'"),
            ("state_dir", "/tmp", "unknown oid 'net.inet.carp.state_dir'"),
            ("suppress_preempt", "0", "oid 'net.inet.carp.suppress_preempt' is read only"),
            ("stats", "0", "oid 'net.inet.carp.stats' is read only"),
            ("preempt", "yes", "net.inet.carp.preempt = yes: must be a whole number"),
            ("preempt", "2", "net.inet.carp.preempt = 2: must be 0 or 1"),
            ("dscp", "64", "net.inet.carp.dscp = 64: must be 0 to 63"),
            ("dscp", "", "net.inet.carp.dscp = : must be a whole number"),
            ("demotion", "++1", "net.inet.carp.demotion = ++1: must be a whole number"),
            ("demotion", "2147483648", "net.inet.carp.demotion = 2147483648: too large"),
        ):
            error = self.assertRaises(SysctlError, self.sysctls.write, name, text)
            self.assertEqual(str(error), why)
        self.assertIs(self.roster.knobs, before)
        self.assertRaises(SysctlError, self.sysctls.read, "carp")
