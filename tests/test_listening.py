"""UNIX sockets that programs of this host connect to."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from carptwist.listening import Door, Doors, listen


class ListenTests(TestCase):
    """On a real file system."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "deep", "socket")

    def listen(self, mode: int = 0o600) -> Deferred[Any]:
        return listen(reactor, str(self.path), mode, Factory.forProtocol(Protocol))

    def leave(self, number: int) -> None:
        """What a process of this number has left that listens no more: the socket, and the lock that names it."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        os.symlink(str(number), f"{self.path}.lock")

    @inlineCallbacks
    def succeed(self) -> Generator[Deferred[Any], Any, None]:
        """Listen there, be found, and stop."""
        port = yield self.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
        yield port.stopListening()

    @inlineCallbacks
    def test_the_mode_is_the_one_asked_for(self) -> Generator[Deferred[Any], Any, None]:
        """Whatever the process's umask, which stays as it was."""
        before = os.umask(0o027)
        self.addCleanup(os.umask, before)
        for mode in (0o600, 0o660, 0o666):
            port = yield self.listen(mode)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), mode)
            yield port.stopListening()
        self.assertEqual(os.umask(0o027), 0o027)

    @inlineCallbacks
    def test_the_end_leaves_nothing(self) -> Generator[Deferred[Any], Any, None]:
        """Neither the socket nor its lock."""
        port = yield self.listen()
        yield port.stopListening()
        self.assertEqual(list(self.path.parent.iterdir()), [])

    @inlineCallbacks
    def test_what_a_dead_process_has_left_is_replaced(self) -> Generator[Deferred[Any], Any, None]:
        """The socket and the lock that names the process."""
        self.path.parent.mkdir()
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        os.waitpid(dead, 0)
        self.leave(dead)
        yield self.succeed()

    @inlineCallbacks
    def test_the_number_of_the_dead_may_be_anybodys(self) -> Generator[Deferred[Any], Any, None]:
        """This process's, in a container that was started anew; another one's; that of a child whom nobody buries."""
        self.path.parent.mkdir()
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        self.addCleanup(os.waitpid, dead, 0)
        os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
        for number in (os.getpid(), os.getppid(), dead):
            self.leave(number)
            yield self.succeed()
            self.assertEqual(list(self.path.parent.iterdir()), [])

    @inlineCallbacks
    def test_a_lock_alone(self) -> Generator[Deferred[Any], Any, None]:
        """Of one who died before it listened, or whose socket somebody has removed, keeps nobody away."""
        self.path.parent.mkdir()
        os.symlink(str(os.getpid()), f"{self.path}.lock")
        port = yield self.listen()
        yield port.stopListening()

    @inlineCallbacks
    def test_who_is_too_busy_to_answer_lives(self) -> Generator[Deferred[Any], Any, None]:
        """It lets nobody in for now, and is not robbed of its socket."""
        self.path.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as caller:
            busy.bind(str(self.path))
            busy.listen(0)
            os.symlink(str(os.getpid()), f"{self.path}.lock")
            caller.connect(str(self.path))
            yield self.assertFailure(self.listen(), CannotListenError)
        self.assertTrue(self.path.is_socket())

    @inlineCallbacks
    def test_a_second_listener_fails(self) -> Generator[Deferred[Any], Any, None]:
        """And harms the first one in nothing."""
        port = yield self.listen()
        yield self.assertFailure(self.listen(), CannotListenError)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
        yield port.stopListening()

    @inlineCallbacks
    def test_what_is_not_a_socket_is_not_removed(self) -> Generator[Deferred[Any], Any, None]:
        """A file that a wrong path names stays as it is."""
        self.path.parent.mkdir()
        self.path.write_text("precious")
        yield self.assertFailure(self.listen(), CannotListenError)
        self.assertEqual(self.path.read_text(), "precious")

    @inlineCallbacks
    def test_a_directory_that_cannot_be(self) -> Generator[Deferred[Any], Any, None]:
        """Fails the Deferred as well, and raises nothing."""
        self.path.parent.write_text("a file")
        yield self.assertFailure(self.listen(), OSError)


class _Greeter(Protocol):
    """Tells when somebody is connected."""

    def __init__(self, met: Deferred[None]) -> None:
        self._met = met

    def connectionMade(self) -> None:
        if not self._met.called:
            self._met.callback(None)


class DoorsTests(TestCase):
    """Sockets that are exchanged while they are in use."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.doors = Doors(reactor)
        self.addCleanup(self.doors.close)

    def door(self, mode: int = 0o600) -> Door:
        return Door(mode, Factory.forProtocol(Protocol))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def there(self) -> dict[str, int]:
        """The sockets that can be connected to, with their modes."""
        found = {}
        for path in self.directory.iterdir():
            if path.is_socket():
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                found[path.name] = stat.S_IMODE(path.stat().st_mode)
        return found

    @inlineCallbacks
    def test_who_is_connected_stays(self) -> Generator[Deferred[Any], Any, None]:
        """Whether the socket stays, has another mode, or is gone for all others."""
        met: Deferred[None] = Deferred()
        greeting = Factory.forProtocol(lambda: _Greeter(met))
        yield self.doors.exchange({self.path("a"): self.door(), self.path("b"): Door(0o600, greeting)})
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.path("b"))
            client.setblocking(False)
            yield met
            self.assertEqual(self.there(), {"a": 0o600, "b": 0o600})
            yield self.doors.exchange({self.path("a"): self.door(0o660), self.path("c"): self.door()})
            self.assertEqual(self.there(), {"a": 0o660, "c": 0o600})
            with self.assertRaises(BlockingIOError):
                client.recv(1)
        yield self.doors.close()
        self.assertEqual(list(self.directory.iterdir()), [])

    @inlineCallbacks
    def test_all_of_them_or_none(self) -> Generator[Deferred[Any], Any, None]:
        """Where one cannot be, all are as before."""
        yield self.doors.exchange({self.path("a"): self.door()})
        Path(self.path("file")).write_text("precious")
        impossible = {self.path("b"): self.door(), self.path("file"): self.door()}
        yield self.assertFailure(self.doors.exchange(impossible), OSError)
        self.assertEqual(self.there(), {"a": 0o600})
