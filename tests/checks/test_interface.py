"""The check of an interface, on what a link monitor knows."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from carptwist.checks.health import Result
from carptwist.checks.interface import InterfaceProbe
from carptwist.interfaces import LinkState

GOOD = LinkState(
    "em1",
    2,
    True,
    True,
    own4=(ip_address("192.0.2.2"),),
    own6=(ip_address("2001:db8::2"),),  # type: ignore[arg-type]
)


class Monitor:
    """Knows one interface."""

    def __init__(self, link: LinkState) -> None:
        self.link = link

    def state(self, name: str) -> LinkState:
        return self.link if name == self.link.name else LinkState(name)


class InterfaceTests(SynchronousTestCase):
    """What is good, and what is told of the rest."""

    def found(self, link: LinkState, name: str = "em1", address: str | None = None) -> Result:
        wanted = None if address is None else ip_address(address)
        probe = InterfaceProbe(Monitor(link), name, wanted)  # type: ignore[arg-type]
        return self.successResultOf(probe())

    def test_a_link_is_good(self) -> None:
        """Also without an address."""
        self.assertEqual(self.found(GOOD), Result(True, "em1 has a link"))

    def test_what_is_missing_is_told(self) -> None:
        """Interface, up, link."""
        self.assertEqual(self.found(GOOD, "em2"), Result(False, "there is no em2"))
        self.assertEqual(self.found(LinkState("em1", 2, False)), Result(False, "em1 is down"))
        self.assertEqual(self.found(LinkState("em1", 2, True, False)), Result(False, "em1 has no link"))

    def test_an_address_has_to_be_there(self) -> None:
        """Of either family."""
        self.assertEqual(self.found(GOOD, address="192.0.2.2"), Result(True, "em1 has 192.0.2.2"))
        self.assertTrue(self.found(GOOD, address="2001:db8::2").good)
        self.assertEqual(self.found(GOOD, address="192.0.2.3"), Result(False, "em1 does not have 192.0.2.3"))
