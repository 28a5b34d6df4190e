"""One daemon in a network namespace: two would take each other's devices for leftovers.

The lock is a UNIX socket with a name in the abstract namespace, which the kernel keeps for each network namespace
apart, and lets go of with the process that holds it, however that ends: unix(7).
"""

from __future__ import annotations

import errno
import socket
import struct

_NAME = b"\0carptwist"
_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


class AlreadyRunningError(Exception):
    """Another daemon runs in this network namespace; the text says which."""


def claim() -> socket.socket:
    """Be the one daemon, as long as the socket is open.

    :raises AlreadyRunningError: another one is.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind(_NAME)
        sock.listen(1)
    except OSError as error:
        sock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise AlreadyRunningError(
            f"another carptwist daemon runs on this host{_who()}: stop it first, or let one of them have all vhids"
        ) from None
    return sock


def _who() -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(1)
        try:
            sock.connect(_NAME)
            pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        except OSError:
            return ""
    return f" (process {pid})"
