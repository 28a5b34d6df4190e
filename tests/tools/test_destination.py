"""How a daemon is reached, and what is said where there is none."""

from __future__ import annotations

import argparse
import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from carptwist.tools.destination import UnreachableError, add_arguments, reach
from carptwist.tools.terminal import UsageError

PATIENCE = 0.3


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


class Stranger(Protocol):
    """Whatever listens there, and is no daemon. Says something, or nothing, or hangs up."""

    def __init__(self, says: bytes | None, gone: Deferred[None]) -> None:
        self.says = says
        self.gone = gone

    def connectionMade(self) -> None:
        assert self.transport is not None
        if self.says is None:
            self.transport.loseConnection()
        elif self.says:
            self.transport.write(self.says)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)


class Strangers(Factory):
    """One each, with what it says, and when it has gone."""

    noisy = False

    def __init__(self, says: bytes | None) -> None:
        self.says = says
        self.gone: Deferred[None] = Deferred()

    def buildProtocol(self, addr: Any) -> Stranger:
        return Stranger(self.says, self.gone)


class DestinationTests(TestCase):
    """One line each, and no connection left behind."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name, "control.sock")

    @inlineCallbacks
    def refused(self, kind: type[Exception], where: str, *more: str) -> Generator[Deferred[Any], Any, str]:
        try:
            yield reach(reactor, arguments("--socket", where, *more), PATIENCE)
        except kind as error:
            return str(error)
        raise AssertionError(f"{where} was reached")

    @inlineCallbacks
    def stranger(self, says: bytes | None) -> Generator[Deferred[Any], Any, str]:
        strangers = Strangers(says)
        port = reactor.listenUNIX(str(self.path), strangers)  # type: ignore[attr-defined]
        try:
            complaint = yield self.refused(UnreachableError, str(self.path))
            yield strangers.gone
        finally:
            yield port.stopListening()
        return str(complaint)

    @inlineCallbacks
    def test_nobody(self) -> Generator[Deferred[Any], Any, None]:
        """No socket; one that its daemon has left behind; and a file that is none."""
        complaint = yield self.refused(UnreachableError, str(self.path))
        self.assertIn(f"no daemon answers at {self.path}: there is no such socket", complaint)
        with socket.socket(socket.AF_UNIX) as deserted:
            deserted.bind(str(self.path))
        complaint = yield self.refused(UnreachableError, str(self.path))
        self.assertIn("nobody listens there: the daemon has ended", complaint)
        complaint = yield self.refused(UnreachableError, __file__)
        self.assertIn("nobody listens there", complaint)

    @inlineCallbacks
    def test_one_that_says_nothing(self) -> Generator[Deferred[Any], Any, None]:
        """As a daemon that is stopped: it is not waited for for ever."""
        complaint = yield self.stranger(b"")
        self.assertEqual(complaint, f"the daemon at {self.path} does not answer within 0.3 s")

    @inlineCallbacks
    def test_one_that_hangs_up(self) -> Generator[Deferred[Any], Any, None]:
        """As a daemon does with those who have no rights."""
        complaint = yield self.stranger(None)
        self.assertIn("it hangs up on us: it lets in root and the user that it runs as", complaint)

    @inlineCallbacks
    def test_one_that_speaks_something_else(self) -> Generator[Deferred[Any], Any, None]:
        """As a server of web pages."""
        complaint = yield self.stranger(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        self.assertIn("who does, does not speak the control protocol", complaint)

    @inlineCallbacks
    def test_one_that_cannot_be_connected_to(self) -> Generator[Deferred[Any], Any, None]:
        """A host that nobody knows, and one whose packets go nowhere."""
        complaint = yield self.refused(UnreachableError, "tcp:host.invalid:8112")
        self.assertIn("no daemon answers at tcp:host.invalid:8112: ", complaint)
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            where = full.getsockname()
            with socket.create_connection(where):  # Linux answers no second one: its queue is full
                complaint = yield self.refused(UnreachableError, f"tcp:127.0.0.1:{where[1]}")
        self.assertIn("does not answer within 0.3 s", complaint)

    @inlineCallbacks
    def test_no_place(self) -> Generator[Deferred[Any], Any, None]:
        """What is wrong with the words is said before anybody is asked."""
        for where, why in (
            ("", "the path is empty"),
            ("/" + "x" * 107, "the path of a UNIX socket has at most 107 octets"),
            ("tcp:host", "parts are missing, or too many: write as tcp:HOST:PORT"),
            ("tcp:127.0.0.1:99999", "0-65535"),
            ("nothing:x", "Unknown endpoint type: 'nothing'"),
            ("ssl:host", "write ssl:HOST:PORT"),
            ("ssl:host:99999", "write ssl:HOST:PORT"),
            ("ssl:host:8112", "--certificate, --key, --ca missing: `carptwist certs` makes the files"),
        ):
            complaint = yield self.refused(UsageError, where)
            self.assertIn("--socket", complaint)
            self.assertIn(why, complaint)
        files = [word for name in ("certificate", "key", "ca") for word in (f"--{name}", str(self.path))]
        complaint = yield self.refused(UsageError, "ssl:host:8112", *files)
        self.assertEqual(complaint, f"{self.path}: cannot be read: No such file or directory")
