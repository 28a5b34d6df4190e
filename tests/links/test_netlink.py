"""The link monitor, on a real kernel."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from carptwist.interfaces import LinkState
from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.links.netlink import LinkMonitor
from tests.contracts.link_monitor import Interfaces, LinkMonitorContract, Step

OWN_PROTOCOL = 112


class KernelInterfaces:
    """A namespace; each interface is one end of a veth pair, the other one of which stands for the cable."""

    def __init__(self, case: TestCase) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        lab = Lab()
        case.addCleanup(lab.close)
        self.namespace = lab.host("here").namespace
        self.route = self.namespace.route
        self.namespace.sysctl("ipv6.conf.default.addr_gen_mode", 1)
        with self.namespace:
            self.monitor = LinkMonitor(reactor, own_protocol=OWN_PROTOCOL)
            self.monitor.start()
        case.addCleanup(self.monitor.stop)
        self._cables = lab.host("cables").namespace
        self._routes = 0

    def index(self, name: str) -> int:
        with self.namespace:
            return socket.if_nametoindex(name)

    @inlineCallbacks
    def add(self, name: str) -> Step:
        self.route.link("add", ifname=name, kind="veth", peer={"ifname": name, "net_ns_fd": self._cables.fileno()})
        yield self.until(lambda: self.monitor.state(name).index == self.index(name))

    @inlineCallbacks
    def remove(self, name: str) -> Step:
        self.route.link("del", index=self.index(name))
        yield self.until(lambda: not self.monitor.state(name).exists)

    @inlineCallbacks
    def rename(self, name: str, new_name: str) -> Step:
        self.route.link("set", index=self.index(name), ifname=new_name)
        yield self.until(lambda: self.monitor.state(new_name).exists)

    @inlineCallbacks
    def set_up(self, name: str, *, up: bool) -> Step:
        self.route.link("set", index=self.index(name), state="up" if up else "down")
        yield self.until(lambda: self.monitor.state(name).up is up)

    @inlineCallbacks
    def set_carrier(self, name: str, *, carrier: bool) -> Step:
        with self._cables:
            far = socket.if_nametoindex(name)
        self._cables.route.link("set", index=far, state="up" if carrier else "down")
        yield self.until(lambda: self.monitor.state(name).carrier is carrier)

    @inlineCallbacks
    def add_address(self, name: str, address: IPv4Address | IPv6Address) -> Step:
        length = 24 if address.version == 4 else 64
        self.route.addr("add", index=self.index(name), address=str(address), prefixlen=length)
        yield self.until(lambda: address in self._own(name))

    @inlineCallbacks
    def remove_address(self, name: str, address: IPv4Address | IPv6Address) -> Step:
        length = 24 if address.version == 4 else 64
        self.route.addr("del", index=self.index(name), address=str(address), prefixlen=length)
        yield self.until(lambda: address not in self._own(name))

    def change_route(self) -> Deferred[None]:
        self._routes += 1
        self.route.route("add", dst=f"198.51.{self._routes}.0/24", type="blackhole")
        return self.pause(0.5)

    def pause(self, seconds: float) -> Deferred[None]:
        return deferLater(reactor, seconds, lambda: None)  # type: ignore[arg-type]

    @inlineCallbacks
    def until(self, condition: Callable[[], bool]) -> Generator[Deferred[Any], Any, None]:
        for _ in range(1000):
            if condition():
                return
            yield self.pause(0.01)
        raise AssertionError("the monitor was not told within 10 s")

    def _own(self, name: str) -> set[IPv4Address | IPv6Address]:
        state = self.monitor.state(name)
        return {*state.own4, *state.own6}


class LinkMonitorContractTests(LinkMonitorContract, TestCase):
    timeout = 60

    def hosting(self) -> Interfaces:
        return KernelInterfaces(self)


class LinkMonitorTests(TestCase):
    """What only a real kernel does."""

    timeout = 60

    def setUp(self) -> None:
        self.host = KernelInterfaces(self)
        self.monitor = self.host.monitor

    @inlineCallbacks
    def usable(self, name: str = "em0") -> Step:
        yield self.host.add(name)
        yield self.host.set_up(name, up=True)
        yield self.host.set_carrier(name, carrier=True)

    @inlineCallbacks
    def test_what_is_there_at_start(self) -> Step:
        """It is known when ``start`` returns, addresses included."""
        yield self.usable()
        yield self.host.add_address("em0", IPv4Address("192.0.2.7"))
        with self.host.namespace:
            late = LinkMonitor(reactor)
            late.start()
        self.addCleanup(late.stop)
        self.assertEqual(late.state("em0"), self.monitor.state("em0"))
        self.assertEqual(late.state("em0").own4, (IPv4Address("192.0.2.7"),))

    @inlineCallbacks
    def test_addresses_come_with_their_networks(self) -> Step:
        """In the same order, for as long as they are there."""
        yield self.usable()
        first, second = IPv4Address("192.0.2.7"), IPv6Address("2001:db8:2::7")
        for address, length in ((first, 25), (second, 56)):
            self.host.route.addr("add", index=self.host.index("em0"), address=str(address), prefixlen=length)
        both = {ip_interface("192.0.2.7/25"), ip_interface("2001:db8:2::7/56")}
        yield self.host.until(lambda: both <= set(self.monitor.state("em0").networks))
        state = self.monitor.state("em0")
        self.assertEqual([each.ip for each in state.networks], [*state.own4, *state.own6])
        self.host.route.addr("del", index=self.host.index("em0"), address=str(first), prefixlen=25)
        yield self.host.until(lambda: not self.monitor.state("em0").own4)
        self.assertNotIn(4, {each.version for each in self.monitor.state("em0").networks})

    @inlineCallbacks
    def test_an_address_more_costs_nothing_for_the_others(self) -> Step:
        """Their networks are made once: with hundreds that come one after the other the daemon would stand still."""
        yield self.usable()
        self.host.route.addr("add", index=self.host.index("em0"), address="192.0.2.7", prefixlen=24)
        yield self.host.until(lambda: bool(self.monitor.state("em0").own4))
        before = self.monitor.state("em0").networks
        self.host.route.addr("add", index=self.host.index("em0"), address="192.0.2.8", prefixlen=24)
        yield self.host.until(lambda: len(self.monitor.state("em0").own4) == 2)
        after = {id(each) for each in self.monitor.state("em0").networks}
        self.assertTrue(before)
        self.assertLess({id(each) for each in before}, after)

    @inlineCallbacks
    def test_tentative_addresses_are_left_out(self) -> Step:
        """Until duplicate address detection is over an IPv6 address is not to be sent from."""
        yield self.usable()
        self.host.namespace.sysctl("ipv6.conf.em0.accept_dad", 1)
        self.host.namespace.sysctl("ipv6.conf.em0.dad_transmits", 2)
        seen: list[LinkState] = []
        self.monitor.watch("em0", seen.append)
        address = IPv6Address("2001:db8:2::7")
        self.host.route.addr("add", index=self.host.index("em0"), address=str(address), prefixlen=64)
        yield self.host.pause(0.3)
        self.assertNotIn(address, self.monitor.state("em0").own6)
        yield self.host.until(lambda: address in self.monitor.state("em0").own6)

    @inlineCallbacks
    def test_promoted_address(self) -> Step:
        """When a primary address goes its heir comes first."""
        yield self.usable()
        self.host.namespace.sysctl("ipv4.conf.em0.promote_secondaries", 1)
        addresses = [IPv4Address(f"192.0.2.{last}") for last in (7, 8, 9)]
        for address in addresses:
            yield self.host.add_address("em0", address)
        yield self.host.remove_address("em0", addresses[0])
        self.assertEqual(self.monitor.state("em0").own4, (addresses[1], addresses[2]))

    @inlineCallbacks
    def test_order_of_ipv6_addresses(self) -> Step:
        """That of the kernel, whether they came before the start or after it."""
        yield self.usable()
        for text in ("fe80::7", "2001:db8:2::7", "fe80::8", "2001:db8:2::8"):
            yield self.host.add_address("em0", IPv6Address(text))
        with self.host.namespace:
            late = LinkMonitor(reactor)
            late.start()
        self.addCleanup(late.stop)
        self.assertEqual(late.state("em0").own6, self.monitor.state("em0").own6)
        self.assertEqual(
            [str(address) for address in late.state("em0").own6],
            ["2001:db8:2::8", "2001:db8:2::7", "fe80::8", "fe80::7"],
        )

    @inlineCallbacks
    def test_names_change_hands(self) -> Step:
        """Two devices exchange their names: each is found under its new one."""
        yield self.usable()
        yield self.usable("em1")
        first, second = self.monitor.state("em0").index, self.monitor.state("em1").index
        for index, name in ((first, "aside"), (second, "em0"), (first, "em1")):
            self.host.route.link("set", index=index, ifname=name)
        yield self.host.until(lambda: self.monitor.state("em1").index == first)
        self.assertEqual(self.monitor.state("em0").index, second)
        self.assertEqual(self.monitor.names(), ["lo", "em1", "em0"])

    @inlineCallbacks
    def test_a_bridge_port_is_not_gone(self) -> Step:
        """A bridge that lets go of a port says so in the words for an interface that goes."""
        yield self.usable()
        self.host.route.link("add", ifname="br0", kind="bridge")
        self.host.route.link("set", index=self.host.index("em0"), master=self.host.index("br0"))
        yield self.host.pause(0.1)
        self.host.route.link("set", index=self.host.index("em0"), master=0)
        yield self.host.pause(0.2)
        self.assertTrue(self.monitor.state("em0").exists)

    @inlineCallbacks
    def test_more_news_than_fit(self) -> Step:
        """What the kernel had to drop is looked up again: in the end the state is right."""
        yield self.usable()
        index = self.host.index("em0")
        # Without returning to the reactor: nobody reads.
        for number in range(4000):
            self.host.route.link("set", index=index, mtu=1400 + number % 2)
        for last in range(1, 200):
            self.host.route.addr("add", index=index, address=f"10.0.0.{last}", prefixlen=32)
        self.host.route.link("set", index=index, mtu=1300)
        self.host.route.link("add", ifname="em9", kind="veth", peer="em8")
        self.host.route.link("del", index=self.host.index("em9"))
        yield self.host.until(lambda: self.monitor.state("em0").mtu == 1300)
        yield self.host.pause(0.2)
        self.assertEqual(len(self.monitor.state("em0").own4), 199)
        self.assertEqual(self.monitor.names(), ["lo", "em0"])

    @inlineCallbacks
    def test_own_routes_are_no_news(self) -> Step:
        """Nor are those of other tables than the main one."""
        yield self.usable()
        index = self.host.index("em0")
        yield self.host.pause(0.5)
        news: list[int] = []
        self.monitor.watch_routes(lambda: news.append(1))
        self.host.route.route("add", dst="198.51.100.0/24", oif=index, proto=OWN_PROTOCOL)
        self.host.route.route("add", dst="198.51.101.0/24", oif=index, table=1000)
        yield self.host.pause(0.5)
        self.assertEqual(news, [])
        self.host.route.route("add", dst="198.51.102.0/24", oif=index)
        yield self.host.until(lambda: news == [1])

    @inlineCallbacks
    def test_lost_rules_are_news(self) -> Step:
        """Of either family."""
        news: list[int] = []
        for family, source in ((socket.AF_INET, "192.0.2.1/32"), (socket.AF_INET6, "2001:db8::1/128")):
            self.host.route.rule("add", family=family, src=source, table=1000, priority=1000)
        yield self.host.pause(0.5)
        self.monitor.watch_routes(lambda: news.append(1))
        for count, family in enumerate((socket.AF_INET, socket.AF_INET6), 1):
            self.host.route.rule("del", family=family, table=1000, priority=1000)
            yield self.host.until(lambda count=count: len(news) == count)  # type: ignore[misc]

    @inlineCallbacks
    def test_stopped(self) -> Step:
        """Nothing is told any more, and nothing is left in the reactor."""
        seen: list[LinkState] = []
        self.monitor.watch("em0", seen.append)
        self.monitor.watch_routes(lambda: None)
        self.host.route.route("add", dst="198.51.100.0/24", type="blackhole")
        yield self.host.pause(0.05)
        self.monitor.stop()
        self.monitor.stop()
        self.host.route.link("add", ifname="em0", kind="veth", peer="em1")
        yield self.host.pause(0.2)
        self.assertEqual(seen, [])
