"""The network devices of this host, and every change of them.

::

    kernel --> NETLINK_ROUTE socket --> LinkMonitor --> watchers, each with the new LinkState
                 (news since start)       (a table of all devices)

The socket subscribes before the table is filled, so that nothing falls between; what comes in twice
does no harm. When the kernel had to drop news (ENOBUFS) the rest of them is thrown away and the table filled
again. Messages are parsed by pyroute2, 20 to 200 us each, a few datagrams per wake-up.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_MULTI
from pyroute2.netlink.rtnl.marshal import MarshalRtnl
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.interfaces import ILinkMonitor, LinkState
from carptwist.links import placing
from carptwist.links.news import NewsSocket

# linux/rtnetlink.h: RTMGRP_*
_LINKS = 0x1
_ADDRESSES4 = 0x10
_ADDRESSES6 = 0x100
_ROUTES4 = 0x40
_ROUTES6 = 0x400
_RULES4 = 1 << 7
_RULES6 = 1 << 18

# linux/rtnetlink.h: messages about routes have the table and the protocol in octets 4 and 5 of their body.
_NLMSG = struct.Struct("=IHHII")
_RTM_NEWROUTE = 24
_RTM_DELROUTE = 25
_RTM_DELRULE = 33
_MAIN_TABLE = 254

# linux/if.h, linux/if_addr.h
_IFF_UP = 0x1
_IFF_LOWER_UP = 0x10000
_IFA_F_SECONDARY = 0x01
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40
_AF_UNSPEC = 0


#: Routes change in bursts: one call for all that change within this time.
ROUTES_SETTLE_SECONDS = 0.2


class _Device:
    """What is known of one device."""

    def __init__(self) -> None:
        self.name = ""
        self.flags = 0
        self.mac = b""
        self.mtu = 0
        self.hardware = 0
        self.addresses4: dict[IPv4Address, bool] = {}  # -> whether it is a secondary one
        self.addresses6: dict[IPv6Address, bool] = {}  # -> whether it can be used
        #: All of them, with the lengths of their prefixes. Made once: a state is wanted whenever one comes or goes, and
        #: a thousand that come one after the other would otherwise be half a million.
        self.networks4: dict[IPv4Address, IPv4Interface] = {}
        self.networks6: dict[IPv6Address, IPv6Interface] = {}

    def state(self, index: int) -> LinkState:
        own4 = tuple(sorted(self.addresses4, key=self.addresses4.__getitem__))
        own6 = tuple(address for address, usable in self.addresses6.items() if usable)
        return LinkState(
            name=self.name,
            index=index,
            up=bool(self.flags & _IFF_UP),
            carrier=bool(self.flags & _IFF_LOWER_UP),
            mac=self.mac,
            mtu=self.mtu,
            hardware=self.hardware,
            own4=own4,
            own6=own6,
            networks=(*map(self.networks4.__getitem__, own4), *map(self.networks6.__getitem__, own6)),
        )

    def enter6(self, address: IPv6Address, usable: bool, *, dumped: bool) -> None:
        """A dump has the kernel's order. A new address comes before all that are there of its scope and of smaller
        ones, as in ipv6_link_dev_addr() of net/ipv6/addrconf.c."""
        if not dumped and address not in self.addresses6:
            after = {
                each: was for each, was in self.addresses6.items() if each.is_link_local or not address.is_link_local
            }
            before = {each: was for each, was in self.addresses6.items() if each not in after}
            self.addresses6 = {**before, address: usable, **after}
        else:
            self.addresses6[address] = usable


@implementer(ILinkMonitor)
class LinkMonitor:
    """The devices of the network namespace in which it was started.

    :param own_protocol: the routing protocol of routes that we make ourselves: they are no news.
    """

    _log = Logger()

    def __init__(self, reactor: Any, *, own_protocol: int = 0) -> None:
        self._own_protocol = own_protocol
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._marshal = MarshalRtnl()
        self._devices: dict[int, _Device] = {}
        self._numbers: dict[str, int] = {}  # name -> index
        self._touched: set[str] = set()  # names of devices of which something was heard
        self._told: dict[str, LinkState] = {}
        self._watchers: dict[str, list[Callable[[LinkState], object]]] = {}
        self._route_watchers: list[Callable[[], object]] = []
        self._sockets: list[NewsSocket] = []
        self._kernel: IPRoute | None = None
        self._routes_settle: Any = None

    def start(self) -> None:
        """Fill the table, and keep it.

        :raises OSError: netlink is not to be had here.
        """
        self._sockets = [
            NewsSocket(self._reactor, _LINKS | _ADDRESSES4 | _ADDRESSES6, self._received, self._fill),
            NewsSocket(
                self._reactor, _ROUTES4 | _ROUTES6 | _RULES4 | _RULES6, self._routing_news, self._routes_changed
            ),
        ]
        self._kernel = IPRoute()
        self._fill()

    def stop(self) -> None:
        """Forget everything."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()
        if self._routes_settle is not None:
            self._routes_settle.cancel()
            self._routes_settle = None

    # ILinkMonitor

    def state(self, name: str) -> LinkState:
        index = self._numbers.get(name)
        return LinkState(name) if index is None else self._devices[index].state(index)

    def names(self) -> list[str]:
        return [device.name for _, device in sorted(self._devices.items())]

    def watch(self, name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        watchers = self._watchers.setdefault(name, [])
        watchers.append(changed)
        self._told[name] = self.state(name)

        def stop() -> None:
            watchers.remove(changed)
            if not watchers and self._watchers.get(name) is watchers:
                del self._watchers[name]
                self._told.pop(name, None)

        return stop

    def watch_routes(self, changed: Callable[[], object]) -> Callable[[], None]:
        self._route_watchers.append(changed)
        return lambda: self._route_watchers.remove(changed)

    # News

    def _fill(self) -> None:
        assert self._kernel is not None, "not started"
        self._touched |= self._numbers.keys()
        self._devices.clear()
        self._numbers.clear()
        self._take(self._kernel.get_links())
        self._take(self._kernel.get_addr())
        self._tell()

    def _received(self, datagram: bytes) -> None:
        if not self._is_known(datagram):
            self._take(self._marshal.parse(datagram))
            self._tell()

    def _is_known(self, datagram: bytes) -> bool:
        """Whether it says nothing but that an address of our own making is there, as it was."""
        news = placing.read(datagram)
        device = self._devices.get(news.device) if news is not None else None
        if news is None or device is None or news.protocol != self._own_protocol:
            return False
        if isinstance(news.address, IPv4Address):
            network4 = device.networks4.get(news.address)
            if network4 is None or network4.network.prefixlen != news.prefix_length:
                return False
            return device.addresses4[news.address] is bool(news.flags & _IFA_F_SECONDARY)
        network6 = device.networks6.get(news.address)
        if network6 is None or network6.network.prefixlen != news.prefix_length:
            return False
        return device.addresses6[news.address] is not bool(news.flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED))

    def _take(self, messages: Iterable[Any]) -> None:
        for message in messages:
            event = message.get("event")
            if event == "RTM_NEWLINK":
                self._link(message)
            elif event == "RTM_DELLINK":
                # A bridge tells of ports that leave it in the same words, with a family of its own.
                if message["family"] == _AF_UNSPEC:
                    self._gone(message["index"])
            elif event in ("RTM_NEWADDR", "RTM_DELADDR"):
                self._address(message, there=event == "RTM_NEWADDR")

    def _link(self, message: Any) -> None:
        if message["family"] != _AF_UNSPEC:
            return
        index = message["index"]
        device = self._devices.setdefault(index, _Device())
        name = message.get_attr("IFLA_IFNAME") or device.name
        if name != device.name:
            self._forget_name(device.name, index)
            device.name = name
            self._numbers[name] = index
        self._touched.add(name)
        device.flags = message["flags"]
        device.hardware = message["ifi_type"]
        device.mtu = message.get_attr("IFLA_MTU") or device.mtu
        mac = message.get_attr("IFLA_ADDRESS")
        if mac is not None:
            device.mac = _mac(mac)

    def _gone(self, index: int) -> None:
        device = self._devices.pop(index, None)
        if device is not None:
            self._forget_name(device.name, index)

    def _forget_name(self, name: str, index: int) -> None:
        self._touched.add(name)
        if self._numbers.get(name) == index:  # and not another device's meanwhile
            del self._numbers[name]

    def _address(self, message: Any, *, there: bool) -> None:
        device = self._devices.get(message["index"])
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if device is None or text is None:
            return
        self._touched.add(device.name)
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        if message["family"] == socket.AF_INET:
            address4 = IPv4Address(text)
            if there:
                device.networks4[address4] = IPv4Interface((address4, message["prefixlen"]))
                device.addresses4[address4] = bool(flags & _IFA_F_SECONDARY)
            else:
                device.addresses4.pop(address4, None)
                device.networks4.pop(address4, None)
        elif message["family"] == socket.AF_INET6:
            address6 = IPv6Address(text)
            if there:
                device.networks6[address6] = IPv6Interface((address6, message["prefixlen"]))
                usable = not flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED)
                device.enter6(address6, usable, dumped=bool(message["header"]["flags"] & NLM_F_MULTI))
            else:
                device.addresses6.pop(address6, None)
                device.networks6.pop(address6, None)

    def _tell(self) -> None:
        touched, self._touched = self._touched, set()
        for name in touched & self._watchers.keys():
            state = self.state(name)
            if self._told.get(name) == state:
                continue
            self._told[name] = state
            for changed in tuple(self._watchers.get(name, ())):
                try:
                    changed(state)
                except Exception:
                    self._log.failure("carp: a watcher of {name} failed", name=name)

    def _routing_news(self, datagram: bytes) -> None:
        """That something changed is all that anybody wants to know: nothing is parsed but the fixed fields."""
        offset = 0
        while offset + _NLMSG.size <= len(datagram):
            length, kind, _, _, _ = _NLMSG.unpack_from(datagram, offset)
            body = datagram[offset + _NLMSG.size : offset + length]
            if kind in (_RTM_NEWROUTE, _RTM_DELROUTE):
                if body[4] == _MAIN_TABLE and body[5] != self._own_protocol:
                    self._routes_changed()
            elif kind == _RTM_DELRULE:
                self._routes_changed()
            offset += max(_NLMSG.size, length + 3 & ~3)

    def _routes_changed(self) -> None:
        if self._routes_settle is None and self._route_watchers:
            self._routes_settle = self._clock.callLater(ROUTES_SETTLE_SECONDS, self._tell_of_routes)

    def _tell_of_routes(self) -> None:
        self._routes_settle = None
        for changed in tuple(self._route_watchers):
            try:
                changed()
            except Exception:
                self._log.failure("carp: a watcher of routes failed")


def _mac(text: str) -> bytes:
    """Six octets, or nothing: addresses of other links are of other lengths."""
    try:
        octets = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        return b""
    return octets if len(octets) == 6 else b""
