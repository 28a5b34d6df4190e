"""What every IPlane must do, on a fake host and on a real one."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from carptwist.interfaces import IPlane

Step = Generator[Deferred[Any], Any, None]


class PlaneContract:
    """Mix into a TestCase that has the first three methods.

    ``holds_addresses`` is False for planes under which nothing ever becomes reachable.
    """

    holds_addresses = True

    def a_plane(self) -> IPlane:
        """One of which nothing was asked so far."""
        raise NotImplementedError

    def reachable(self) -> bool:
        """Whether all addresses are reachable; a test fails by itself when only some are."""
        raise NotImplementedError

    def traces(self) -> object:
        """Something that is equal at two times exactly when the host is."""
        raise NotImplementedError

    def case(self) -> TestCase:
        assert isinstance(self, TestCase)
        return self

    def test_promises(self) -> None:
        """It is what its users expect."""
        verifyObject(IPlane, self.a_plane())

    @inlineCallbacks
    def test_life(self) -> Step:
        """Reachable between hold and release, and never else; nothing is left in the end."""
        case, before, plane = self.case(), self.traces(), self.a_plane()
        yield plane.prepare()
        case.assertFalse(self.reachable())
        case.assertEqual(len(plane.link_address), 6)
        for _ in range(2):
            yield plane.hold()
            case.assertIs(self.reachable(), self.holds_addresses)
            yield plane.release()
            case.assertFalse(self.reachable())
        yield plane.withdraw()
        case.assertEqual(self.traces(), before)

    @inlineCallbacks
    def test_twice_is_once(self) -> Step:
        """Each step may be repeated."""
        case, before, plane = self.case(), self.traces(), self.a_plane()
        for step in (plane.prepare, plane.hold, plane.release, plane.withdraw):
            yield step()
            once = self.traces()
            yield step()
            case.assertEqual(self.traces(), once, step.__name__)
        case.assertEqual(self.traces(), before)

    @inlineCallbacks
    def test_prepared_while_held(self) -> Step:
        """To mend it, without letting go."""
        case, plane = self.case(), self.a_plane()
        yield plane.prepare()
        yield plane.hold()
        yield plane.prepare()
        case.assertIs(self.reachable(), self.holds_addresses)

    @inlineCallbacks
    def test_withdrawn_at_any_time(self) -> Step:
        """Without having been prepared, and while held; then it may begin anew."""
        case, before, plane = self.case(), self.traces(), self.a_plane()
        yield plane.withdraw()
        case.assertEqual(self.traces(), before)
        for _ in range(2):
            yield plane.prepare()
            yield plane.hold()
            yield plane.withdraw()
            case.assertEqual(self.traces(), before)
