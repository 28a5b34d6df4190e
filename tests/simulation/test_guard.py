"""The guard in memory keeps what every guard promises."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from carptwist.guard.process import FAREWELL_SECONDS
from carptwist.interfaces import IGuard, Will
from carptwist.simulation.guard import MemoryGuard
from tests.contracts.guard import GuardContract

STEP_SECONDS = 0.05


class MemoryGuardContractTests(GuardContract, TestCase):
    """The contract, on a clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.done: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = []

    def a_guard(self) -> IGuard:
        return MemoryGuard(self.clock, lambda *done: self.done.append(done))

    def a_will(self, name: str) -> Will:
        return Will((name.encode(),), 2, (name.encode(),))

    def now(self) -> float:
        return self.clock.seconds()

    def pass_time(self, seconds: float) -> Deferred[None]:
        for _ in range(round(seconds / STEP_SECONDS)):  # in steps, for a guard that was away is another matter
            self.clock.advance(STEP_SECONDS)
        return succeed(None)

    def ended(self, name: str) -> bool:
        return any(requests == (name.encode(),) for requests, _ in self.done)

    def farewells(self) -> set[str]:
        return {frame.decode() for _, frames in self.done for frame in frames}


class DeathTests(SynchronousTestCase):
    """What only the one in memory can be told."""

    def test_the_daemon_dies(self) -> None:
        """Everything is carried out at once, farewells only of those that were heard of."""
        clock, done = Clock(), list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]()
        guard = MemoryGuard(clock, lambda *each: done.append(each))
        guard.entrust("1@em0", Will((b"1",), 2, (b"bye",)), 60, lambda *_: self.fail("nobody is there"))
        guard.renew("1@em0", 60)
        guard.entrust("2@em0", Will((b"2",), 2, (b"bye",)), 60, lambda *_: self.fail("nobody is there"))
        guard.daemon_died()
        self.assertEqual(done, [((b"1",), (b"bye",)), ((b"2",), ())])
        clock.advance(100)
        self.assertEqual(len(done), 2)

    def test_it_was_away(self) -> None:
        """With its host: then there is no farewell, for somebody else may be MASTER."""
        clock, done = Clock(), list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]()
        guard = MemoryGuard(clock, lambda *each: done.append(each))
        guard.entrust("1@em0", Will((b"1",), 2, (b"bye",)), 2, lambda *_: None)
        guard.renew("1@em0", 2)
        clock.advance(2 + FAREWELL_SECONDS)
        self.assertEqual(done, [((b"1",), ())])
