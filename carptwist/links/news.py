"""A subscription to the kernel's news: rtnetlink(7) multicast groups as a Twisted descriptor.

A few datagrams per wake-up, so that timers stay alive in a storm of them. What the kernel had to drop is told by itself
(ENOBUFS): the news that are still in the buffer then are older than those that were lost, and would be mistaken for the
latest. They are thrown away, and whoever listens has to look for himself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from twisted.internet.interfaces import IReactorFDSet

from carptwist.links.reader import SturdyReader

_RECEIVE_BUFFER = 4 * 1024 * 1024
_LONGEST_DATAGRAM = 65536
_DATAGRAMS_PER_WAKEUP = 8


class NewsSocket(SturdyReader):
    """A subscribed netlink socket that hands every datagram to ``received``, and tells of lost ones."""

    def __init__(
        self, reactor: IReactorFDSet, groups: int, received: Callable[[bytes], None], overrun: Callable[[], None]
    ) -> None:
        self._received = received
        self._overrun = overrun
        flags = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        sock = socket.socket(socket.AF_NETLINK, flags, socket.NETLINK_ROUTE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((0, groups))
        super().__init__(reactor, sock)

    def doRead(self) -> None:
        for _ in range(_DATAGRAMS_PER_WAKEUP):
            if self._socket is None:  # news made the receiver close us
                return
            try:
                datagram = self._socket.recv(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.interrupted()
                return
            self._received(datagram)

    def interrupted(self) -> None:
        # What is still in the buffer is older than what was lost: it would be mistaken for the latest news.
        self._drain()
        self._overrun()

    def _drain(self) -> None:
        while self._socket is not None:
            try:
                self._socket.recv(_LONGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def logPrefix(self) -> str:
        return "carp netlink"
