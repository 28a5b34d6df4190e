"""Planes that are given other addresses while they hold some, on a real kernel."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.config.schema import PlaneKind
from carptwist.interfaces import IPlane
from carptwist.planes import PlaneError
from tests.planes.host import HostTestCase, config

Step = Generator[Deferred[Any], Any, None]

FIRST = ("192.0.2.1/24", "2001:db8:2::1/64", "198.51.100.1/24")
SECOND = ("192.0.2.1/24", "192.0.2.2/24", "2001:db8:2::1/64", "2001:db8:3::1/64")


class Adopting:
    """For both planes that hold anything."""

    kind = PlaneKind.MACVLAN

    def case(self) -> HostTestCase:
        assert isinstance(self, HostTestCase)
        return self

    def a_plane(self, *addresses: str) -> IPlane:
        case, wanted = self.case(), config(*addresses, kind=self.kind)
        return case.plane(wanted) if self.kind is PlaneKind.MACVLAN else case.interface_plane(wanted)

    @inlineCallbacks
    def test_while_held(self) -> Step:
        """What stays stays, what is new is reachable after the next hold, what has gone is gone, and in the end it is
        all as it was."""
        case, before = self.case(), self.case().everything()
        plane = self.a_plane(*FIRST)
        yield plane.prepare()
        yield plane.hold()
        plane.adopt(config(*SECOND, kind=self.kind))
        yield plane.prepare()
        case.assertTrue(case.is_local("192.0.2.1"))
        case.assertTrue(case.is_local("2001:db8:2::1"))
        case.assertFalse(case.is_local("198.51.100.1"))
        yield plane.hold()
        for address in SECOND:
            case.assertTrue(case.is_local(address.partition("/")[0]), address)
        case.assertNotIn("198.51.100", case.ip("route", "show", "table", "all"))
        case.assertIn("2001:db8:3::", case.ip("-6", "route", "show", "table", "all"))
        yield plane.release()
        for address in SECOND:
            case.assertFalse(case.is_local(address.partition("/")[0]), address)
        yield plane.withdraw()
        case.assertEqual(case.everything(), before)
        case.assertEqual(case.damages, [])

    @inlineCallbacks
    def test_while_waiting(self) -> Step:
        """Nothing becomes reachable by it."""
        case = self.case()
        plane = self.a_plane(*FIRST)
        yield plane.prepare()
        plane.adopt(config(*SECOND, kind=self.kind))
        yield plane.prepare()
        case.assertFalse(case.is_local("192.0.2.2"))
        yield plane.hold()
        case.assertTrue(case.is_local("192.0.2.2"))
        case.assertTrue(case.is_local("2001:db8:3::1"))

    @inlineCallbacks
    def test_what_cannot_be_had(self) -> Step:
        """Somebody else's address is refused, and the former ones are there all the same."""
        case = self.case()
        plane = self.a_plane(*FIRST)
        yield plane.prepare()
        yield plane.hold()
        case.ip("address", "add", "192.0.2.2/24", "dev", "em0")
        plane.adopt(config(*SECOND, kind=self.kind))
        yield case.assertFailure(plane.prepare(), PlaneError)
        plane.adopt(config(*FIRST, kind=self.kind))
        yield plane.prepare()
        for address in FIRST:
            case.assertTrue(case.is_local(address.partition("/")[0]), address)


class MacvlanAdoptingTests(Adopting, HostTestCase):
    kind = PlaneKind.MACVLAN


class InterfaceAdoptingTests(Adopting, HostTestCase):
    kind = PlaneKind.INTERFACE
