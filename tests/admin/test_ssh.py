"""Connections by SSH before anybody has shown a key."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import Portal
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from carptwist.admin.access import ShellRealm
from carptwist.admin.ssh import LOGIN_SECONDS, MOST_CONNECTIONS, CountedTransport, KeysOnlyFactory


class PatienceTests(SynchronousTestCase):
    """Whoever connects has so long to show a key."""

    def setUp(self) -> None:
        self.clock = Clock()
        key = Key(Ed25519PrivateKey.generate())
        portal = Portal(ShellRealm(lambda who: self.fail("nobody is let in")))
        self.factory = KeysOnlyFactory(portal, {key.sshType(): key}, self.clock)
        self.factory.doStart()
        self.addCleanup(self.factory.doStop)

    def connect(self) -> tuple[CountedTransport, StringTransport]:
        """Somebody connects."""
        connection, transport = self.factory.buildProtocol(None), StringTransport()
        connection.makeConnection(transport)
        return connection, transport

    def test_silence(self) -> None:
        """Who says nothing is gone after a minute: a few of them lock nobody out for longer."""
        connections = [self.connect() for _ in range(MOST_CONNECTIONS)]
        self.assertIsNone(self.factory.buildProtocol(None))
        self.clock.advance(LOGIN_SECONDS)
        self.assertTrue(all(transport.disconnecting for _, transport in connections))
        for connection, _ in connections:
            connection.connectionLost(connectionDone)
        self.assertIsNotNone(self.factory.buildProtocol(None))

    def test_let_in(self) -> None:
        """Who has shown a key stays as long as he likes."""
        connection, transport = self.connect()
        connection.setService(SSHConnection())
        self.clock.advance(10 * LOGIN_SECONDS)
        self.assertFalse(transport.disconnecting)

    def test_gone(self) -> None:
        """Nothing is left on the clock."""
        connection, _ = self.connect()
        connection.connectionLost(connectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])
