"""The pfsync-style demotion hook."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.health import SyncConfig
from carptwist.config.schema import Knobs
from carptwist.protocols.sync import BULK_FAIL_SECONDS, MOST_CONNECTIONS, StateSync, SyncFactory, SyncProtocol
from carptwist.vhost.roster import Roster


class SyncTests(SynchronousTestCase):
    """[sync states] with startup = 30, and [sync leases] with demote = 100 and startup = 0."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.roster = Roster(Knobs(log=0), self.clock)
        configs = (SyncConfig("states", startup=30), SyncConfig("leases", demote=100, startup=0))
        self.syncs = {config.name: StateSync(config, self.roster) for config in configs}
        self.factory = SyncFactory(self.syncs, self.roster)

    def connect(self) -> tuple[SyncProtocol, StringTransport]:
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def say(self, text: bytes) -> bytes:
        """What a program that says this, and stays, is answered."""
        protocol, transport = self.connect()
        protocol.dataReceived(text)
        return transport.value()

    def reasons(self) -> list[str]:
        return [entry.reason for entry in self.roster.ledger.entries]

    def test_begin_and_done(self) -> None:
        """Demoted in between, for as long as it takes; each answer tells the host's demotion."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"begin states\n")
        self.assertEqual(self.reasons(), ["sync states: bulk update"])
        self.clock.advance(10_000)
        self.assertEqual(self.roster.ledger.sum, 240)
        protocol.dataReceived(b"begin leases\r\ndone states\nfail leases\n")
        self.assertEqual(transport.value(), b"ok 240\nok 340\nok 100\nok 0\n")
        self.assertEqual(self.roster.ledger.entries, ())

    def test_a_rebooted_host_is_demoted_until_the_first_done(self) -> None:
        """Or for so many seconds; without a startup not at all."""
        for sync in self.syncs.values():
            sync.start()
        self.assertEqual(self.reasons(), ["sync states: not in sync since the start"])
        self.assertEqual(self.roster.problems, 1)
        self.clock.advance(30)
        self.assertEqual(self.roster.ledger.sum, 0)
        self.syncs["states"].start()
        self.assertEqual(self.say(b"done states\n"), b"ok 0\n")

    def test_a_lost_connection_is_not_a_done(self) -> None:
        """Demoted on, until somebody ends it, or pfsync would have given up."""
        for name, seconds in (("states", 30), ("leases", BULK_FAIL_SECONDS)):
            protocol, _ = self.connect()
            protocol.dataReceived(b"begin %s\n" % name.encode())
            protocol.connectionLost()
            self.assertEqual(self.reasons(), [f"sync {name}: bulk update, its holder has gone"])
            self.clock.advance(seconds - 1)
            self.assertEqual(len(self.roster.ledger.entries), 1)
            self.clock.advance(1)
            self.assertEqual(self.roster.ledger.entries, ())
        protocol, _ = self.connect()
        protocol.dataReceived(b"begin states\n")
        protocol.connectionLost()
        self.say(b"done states\n")
        self.assertEqual(self.roster.ledger.entries, ())

    def test_who_is_not_the_holder_any_more_changes_nothing_by_leaving(self) -> None:
        """It was ended by its name, over another connection; or another one has begun anew."""
        protocol, _ = self.connect()
        protocol.dataReceived(b"begin states\n")
        self.say(b"done states\n")
        protocol.connectionLost()
        self.assertEqual(self.roster.ledger.entries, ())
        protocol, _ = self.connect()
        protocol.dataReceived(b"begin states\n")
        self.say(b"begin states\n")
        protocol.connectionLost()
        self.assertEqual(self.reasons(), ["sync states: bulk update"])

    def test_nonsense(self) -> None:
        """Each line has its answer, and none of them demotes."""
        for said, answer in (
            (b"start states\n", b"error 'start': say begin, done or fail, and a name\n"),
            (b"begin\n", b"error no [sync ] here: there is leases, states\n"),
            (b"begin tables\n", b"error no [sync tables] here: there is leases, states\n"),
            (b"\xff\xfe\n", "error '\ufffd\ufffd': say begin, done or fail, and a name\n".encode()),
            (b"\n", b""),
        ):
            self.assertEqual(self.say(said), answer)
        self.assertEqual(self.roster.ledger.entries, ())

    def test_a_line_without_an_end(self) -> None:
        """Is not kept for ever."""
        protocol, transport = self.connect()
        protocol.dataReceived(b"x" * 10_000)
        self.assertEqual(transport.value(), b"error the line is too long\n")
        self.assertTrue(transport.disconnecting)

    def test_connections_are_bounded(self) -> None:
        """Who is too many is turned away, until somebody leaves."""
        protocols = [self.connect()[0] for _ in range(MOST_CONNECTIONS)]
        self.assertIsNone(self.factory.buildProtocol(None))
        protocols[0].connectionLost()
        self.connect()
