"""What every IGuard must do, in memory and as a process."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from carptwist.interfaces import IGuard, Will

Step = Generator[Deferred[Any], Any, None]


class GuardContract:
    """Mix into a TestCase that has the first methods. Names are ``1@em0`` and ``2@em0``."""

    def a_guard(self) -> IGuard:
        """One that was not started yet."""
        raise NotImplementedError

    def a_will(self, name: str) -> Will:
        """What ends a vhid."""
        raise NotImplementedError

    def now(self) -> float:
        """The clock that moments are given on."""
        raise NotImplementedError

    def pass_time(self, seconds: float) -> Deferred[None]:
        """Let it pass."""
        raise NotImplementedError

    def ended(self, name: str) -> bool:
        """Whether the requests of a will were carried out."""
        raise NotImplementedError

    def farewells(self) -> set[str]:
        """Of whom a farewell was sent."""
        raise NotImplementedError

    def case(self) -> TestCase:
        assert isinstance(self, TestCase)
        return self

    @inlineCallbacks
    def test_life(self) -> Step:
        """A will waits while it is renewed, is carried out once it is not, and its owner is told once, and when."""
        case, guard, told = self.case(), self.a_guard(), list[tuple[str, float]]()
        verifyObject(IGuard, guard)
        yield guard.start()
        guard.entrust("1@em0", self.a_will("1@em0"), self.now() + 0.5, lambda *ended: told.append(ended))
        for _ in range(4):
            until = self.now() + 0.5
            guard.renew("1@em0", until)
            yield self.pass_time(0.2)
        case.assertEqual((self.ended("1@em0"), told), (False, []))
        yield self.pass_time(0.8)
        case.assertTrue(self.ended("1@em0"))
        case.assertTrue(until - 0.01 < told[0][1] <= self.now(), (until, told))
        case.assertEqual(self.farewells(), {"1@em0"})
        case.assertEqual(len(told), 1)
        guard.renew("1@em0", self.now() + 0.1)  # there is nothing to renew any more
        yield self.pass_time(0.3)
        case.assertEqual(len(told), 1)
        yield guard.stop()

    @inlineCallbacks
    def test_forgotten(self) -> Step:
        """What is forgotten is never carried out, and what was never known may be forgotten."""
        case, guard, told = self.case(), self.a_guard(), list[tuple[str, float]]()
        yield guard.start()
        guard.forget("1@em0")
        guard.renew("1@em0", self.now())
        for name in ("1@em0", "2@em0"):
            guard.entrust(name, self.a_will(name), self.now() + 0.2, lambda *ended: told.append(ended))
        guard.forget("1@em0")
        yield self.pass_time(0.5)
        case.assertEqual((self.ended("1@em0"), self.ended("2@em0")), (False, True))
        case.assertEqual(len(told), 1)
        yield guard.stop()

    @inlineCallbacks
    def test_no_farewell_before_the_first_word(self) -> Step:
        """Of a master that nobody has heard of; a newer will keeps what the former one knew of that."""
        case, guard = self.case(), self.a_guard()
        yield guard.start()
        guard.entrust("1@em0", self.a_will("1@em0"), self.now() + 0.2, lambda *_: None)
        guard.entrust("2@em0", self.a_will("2@em0"), self.now() + 9, lambda *_: None)
        guard.renew("2@em0", self.now() + 9)
        guard.entrust("2@em0", self.a_will("2@em0"), self.now() + 0.2, lambda *_: None)
        yield self.pass_time(0.5)
        case.assertTrue(self.ended("1@em0") and self.ended("2@em0"))
        case.assertEqual(self.farewells(), {"2@em0"})
        yield guard.stop()

    @inlineCallbacks
    def test_stopped(self) -> Step:
        """In good order: nothing is carried out any more."""
        case, guard, told = self.case(), self.a_guard(), list[tuple[str, float]]()
        yield guard.start()
        guard.entrust("1@em0", self.a_will("1@em0"), self.now() + 0.3, lambda *ended: told.append(ended))
        guard.renew("1@em0", self.now() + 0.3)
        yield guard.stop()
        yield self.pass_time(0.6)
        case.assertEqual((self.ended("1@em0"), self.farewells(), told), (False, set(), []))
