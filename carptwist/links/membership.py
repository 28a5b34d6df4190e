"""Membership in CARP's multicast groups, by ordinary IP sockets.

A packet socket hears a group without being a member of it; only a member's kernel sends the IGMP and
MLD reports without which a snooping switch does not forward the group to us.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from twisted.logger import Logger

GROUP4 = "224.0.0.18"
GROUP6 = "ff02::12"

_log = Logger()


def join(interface: str, index: int) -> Callable[[], None]:
    """Become a member of both groups on an interface; the value ends it.

    A family that cannot be joined is logged, and is no reason to do without the other one.
    """
    members = []
    for family, level, option, request in (
        (
            socket.AF_INET,
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            struct.pack("=4s4si", socket.inet_aton(GROUP4), bytes(4), index),
        ),
        (
            socket.AF_INET6,
            socket.IPPROTO_IPV6,
            socket.IPV6_JOIN_GROUP,
            struct.pack("=16si", socket.inet_pton(socket.AF_INET6, GROUP6), index),
        ),
    ):
        try:
            member = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            _log.info(
                "carp: {interface}: no IPv{version}: {error}",
                interface=interface,
                version=_version(family),
                error=error,
            )
            continue
        try:
            member.setsockopt(level, option, request)
        except OSError as error:
            member.close()
            _log.info(
                "carp: {interface}: cannot join the IPv{version} group: {error}",
                interface=interface,
                version=_version(family),
                error=error,
            )
        else:
            members.append(member)

    def leave() -> None:
        for member in members:
            member.close()

    return leave


def _version(family: socket.AddressFamily) -> int:
    return 4 if family is socket.AF_INET else 6
