"""A host in a lab on which planes are tried, and what can be seen of it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Generator
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from carptwist.config.schema import PlaneKind, VirtualHostConfig
from carptwist.lab.host import Host
from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.links.netlink import LinkMonitor
from carptwist.planes import leftovers
from carptwist.planes.interface import InterfacePlane
from carptwist.planes.macvlan import MacvlanPlane
from carptwist.planes.marks import PROTOCOL
from carptwist.planes.orders import Orders
from carptwist.planes.sysctls import Sysctls
from carptwist.planes.upkeep import Upkeep
from carptwist.wire.carp import virtual_mac

SHARED = ("192.0.2.1/24", "2001:db8:2::1/64")
PARENT_SETTINGS = ("arp_ignore", "arp_announce", "rp_filter", "promote_secondaries")


def config(*addresses: str, vhid: int = 1, kind: PlaneKind = PlaneKind.MACVLAN) -> VirtualHostConfig:
    """A vhid on em0; with the addresses ``SHARED`` unless others are given."""
    texts = addresses or SHARED
    return VirtualHostConfig(
        vhid=vhid, interface="em0", addresses=tuple(ip_interface(text) for text in texts), plane=kind
    )


class HostTestCase(TestCase):
    """em0 of the host ``here`` (192.0.2.7, 2001:db8:2::7) and of the host ``client`` (.9, ::9) are on one switch."""

    timeout = 60

    def balances(self, address: bytes) -> bool:
        """Whether an address of a plane is under balancing."""
        return False

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.lan = self.lab.lan()
        self.here, self.client = self.lab.host("here"), self.lab.host("client")
        self.lan.connect(self.here, addresses=["192.0.2.7/24", "2001:db8:2::7/64"])
        self.lan.connect(self.client, addresses=["192.0.2.9/24", "2001:db8:2::9/64"])
        self.damages: list[str] = []
        self.state_dir = self.here.directory / "state"
        with self.here.namespace:
            self.orders = Orders(reactor)
            self.orders.start()
            self.upkeep = Upkeep(time.monotonic)
            self.upkeep.start()
            self.monitor = LinkMonitor(reactor, own_protocol=PROTOCOL)
            self.monitor.start()
        self.addCleanup(self.upkeep.stop)
        self.addCleanup(self.orders.stop)
        self.addCleanup(self.monitor.stop)
        self.settings = Sysctls(self.state_dir)

    # Planes

    def plane(self, wanted: VirtualHostConfig | None = None) -> MacvlanPlane:
        """A macvlan plane; what somebody else does to it is in ``damages``. Withdrawn at the end of the test."""
        settled = wanted or config()
        plane = MacvlanPlane(
            settled,
            virtual_mac=virtual_mac(settled.vhid),
            orders=self.orders,
            monitor=self.monitor,
            settings=self.settings,
            upkeep=self.upkeep,
            clock=reactor,  # type: ignore[arg-type]
            damaged=self.damages.append,
            balances=lambda address: self.balances(address),
        )
        self.addCleanup(plane.withdraw)
        return plane

    def interface_plane(self, wanted: VirtualHostConfig | None = None) -> InterfacePlane:
        """Likewise."""
        plane = InterfacePlane(
            wanted or config(kind=PlaneKind.INTERFACE),
            orders=self.orders,
            monitor=self.monitor,
            settings=self.settings,
            upkeep=self.upkeep,
            clock=reactor,  # type: ignore[arg-type]
            damaged=self.damages.append,
        )
        self.addCleanup(plane.withdraw)
        return plane

    def clean(self, state_dir: Path | None = None) -> Deferred[list[str]]:
        """What a new daemon does at its start."""
        settings = Sysctls(state_dir or self.state_dir)
        return self.orders.give(lambda route: leftovers.clean(route, settings), "test")

    # What can be seen

    def ip(self, *words: str, host: Host | None = None) -> str:
        """What iproute2's ip(8) says in a host."""
        with (host or self.here).namespace:
            done = subprocess.run(["ip", *words], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"ip {' '.join(words)}: {done.stderr}")
        return done.stdout

    def everything(self) -> dict[str, str]:
        """All of the host that a plane could change."""
        seen = {
            "links": self.ip("-o", "link"),
            "addresses": "\n".join(sorted(line.split("valid_lft")[0] for line in self.ip("-o", "addr").splitlines())),
        }
        for family in ("-4", "-6"):
            seen[f"rules {family}"] = self.ip(family, "rule")
            seen[f"routes {family}"] = self.ip(family, "route", "show", "table", "all")
        for name in PARENT_SETTINGS:
            seen[name] = self.here.namespace.sysctl(f"ipv4.conf.em0.{name}")
        return seen

    def is_local(self, address: str) -> bool:
        """Whether the host takes an address for its own."""
        family = f"-{ip_address(address).version}"
        with self.here.namespace:
            done = subprocess.run(["ip", "-o", family, "route", "get", address], capture_output=True, text=True)
        return done.stdout.startswith("local ")

    def way(self, source: str, destination: str) -> str:
        """By which device what is sent from an address leaves; empty if it does not."""
        family = f"-{ip_address(source).version}"
        with self.here.namespace:
            done = subprocess.run(
                ["ip", "-o", family, "route", "get", destination, "from", source], capture_output=True, text=True
            )
        words = done.stdout.split()
        return words[words.index("dev") + 1] if "dev" in words and "blackhole" not in words else ""

    def device(self, vhid: int = 1) -> str:
        return f"carp{self.here.index('em0')}-{vhid}"

    @inlineCallbacks
    def until(self, condition: Callable[[], bool], what: str) -> Generator[Deferred[Any], Any, None]:
        """Wait for a condition."""
        for _ in range(1000):
            if condition():
                return
            yield self.pause(0.01)
        raise AssertionError(f"not within 10 s: {what}")

    def pause(self, seconds: float) -> Deferred[None]:
        return deferLater(reactor, seconds, lambda: None)  # type: ignore[arg-type]
