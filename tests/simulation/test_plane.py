"""The plane in memory keeps the contract of the real ones."""

from __future__ import annotations

from ipaddress import ip_interface

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import IPlane
from carptwist.planes import PlaneError
from carptwist.simulation.plane import Hold, MemoryPlane
from tests.contracts.plane import PlaneContract

CONFIG = VirtualHostConfig(vhid=1, interface="em0", addresses=(ip_interface("192.0.2.1/24"),))
MAC = bytes.fromhex("00005e000101")


class MemoryPlaneContractTests(PlaneContract, TestCase):
    def setUp(self) -> None:
        self.plane = MemoryPlane(CONFIG, link_address=MAC)

    def a_plane(self) -> IPlane:
        return self.plane

    def reachable(self) -> bool:
        return self.plane.stands is Hold.HELD

    def traces(self) -> object:
        return self.plane.stands


class MemoryPlaneTests(SynchronousTestCase):
    """What only the one in memory can do."""

    def test_takes_its_time(self) -> None:
        """Nothing is reached before the time is over."""
        clock = Clock()
        plane = MemoryPlane(CONFIG, link_address=MAC, clock=clock, step_seconds=0.002)
        step = plane.prepare()
        clock.advance(0.001)
        self.assertNoResult(step)
        self.assertIs(plane.stands, Hold.NOTHING)
        clock.advance(0.001)
        self.successResultOf(step)
        self.assertIs(plane.stands, Hold.PREPARED)

    def test_trouble(self) -> None:
        """As long as there is one, each step fails with it and changes nothing."""
        plane = MemoryPlane(CONFIG, link_address=MAC)
        plane.trouble = "192.0.2.1 is on em1 already"
        failure = self.failureResultOf(plane.prepare(), PlaneError)
        self.assertIn("em1", failure.getErrorMessage())
        self.assertIs(plane.stands, Hold.NOTHING)
        plane.trouble = None
        self.successResultOf(plane.prepare())

    def test_unprepared(self) -> None:
        """Nothing is held that was not prepared."""
        self.failureResultOf(MemoryPlane(CONFIG, link_address=MAC).hold(), PlaneError)
