"""The kernel's news of network devices: rtnetlink(7) as a Twisted descriptor.

::

    kernel --> NETLINK_ROUTE socket --> LinkMonitor --> watchers, each with the new LinkState
                 (news since start)       (a table of all devices)

The socket subscribes before the table is filled, so that nothing falls between; what comes in twice
does no harm. When the kernel had to drop news (ENOBUFS) the rest of them is thrown away and the table filled
again. Messages are parsed by pyroute2, 20 to 200 us each, a few datagrams per wake-up.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.marshal import MarshalRtnl
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.interfaces import ILinkMonitor, LinkState

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

_RECEIVE_BUFFER = 4 * 1024 * 1024
_LONGEST_DATAGRAM = 65536
_DATAGRAMS_PER_WAKEUP = 8

#: Routes change in bursts: one call for all that change within this time.
ROUTES_SETTLE_SECONDS = 0.2


@implementer(IReadDescriptor)
class _NewsSocket:
    """A subscribed netlink socket that hands every datagram to ``received``, and tells of lost ones."""

    def __init__(
        self, reactor: IReactorFDSet, groups: int, received: Callable[[bytes], None], overrun: Callable[[], None]
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._overrun = overrun
        flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.bind((0, groups))
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def doRead(self) -> None:
        for _ in range(_DATAGRAMS_PER_WAKEUP):
            if self._socket.fileno() < 0:
                return
            try:
                datagram = self._socket.recv(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # What is still in the buffer is older than what was lost: it would be mistaken for the latest news.
                self._drain()
                self._overrun()
                return
            self._received(datagram)

    def _drain(self) -> None:
        while True:
            try:
                self._socket.recv(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def connectionLost(self, reason: object) -> None:
        self.close()

    def logPrefix(self) -> str:
        return "carp netlink"

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()


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

    def state(self, index: int) -> LinkState:
        return LinkState(
            name=self.name,
            index=index,
            up=bool(self.flags & _IFF_UP),
            carrier=bool(self.flags & _IFF_LOWER_UP),
            mac=self.mac,
            mtu=self.mtu,
            hardware=self.hardware,
            own4=tuple(sorted(self.addresses4, key=self.addresses4.__getitem__)),
            own6=tuple(address for address, usable in self.addresses6.items() if usable),
        )


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
        self._told: dict[str, LinkState] = {}
        self._watchers: dict[str, list[Callable[[LinkState], object]]] = {}
        self._route_watchers: list[Callable[[], object]] = []
        self._sockets: list[_NewsSocket] = []
        self._kernel: IPRoute | None = None
        self._routes_settle: Any = None

    def start(self) -> None:
        """Fill the table, and keep it.

        :raises OSError: netlink is not to be had here.
        """
        self._sockets = [
            _NewsSocket(self._reactor, _LINKS | _ADDRESSES4 | _ADDRESSES6, self._received, self._fill),
            _NewsSocket(
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
        for index, device in self._devices.items():
            if device.name == name:
                return device.state(index)
        return LinkState(name)

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
        self._devices.clear()
        assert self._kernel is not None, "not started"
        self._take(self._kernel.get_links())
        self._take(self._kernel.get_addr())
        self._tell()

    def _received(self, datagram: bytes) -> None:
        self._take(self._marshal.parse(datagram))
        self._tell()

    def _take(self, messages: Iterable[Any]) -> None:
        for message in messages:
            event = message.get("event")
            if event == "RTM_NEWLINK":
                self._link(message)
            elif event == "RTM_DELLINK":
                # A bridge tells of ports that leave it in the same words, with a family of its own.
                if message["family"] == _AF_UNSPEC:
                    self._devices.pop(message["index"], None)
            elif event in ("RTM_NEWADDR", "RTM_DELADDR"):
                self._address(message, there=event == "RTM_NEWADDR")

    def _link(self, message: Any) -> None:
        if message["family"] != _AF_UNSPEC:
            return
        device = self._devices.setdefault(message["index"], _Device())
        device.name = message.get_attr("IFLA_IFNAME") or device.name
        device.flags = message["flags"]
        device.hardware = message["ifi_type"]
        device.mtu = message.get_attr("IFLA_MTU") or device.mtu
        mac = message.get_attr("IFLA_ADDRESS")
        if mac is not None:
            device.mac = _mac(mac)

    def _address(self, message: Any, *, there: bool) -> None:
        device = self._devices.get(message["index"])
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if device is None or text is None:
            return
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        if message["family"] == socket.AF_INET:
            address4 = IPv4Address(text)
            if there:
                device.addresses4[address4] = bool(flags & _IFA_F_SECONDARY)
            else:
                device.addresses4.pop(address4, None)
        elif message["family"] == socket.AF_INET6:
            address6 = IPv6Address(text)
            if there:
                device.addresses6[address6] = not flags & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED)
            else:
                device.addresses6.pop(address6, None)

    def _tell(self) -> None:
        for name in tuple(self._watchers):
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
