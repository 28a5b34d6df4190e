"""The control protocol, listener and client connected in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.protocols.amp import AMP
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase

from carptwist import __version__
from carptwist.control.client import ControlClient
from carptwist.control.commands import PART, PROTOCOL, Hello, RefusedError, Status
from carptwist.control.listener import ControlFactory
from carptwist.control.revising import Revising
from carptwist.control.revision_commands import BadConfigurationError, Plan, Reload


class WrittenRevising(Revising):
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | Exception = {"steps": []}
        self.asked: list[str] = []

    def reload(self) -> Deferred[dict[str, Any]]:
        self.asked.append("reload")
        return self._answer()

    def plan(self, path: str) -> Deferred[dict[str, Any]]:
        self.asked.append(f"plan {path}")
        return self._answer()

    def _answer(self) -> Deferred[dict[str, Any]]:
        return fail(self.answer) if isinstance(self.answer, Exception) else succeed(self.answer)


class ControlProtocolTests(SynchronousTestCase):
    """What a program may ask, and what it gets."""

    def setUp(self) -> None:
        self.status: dict[str, Any] = {"vhids": []}
        self.taken = 0
        self.revising = WrittenRevising()
        server = ControlFactory(self.snapshot, self.revising).buildProtocol(None)
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

    def test_a_long_answer_about_a_revision(self) -> None:
        """Travels deflated, in one value."""
        self.successResultOf(self.ask(Hello, version="1.0", protocol=PROTOCOL))
        step = {"action": "keep", "text": "unchanged", "undoes": False, "trouble": None}
        self.revising.answer = {"steps": [{"subject": f"{number}@em0", **step} for number in range(3000)]}
        client = ControlClient(self.amp, __version__)
        for asking in (client.reload(), client.plan("/etc/carp.ini"), client.plan()):
            self.pump.flush()
            self.assertEqual(self.successResultOf(asking), self.revising.answer)
        self.assertEqual(self.revising.asked, ["reload", "plan /etc/carp.ini", "plan "])

    def test_a_bad_configuration_is_a_typed_error(self) -> None:
        """With the errors as its text; a refusal is another type."""
        self.successResultOf(self.ask(Hello, version="1.0", protocol=PROTOCOL))
        client = ControlClient(self.amp, __version__)
        self.revising.answer = BadConfigurationError("carp.ini:1: wrong\ncarp.ini:2: wrong as well")
        for asking in (client.reload(), client.plan()):
            self.pump.flush()
            failure = self.failureResultOf(asking, BadConfigurationError)
            self.assertEqual(failure.getErrorMessage(), "carp.ini:1: wrong\ncarp.ini:2: wrong as well")
        self.revising.answer = RefusedError("there is no file")
        refused = client.reload()
        self.pump.flush()
        self.assertFalse(self.failureResultOf(refused, RefusedError).check(BadConfigurationError))

    def test_nothing_is_reloaded_before_the_handshake(self) -> None:
        """Nor planned."""
        for asking in (self.ask(Reload), self.ask(Plan, path="")):
            self.failureResultOf(asking, RefusedError)
        self.assertEqual(self.revising.asked, [])

    def test_rubbish_ends_the_connection_only(self) -> None:
        """The listener takes the next one."""
        factory = ControlFactory(self.snapshot, self.revising)
        server = factory.buildProtocol(None)
        transport = FakeTransport(server, isServer=True)
        server.makeConnection(transport)
        server.dataReceived(b"\xff" * 300)
        self.assertTrue(transport.disconnecting or transport.disconnected)
        self.flushLoggedErrors()
        self.assertIsNot(factory.buildProtocol(None), server)
