"""Every plane keeps the contract of planes, on a real kernel."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from carptwist.interfaces import IPlane
from carptwist.planes.nothing import NoPlane
from tests.contracts.plane import PlaneContract
from tests.planes.host import HostTestCase

BOTH = ("192.0.2.1", "2001:db8:2::1")


class OnAHost(PlaneContract, HostTestCase):
    """What is reachable and what is left, as ip(8) tells."""

    def reachable(self) -> bool:
        local = {self.is_local(address) for address in BOTH}
        self.assertEqual(len(local), 1, "one family only")
        return local == {True}

    def traces(self) -> object:
        return self.everything()


class MacvlanContractTests(OnAHost):
    def a_plane(self) -> IPlane:
        return self.plane()


class InterfaceContractTests(OnAHost):
    def a_plane(self) -> IPlane:
        return self.interface_plane()


class NoPlaneContractTests(PlaneContract, TestCase):
    holds_addresses = False

    def a_plane(self) -> IPlane:
        return NoPlane(bytes.fromhex("00005e000101"))

    def reachable(self) -> bool:
        return False

    def traces(self) -> object:
        return None


del OnAHost
