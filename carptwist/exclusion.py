"""One process in a network namespace: two would take each other's devices for leftovers.

::

    process ---- lock ---- settings of the kernel that were changed, once for all
      |- Share of one service      1@em0, 192.0.2.1, socket /run/a/control.sock, state_dir /var/lib/a
      +- Share of another one      2@em0, 192.0.2.2, socket /run/b/control.sock, state_dir /var/lib/b

The lock is a UNIX socket with a name in the abstract namespace, which the kernel keeps for each network namespace
apart, and lets go of with the process that holds it, however that ends: unix(7). The services of one process share it,
and no two of them may have the same thing. What a dead predecessor has left behind goes when the first of them starts;
what is there when another one starts belongs to those that run.

This is the only thing that the services of a process have in common; that they have it is the kernel's doing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Collection, Generator
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks

from carptwist.planes.sysctls import Sysctls, namespace

_NAME = b"\0carptwist"
_CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


class AlreadyRunningError(Exception):
    """Another process has a daemon in this network namespace; the text says which."""


class TakenError(Exception):
    """Another service of this process has something already; the text says what."""


class _Household:
    """The services of this process in one network namespace."""

    def __init__(self, lock: socket.socket) -> None:
        self.lock = lock
        self.settings = Sysctls()
        self.shares: list[Share] = []
        self.cleaning = DeferredLock()
        self.is_clean = False


#: By process, so that a fork does not believe to have it, and network namespace.
_households: dict[tuple[int, str], _Household] = {}


class Share:
    """One service's part. Use :func:`join` to get one.

    ``settings`` are those of the kernel, for all services of the process.
    """

    def __init__(self, key: tuple[int, str], household: _Household) -> None:
        self.settings = household.settings
        self._key = key
        self._household = household
        self._taken: dict[str, frozenset[str]] = {}
        household.shares.append(self)

    def take(self, who: str, things: Collection[str]) -> None:
        """Have these things as well, for ``who`` within the service.

        :raises TakenError: another service has one of them; then nothing is taken.
        """
        others = [share for share in self._household.shares if share is not self]
        taken = sorted({thing for share in others for those in share._taken.values() for thing in those & set(things)})
        if taken:
            raise TakenError(
                f"another CarpService of this process has {', '.join(taken)} already: give each service vhids, "
                "addresses, sockets and a state_dir of its own"
            )
        self._taken[who] = self._taken.get(who, frozenset()).union(things)

    def keep(self, who: str, things: Collection[str]) -> None:
        """Have nothing but these any more, for ``who``, of what was taken."""
        self._taken[who] = self._taken.get(who, frozenset()).intersection(things)

    @inlineCallbacks
    def clean(self, work: Callable[[], Deferred[Any]]) -> Generator[Deferred[Any], Any, Any]:
        """Do this work if nobody has done it with success since the process has the lock; fires with what it gives,
        else with None. While it is done, others who want to do it wait."""
        household = self._household
        yield household.cleaning.acquire()
        try:
            if household.is_clean:
                return None
            found = yield work()
            household.is_clean = True
            return found
        finally:
            household.cleaning.release()

    def close(self) -> None:
        """The service has ended. The last one lets go of the lock. A second call does nothing."""
        if self not in self._household.shares:
            return
        self._household.shares.remove(self)
        if not self._household.shares:
            self._household.lock.close()
            del _households[self._key]


def join() -> Share:
    """Be a service of the one process, until the share is closed.

    :raises AlreadyRunningError: another process has the lock.
    """
    key = os.getpid(), namespace()
    household = _households.get(key)
    if household is None:
        household = _households[key] = _Household(_claim())
    return Share(key, household)


def _claim() -> socket.socket:
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
