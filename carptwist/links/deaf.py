"""CARP that is sent to this host alone, as far as its kernel is concerned.

A packet socket hears it, but the kernel does not know that: to a packet of a protocol that no raw socket is open
for, it answers "protocol unreachable" (ICMP type 3, code 2) or "unrecognized next header" (ICMPv6 type 4, code 1), one
answer to each advertisement of a peer. A raw socket for protocol 112 keeps it quiet. This one is deaf: its filter drops
everything, so that nothing ever waits in it. Packets to a group are never answered with an error.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from twisted.logger import Logger

from carptwist.links.packet import attach_filter

_CARP = 112
#: The classic BPF program "ret #0".
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)

_log = Logger()


def claim_protocol(interface: str) -> Callable[[], None]:
    """Have the kernel take packets of protocol 112 that come in on an interface; the value ends it.

    A family for which that cannot be done is logged, and is no reason to do without the other one.
    """
    opened = []
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        try:
            opened.append(_deaf(family, interface))
        except OSError as error:
            _log.info(
                "carp: {interface}: no raw IPv{version} socket, the kernel refuses CARP that is sent to this host "
                "alone: {error}",
                interface=interface,
                version=version,
                error=error,
            )

    def let_go() -> None:
        for each in opened:
            each.close()

    return let_go


def _deaf(family: socket.AddressFamily, interface: str) -> socket.socket:
    made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _CARP)
    try:
        attach_filter(made, _DROP_ALL)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError:
        made.close()
        raise
    return made
