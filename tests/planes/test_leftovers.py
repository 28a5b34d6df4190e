"""What a daemon that was killed left behind goes; what looks like it and is somebody else's stays."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.planes import PlaneError
from carptwist.planes.sysctls import Sysctls
from tests.planes.host import HostTestCase, config

Step = Generator[Deferred[Any], Any, None]


class LeftoversTests(HostTestCase):
    """The planes of these tests are never withdrawn: to the host that is as if their daemon had been killed."""

    @inlineCallbacks
    def left_behind(self) -> Step:
        first = self.plane()
        second = self.interface_plane(config("198.51.100.1/24", "2001:db8:9::1/64", vhid=2))
        third = self.plane(config("192.0.2.3/24", "2001:db8:2::3/64", vhid=3))
        for plane in (first, second, third):
            yield plane.prepare()
        yield first.hold()
        yield second.hold()

    @inlineCallbacks
    def test_rules_of_an_older_version(self) -> Step:
        """They took what came in anywhere, and go as well."""
        before = self.everything()
        for family, address in (("-4", "192.0.2.1"), ("-6", "2001:db8:2::1")):
            for incoming in ((), ("iif", "lo")):
                self.ip(
                    *(family, "rule", "add", "from", address, *incoming, "lookup", "112000513"),
                    *("priority", "11200", "protocol", "112"),
                )
        found = yield self.clean()
        self.assertEqual(found, ["4 routing rules"])
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_everything_goes(self) -> Step:
        """Devices, addresses, rules, routes and settings; and it is said what there was."""
        self.here.namespace.sysctl("ipv4.conf.em0.arp_announce", 1)
        self.ip("route", "add", "default", "via", "192.0.2.254")
        before = self.everything()
        yield self.left_behind()
        found = yield self.clean()
        self.assertEqual(self.everything(), before)
        text = ", ".join(found)
        for word in (self.device(1), self.device(3), "198.51.100.1", "2001:db8:9::1", "4 routing rules", "em0"):
            self.assertIn(word, text)
        self.assertEqual(list(self.state_dir.iterdir()), [])
        again = yield self.clean()
        self.assertEqual(again, [])

    @inlineCallbacks
    def test_decoys_stay(self) -> Step:
        """Whatever bears only some of the marks is somebody else's."""
        for words in (
            ("link", "add", "carp2-77", "link", "em0", "type", "macvlan", "mode", "bridge"),
            ("link", "add", "carp9-9", "type", "veth", "peer", "name", "carp9-8"),
            ("link", "add", "mv0", "link", "em0", "type", "macvlan", "mode", "private"),
            ("link", "set", "mv0", "alias", "carptwist 1@em0"),
            ("link", "set", "carp9-9", "alias", "carptwist 1@em0"),
            ("addr", "add", "192.0.2.200/24", "dev", "em0"),
            ("rule", "add", "from", "192.0.2.200", "lookup", "100", "priority", "11200"),
            ("rule", "add", "from", "192.0.2.200", "lookup", "100", "priority", "100", "protocol", "112"),
            ("rule", "add", "from", "192.0.2.200", "lookup", "112000513", "priority", "11200", "protocol", "113"),
            ("route", "add", "203.0.113.0/24", "dev", "em0", "proto", "112"),
            ("route", "add", "203.0.114.0/24", "dev", "em0", "metric", "11201"),
            ("route", "add", "203.0.115.0/24", "dev", "em0", "table", "112000513", "proto", "113"),
            ("-6", "route", "add", "2001:db8:55::/48", "dev", "em0", "proto", "112"),
        ):
            self.ip(*words)
        index = self.here.index("em0")
        self.here.namespace.route.addr("add", index=index, address="192.0.2.201", prefixlen=24, proto=113)
        before = self.everything()
        found = yield self.clean()
        self.assertEqual(found, [])
        self.assertEqual(self.everything(), before)
        yield self.left_behind()
        yield self.clean()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_somebody_has_set_it_since(self) -> Step:
        """A setting that is not what we made it is not put back."""
        yield self.left_behind()
        self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore", 2)
        yield self.clean()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "2")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_announce"), "0")

    @inlineCallbacks
    def test_interface_renamed_since(self) -> Step:
        """Settings are put back where they were changed, and another interface that has got the name keeps its own."""
        yield self.left_behind()
        self.ip("link", "set", "em0", "name", "lan0")
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore", 1)
        yield self.clean()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_ignore"), "0")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_announce"), "0")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")

    @inlineCallbacks
    def test_another_namespace(self) -> Step:
        """Daemons of two namespaces with one state_dir: neither takes the other's journal for its own."""
        yield self.left_behind()
        there = self.lab.host("there")
        self.lan.connect(there)
        with there.namespace:
            theirs = Sysctls(self.state_dir)
            self.assertEqual(theirs.recover(), [])
            theirs.acquire(there.index("em0"), "em0", "1@em0", {"arp_ignore": 1})
            theirs.release("1@em0")
        self.assertEqual(there.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "0")
        found = yield self.clean()
        self.assertIn("settings of em0", found)
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "0")

    @inlineCallbacks
    def test_another_boot(self) -> Step:
        """A journal of a former boot is thrown away, with nothing put back."""
        yield self.left_behind()
        (journal,) = self.state_dir.iterdir()
        said = json.loads(journal.read_text())
        said["boot"] = "of yesterday"
        journal.write_text(json.dumps(said))
        (self.state_dir / "sysctls-1-1.json").write_text(json.dumps(said))
        (self.state_dir / "sysctls-2-2.json").write_text("not ours")
        found = yield self.clean()
        self.assertNotIn("settings of em0", found)
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")
        self.assertEqual(list(self.state_dir.glob("*.json")), [])

    @inlineCallbacks
    def test_state_dir_not_writable(self) -> Step:
        """Nothing is changed that could not be put back: the error says where and what to do."""
        before = self.everything()
        self.state_dir.write_text("a file where a directory should be")
        failure = yield self.assertFailure(self.plane().prepare(), PlaneError)
        self.assertIn("state_dir", str(failure))
        self.assertEqual(self.everything(), before)
