"""Addresses that expire unless they are refreshed, on a real kernel."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.config.schema import PlaneKind
from carptwist.interfaces import IPlane
from carptwist.lab.watcher import Watcher
from tests.planes.host import SHARED, HostTestCase, config

Step = Generator[Deferred[Any], Any, None]
ADDRESSES = [text.split("/")[0] for text in SHARED]
OTHERS = ["192.0.2.9", "2001:db8:2::9"]


class ExpiringCase(HostTestCase):
    def both(self) -> list[IPlane]:
        """A plane of each kind that holds addresses."""
        return [self.plane(), self.interface_plane(config(kind=PlaneKind.INTERFACE))]

    def now(self) -> float:
        return time.monotonic()

    def here_now(self) -> list[str]:
        """The shared addresses that the host has."""
        there = {str(address) for address in self.here.addresses()}
        return [address for address in ADDRESSES if address in there]

    def lifetimes(self) -> set[bool]:
        """Whether the shared addresses expire."""
        entries = self.here.namespace.route.get_addr()
        return {
            entry.get("IFA_CACHEINFO")["ifa_valid"] != 0xFFFFFFFF
            for entry in entries
            if entry.get("address") in ADDRESSES
        }


class ExpiryTests(ExpiringCase):
    """hold, refresh, and nothing more."""

    @inlineCallbacks
    def test_not_refreshed(self) -> Step:
        """All addresses go by themselves, and the host does not take them for its own any more."""
        for plane in self.both():
            yield plane.prepare()
            yield plane.hold()
            self.assertEqual((self.here_now(), self.lifetimes()), (ADDRESSES, {False}))
            yield self.pause(0.6)
            plane.refresh(1, self.now() + 9)
            yield self.until(lambda: self.lifetimes() == {True}, "they expire")
            yield self.until(lambda: not self.here_now(), "they have gone")
            self.assertEqual([address for address in ADDRESSES if self.is_local(address)], [])
            yield plane.withdraw()

    @inlineCallbacks
    def test_not_even_once_after_a_while(self) -> Step:
        """Nor does what makes them the host's own at once, before the kernel does so, outlast them."""
        for plane in self.both():
            yield plane.prepare()
            yield plane.hold()
            plane.refresh(1, self.now() + 9)
            self.assertEqual([address for address in ADDRESSES if self.is_local(address)], ADDRESSES)
            yield self.until(lambda: not self.here_now(), "they have gone")
            yield self.until(lambda: not any(map(self.is_local, ADDRESSES)), "they are not the host's own")
            yield plane.withdraw()

    @inlineCallbacks
    def test_nothing_is_said_afterwards(self) -> Step:
        """What the kernel has to say with the virtual MAC when an address expires it says at once, and the repetition
        too."""
        plane = self.plane()
        yield plane.prepare()
        interval = f"ipv6.conf.{self.device()}.mldv2_unsolicited_report_interval"
        self.assertLess(int(self.here.namespace.sysctl(interval)), 100)  # milliseconds
        with Watcher(self.lan, ADDRESSES) as watcher:
            yield plane.hold()
            plane.refresh(1, self.now() + 9)
            yield self.until(lambda: not self.here_now(), "they have gone")
            gone = time.time()
            yield self.pause(1.2)
            self.assertTrue(watcher.sightings)
            self.assertEqual([seen for seen in watcher.sightings if seen.at > gone + 0.3], [])
        yield plane.withdraw()

    @inlineCallbacks
    def test_refreshed_too_late(self) -> Step:
        """What has gone comes back, and what is sent from it leaves with the virtual MAC at once, as before."""
        plane = self.plane()
        yield plane.prepare()
        yield plane.hold()
        for come_back in (lambda: plane.refresh(9, self.now() + 9), plane.prepare):
            plane.refresh(1, self.now() + 9)
            yield self.until(lambda: not self.here_now(), "they have gone")
            yield come_back()
            yield self.until(lambda: self.here_now() == ADDRESSES, "they are back")
            ways = [self.way(address, other) for address, other in zip(ADDRESSES, OTHERS, strict=True)]
            self.assertEqual(ways, [self.device(), self.device()])
        yield plane.withdraw()

    @inlineCallbacks
    def test_refreshed(self) -> Step:
        """They stay; no route and no rule changes; and released they are permanent where they stay."""
        for plane in self.both():
            yield plane.prepare()
            yield plane.hold()
            yield self.pause(0.6)
            plane.refresh(1, self.now() + 9)
            yield self.until(lambda: self.lifetimes() == {True}, "they expire")
            before = self.everything()
            for _ in range(8):
                yield self.pause(0.3)
                plane.refresh(1, self.now() + 9)
                self.assertEqual(self.here_now(), ADDRESSES)
            self.assertEqual(self.everything(), before)
            yield plane.release()
            self.assertFalse(any(self.is_local(address) for address in ADDRESSES))
            yield self.pause(1.5)
            self.assertEqual(self.lifetimes() - {False}, set())
            yield plane.hold()
            self.assertEqual(self.here_now(), ADDRESSES)
            self.assertTrue(all(self.is_local(address) for address in ADDRESSES))
            yield plane.withdraw()

    @inlineCallbacks
    def test_too_late(self) -> Step:
        """What is refreshed after its moment, or after the release, is not brought back."""
        for plane in self.both():
            yield plane.prepare()
            yield plane.hold()
            plane.refresh(1, self.now())
            yield self.pause(0.2)
            self.assertEqual(self.lifetimes(), {False})
            yield plane.release()
            seen = self.everything()
            plane.refresh(1, self.now() + 9)
            yield self.pause(0.2)
            self.assertEqual(self.everything(), seen)
            yield plane.withdraw()

    @inlineCallbacks
    def test_ended_by_somebody_else(self) -> Step:
        """What a guard would send takes the addresses away; then a release, and a preparation, and all is as before."""
        for plane in self.both():
            yield plane.prepare()
            yield plane.hold()
            plane.refresh(2, self.now() + 9)
            yield self.until(lambda: self.lifetimes() == {True}, "they expire")
            with self.here.namespace.socket(16, 3) as guard:  # AF_NETLINK, SOCK_RAW
                for datagram in plane.ending:
                    guard.send(datagram)
            yield self.until(lambda: not any(self.is_local(address) for address in ADDRESSES), "they have gone")
            yield plane.release()
            yield plane.prepare()
            yield plane.hold()
            self.assertTrue(all(self.is_local(address) for address in ADDRESSES))
            yield plane.withdraw()
