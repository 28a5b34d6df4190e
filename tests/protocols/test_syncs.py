"""All [sync NAME] of a daemon, and the sockets that they are spoken of on, while the configuration is exchanged."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from carptwist.config.health import SyncConfig
from carptwist.config.schema import Knobs
from carptwist.listening import Doors
from carptwist.protocols.syncs import Syncs
from carptwist.vhost.roster import Roster


class SyncsTests(TestCase):
    """[sync states] and [sync leases] on one socket, real ones; the demotion on virtual time."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path, self.other = Path(directory.name, "a.sock"), Path(directory.name, "b.sock")
        self.clock = Clock()
        self.roster = Roster(Knobs(log=0), self.clock)
        self.states = SyncConfig("states", str(self.path), startup=30)
        self.leases = SyncConfig("leases", str(self.path), demote=100, startup=0)
        self.syncs = Syncs((self.states, self.leases), self.roster, Doors(reactor))
        self.addCleanup(self.roster.close)
        self.addCleanup(self.syncs.close)

    def connect(self, path: Path) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(20)
        client.connect(str(path))
        return client

    def say(self, client: socket.socket, line: str) -> Deferred[str]:
        def ask() -> str:
            client.sendall(f"{line}\n".encode())
            return client.recv(1000).decode().strip()

        return deferToThread(ask)

    def ledger(self) -> list[tuple[str, int]]:
        return [(entry.reason, entry.value) for entry in self.roster.ledger.entries]

    @inlineCallbacks
    def test_what_is_unchanged_notices_nothing(self) -> Generator[Deferred[Any], Any, None]:
        """Its holder, its connection, its entry; what is changed keeps its entry, with the new value."""
        self.syncs.start()
        yield self.syncs.open()
        program = self.connect(self.path)
        self.assertEqual((yield self.say(program, "begin states")), "ok 240")
        self.assertEqual((yield self.say(program, "begin leases")), "ok 340")
        changed = SyncConfig("leases", str(self.path), demote=50)
        yield self.syncs.replace((changed, self.states))
        self.assertEqual(sorted(self.ledger()), [("sync leases: bulk update", 50), ("sync states: bulk update", 240)])
        self.assertEqual((yield self.say(program, "done states")), "ok 50")
        self.assertEqual((yield self.say(program, "fail leases")), "ok 0")

    @inlineCallbacks
    def test_what_is_removed_demotes_no_more(self) -> Generator[Deferred[Any], Any, None]:
        """And is not known any more; who is connected to a socket that is gone is sent away."""
        yield self.syncs.open()
        program = self.connect(self.path)
        yield self.say(program, "begin states")
        yield self.syncs.replace((self.leases,))
        self.assertEqual(self.ledger(), [])
        answer = yield self.say(program, "done states")
        self.assertEqual(answer, "error no [sync states] here: there is leases")
        yield self.syncs.replace(())
        self.assertEqual((yield deferToThread(program.recv, 1)), b"")
        self.assertFalse(self.path.exists())
        self.assertRaises(ValueError, self.syncs.tell, "begin", "leases")

    @inlineCallbacks
    def test_what_is_added_does_not_demote_by_itself(self) -> Generator[Deferred[Any], Any, None]:
        """The host did not start a moment ago; whoever speaks of it is heard."""
        yield self.syncs.open()
        yield self.syncs.replace((self.leases, self.states, SyncConfig("tables", str(self.other))))
        self.assertEqual(self.ledger(), [])
        self.assertEqual((yield self.say(self.connect(self.other), "begin tables")), "ok 240")
        answer = yield self.say(self.connect(self.other), "begin states")
        self.assertEqual(answer, "error no [sync states] here: there is tables")

    @inlineCallbacks
    def test_a_socket_that_cannot_be_leaves_all_as_it_was(self) -> Generator[Deferred[Any], Any, None]:
        """At the start it is told, and the others are there."""
        self.other.write_text("precious")
        yield self.syncs.open()
        self.syncs.tell("begin", "states")
        elsewhere = SyncConfig("states", str(self.other))
        yield self.assertFailure(self.syncs.replace((elsewhere,)), OSError)
        self.assertEqual(self.ledger(), [("sync states: bulk update, its holder has gone", 240)])
        self.assertEqual((yield self.say(self.connect(self.path), "done states")), "ok 0")
        another = Syncs((elsewhere,), self.roster, Doors(reactor))
        yield another.open()
        yield another.close()
        self.assertEqual(self.other.read_text(), "precious")
