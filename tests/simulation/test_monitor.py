"""The link monitor in memory keeps the contract of the real one."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from carptwist.interfaces import LinkState
from carptwist.simulation.monitor import MemoryLinkMonitor
from tests.contracts.link_monitor import Interfaces, LinkMonitorContract


class MemoryInterfaces:
    """Says to the monitor what the kernel would."""

    def __init__(self) -> None:
        self.monitor = MemoryLinkMonitor(LinkState("lo", index=1, mtu=65536, hardware=772))
        self._next = 2

    def add(self, name: str) -> Deferred[None]:
        index, self._next = self._next, self._next + 1
        return self._change(LinkState(name, index, mac=bytes((2, 0, 0, 0, 0, index)), mtu=1500, hardware=1))

    def remove(self, name: str) -> Deferred[None]:
        self.monitor.remove(name)
        return succeed(None)

    def rename(self, name: str, new_name: str) -> Deferred[None]:
        link = self.monitor.state(name)
        self.monitor.remove(name)
        return self._change(replace(link, name=new_name))

    def set_up(self, name: str, *, up: bool) -> Deferred[None]:
        return self._change(replace(self.monitor.state(name), up=up))

    def set_carrier(self, name: str, *, carrier: bool) -> Deferred[None]:
        return self._change(replace(self.monitor.state(name), carrier=carrier))

    def add_address(self, name: str, address: IPv4Address | IPv6Address) -> Deferred[None]:
        link = self.monitor.state(name)
        if isinstance(address, IPv4Address):
            return self._change(replace(link, own4=(*link.own4, address)))
        return self._change(replace(link, own6=(*link.own6, address)))

    def remove_address(self, name: str, address: IPv4Address | IPv6Address) -> Deferred[None]:
        link = self.monitor.state(name)
        own4 = tuple(own for own in link.own4 if own != address)
        own6 = tuple(own for own in link.own6 if own != address)
        return self._change(replace(link, own4=own4, own6=own6))

    def change_route(self) -> Deferred[None]:
        self.monitor.change_routes()
        return succeed(None)

    def _change(self, link: LinkState) -> Deferred[None]:
        self.monitor.change(link)
        return succeed(None)


class MemoryLinkMonitorTests(LinkMonitorContract, TestCase):
    def hosting(self) -> Interfaces:
        return MemoryInterfaces()
