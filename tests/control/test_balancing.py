"""Addresses of several vhids, over the control protocol."""

from __future__ import annotations

from dataclasses import replace

from carptwist.config.schema import PlaneKind
from carptwist.control.commands import RefusedError
from tests.control.support import PHRASE, ControlTestCase, vhid


class BalancingTests(ControlTestCase):
    """What carp(4) of 2005 does with ifconfig(8) and sysctl(8)."""

    configs = (vhid(1), replace(vhid(9, "192.0.2.9/24"), plane=PlaneKind.INTERFACE))

    def second(self, address: str = "192.0.2.1/24", number: int = 2) -> list[str]:
        return ["vhid", str(number), "advskew", "100", "pass", PHRASE, address]

    def test_first_the_knob(self) -> None:
        """Without it an address has one virtual host, and the refusal names the remedy."""
        client = self.client()
        text = self.refusal(client.ifconfig("em0", self.second()), RefusedError)
        self.assertEqual(
            text,
            "192.0.2.1 belongs to 1@em0 already: an address has one virtual host, unless arpbalance = yes divides its "
            "clients among several of one interface",
        )
        self.assertEqual(self.answer(client.sysctl("arpbalance", "1")), (0, 1))
        self.answer(client.ifconfig("em0", self.second()))
        self.assertTrue(self.node.roster.balances("em0", bytes((192, 0, 2, 1))))

    def test_other_interfaces_and_planes(self) -> None:
        """They have no part in it, whatever the knob."""
        client = self.client()
        self.answer(client.sysctl("arpbalance", "1"))
        text = self.refusal(client.ifconfig("em1", self.second()), RefusedError)
        self.assertEqual(text, "192.0.2.1 belongs to 1@em0 already: an address has one virtual host")
        for words in (self.second("192.0.2.9/24"), ["vhid", "9", "192.0.2.1/24"]):
            text = self.refusal(client.ifconfig("em0", words), RefusedError)
            self.assertIn("arpbalance divides clients among virtual MACs: plane = interface of 9@em0 has none", text)

    def test_the_knob_stays_as_long_as_it_is_needed(self) -> None:
        """An address must not be left to several."""
        client = self.client()
        for knob in ("arpbalance", "ndbalance"):
            self.answer(client.sysctl(knob, "1"))
        self.answer(client.ifconfig("em0", self.second()))
        text = self.refusal(client.sysctl("arpbalance", "0"), RefusedError)
        self.assertEqual(text, "192.0.2.1 has several virtual hosts on em0: leave it to one of them first")
        self.assertEqual(self.answer(client.sysctl("ndbalance", "0")), (1, 0))
        self.answer(client.ifconfig("em0", ["-vhid", "2"]))
        self.assertEqual(self.answer(client.sysctl("arpbalance", "0")), (1, 0))
