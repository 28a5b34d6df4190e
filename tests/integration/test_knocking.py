"""An endpoint that tries until it can connect."""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.integration.knocking import KNOCK_SECONDS, Knocking


@implementer(IStreamClientEndpoint)
class Door:
    """Connects when it is open; while it is ``slow``, when a test says so."""

    def __init__(self) -> None:
        self.trouble: Exception | None = ConnectError(string="nobody there")
        self.slow: Deferred[IProtocol] | None = None
        self.knocks = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.knocks += 1
        if self.slow is not None:
            return self.slow
        return succeed(Protocol()) if self.trouble is None else fail(self.trouble)


class KnockingTests(SynchronousTestCase):
    """At one door."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.door = Door()
        self.knocking = Knocking(self.door, self.clock, "/run/here.sock")
        self.said: list[str] = []
        globalLogPublisher.addObserver(self.hear)
        self.addCleanup(globalLogPublisher.removeObserver, self.hear)

    def hear(self, event: dict[str, object]) -> None:
        if event["log_namespace"] == "carptwist.integration.knocking.Knocking":
            self.said.append(f"{event['where']}: {event['why']}")

    def test_it_connects_in_the_end(self) -> None:
        """However long that takes; what is wrong is told when it becomes something else."""
        verifyObject(IStreamClientEndpoint, self.knocking)
        self.assertEqual(repr(self.knocking), "<the daemon at /run/here.sock>")
        connecting = self.knocking.connect(Factory())
        self.clock.pump([KNOCK_SECONDS] * 600)
        self.door.trouble = ConnectError(string="no right to")
        self.clock.pump([KNOCK_SECONDS] * 600)
        self.assertNoResult(connecting)
        self.assertEqual(self.door.knocks, 1201)
        self.door.trouble = None
        self.clock.advance(KNOCK_SECONDS)
        self.assertIsInstance(self.successResultOf(connecting), Protocol)
        self.assertEqual(len(self.said), 2)
        self.assertIn("/run/here.sock: ", self.said[0])
        self.assertIn("no right to", self.said[1])

    def test_who_is_not_let_in_is_told_who_is(self) -> None:
        """And what to look at where there is no daemon."""
        for number, words in {
            errno.EACCES: "permission denied: it lets in root and the user that it runs as",
            errno.ENOENT: "is the daemon running, and is that the socket which its [control] names?",
        }.items():
            self.door.trouble = ConnectError(osError=number)
            self.knocking.connect(Factory()).addErrback(lambda _: None).cancel()
            self.assertIn(words, self.said[-1])

    def test_it_may_be_cancelled(self) -> None:
        """Between two attempts and within one; then it ends, and leaves nothing on the clock."""
        waiting = self.knocking.connect(Factory())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.door.slow = Deferred(lambda slow: slow.errback(ConnectingCancelledError(None)))  # as Twisted's do
        connecting = self.knocking.connect(Factory())
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
