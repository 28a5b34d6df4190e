"""UNIX sockets of the daemon that programs of this host connect to."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.log import callWithContext


def listen(reactor: Any, path: str, mode: int, factory: IProtocolFactory) -> Deferred[IListeningPort]:
    """Listen on a UNIX socket that never had a wider mode than this one.

    Its directory is made. What a predecessor that died has left there is removed; what somebody else has there is not.
    The Deferred fails with an exception whose text is for the operator.
    """
    return in_our_name(_listen, reactor, Path(path), mode, factory)


def in_our_name(listen: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Call what begins to listen, and has Twisted log so: not in the name of what has woken the reactor up last."""
    return maybeDeferred(callWithContext, {"system": "carptwist"}, listen, *arguments)


def _listen(reactor: Any, path: Path, mode: int, factory: IProtocolFactory) -> Deferred[IListeningPort]:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _bury(path)
    endpoint = UNIXServerEndpoint(reactor, str(path), mode=mode, wantPID=True)
    # The mode comes after the binding: until then nobody else may connect.
    umask = os.umask(0o777 & ~mode)
    try:
        listening: Deferred[IListeningPort] = endpoint.listen(factory)
    finally:
        os.umask(umask)
    return listening


def _bury(path: Path) -> None:
    """Remove what somebody has left who listens no more.

    Twisted keeps the number of the process that listens, in a lock, and takes it for held while there is a process of
    that number: one that was killed and not waited for, or any other one. In a container, where numbers begin anew, it
    may be this one. Who tries to connect knows."""
    lock = Path(f"{path}.lock")
    if not lock.is_symlink() or _is_heard(path):
        return
    if path.is_socket():
        path.unlink()
    lock.unlink()


def _is_heard(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setblocking(False)
        try:
            caller.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # too many wait there; or nobody can know
    return True


class Door(NamedTuple):
    """Who may connect, and who is met there."""

    mode: int
    factory: IProtocolFactory


class Doors:
    """The UNIX sockets of one kind, by path; which they are may change while the daemon runs."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ports: dict[str, IListeningPort] = {}

    def open(self, path: str, door: Door) -> Deferred[None]:
        """One more. Fails as :func:`listen` does."""

        def listens(port: IListeningPort) -> None:
            self._ports[path] = port

        return listen(self._reactor, path, door.mode, door.factory).addCallback(listens)

    @inlineCallbacks
    def exchange(self, wanted: Mapping[str, Door]) -> Generator[Deferred[Any], Any, None]:
        """Be those, by path, and no others. Who is connected stays.

        Fails with OSError, whose text is for the operator, if one of them cannot be: then they are as before.
        """
        opened: list[str] = []
        try:
            for path, door in wanted.items():
                if path not in self._ports:
                    yield self.open(path, door)
                    opened.append(path)
                else:
                    os.chmod(path, door.mode)
        except Exception as error:
            for path in opened:
                yield self._close(path)
            raise OSError(str(error)) from None
        for path in tuple(self._ports):
            if path not in wanted:
                yield self._close(path)

    @inlineCallbacks
    def close(self) -> Generator[Deferred[Any], Any, None]:
        """None of them any more."""
        for path in tuple(self._ports):
            yield self._close(path)

    def _close(self, path: str) -> Deferred[Any]:
        return maybeDeferred(self._ports.pop(path).stopListening)
