"""When the kernel took in what a socket has received (SO_TIMESTAMPNS, socket(7)): exact, however late it is read."""

from __future__ import annotations

import socket
import struct
import time

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")

#: Room for the ancillary data, for ``recvmsg``.
ANCILLARY_OCTETS = 64


def ask_for_times(sock: socket.socket) -> None:
    """Let every ``recvmsg`` of a socket tell the time as well."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def received_at(ancillary: list[tuple[int, int, bytes]]) -> float:
    """The time in what ``recvmsg`` returned, seconds since the epoch; now, where it does not tell."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()
