"""The interface plane, on a real kernel."""

from __future__ import annotations

import errno
from collections.abc import Generator
from typing import Any

from pyroute2 import NetlinkError
from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.planes import PlaneError
from carptwist.planes.kernel import Kernel
from carptwist.planes.marks import PROTOCOL
from tests.planes.host import HostTestCase, config

Step = Generator[Deferred[Any], Any, None]
SHARED4, SHARED6 = "192.0.2.1", "2001:db8:2::1"


class InterfacePlaneTests(HostTestCase):
    """The addresses come to the interface and go again, and nothing else is touched."""

    def test_link_address(self) -> None:
        """It is the interface's own, and the kernel answers."""
        plane = self.interface_plane()
        self.assertEqual(plane.link_address, self.monitor.state("em0").mac)
        self.assertFalse(plane.answers)

    @inlineCallbacks
    def test_marked(self) -> Step:
        """What we put there bears our mark, so that it can be told from what is somebody else's."""
        plane = self.interface_plane()
        yield plane.prepare()
        yield plane.hold()
        addresses = self.here.namespace.route.get_addr()
        marked = {entry.get("address") for entry in addresses if entry.get("proto") == PROTOCOL}
        self.assertEqual(marked, {SHARED4, SHARED6})

    @inlineCallbacks
    def test_somebody_elses_address(self) -> Step:
        """It is refused before a takeover and at it, with a remedy, and stays where it is."""
        before = self.everything()
        plane = self.interface_plane()
        yield plane.prepare()
        self.ip("addr", "add", f"{SHARED4}/24", "dev", "em0")
        for step in (plane.prepare, plane.hold):
            failure = yield self.assertFailure(step(), PlaneError)
            self.assertIn(f"ip address del {SHARED4}/24 dev em0", str(failure))
        yield plane.release()
        yield plane.withdraw()
        self.assertTrue(self.is_local(SHARED4))
        self.ip("addr", "del", f"{SHARED4}/24", "dev", "em0")
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_a_secondary_address_of_somebody_else(self) -> Step:
        """When ours goes, an address of the same prefix that came after it stays."""
        plane = self.interface_plane(config("198.51.100.1/24"))
        yield plane.prepare()
        yield plane.hold()
        self.ip("addr", "add", "198.51.100.9/24", "dev", "em0")
        yield plane.release()
        addresses = self.ip("-o", "addr", "show", "dev", "em0")
        self.assertIn("198.51.100.9", addresses)
        self.assertNotIn("198.51.100.1/", addresses)

    @inlineCallbacks
    def test_prefix_without_a_route(self) -> Step:
        """The host reaches the prefix while it holds the address, and only then."""
        before = self.everything()
        plane = self.interface_plane(config("198.51.100.1/24", "2001:db8:9::1/64"))
        yield plane.prepare()
        yield plane.hold()
        self.assertIn("dev em0", self.ip("route", "get", "198.51.100.9"))
        self.assertIn("dev em0", self.ip("-6", "route", "get", "2001:db8:9::9"))
        yield plane.release()
        yield plane.withdraw()
        self.assertEqual(self.everything(), before)

    @inlineCallbacks
    def test_address_taken_away(self) -> Step:
        """It is noticed, and put back by preparing and holding again."""
        plane = self.interface_plane()
        yield plane.prepare()
        yield plane.hold()
        yield self.pause(0.3)
        self.assertEqual(self.damages, [])
        self.ip("addr", "del", f"{SHARED6}/64", "dev", "em0")
        yield self.until(lambda: bool(self.damages), "told of the damage")
        self.assertIn(SHARED6, self.damages[0])
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED6))

    @inlineCallbacks
    def test_addresses_that_would_not_go(self) -> Step:
        """A release that failed is made up for by preparing: a BACKUP does not have the addresses."""
        plane = self.interface_plane()
        yield plane.prepare()
        yield plane.hold()
        kernels: list[Kernel] = []
        yield self.orders.give(kernels.append, "test")
        send = kernels[0].send

        def refusing(requests: list[Any], tolerant: bool = False) -> None:
            if not tolerant:
                raise NetlinkError(errno.ENOBUFS, "no buffer space")
            send(requests, tolerant=tolerant)

        patched = self.patch(kernels[0], "send", refusing)
        yield self.assertFailure(plane.release(), PlaneError)
        patched.restore()
        self.assertTrue(self.is_local(SHARED4))
        yield plane.prepare()
        self.assertFalse(self.is_local(SHARED4) or self.is_local(SHARED6))

    @inlineCallbacks
    def test_interface_gone(self) -> Step:
        """Releasing and withdrawing are quiet, and a new one of the name is taken."""
        plane = self.interface_plane()
        yield plane.prepare()
        yield plane.hold()
        self.ip("link", "del", "em0")
        yield plane.release()
        yield self.assertFailure(plane.prepare(), PlaneError)
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        self.ip("link", "set", "em0", "up")
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED4))

    @inlineCallbacks
    def test_interface_made_anew_while_held(self) -> Step:
        """What was on the former one is not taken for being on this one."""
        plane = self.interface_plane()
        yield plane.prepare()
        yield plane.hold()
        self.ip("link", "del", "em0")
        self.ip("link", "add", "em0", "type", "veth", "peer", "name", "em1")
        self.ip("link", "set", "em0", "up")
        yield plane.prepare()
        yield plane.hold()
        self.assertTrue(self.is_local(SHARED4))
