"""The control protocol, listener and client connected in memory."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.protocols.amp import Command, UnhandledCommand

from carptwist import __version__
from carptwist.control import listener
from carptwist.control.access import Caller
from carptwist.control.commands import (
    PART,
    PROTOCOL,
    BadRequestError,
    Hello,
    RefusedError,
    Status,
    Sysctl,
)
from carptwist.control.desk import Desk
from carptwist.control.revision_commands import (
    LONGEST_OBJECT,
    BadConfigurationError,
    Plan,
    Reload,
    Save,
    packed,
    unpacked,
)
from carptwist.control.turnstile import Turnstile
from tests.control.support import ControlTestCase


class LongDesk(Desk):
    """Its status is what it was told."""

    told: ClassVar[dict[str, Any]] = {}
    taken = 0

    def status(self, turnstile: Turnstile) -> Deferred[bytes]:
        self.taken += 1
        return succeed(packed(self.told))


class HandshakeTests(ControlTestCase):
    """Who may speak."""

    def test_it_tells_the_versions(self) -> None:
        """The program's and the protocol's."""
        amp, _, self.pump = self.connect()
        answer = self.answer(amp.callRemote(Hello, version="1.0", protocol=PROTOCOL))
        self.assertEqual(answer, {"version": __version__, "protocol": PROTOCOL})

    def test_another_protocol_is_refused_with_the_remedy(self) -> None:
        """A typed error, which names both sides."""
        amp, _, self.pump = self.connect()
        text = self.refusal(amp.callRemote(Hello, version="9.0", protocol=99), RefusedError)
        self.assertIn("9.0", text)
        self.assertIn("use the same version", text)

    def test_nothing_is_told_or_done_before_it(self) -> None:
        """Neither the status nor a change."""
        amp, _, self.pump = self.connect()
        self.refusal(amp.callRemote(Status, offset=0), RefusedError)
        self.refusal(amp.callRemote(Sysctl, name="preempt", value="1"), RefusedError)
        self.assertFalse(self.node.roster.knobs.preempt)

    def test_another_user_gets_nothing(self) -> None:
        """The connection ends at its first word; one line is logged for a burst of them."""
        callers = iter(f"eve (uid 7, pid {number})" for number in range(20))
        self.factory.identify = lambda transport: Caller(next(callers), False, "uid 7")
        with capturedLogs() as events:
            for _ in range(20):
                amp, server, self.pump = self.connect()
                self.refusal(amp.callRemote(Hello, version="1.0", protocol=PROTOCOL), ConnectionDone)
                self.assertTrue(server.lost)
        told = [text for event in events if (text := formatEvent(event)).startswith("carp: control")]
        self.assertEqual(told, ["carp: control: eve (uid 7, pid 0) was not let in"])


class LongStatusTests(ControlTestCase):
    """A status longer than an AMP value."""

    def make_desk(self) -> Desk:
        return LongDesk(self.node, self.report, self.history, self.maintenance, seconds=self.clock.seconds)

    def test_it_travels_in_parts_of_one_snapshot(self) -> None:
        """And arrives whole."""
        status = {"vhids": [{"reason": "höher", "number": hash((number, "x"))} for number in range(9000)]}
        assert isinstance(self.desk, LongDesk)
        LongDesk.told = status
        self.assertGreater(len(packed(status)), PART)
        self.assertEqual(self.answer(self.client().status()), status)
        self.assertEqual(self.desk.taken, 1)

    def test_offsets_out_of_range_are_refused(self) -> None:
        """With the remedy."""
        client = self.client()
        for offset in (-1, 10**9):
            self.assertIn("begin with 0", self.refusal(client._amp.callRemote(Status, offset=offset), BadRequestError))


class RevisionTests(ControlTestCase):
    """Reload and plan."""

    def test_a_long_answer_about_a_revision(self) -> None:
        """Travels deflated, in one value."""
        step = {"action": "keep", "text": "unchanged", "undoes": False, "trouble": None}
        self.revising.answer = {"steps": [{"subject": f"{number}@em0", **step} for number in range(3000)]}
        client = self.client()
        for asking in (client.reload(), client.plan("/etc/carp.ini"), client.plan(), client.save()):
            self.assertEqual(self.answer(asking), self.revising.answer)
        self.assertEqual(self.revising.asked, ["reload", "plan /etc/carp.ini", "plan ", "save"])

    def test_a_bad_configuration_is_a_typed_error(self) -> None:
        """With the errors as its text; a refusal is another type."""
        client = self.client()
        self.revising.answer = BadConfigurationError("carp.ini:1: wrong\ncarp.ini:2: wrong as well")
        for asking in (client.reload, client.plan):
            text = self.refusal(asking(), BadConfigurationError)
            self.assertEqual(text, "carp.ini:1: wrong\ncarp.ini:2: wrong as well")
        self.revising.answer = RefusedError("there is no file")
        self.refusal(client.reload(), RefusedError)

    def test_nothing_is_reloaded_before_the_handshake(self) -> None:
        """Nor planned."""
        amp, _, self.pump = self.connect()
        self.refusal(amp.callRemote(Reload), RefusedError)
        self.refusal(amp.callRemote(Plan, path=""), RefusedError)
        self.refusal(amp.callRemote(Save), RefusedError)
        self.assertEqual(self.revising.asked, [])


class TextTests(ControlTestCase):
    """Texts on the wire."""

    def test_what_is_inflated_is_bounded(self) -> None:
        """A small box is no way to a gigabyte of memory."""
        self.assertEqual(unpacked(packed({"a": "höher"})), {"a": "höher"})
        whole = packed({"a": "x" * 5000})
        for octets in (b"rubbish", whole[:-3], packed({"a": "x" * LONGEST_OBJECT})):
            self.assertRaises(ValueError, unpacked, octets)


class BoundsTests(ControlTestCase):
    """What a connection may cost."""

    def rubbish(self, octets: bytes) -> Any:
        _, server, _ = self.connect()
        server.dataReceived(octets)
        self.clock.pump([0.01] * 5)
        return server

    def test_rubbish_ends_the_connection_only(self) -> None:
        """Whatever it is; the next one is served."""
        whole = b"\x00\x08_command\x00\x05Hello\x00\x04_ask\x00\x011\x00\x00"
        for octets in (
            b"\xff" * 300,
            b"\x00\x00",
            b"\x00\x01a\x00\x01b\x00\x00",
            b"\x00\x07_answer\x00\x019\x00\x00",
            b"\x00\x06_error\x00\x019\x00\x00",
            b"\x00\x01k\xff\xff" + b"v" * 70000,
            b"".join(b"\x00\x04k%03d\x00\x64" % n + b"v" * 100 for n in range(200)),
        ):
            self.assertTrue(self.rubbish(octets).lost, octets[:40])
        self.assertFalse(self.rubbish(whole).lost)
        self.assertIn("vhids", self.answer(self.client().status()))

    def test_commands_of_amp_itself_are_not_answered(self) -> None:
        """StartTLS would let a client replace the transport."""

        class Imitation(Command):
            commandName = b"StartTLS"

        self.refusal(self.client()._amp.callRemote(Imitation), UnhandledCommand)

    def test_a_whole_read_of_requests_is_served_in_turns(self) -> None:
        """One request of each at a time: a chatterer does not hold up a client with one question."""
        chatter, _, chatter_pump = self.connect()
        asked = [chatter.callRemote(Hello, version="1", protocol=PROTOCOL) for _ in range(500)]
        client, _, self.pump = self.connect()
        hello = client.callRemote(Hello, version="1", protocol=PROTOCOL)
        self.factory.turnstile._seconds = iter(x * 0.001 for x in range(10**6)).__next__
        chatter_pump.flush()
        self.pump.flush()
        for _ in range(3):
            self.clock.advance(0.005)
            self.pump.flush()
        self.successResultOf(hello)
        chatter_pump.flush()
        self.assertNoResult(asked[-1])
        for _ in range(700):
            self.clock.advance(0.005)
            chatter_pump.flush()
        self.successResultOf(asked[-1])

    def test_who_does_not_greet_is_disconnected(self) -> None:
        """After ten seconds, while one that did stays for five minutes."""
        _, silent, _ = self.connect()
        client = self.client()
        self.clock.pump([1] * 20)
        self.assertTrue(silent.lost)
        self.assertIn("vhids", self.answer(client.status()))
        self.clock.pump([5] * 70)
        self.assertEqual(len(self.factory), 0)

    def test_who_does_not_read_is_not_served_and_then_disconnected(self) -> None:
        """Answers do not pile up for ever."""
        amp, server, self.pump = self.connect()
        self.answer(amp.callRemote(Hello, version="1", protocol=PROTOCOL))
        server.pauseProducing()  # what a transport calls when its buffer is full
        asking = amp.callRemote(Status, offset=0)
        self.flow()
        self.assertNoResult(asking)
        server.resumeProducing()
        self.answer(asking)
        server.pauseProducing()
        self.clock.pump([1] * 40)
        self.assertTrue(server.lost)

    def test_the_one_that_was_silent_longest_makes_room(self) -> None:
        """Nobody can lock an operator out by connecting often."""
        client = self.client()
        first = self.connect()[1]
        self.clock.advance(1)
        others = [self.connect()[1] for _ in range(listener.MOST_CONNECTIONS)]
        self.assertTrue(first.lost)
        self.assertFalse(others[-1].lost)
        self.assertLessEqual(len(self.factory), listener.MOST_CONNECTIONS)
        self.assertIn("vhids", self.answer(client.status()))
