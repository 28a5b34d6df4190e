"""Which vhid answers for an address that several carry."""

from __future__ import annotations

import unittest
from collections import Counter
from ipaddress import ip_address

from carptwist.election.balance import chosen


class ChosenTests(unittest.TestCase):
    """The asker's address modulo the number of running vhids."""

    def test_network_order(self) -> None:
        """The last octet of an address is the lowest one, whatever the byte order of the host."""
        for asker, vhid in (("192.168.1.20", 1), ("192.168.1.21", 2), ("192.168.1.22", 1), ("192.168.2.21", 2)):
            self.assertEqual(chosen([1, 2], ip_address(asker).packed), vhid, asker)
        # 0xC0A80115 is 3 x 1077941260 + 1, and 0xC0A80116 one more.
        self.assertEqual(chosen([10, 20, 30], ip_address("192.168.1.21").packed), 20)
        self.assertEqual(chosen([10, 20, 30], ip_address("192.168.1.22").packed), 30)

    def test_ascending(self) -> None:
        """The order of the vhids is that of their numbers, and not that in which somebody has told of them."""
        for asker in range(20, 26):
            packed = ip_address(f"192.168.1.{asker}").packed
            self.assertEqual(chosen([200, 3, 17], packed), chosen([3, 17, 200], packed))
        self.assertEqual(chosen([9, 4], bytes(4)), 4)

    def test_ipv6(self) -> None:
        """All 128 bits count."""
        # Modulo 3 powers of 2^32 are 1, and both 0x20010DB8 and 0x20 are 2.
        self.assertEqual(chosen([10, 20, 30], ip_address("2001:db8::20").packed), 20)
        self.assertEqual(chosen([10, 20, 30], ip_address("2001:db8:0:1::20").packed), 30)

    def test_probes_choose_the_first(self) -> None:
        """A host that has no address yet is answered by one of them."""
        self.assertEqual(chosen([5, 6, 7], bytes(4)), 5)
        self.assertEqual(chosen([5, 6, 7], bytes(16)), 5)

    def test_one_alone(self) -> None:
        """It answers everybody; none answers nobody."""
        self.assertEqual({chosen([8], ip_address(number).packed) for number in range(9)}, {8})
        self.assertIsNone(chosen([], bytes(4)))

    def test_neighbours_are_spread_evenly(self) -> None:
        """Of the hosts of a network each vhid gets as many as any other, but for one."""
        spread = Counter(chosen([1, 2, 3], host.packed) for host in map(ip_address, range(0xC0A80101, 0xC0A801FF)))
        self.assertLessEqual(max(spread.values()) - min(spread.values()), 1)
