"""A socket that the reactor reads from and that outlives its errors.

A packet socket whose device goes down, and a netlink socket that overflows, show an error to poll(2); Twisted's
reactors take that for the end of a connection, and would never read from the socket again. But nothing has ended: the
error is taken off, and reading goes on. Otherwise a vhid would be deaf after the first "link down", and hold addresses
beside the real master.
"""

from __future__ import annotations

import socket

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class SturdyReader:
    """Base of the descriptors of ``links``: an open socket, until :meth:`close`. Subclasses have ``doRead``."""

    _log = Logger()

    def __init__(self, reactor: IReactorFDSet, sock: socket.socket) -> None:
        self._reactor = reactor
        self._socket: socket.socket | None = sock
        reactor.addReader(self)

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def doRead(self) -> None:
        raise AssertionError("a subclass reads")

    def logPrefix(self) -> str:
        return type(self).__name__

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has stopped reading from the socket."""
        sock = self._socket
        if sock is None:
            return
        if reason.check(ConnectionLost):
            self.close()  # the reactor itself ends
            return
        if not reason.check(ConnectionDone):
            self._log.failure("carp: {reader} failed, and goes on", reason, reader=self.logPrefix())
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # reading takes it off
        self._reactor.addReader(self)
        self.interrupted()

    def interrupted(self) -> None:
        """An error was taken off the socket: what it had to do with may have been missed."""

    def close(self) -> None:
        """Let go of the socket. A second call does nothing."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._reactor.removeReader(self)
            sock.close()
