"""What every ILinkMonitor must do, on a fake host and on a real one."""

from __future__ import annotations

from collections.abc import Generator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from carptwist.interfaces import ILinkMonitor, LinkState

Step = Generator[Deferred[Any], Any, None]

OWN4, OWN6 = IPv4Address("192.0.2.7"), IPv6Address("2001:db8:2::7")


class Interfaces(Protocol):
    """A host that can be made to change. Each change is known to the monitor when its Deferred fires."""

    monitor: ILinkMonitor

    def add(self, name: str) -> Deferred[None]:
        """A new Ethernet interface, administratively down."""

    def remove(self, name: str) -> Deferred[None]: ...

    def rename(self, name: str, new_name: str) -> Deferred[None]: ...

    def set_up(self, name: str, *, up: bool) -> Deferred[None]: ...

    def set_carrier(self, name: str, *, carrier: bool) -> Deferred[None]: ...

    def add_address(self, name: str, address: IPv4Address | IPv6Address) -> Deferred[None]: ...

    def remove_address(self, name: str, address: IPv4Address | IPv6Address) -> Deferred[None]: ...

    def change_route(self) -> Deferred[None]: ...


class LinkMonitorContract:
    """Mix into a TestCase that has ``hosting()``."""

    def hosting(self) -> Interfaces:
        """A host with a loopback interface, and nothing else."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.host = self.hosting()
        self.monitor = self.host.monitor
        self.told: list[LinkState] = []
        self.case: TestCase = self  # type: ignore[assignment]

    def test_promises(self) -> None:
        """It is what its users expect."""
        verifyObject(ILinkMonitor, self.monitor)

    def test_no_such_interface(self) -> None:
        """One that is not there has no index, and is not usable."""
        self.case.assertEqual(self.monitor.state("em0"), LinkState("em0"))
        self.case.assertFalse(self.monitor.state("em0").exists)
        self.case.assertEqual(self.monitor.names(), ["lo"])

    @inlineCallbacks
    def test_comes_and_goes(self) -> Step:
        """It can be watched before it is there; its number tells one from the next of the same name."""
        unwatch = self.monitor.watch("em0", self.told.append)
        self.case.assertEqual(self.told, [])
        yield self.host.add("em0")
        first = self.monitor.state("em0")
        self.case.assertTrue(first.exists)
        self.case.assertFalse(first.usable)
        self.case.assertEqual(len(first.mac), 6)
        self.case.assertEqual(first.hardware, 1)
        self.case.assertEqual(first.mtu, 1500)
        self.case.assertEqual(self.monitor.names(), ["lo", "em0"])
        yield self.host.remove("em0")
        self.case.assertEqual(self.told[-1], LinkState("em0"))
        yield self.host.add("em0")
        self.case.assertNotEqual(self.monitor.state("em0").index, first.index)
        self.case.assertEqual(self.told[-1], self.monitor.state("em0"))
        unwatch()
        told = len(self.told)
        yield self.host.remove("em0")
        self.case.assertEqual(len(self.told), told)

    @inlineCallbacks
    def test_up_and_carrier(self) -> Step:
        """Usable is both; the one can be without the other."""
        yield self.host.add("em0")
        self.monitor.watch("em0", self.told.append)
        yield self.host.set_up("em0", up=True)
        yield self.host.set_carrier("em0", carrier=True)
        self.case.assertTrue(self.monitor.state("em0").usable)
        yield self.host.set_carrier("em0", carrier=False)
        state = self.monitor.state("em0")
        self.case.assertEqual((state.up, state.carrier, state.usable), (True, False, False))
        yield self.host.set_up("em0", up=False)
        self.case.assertFalse(self.monitor.state("em0").up)
        self.case.assertEqual(self.told[-1], self.monitor.state("em0"))
        for before, after in zip(self.told, self.told[1:], strict=False):
            self.case.assertNotEqual(before, after)

    @inlineCallbacks
    def test_addresses(self) -> Step:
        """Each family by itself, in the order of the kernel."""
        yield self.host.add("em0")
        yield self.host.set_up("em0", up=True)
        yield self.host.set_carrier("em0", carrier=True)
        self.monitor.watch("em0", self.told.append)
        second = IPv4Address("192.0.2.8")
        for address in (OWN4, second, OWN6):
            yield self.host.add_address("em0", address)
        self.case.assertEqual(self.monitor.state("em0").own4, (OWN4, second))
        self.case.assertIn(OWN6, self.monitor.state("em0").own6)
        self.case.assertEqual(self.told[-1], self.monitor.state("em0"))
        yield self.host.remove_address("em0", second)
        yield self.host.remove_address("em0", OWN6)
        self.case.assertEqual(self.monitor.state("em0").own4, (OWN4,))
        self.case.assertNotIn(OWN6, self.monitor.state("em0").own6)

    @inlineCallbacks
    def test_renamed(self) -> Step:
        """For those who watch the old name it has gone, for those who watch the new one it has come."""
        yield self.host.add("em0")
        others: list[LinkState] = []
        self.monitor.watch("em0", self.told.append)
        self.monitor.watch("wan0", others.append)
        index = self.monitor.state("em0").index
        yield self.host.rename("em0", "wan0")
        self.case.assertEqual(self.told[-1], LinkState("em0"))
        self.case.assertEqual(others[-1].index, index)
        self.case.assertEqual(self.monitor.names(), ["lo", "wan0"])

    @inlineCallbacks
    def test_a_watcher_that_fails(self) -> Step:
        """It is logged, and the others are told."""

        def broken(state: LinkState) -> None:
            raise ValueError("a watcher's own mistake")

        self.monitor.watch("em0", broken)
        self.monitor.watch("em0", self.told.append)
        yield self.host.add("em0")
        self.case.assertTrue(self.told)
        self.case.assertTrue(self.case.flushLoggedErrors(ValueError))

    @inlineCallbacks
    def test_routes(self) -> Step:
        """That some changed is told, and no more after unwatching."""
        news: list[int] = []

        def broken() -> None:
            raise ValueError("a watcher's own mistake")

        forget = self.monitor.watch_routes(broken)
        unwatch = self.monitor.watch_routes(lambda: news.append(1))
        yield self.host.change_route()
        self.case.assertTrue(news)
        self.case.assertTrue(self.case.flushLoggedErrors(ValueError))
        forget()
        unwatch()
        news.clear()
        yield self.host.change_route()
        self.case.assertEqual(news, [])
