"""Addresses that two vhids of a host balance, on a real kernel. No responder of ours is at work here: whatever is said
about an address by ARP or neighbour discovery, the kernel has said."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.lab.prober import Prober
from carptwist.lab.watcher import Watcher
from carptwist.planes import PlaneError
from carptwist.wire.carp import virtual_mac
from carptwist.wire.ethernet import format_mac
from tests.planes.host import HostTestCase, config

Step = Generator[Deferred[Any], Any, None]
SHARED4, SHARED6 = "192.0.2.1", "2001:db8:2::1"
BOTH = (SHARED4, SHARED6)
CLIENT = {SHARED4: "192.0.2.9", SHARED6: "2001:db8:2::9"}


class BalancedPlaneTests(HostTestCase):
    """Two macvlan planes with the same addresses."""

    def setUp(self) -> None:
        super().setUp()
        self.balancing = True
        self.alone: set[bytes] = set()
        self.first, self.second = self.plane(), self.plane(config(vhid=2))

    def balances(self, address: bytes) -> bool:
        return self.balancing and address not in self.alone

    @inlineCallbacks
    def prepared(self) -> Step:
        yield self.first.prepare()
        yield self.second.prepare()

    def point(self, vhid: int) -> None:
        """The client has learned the virtual MAC of a vhid."""
        for address in BOTH:
            mac = format_mac(virtual_mac(vhid))
            self.ip("neigh", "replace", address, "lladdr", mac, "dev", "em0", "nud", "permanent", host=self.client)

    def served(self) -> bool:
        """Whether the client gets answers from both addresses."""
        with Prober(self.client, BOTH) as prober:
            began = time.time()
            for _ in range(50):
                time.sleep(0.02)
                if all(prober.answered(address, began) for address in BOTH):
                    return True
            found = {address: prober.answered(address, began) for address in BOTH}
        self.assertEqual(set(found.values()), {False}, "one address is served and the other is not")
        return False

    @inlineCallbacks
    def test_each_comes_and_goes_alone(self) -> Step:
        """The addresses are reachable as long as one of them is held, and by the virtual MACs of those only."""
        before = self.everything()
        yield self.prepared()
        for address in BOTH:
            self.assertFalse(self.is_local(address), address)
        for held in ({1}, {1, 2}, {2}, set(), {2}, {1, 2}, {1}, set()):
            for vhid, plane in ((1, self.first), (2, self.second)):
                yield plane.hold() if vhid in held else plane.release()
            for address in BOTH:
                self.assertIs(self.is_local(address), bool(held), f"{address} with {held}")
                # What a former MASTER still has to say stays unsaid.
                self.assertEqual(self.way(address, CLIENT[address]), "em0" if held else "", f"{address} with {held}")
            for vhid in (1, 2):
                self.point(vhid)
                self.assertIs(self.served(), vhid in held, f"by the MAC of {vhid} with {held}")
        yield self.first.hold()
        yield self.second.hold()
        yield self.first.withdraw()
        self.point(2)
        self.assertTrue(self.served())
        yield self.second.withdraw()
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.damages, [])

    @inlineCallbacks
    def test_reverse_path_filters(self) -> Step:
        """What comes in through a macvlan is let in, however the host is set for what has another way back."""
        for value in (1, 2):
            self.here.namespace.sysctl("ipv4.conf.all.rp_filter", value)
            yield self.prepared()
            yield self.first.hold()
            self.point(1)
            self.assertTrue(self.served(), f"rp_filter = {value}")
            yield self.first.withdraw()
            yield self.second.withdraw()

    @inlineCallbacks
    def test_the_kernel_tells_nobody_a_mac(self) -> Step:
        """It answers no question about the addresses and asks none in their name, whoever is talked to and however."""
        self.here.namespace.sysctl("ipv6.conf.em0.ndisc_notify", 1)
        with Watcher(self.lan, BOTH) as watcher:
            yield self.prepared()
            yield self.first.hold()
            yield self.second.hold()
            self.assertFalse(self.served())  # nobody answers the client's questions
            self.assertEqual([str(each) for each in watcher.claims], [])
            for vhid in (1, 2, 1):
                self.point(vhid)
                self.ip("neigh", "flush", "dev", "em0")  # so that the host has to ask for the client
                self.assertTrue(self.served())
            self.speak_from_the_macvlans()
            yield self.pause(0.5)
            self.ip("link", "set", "em0", "down")
            self.ip("link", "set", "em0", "up")
            yield self.pause(0.5)
            yield self.first.release()
            yield self.second.release()
        talk = [each for each in watcher.claims if each.host == "here"]
        self.assertGreater(len(talk), 0)
        self.assertEqual({each.field.split(" of ")[-1] for each in talk}, {"an IPv4 packet", "an IPv6 packet"})

    def speak_from_the_macvlans(self) -> None:
        """As programs do that answer by the device at which they were asked."""
        for family, source, destination in (
            (socket.AF_INET, SHARED4, "192.0.2.77"),
            (socket.AF_INET6, SHARED6, "2001:db8:2::77"),
        ):
            for vhid in (1, 2):
                with self.here.socket(family, socket.SOCK_DGRAM) as program:
                    program.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.device(vhid).encode())
                    try:
                        program.bind((source, 0))
                        program.sendto(b"", (destination, 9))
                    except OSError:
                        pass  # that it cannot is as good

    @inlineCallbacks
    def test_answers_leave_by_the_interface(self) -> Step:
        """With its own MAC, by the main table; other addresses of the vhid have a table and a way of their own."""
        self.alone = {ip_address(address).packed for address in ("192.0.2.3", "2001:db8:2::3")}
        third = self.plane(config("192.0.2.3/24", "2001:db8:2::3/64", vhid=3))
        yield self.prepared()
        yield third.prepare()
        for plane in (self.first, self.second, third):
            yield plane.hold()
        for address in BOTH:
            self.assertEqual(self.way(address, CLIENT[address]), "em0")
        self.assertEqual(self.way("192.0.2.3", "192.0.2.9"), self.device(3))
        self.assertEqual(self.way("2001:db8:2::3", "2001:db8:2::9"), self.device(3))

    @inlineCallbacks
    def test_one_vhid_may_have_both_kinds(self) -> Step:
        """What others have as well is balanced, and the rest is held as ever."""
        self.alone = {ip_address(address).packed for address in ("192.0.2.3", SHARED6)}
        mixed = self.plane(config(f"{SHARED4}/24", "192.0.2.3/24", f"{SHARED6}/64"))
        yield mixed.prepare()
        self.assertEqual(self.way("192.0.2.3", "192.0.2.9"), "")
        yield mixed.hold()
        self.assertEqual(self.way(SHARED4, "192.0.2.9"), "em0")
        self.assertEqual(self.way("192.0.2.3", "192.0.2.9"), self.device())
        self.assertEqual(self.way(SHARED6, "2001:db8:2::9"), self.device())
        yield mixed.release()
        for address in (SHARED4, "192.0.2.3", SHARED6):
            self.assertFalse(self.is_local(address), address)

    @inlineCallbacks
    def test_without_an_own_address(self) -> Step:
        """There would be nothing to ask for the clients with: the error says what is missing, and how to mend it."""
        self.ip("addr", "del", "192.0.2.7/24", "dev", "em0")
        before = self.everything()
        failure = yield self.assertFailure(self.first.prepare(), PlaneError)
        self.assertEqual(
            str(failure),
            "192.0.2.1 is balanced, and em0 has no address of its own in 192.0.2.0/24: give it one: "
            "ip address add ADDRESS/24 dev em0",
        )
        self.assertEqual(self.everything(), before)
        self.ip("addr", "add", "192.0.2.7/24", "dev", "em0")
        yield self.first.prepare()

    @inlineCallbacks
    def test_balancing_begins_and_ends_while_held(self) -> Step:
        """The next preparation and hold bring about what is then wanted; nothing is left of what was before."""
        before = self.everything()
        self.balancing = False
        yield self.first.prepare()
        yield self.first.hold()
        alone = self.everything()
        for address in BOTH:
            self.assertEqual(self.way(address, CLIENT[address]), self.device())
        self.balancing = True
        yield self.first.prepare()
        yield self.first.hold()
        for address in BOTH:
            self.assertTrue(self.is_local(address))
            self.assertEqual(self.way(address, CLIENT[address]), "em0")
        self.point(1)
        self.assertTrue(self.served())
        self.assertNotIn(self.device(), self.ip("route"))
        self.balancing = False
        yield self.first.prepare()
        yield self.first.hold()
        self.assertEqual(self.everything(), alone)
        yield self.first.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_somebody_else_interferes(self) -> Step:
        """Who takes an address off the loopback device is told of to all that hold it, and it comes back."""
        yield self.prepared()
        yield self.first.hold()
        yield self.second.hold()
        yield self.pause(0.2)
        self.assertEqual(self.damages, [])
        self.ip("addr", "del", f"{SHARED4}/32", "dev", "lo")
        yield self.until(lambda: len(self.damages) == 2, "both have noticed")
        self.assertEqual(self.damages, ["192.0.2.1 was removed from the loopback device"] * 2)
        yield self.first.prepare()
        self.assertTrue(self.is_local(SHARED4))

    @inlineCallbacks
    def test_somebody_elses_address(self) -> Step:
        """An address that is on the loopback device already is not ours to balance."""
        self.ip("addr", "add", f"{SHARED4}/32", "dev", "lo")
        failure = yield self.assertFailure(self.first.prepare(), PlaneError)
        self.assertIn("192.0.2.1 is on lo of this host already", str(failure))

    @inlineCallbacks
    def test_left_behind_by_a_dead_daemon(self) -> Step:
        """Its successor removes the addresses, and what made them local."""
        before = self.everything()
        yield self.prepared()
        yield self.first.hold()
        yield self.second.hold()
        found = yield self.clean()
        self.assertEqual(self.everything(), before)
        self.assertIn(f"address {SHARED4}", found)

    @inlineCallbacks
    def test_questions_are_heard_behind_a_snooping_switch(self) -> Step:
        """The host is a member of the group to which they go, from the preparation to the end."""
        group = "inet6 ff02::1:ff00:1 "
        yield self.prepared()
        self.assertIn(group, self.ip("-6", "maddr", "show", "dev", "em0").replace("\n", " \n"))
        yield self.first.withdraw()
        self.assertIn(group, self.ip("-6", "maddr", "show", "dev", "em0").replace("\n", " \n"))
        yield self.second.withdraw()
        self.assertNotIn(group, self.ip("-6", "maddr", "show", "dev", "em0").replace("\n", " \n"))
