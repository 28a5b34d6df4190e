"""The control protocol, listener and client connected in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.amp import AMP
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase

from carptwist import __version__
from carptwist.control.client import ControlClient
from carptwist.control.commands import PART, PROTOCOL, Hello, RefusedError, Status
from carptwist.control.listener import ControlFactory


class ControlProtocolTests(SynchronousTestCase):
    """What a program may ask, and what it gets."""

    def setUp(self) -> None:
        self.status: dict[str, Any] = {"vhids": []}
        self.taken = 0
        server = ControlFactory(self.snapshot).buildProtocol(None)
        self.amp = AMP()
        self.pump = connect(
            server, FakeTransport(server, isServer=True), self.amp, FakeTransport(self.amp, isServer=False)
        )

    def snapshot(self) -> dict[str, Any]:
        self.taken += 1
        return self.status

    def ask(self, *arguments: Any, **named: Any) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self.amp.callRemote(*arguments, **named).addCallbacks(answer.callback, answer.errback)
        self.pump.flush()
        return answer

    def test_the_handshake_tells_the_versions(self) -> None:
        """The program's and the protocol's."""
        answer = self.successResultOf(self.ask(Hello, version="1.0", protocol=PROTOCOL))
        self.assertEqual(answer, {"version": __version__, "protocol": PROTOCOL})

    def test_another_protocol_is_refused_with_the_remedy(self) -> None:
        """A typed error, which names both sides."""
        failure = self.failureResultOf(self.ask(Hello, version="9.0", protocol=99), RefusedError)
        self.assertIn("9.0", failure.getErrorMessage())
        self.assertIn("use the same version", failure.getErrorMessage())

    def test_nothing_is_told_before_the_handshake(self) -> None:
        """Not even the status."""
        self.failureResultOf(self.ask(Status, offset=0), RefusedError)
        self.assertEqual(self.taken, 0)

    def test_a_status_longer_than_an_amp_value(self) -> None:
        """Travels in parts of one snapshot."""
        self.status = {"vhids": [{"reason": "höher" * 100, "vhid": number} for number in range(255)]}
        self.assertGreater(len(json.dumps(self.status)), 4 * PART)
        self.successResultOf(self.ask(Hello, version="1.0", protocol=PROTOCOL))
        answer = ControlClient(self.amp, __version__).status()
        self.pump.flush()
        self.assertEqual(self.successResultOf(answer), self.status)
        self.assertEqual(self.taken, 1)

    def test_offsets_out_of_range_are_refused(self) -> None:
        """With the remedy."""
        self.successResultOf(self.ask(Hello, version="1.0", protocol=PROTOCOL))
        for offset in (-1, 10**9):
            failure = self.failureResultOf(self.ask(Status, offset=offset), RefusedError)
            self.assertIn("begin with 0", failure.getErrorMessage())

    def test_rubbish_ends_the_connection_only(self) -> None:
        """The listener takes the next one."""
        factory = ControlFactory(self.snapshot)
        server = factory.buildProtocol(None)
        transport = FakeTransport(server, isServer=True)
        server.makeConnection(transport)
        server.dataReceived(b"\xff" * 300)
        self.assertTrue(transport.disconnecting or transport.disconnected)
        self.flushLoggedErrors()
        self.assertIsNot(factory.buildProtocol(None), server)
