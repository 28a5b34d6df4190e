"""The macvlan plane, on a real kernel."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from pyroute2 import NetlinkError
from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.lab.prober import Prober
from carptwist.lab.watcher import Watcher
from carptwist.planes import PlaneError, sysctls
from carptwist.planes.kernel import Kernel
from carptwist.planes.view import Route
from tests.planes.host import HostTestCase, config

Step = Generator[Deferred[Any], Any, None]
SHARED4, SHARED6 = "192.0.2.1", "2001:db8:2::1"
BOTH = (SHARED4, SHARED6)


class MacvlanPlaneTests(HostTestCase):
    """Each step leaves the host as the interface says."""

    @inlineCallbacks
    def test_prepared_is_not_reachable(self) -> Step:
        """While BACKUP the host does not take the addresses for its own, nor can it send from them."""
        plane = self.plane()
        yield plane.prepare()
        for address in BOTH:
            self.assertFalse(self.is_local(address), address)
        self.assertEqual(self.way(SHARED4, "192.0.2.9"), "")
        self.assertEqual(self.way(SHARED6, "2001:db8:2::9"), "")
        self.assertIn("state DOWN", self.ip("link", "show", self.device()))

    @inlineCallbacks
    def test_held_is_reachable_each_time(self) -> Step:
        """Taken, given up and taken again."""
        plane = self.plane()
        yield plane.prepare()
        for _ in range(3):
            yield plane.hold()
            for address in BOTH:
                self.assertTrue(self.is_local(address), address)
            self.assertEqual(self.way(SHARED4, "192.0.2.9"), self.device())
            self.assertEqual(self.way(SHARED6, "2001:db8:2::9"), self.device())
            yield plane.release()
            for address in BOTH:
                self.assertFalse(self.is_local(address), address)
            self.assertEqual(self.way(SHARED4, "192.0.2.9"), "")
            self.assertEqual(self.way(SHARED6, "2001:db8:2::9"), "")

    @inlineCallbacks
    def test_steps_may_be_repeated(self) -> Step:
        """Every step twice is like once, and withdrawing without any other step does nothing."""
        before = self.everything()
        plane = self.plane()
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)
        for step in (plane.prepare, plane.hold, plane.prepare, plane.hold, plane.release, plane.withdraw):
            yield step()
            after_one = self.everything()
            yield step()
            self.assertEqual(self.everything(), after_one, step.__name__)
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_withdrawn_from_anywhere(self) -> Step:
        """Nothing is left, whether it was withdrawn as MASTER or as BACKUP."""
        before = self.everything()
        plane = self.plane()
        yield plane.prepare()
        self.assertNotEqual(self.everything(), before)
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)
        yield plane.prepare()
        yield plane.hold()
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_prepared_in_vain(self) -> Step:
        """A refused preparation leaves nothing behind once it is withdrawn."""
        self.ip("addr", "add", f"{SHARED4}/24", "dev", "em0")
        before = self.everything()
        plane = self.plane()
        failure = yield self.assertFailure(plane.prepare(), PlaneError)
        for word in (SHARED4, "em0", "ip address del"):
            self.assertIn(word, str(failure))
        self.assertEqual(self.everything(), before)
        self.ip("addr", "del", f"{SHARED4}/24", "dev", "em0")
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED4))

    @inlineCallbacks
    def test_without_interface(self) -> Step:
        """The error names it."""
        self.ip("link", "set", "em0", "name", "em5")
        yield self.until(lambda: not self.monitor.state("em0").exists, "em0 gone")
        failure = yield self.assertFailure(self.plane().prepare(), PlaneError)
        self.assertIn("em0", str(failure))

    @inlineCallbacks
    def test_somebody_elses_device(self) -> Step:
        """A device of our name without our alias is refused, and left alone."""
        self.ip("link", "add", self.device(), "link", "em0", "type", "macvlan", "mode", "bridge")
        before = self.everything()
        plane = self.plane()
        failure = yield self.assertFailure(plane.prepare(), PlaneError)
        self.assertIn(self.device(), str(failure))
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_port_of_a_bridge(self) -> Step:
        """There can be no macvlan: the error names the bridge, where there can be one."""
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("link", "set", "em0", "master", "br0")
        before = self.everything()
        plane = self.plane()
        failure = yield self.assertFailure(plane.prepare(), PlaneError)
        self.assertIn("em0 is a port of br0: put the vhid on br0", str(failure))
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_refused_by_the_kernel(self) -> Step:
        """The error has the kernel's reason in words."""
        plane = self.plane(replace(config(), interface="lo"))  # on which there can be no macvlan
        failure = yield self.assertFailure(plane.prepare(), PlaneError)
        self.assertEqual(str(failure), f"the kernel refused what 1@lo needs: {os.strerror(errno.EINVAL)}")

    @inlineCallbacks
    def test_settings_are_shared_by_vhids(self) -> Step:
        """They are put back with the last vhid on the interface, and not before."""
        first, second = self.plane(), self.plane(config("192.0.2.2/24", vhid=2))
        before = self.everything()
        yield first.prepare()
        yield second.prepare()
        yield first.withdraw()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")
        yield second.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_settings_of_a_renamed_interface(self) -> Step:
        """They are put back all the same."""
        plane = self.plane()
        yield plane.prepare()
        self.ip("link", "set", "em0", "name", "lan0")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_announce"), "2")
        yield plane.withdraw()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_announce"), "0")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_ignore"), "0")
        self.assertEqual(list(self.state_dir.iterdir()), [])

    @inlineCallbacks
    def test_settings_of_an_interface_made_anew(self) -> Step:
        """What the administrator has set there is not taken for what was set on the former one."""
        plane = self.plane()
        yield plane.prepare()
        self.ip("link", "del", "em0")
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        self.here.namespace.sysctl("ipv4.conf.em0.arp_announce", 2)
        yield plane.prepare()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")
        yield plane.withdraw()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_announce"), "2")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "0")

    @inlineCallbacks
    def test_settings_of_another_interface_with_the_name(self) -> Step:
        """The former one, which is called otherwise now, has its settings back as soon as the vhid is on the other."""
        plane = self.plane()
        yield plane.prepare()
        self.ip("link", "set", "em0", "name", "lan0")
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        yield plane.prepare()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.lan0.arp_ignore"), "0")
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")

    @inlineCallbacks
    def test_release_that_failed(self) -> Step:
        """Prepared again nothing is reachable, whatever state the device was left in."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        kernels: list[Kernel] = []
        yield self.orders.give(kernels.append, "test")
        send = kernels[0].send

        def refuse(requests: object, tolerant: bool = False) -> None:
            raise NetlinkError(errno.ENOBUFS)

        kernels[0].send = refuse  # type: ignore[method-assign, assignment]
        yield self.assertFailure(plane.release(), PlaneError)
        kernels[0].send = send  # type: ignore[method-assign]
        self.assertIn("state UP", self.ip("link", "show", self.device()))
        yield plane.prepare()
        for address in BOTH:
            self.assertFalse(self.is_local(address), address)
        self.assertIn("state DOWN", self.ip("link", "show", self.device()))
        yield plane.hold()
        self.assertEqual(self.way(SHARED4, "192.0.2.9"), self.device())

    @inlineCallbacks
    def test_one_address_of_two_vhids(self) -> Step:
        """ARP balancing: both hold it, and it is reachable as long as one does."""
        first, second = self.plane(), self.plane(config(f"{SHARED4}/24", vhid=2))
        for plane in (first, second):
            yield plane.prepare()
            yield plane.hold()
        yield first.release()
        self.assertTrue(self.is_local(SHARED4))
        self.assertEqual(self.way(SHARED4, "192.0.2.9"), self.device(2))

    @inlineCallbacks
    def test_link_local_shared_address(self) -> Step:
        """One of fe80::/10 comes with each takeover like any other."""
        plane = self.plane(config("fe80::5/64", SHARED6 + "/64"))
        yield plane.prepare()
        for _ in range(2):
            yield plane.hold()
            self.assertIn("fe80::5", self.ip("-6", "addr", "show", "dev", self.device()))
            yield plane.release()
        yield self.pause(0.5)
        self.assertEqual(self.damages, [])

    @inlineCallbacks
    def test_forwards_as_its_parent(self) -> Step:
        """What a router is sent to its virtual MAC it forwards."""
        self.here.namespace.sysctl("ipv4.conf.em0.forwarding", 1)
        self.here.namespace.sysctl("ipv6.conf.em0.forwarding", 1)
        yield self.plane().prepare()
        for family in ("ipv4", "ipv6"):
            name = f"{family}.conf.{self.device()}.forwarding"
            self.assertEqual(self.here.namespace.sysctl(name), "1", name)

    @inlineCallbacks
    def test_ipv6_disabled_by_default(self) -> Step:
        """The device has it all the same if it has IPv6 addresses, also when somebody disables it there later."""
        for name in ("default", "all"):
            self.here.namespace.sysctl(f"ipv6.conf.{name}.disable_ipv6", 1)
        four = self.plane(config(f"{SHARED4}/24"))
        yield four.prepare()
        self.assertEqual(self.here.namespace.sysctl(f"ipv6.conf.{self.device()}.disable_ipv6"), "1")
        yield four.withdraw()
        plane = self.plane()
        yield plane.prepare()
        for _ in range(2):
            yield plane.hold()
            for address in BOTH:
                self.assertTrue(self.is_local(address), address)
            yield plane.release()
        self.assertNotIn("fe80", self.ip("addr", "show", "dev", self.device()))
        self.here.namespace.sysctl(f"ipv6.conf.{self.device()}.disable_ipv6", 1)
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED6))

    @inlineCallbacks
    def test_kernel_without_ipv6(self) -> Step:
        """The error says so, and nothing is changed; a vhid of IPv4 alone works there."""
        self.patch(sysctls, "has_ipv6", lambda: False)  # no namespace has a kernel of its own
        before = self.everything()
        failure = yield self.assertFailure(self.plane().prepare(), PlaneError)
        self.assertIn("ipv6.disable", str(failure))
        self.assertEqual(self.everything(), before)
        plane = self.plane(config(f"{SHARED4}/24"))
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED4))

    @inlineCallbacks
    def test_two_hundred_addresses(self) -> Step:
        """All are reachable, and all go."""
        many = [f"10.0.{number}.1/24" for number in range(100)] + [
            f"2001:db8:5::{number:x}/64" for number in range(1, 101)
        ]
        before = self.everything()
        plane = self.plane(config(*many))
        yield plane.prepare()
        self.assertFalse(any(self.is_local(text.split("/")[0]) for text in (many[0], many[-1])))
        yield plane.hold()
        for text in many:
            self.assertTrue(self.is_local(text.split("/")[0]), text)
        yield plane.release()
        self.assertFalse(any(self.is_local(text.split("/")[0]) for text in many))
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_another_device_of_the_same_name(self) -> Step:
        """The interface was made anew: prepared again it is all there, and nothing of the former one is left."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        former = self.device()
        self.ip("link", "del", "em0")
        yield self.until(lambda: not self.monitor.state("em0").exists, "em0 gone")
        yield plane.release()
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        self.ip("link", "set", "em0", "up")
        self.ip("link", "set", "em1", "up")
        self.assertNotEqual(self.device(), former)
        yield self.until(lambda: self.monitor.state("em0").usable, "em0 back")
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED4))
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "1")
        yield plane.withdraw()
        self.assertEqual(self.here.namespace.sysctl("ipv4.conf.em0.arp_ignore"), "0")
        left = "".join(self.everything().values())
        self.assertNotIn("carp", left)
        self.assertNotIn("proto 112", left)

    @inlineCallbacks
    def test_withdrawn_after_its_interface(self) -> Step:
        """Everything goes quietly when the interface has gone already."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        self.ip("link", "del", "em0")
        yield plane.release()
        yield plane.withdraw()
        self.assertNotIn("112", self.ip("rule") + self.ip("-6", "rule"))
        self.assertNotIn(
            "proto 112", self.ip("route", "show", "table", "all") + self.ip("-6", "route", "show", "table", "all")
        )


class RoutesTests(HostTestCase):
    """Where packets from a shared address go."""

    @inlineCallbacks
    def held(self) -> Generator[Deferred[Any], Any, Any]:
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        return plane

    @inlineCallbacks
    def test_behind_a_gateway(self) -> Step:
        """Through the device, by the gateway of the main table."""
        self.ip("route", "add", "default", "via", "192.0.2.254", "dev", "em0")
        self.ip("-6", "route", "add", "default", "via", "fe80::fe", "dev", "em0")
        self.ip("-6", "route", "add", "2001:db8:77::/48", "via", "2001:db8:2::fe", "dev", "em0")
        yield self.held()
        self.assertEqual(self.way(SHARED4, "198.51.100.1"), self.device())
        self.assertEqual(self.way(SHARED6, "2001:db8:99::1"), self.device())
        self.assertEqual(self.way(SHARED6, "2001:db8:77::1"), self.device())
        self.assertEqual(self.way("192.0.2.7", "198.51.100.1"), "em0")

    @inlineCallbacks
    def test_on_another_interface(self) -> Step:
        """What the main table does not send through the parent goes where it says, a default route or not."""
        other = self.lab.lan("other")
        other.connect(self.here, "em1", addresses=["203.0.113.7/24", "2001:db8:3::7/64"])
        self.ip("route", "add", "default", "via", "192.0.2.254", "dev", "em0")
        self.ip("-6", "route", "add", "default", "via", "fe80::fe", "dev", "em0")
        yield self.held()
        self.assertEqual(self.way(SHARED4, "203.0.113.9"), "em1")
        self.assertEqual(self.way(SHARED6, "2001:db8:3::9"), "em1")
        self.assertEqual(self.way(SHARED4, "198.51.100.1"), self.device())

    @inlineCallbacks
    def test_of_two_default_routes_the_better(self) -> Step:
        """Metrics count as in the main table."""
        other = self.lab.lan("other")
        other.connect(self.here, "em1", addresses=["203.0.113.7/24"])
        self.ip("route", "add", "default", "via", "192.0.2.254", "dev", "em0", "metric", "200")
        self.ip("route", "add", "default", "via", "203.0.113.254", "dev", "em1", "metric", "100")
        yield self.held()
        self.assertEqual(self.way(SHARED4, "198.51.100.1"), "em1")
        self.ip("route", "del", "default", "dev", "em1")
        yield self.until(lambda: self.way(SHARED4, "198.51.100.1") == self.device(), "the other route")

    @inlineCallbacks
    def test_follow_the_main_table(self) -> Step:
        """Routes that come and go while MASTER."""
        yield self.held()
        self.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254")
        yield self.until(lambda: self.way(SHARED4, "198.51.100.1") == self.device(), "the new route")
        self.ip("route", "replace", "198.51.100.0/24", "via", "192.0.2.253")
        yield self.until(
            lambda: "192.0.2.253" in self.ip("route", "get", "198.51.100.1", "from", SHARED4), "its change"
        )
        self.ip("route", "del", "198.51.100.0/24")
        yield self.until(lambda: "198.51.100.0/24" not in self.ip("route", "show", "table", "all"), "its end")

    @inlineCallbacks
    def test_follow_the_main_table_as_backup(self) -> Step:
        """What has changed meanwhile is there with the takeover."""
        plane = yield self.held()
        yield plane.release()
        self.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254")
        yield self.pause(1)
        yield plane.hold()
        self.assertEqual(self.way(SHARED4, "198.51.100.1"), self.device())

    @inlineCallbacks
    def test_taking_over_does_not_read_the_main_table(self) -> Step:
        """However large it is: the routes are those of the last look, and the news are followed afterwards."""
        plane = self.plane()
        yield plane.prepare()
        yield self.pause(0.5)
        kernels: list[Kernel] = []
        yield self.orders.give(kernels.append, "test")
        asked: list[object] = []
        read = kernels[0].main_routes

        def watched(families: Iterable[int]) -> list[Route]:
            asked.append(families)
            return read(families)

        self.patch(kernels[0], "main_routes", watched)
        # The monitor has no time to tell of the route.
        self.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254")
        yield plane.hold()
        self.assertEqual(asked, [])
        yield self.until(lambda: self.way(SHARED4, "198.51.100.1") == self.device(), "the new route")
        self.assertTrue(asked)

    @inlineCallbacks
    def test_a_flapping_route_queues_no_looks(self) -> Step:
        """However often it changes while one look at the table is waiting, one more is enough."""
        yield self.held()
        yield self.pause(0.5)
        go, looks = threading.Event(), []
        self.addCleanup(go.set)
        kernels: list[Kernel] = []
        yield self.orders.give(kernels.append, "test")
        read = kernels[0].main_routes
        self.patch(kernels[0], "main_routes", lambda families: (looks.append(families), read(families))[1])
        blocked = self.orders.give(lambda _: go.wait(20), "test")
        for _ in range(5):
            self.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.254")
            yield self.pause(0.3)
            self.ip("route", "del", "198.51.100.0/24")
            yield self.pause(0.3)
        go.set()
        yield blocked
        yield self.pause(1)
        self.assertIn(len(looks), (1, 2))

    @inlineCallbacks
    def test_what_is_forwarded_is_not_touched(self) -> Step:
        """A BACKUP that is the router of the MASTER routes what comes from the shared address."""
        self.lab.lan("other").connect(self.here, "em1", addresses=["203.0.113.7/24", "2001:db8:3::7/64"])
        for family in ("ipv4", "ipv6"):
            self.here.namespace.sysctl(f"{family}.conf.all.forwarding", 1)
        plane = self.plane()
        yield plane.prepare()
        for source, destination in ((SHARED4, "203.0.113.9"), (SHARED6, "2001:db8:3::9")):
            self.assertEqual(self.way(source, destination), "")
            forwarded = self.ip("route", "get", destination, "from", source, "iif", "em0")
            self.assertIn("dev em1", forwarded)
            self.assertNotIn("blackhole", forwarded)

    @inlineCallbacks
    def test_rules_of_an_older_version(self) -> Step:
        """Those that took what is forwarded as well make way for those that do not."""
        plane = self.plane()
        yield plane.prepare()
        wanted = self.ip("rule")
        mine = next(line.split() for line in wanted.splitlines() if SHARED4 in line)
        table = mine[mine.index("lookup") + 1]
        self.ip("rule", "del", "from", SHARED4)
        self.ip("rule", "add", "from", SHARED4, "lookup", table, "priority", "11200", "protocol", "112")
        yield self.until(lambda: bool(self.damages), "told of the damage")
        self.assertIn(SHARED4, self.damages[0])
        yield plane.prepare()
        self.assertEqual(self.ip("rule"), wanted)

    @inlineCallbacks
    def test_of_the_hosts_own(self) -> Step:
        """Where the parent has an address of the prefix it sends; where it has none the device does."""
        plane = self.plane(config("192.0.2.1/24", "198.51.100.1/24", "2001:db8:9::1/64"))
        yield plane.prepare()
        yield plane.hold()
        self.assertIn("dev em0", self.ip("route", "get", "192.0.2.9"))
        self.assertIn(f"dev {self.device()}", self.ip("route", "get", "198.51.100.9"))
        self.assertIn(f"dev {self.device()}", self.ip("-6", "route", "get", "2001:db8:9::9"))


class OnTheWireTests(HostTestCase):
    """What the neighbours see of it."""

    @inlineCallbacks
    def test_only_the_virtual_mac(self) -> Step:
        """The client is answered, also when the host has to ask for it first; no frame ties a shared address to
        another MAC than the virtual one."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        mac = "00:00:5e:00:01:01"
        # No responder runs here: the client knows the address, as from an announcement.
        self.ip("neigh", "replace", SHARED4, "lladdr", mac, "nud", "permanent", "dev", "em0", host=self.client)
        with Watcher(self.lan, BOTH) as watcher, Prober(self.client, BOTH) as prober:
            for _ in range(10):
                yield self.pause(0.05)
                self.ip("neigh", "flush", "all")
            yield self.until(lambda: all(prober.last_reply(address) for address in BOTH), "answers")
        self.assertGreater(len(watcher.claims), 3)
        self.assertEqual({str(claim.mac) for claim in watcher.claims}, {mac})
        asked = [claim for claim in watcher.claims if claim.host == "here" and "Ethernet" not in claim.field]
        self.assertTrue(asked)
        self.assertEqual(self.client.neighbors()[self.address6], mac)

    @property
    def address6(self) -> Any:
        from ipaddress import ip_address

        return ip_address(SHARED6)

    @inlineCallbacks
    def test_arp_is_the_responders(self) -> Step:
        """The kernel answers nobody's ARP request for a shared address, neither through the device nor its parent."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        with Watcher(self.lan, BOTH) as watcher, Prober(self.client, [SHARED4]):
            yield self.pause(0.5)
        self.assertEqual([claim for claim in watcher.claims if claim.host == "here"], [])


class DamageTests(HostTestCase):
    """Somebody else's interference is noticed, named, and mended by preparing and holding again."""

    @inlineCallbacks
    def held(self) -> Generator[Deferred[Any], Any, Any]:
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        yield self.pause(0.6)
        self.assertEqual(self.damages, [])
        return plane

    @inlineCallbacks
    def mended(self, plane: Any, *words: str) -> Step:
        yield self.until(lambda: bool(self.damages), "told of the damage")
        for word in words:
            self.assertIn(word, " ".join(self.damages))
        yield plane.prepare()
        yield plane.hold()
        for address in BOTH:
            self.assertTrue(self.is_local(address), address)
        self.assertEqual(self.way(SHARED4, "192.0.2.9"), self.device())
        self.assertEqual(self.way(SHARED6, "2001:db8:2::9"), self.device())

    @inlineCallbacks
    def test_own_steps_are_none(self) -> Step:
        """Nothing that the plane does itself is taken for damage."""
        plane = self.plane()
        for step in (plane.prepare, plane.hold, plane.release, plane.hold, plane.release, plane.withdraw):
            yield step()
            yield self.pause(0.4)
        self.assertEqual(self.damages, [])

    @inlineCallbacks
    def test_device_removed(self) -> Step:
        plane = yield self.held()
        self.ip("link", "del", self.device())
        yield self.mended(plane, self.device(), "removed")

    @inlineCallbacks
    def test_device_set_down(self) -> Step:
        plane = yield self.held()
        self.ip("link", "set", self.device(), "down")
        yield self.mended(plane, self.device(), "down")

    @inlineCallbacks
    def test_device_set_up_on_a_backup(self) -> Step:
        """Nothing may be reachable there: prepared again, it is not."""
        plane = self.plane()
        yield plane.prepare()
        yield self.pause(0.4)
        self.ip("link", "set", self.device(), "up")
        yield self.until(lambda: bool(self.damages), "told of the damage")
        yield plane.prepare()
        for address in BOTH:
            self.assertFalse(self.is_local(address))

    @inlineCallbacks
    def test_address_removed(self) -> Step:
        plane = yield self.held()
        self.ip("addr", "del", f"{SHARED4}/24", "dev", self.device())
        yield self.mended(plane, SHARED4)

    @inlineCallbacks
    def test_address6_removed(self) -> Step:
        plane = yield self.held()
        self.ip("addr", "del", f"{SHARED6}/64", "dev", self.device())
        yield self.mended(plane, SHARED6)

    @inlineCallbacks
    def test_rules_removed(self) -> Step:
        """As systemd-networkd does at its restart."""
        plane = yield self.held()
        self.ip("rule", "del", "from", SHARED4)
        yield self.mended(plane, "rule")

    @inlineCallbacks
    def test_mac_changed(self) -> Step:
        plane = yield self.held()
        self.ip("link", "set", self.device(), "address", "02:00:00:00:00:99")
        yield self.mended(plane, "MAC")
        self.assertIn("00:00:5e:00:01:01", self.ip("link", "show", self.device()))
