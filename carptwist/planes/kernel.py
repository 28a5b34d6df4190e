"""What the kernel has, and asking it for changes: rtnetlink(7) through pyroute2, from one thread.

::

    send(messages)  -- one datagram -->  carried out in order; 0.1 ms each, alone 0.2 to 0.4 ms
    addresses()     <-- one dump for all planes, until the kernel tells of a change by another hand
    main_routes()   <--   "
    rules()         <--   "

With hundreds of vhids on a host each one's dump would be full of what the others have. So what was dumped is
kept. A socket of its own is subscribed to all changes; the kernel has put them there before it answers the request
that made them, so that looking there first, without waiting, is enough to know whether what was kept still holds. Our
own routes and addresses are recognised by their mark, our own rules by their number.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2 import IPRoute, NetlinkError
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_NEWRULE

from carptwist.planes import messages, own_news, sysctls
from carptwist.planes.entries import Entry, Link, Placed, Rule, is_marked, read_address, read_link
from carptwist.planes.marks import PROTOCOL, is_our_rule
from carptwist.planes.view import MAIN_TABLE, Route

FAMILIES = (socket.AF_INET, socket.AF_INET6)

# linux/rtnetlink.h: RTMGRP_* and RTNLGRP_IPV*_RULE
_CHANGES = 0x10 | 0x100 | 0x40 | 0x400 | 1 << 7 | 1 << 18
_ADDRESS_MESSAGES = (20, 21)
_ROUTE_MESSAGES = (24, 25)
_RULE_MESSAGES = (RTM_NEWRULE, RTM_DELRULE)
_NLMSG = struct.Struct("=IHHII")

#: The answers to so many requests fit into any socket's buffer.
_BATCH = 128
_CHANGES_BUFFER = 4 << 20


class Kernel:
    """The kernel of the network namespace in which it is made. For the use of one thread."""

    def __init__(self) -> None:
        self._route = _conversation()
        self._changes = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._changes.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHANGES_BUFFER)
        own_news.ignore(self._changes)
        self._changes.bind((0, _CHANGES))
        self._addresses: list[Placed] | None = None
        self._main: dict[int, list[Route]] = {}
        self._rules: set[Rule] | None = None
        self._rule_news = 0
        #: The tables of ours that are open: those of what is held.
        self.open_tables: set[int] = set()
        #: The addresses of ours on the loopback device, each with the vhids that hold it.
        self.holders: dict[IPv4Address | IPv6Address, set[str]] = {}

    def close(self) -> None:
        self._route.close()
        self._changes.close()

    def send(self, requests: Iterable[Any], *, tolerant: bool = False) -> None:
        """Have the kernel carry out requests, messages of :mod:`carptwist.planes.messages`, in order.

        :param tolerant: what the kernel refuses does not matter: it is gone already.
        :raises NetlinkError: the kernel refused one. Those after it may have been carried out all the same.
        """
        waiting = list(requests)
        try:
            for start in range(0, len(waiting), _BATCH):
                for _ in self._route.nlm_request_batch(waiting[start : start + _BATCH], noraise=tolerant):
                    pass
        except NetlinkError:
            # Nobody reads the answers to the rest any more.
            self._route.close()
            self._route = _conversation()
            raise

    def _dump(self, request: Any) -> list[Any]:
        if request["family"] == socket.AF_INET6 and not sysctls.has_ipv6():
            return []  # asked all the same such a kernel refuses, or tells of other families
        try:
            return list(self._route.nlm_request_batch([request]))
        except NetlinkError as error:
            if error.code == errno.ENOENT:  # a table that nothing was ever put into
                return []
            raise

    # Devices

    def link(self, name: str) -> Link | None:
        """The device of a name, None if there is none."""
        return self._get_link(ifname=name)

    def link_at(self, index: int) -> Link | None:
        """The device of an index."""
        return self._get_link(index=index)

    def links(self) -> list[Link]:
        """All devices."""
        return [read_link(message) for message in self._route.get_links()]

    def _get_link(self, **which: Any) -> Link | None:
        try:
            (message,) = self._route.link("get", **which)
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise
        return read_link(message)

    # Addresses

    def addresses(self) -> list[Placed]:
        """All addresses of this host that do not bear our mark. What somebody else has put on a device of ours is
        among them."""
        self._look_for_changes()
        if self._addresses is None:
            self._addresses = [place for place in self._dump_addresses() if not place.ours]
        return self._addresses

    def addresses_on(self, device: int) -> list[Placed]:
        """All addresses of one device."""
        return self._dump_addresses(device)

    def our_addresses(self) -> list[Placed]:
        """All addresses that bear our mark."""
        return [place for place in self._dump_addresses() if place.ours]

    def _dump_addresses(self, device: int = 0) -> list[Placed]:
        found = (
            read_address(message)
            for family in FAMILIES
            for message in self._dump(messages.dump_addresses(family, device))
        )
        return [place for place in found if device in (0, place.device)]

    # Routes and rules

    def main_routes(self, families: Iterable[int]) -> list[Route]:
        """What others have put into the main table, as far as it is for all packets alike."""
        self._look_for_changes()
        for family in families:
            if family not in self._main:
                self._main[family] = [entry.way for entry in self._entries(family, MAIN_TABLE) if not entry.ours]
        return [route for family in families for route in self._main[family]]

    def routes(self, table: int, device: int = 0) -> list[Route]:
        """The routes of a table, and through a device if one is given."""
        entries = (entry.way for family in FAMILIES for entry in self._entries(family, table, device))
        return [way for way in entries if not device or way.device == device]

    def our_routes(self) -> list[tuple[int, Route]]:
        """All routes that bear our mark, each with its table."""
        entries = (
            Entry(message)
            for family in FAMILIES
            for message in self._dump(messages.dump_routes(family, protocol=PROTOCOL))
        )
        return [(entry.table, entry.way) for entry in entries if entry.ours]

    def rules(self) -> set[Rule]:
        """All rules of ours."""
        self._look_for_changes()
        if self._rules is None:
            self._rules = {
                Rule(
                    family,
                    rule.get_attr("FRA_SRC"),
                    rule.get_attr("FRA_TABLE"),
                    rule.get_attr("FRA_IIFNAME") or "",
                )
                for family in FAMILIES
                for rule in self._dump(messages.dump_rules(family))
                if is_our_rule(rule.get_attr("FRA_PROTOCOL"), rule.get_attr("FRA_PRIORITY"), rule.get_attr("FRA_TABLE"))
            }
        return self._rules

    def change_rules(self, added: Iterable[tuple[Rule, Any]], removed: Iterable[tuple[Rule, Any]]) -> None:
        """Send messages about rules. What is kept of the rules follows, unless somebody else changed some meanwhile.

        :param added: rules, each with the message that makes it.
        :param removed: rules, each with the message that removes it.
        """
        more, less = dict(added), dict(removed)
        before = self.rules()
        self._rule_news = 0
        try:
            self.send(less.values(), tolerant=True)
            self.send(more.values())
        finally:
            kept = (before - less.keys()) | more.keys()
            self._look_for_changes()
            self._rules = kept if self._rule_news == len(more) + len(less) else None

    def _entries(self, family: int, table: int, device: int = 0) -> list[Entry]:
        entries = []
        for message in self._dump(messages.dump_routes(family, table=table, device=device)):
            several = message.get_attr("RTA_MULTIPATH")
            entries += [Entry(message)] if several is None else [Entry(message, hop) for hop in several]
        return [entry for entry in entries if entry.table == table and not entry.special]

    # Changes

    def _look_for_changes(self) -> None:
        while True:
            try:
                datagram = self._changes.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._forget()
                continue
            offset = 0
            while offset + _NLMSG.size <= len(datagram):
                length, kind, _, _, _ = _NLMSG.unpack_from(datagram, offset)
                self._changed(kind, memoryview(datagram)[offset + _NLMSG.size : offset + length])
                offset += max(_NLMSG.size, length + 3 & ~3)

    def _changed(self, kind: int, body: memoryview) -> None:
        if kind in _ROUTE_MESSAGES:
            # struct rtmsg: family, lengths, tos, table, protocol
            family, table, protocol = body[0], body[4], body[5]
            if table == MAIN_TABLE and protocol != PROTOCOL:
                self._main.pop(family, None)
        elif kind in _ADDRESS_MESSAGES:
            if not is_marked(body):
                self._addresses = None
        elif kind in _RULE_MESSAGES:
            self._rules = None
            self._rule_news += 1

    def _forget(self) -> None:
        self._addresses = self._rules = None
        self._main.clear()
        self._rule_news = -1


def reason(error: NetlinkError) -> str:
    """Why the kernel refused a request, in words."""
    return os.strerror(error.code)


def _conversation() -> IPRoute:
    # Strict: the kernel itself picks what a dump is to have, instead of our reading everything.
    return IPRoute(strict_check=True)
