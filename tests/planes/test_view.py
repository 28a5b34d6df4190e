"""What a macvlan's table holds, for main tables of all sorts."""

from __future__ import annotations

import socket
from ipaddress import ip_interface

from twisted.trial.unittest import SynchronousTestCase

from carptwist.planes.view import Kind, Route, nothing, prefixes, through

PARENT, OTHER, DEVICE, METRIC = 2, 3, 7, 11201
INET, INET6 = socket.AF_INET, socket.AF_INET6
SHARED = [ip_interface("192.0.2.1/24")]
PREFIX = Route(INET, "192.0.2.0", 24, METRIC, device=DEVICE)


def seen(*main: Route) -> set[Route]:
    """The table, without the shared addresses' own prefix."""
    return through(main, PARENT, DEVICE, SHARED, METRIC) - {PREFIX}


class ThroughTests(SynchronousTestCase):
    """:func:`carptwist.planes.view.through`."""

    def test_the_parents_routes(self) -> None:
        """They lead through the device, with all else as it was."""
        default = Route(INET, metric=100, device=PARENT, gateway="192.0.2.254", mtu=1400)
        connected = Route(INET, "192.0.2.0", 24, device=PARENT)
        self.assertEqual(seen(default, connected), {default._replace(device=DEVICE), connected._replace(device=DEVICE)})

    def test_others_are_thrown_back(self) -> None:
        """Where a route of ours would catch them: another interface's, and those that lead nowhere."""
        default = Route(INET, device=PARENT, gateway="192.0.2.254")
        elsewhere = Route(INET, "10.0.0.0", 8, device=OTHER)
        nowhere = Route(INET, "172.16.0.0", 12, kind=Kind.OTHER)
        self.assertEqual(
            seen(default, elsewhere, nowhere),
            {
                default._replace(device=DEVICE),
                Route(INET, "10.0.0.0", 8, kind=Kind.THROW),
                Route(INET, "172.16.0.0", 12, kind=Kind.THROW),
            },
        )

    def test_others_that_nothing_covers(self) -> None:
        """They are the main table's business alone."""
        self.assertEqual(seen(Route(INET, device=OTHER), Route(INET, "10.0.0.0", 8, device=OTHER)), set())

    def test_within_the_shared_prefix(self) -> None:
        """A host route through another interface is thrown back."""
        self.assertEqual(
            seen(Route(INET, "192.0.2.77", 32, device=OTHER)), {Route(INET, "192.0.2.77", 32, kind=Kind.THROW)}
        )

    def test_metrics(self) -> None:
        """Of the same destination each keeps its place."""
        ours = Route(INET, metric=200, device=PARENT, gateway="192.0.2.254")
        theirs = Route(INET, metric=100, device=OTHER, gateway="10.0.0.1")
        self.assertEqual(seen(ours, theirs), {ours._replace(device=DEVICE), Route(INET, metric=100, kind=Kind.THROW)})

    def test_several_ways(self) -> None:
        """Of several next hops through the parent the first is taken; one through another interface yields to it."""
        ways = [
            Route(INET, device=OTHER, gateway="10.0.0.1"),
            Route(INET, device=PARENT, gateway="192.0.2.254"),
            Route(INET, device=PARENT, gateway="192.0.2.253"),
        ]
        self.assertEqual(seen(*ways), {ways[1]._replace(device=DEVICE)})

    def test_families_do_not_mix(self) -> None:
        """A default route of one covers nothing of the other."""
        default = Route(INET, device=PARENT, gateway="192.0.2.254")
        self.assertEqual(seen(default, Route(INET6, device=OTHER)), {default._replace(device=DEVICE)})

    def test_link_local(self) -> None:
        """The parent's own prefix is not copied; the device has one, if there are IPv6 addresses."""
        main = [Route(INET6, "fe80::", 64, 256, device=PARENT), Route(INET6, "ff00::", 8, 256, device=PARENT)]
        table = through(main, PARENT, DEVICE, [ip_interface("2001:db8::1/64")], METRIC)
        self.assertEqual(
            table,
            {
                Route(INET6, "fe80::", 64, METRIC, device=DEVICE),
                Route(INET6, "2001:db8::", 64, METRIC, device=DEVICE),
            },
        )


class PrefixesTests(SynchronousTestCase):
    """:func:`carptwist.planes.view.prefixes` and :func:`carptwist.planes.view.nothing`."""

    def test_one_for_each_prefix(self) -> None:
        """However many addresses it has; none for the prefix of an address alone."""
        addresses = [ip_interface(text) for text in ("192.0.2.1/24", "192.0.2.2/24", "10.0.0.1/32", "2001:db8::1/128")]
        self.assertEqual(prefixes(addresses, DEVICE, METRIC), {PREFIX})

    def test_nothing(self) -> None:
        """It is worse than any other way."""
        self.assertEqual({(route.kind, route.metric) for route in nothing([INET])}, {(Kind.BLACKHOLE, 2**32 - 1)})
