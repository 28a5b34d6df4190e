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

from carptwist.listening import listen


class ListenTests(TestCase):
    """On a real file system."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "deep", "socket")

    def listen(self, mode: int = 0o600) -> Deferred[Any]:
        return listen(reactor, str(self.path), mode, Factory.forProtocol(Protocol))

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
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        os.symlink(str(dead), f"{self.path}.lock")
        port = yield self.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
        yield port.stopListening()

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
