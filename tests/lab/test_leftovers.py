"""What a daemon leaves behind on its host: nothing, however it ended."""

from __future__ import annotations

import time

from carptwist.lab.host import Host
from carptwist.lab.scene import SHARED4, Scene
from tests.lab.support import SceneTestCase, configuration

SETTINGS = ("arp_ignore", "arp_announce", "rp_filter")


def settings(host: Host) -> dict[str, str]:
    """The settings of em0 that a plane may change."""
    return {name: host.namespace.sysctl(f"ipv4.conf.em0.{name}") for name in SETTINGS}


def rules(host: Host) -> list[tuple[int, str | None]]:
    """The routing rules, by priority and source."""
    route = host.namespace.route
    return sorted(
        (rule.get("priority") or 0, rule.get("src")) for family in (2, 10) for rule in route.get_rules(family)
    )


def tables(host: Host) -> set[int]:
    """The routing tables that have routes."""
    return {entry.get("table") for family in (2, 10) for entry in host.namespace.route.get_routes(family=family)}


def belongings(host: Host) -> object:
    """All of a host that a daemon may change."""
    return sorted(host.interfaces()), sorted(map(str, host.addresses())), rules(host), tables(host), settings(host)


class LeftoverTests(SceneTestCase):
    """Devices, addresses, rules, routes, settings and processes."""

    def state(self, scene: Scene) -> object:
        return belongings(scene.hosts["a"])

    def test_an_orderly_end_leaves_nothing(self) -> None:
        """Of a MASTER: everything is as it was before it started."""
        scene = self.scene(1)
        host = scene.hosts["a"]
        host.namespace.sysctl("ipv4.conf.em0.rp_filter", 1)
        before = self.state(scene)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        self.assertEqual(settings(host), {"arp_ignore": "1", "arp_announce": "2", "rp_filter": "2"})
        self.assertIn("carp2-1", host.interfaces())
        daemon.stop()
        self.assertEqual(self.state(scene), before)
        self.assertEqual(scene.leftovers(), [])

    def test_a_killed_one_is_cleaned_up_after(self) -> None:
        """By the next one, at its start; and its end leaves what was there before the first."""
        scene = self.scene(1)
        host = scene.hosts["a"]
        host.namespace.sysctl("ipv4.conf.em0.arp_announce", 1)
        before = self.state(scene)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        daemon.kill()
        self.assertIn(SHARED4, map(str, host.addresses()))
        daemon.start()
        daemon.expect("removed what a former daemon had left behind")
        scene.await_master("a")
        daemon.stop()
        self.assertEqual(self.state(scene), before)

    def test_what_is_somebody_elses_is_not_touched(self) -> None:
        """A device of our naming without our alias, another address on it, a rule and a route of other hands."""
        scene = self.scene(1)
        host = scene.hosts["a"]
        route = host.namespace.route
        route.link("add", ifname="carp9-9", kind="macvlan", link=host.index("em0"), macvlan_mode="private")
        decoy = host.index("carp9-9")
        route.link("set", index=decoy, state="up")
        route.addr("add", index=decoy, address="198.51.100.7", prefixlen=24)
        route.rule("add", src="198.51.100.7/32", table=112_000_001, priority=11201)
        route.route("add", dst="203.0.113.0/24", oif=decoy, proto=112)
        before = self.state(scene)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        daemon.kill()
        began = time.time()
        daemon.start()
        scene.await_master("a", since=began)
        daemon.stop()
        self.assertEqual(self.state(scene), before)
        self.assertIn("203.0.113.0", [entry.get("dst", "").split("/")[0] for entry in route.get_routes(family=2)])

    def test_an_address_that_is_there_already_is_refused(self) -> None:
        """It is not ours to share: the log names the remedy, and when it is followed the daemon goes on."""
        scene = self.scene(1, judged=False)  # the address is on em0, with em0's MAC
        host = scene.hosts["a"]
        route = host.namespace.route
        route.addr("add", index=host.index("em0"), address=SHARED4, prefixlen=24)
        daemon = scene.daemon("a", configuration())
        daemon.expect(f"{SHARED4} is on em0 of this host already")
        self.assertIn(SHARED4, map(str, host.addresses()))
        (vhid,) = daemon.status()["vhids"]
        self.assertEqual(vhid["state"], "INIT")
        self.assertIn(SHARED4, vhid["reason"])
        route.addr("del", index=host.index("em0"), address=SHARED4, prefixlen=24)
        scene.await_master("a")

    def test_damage_is_mended(self) -> None:
        """A device that somebody removes under a MASTER is made again, and serves."""
        scene = self.scene(1)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        host = scene.hosts["a"]
        host.namespace.route.link("del", index=host.index("carp2-1"))
        daemon.expect("putting it back")
        scene.wait(lambda: "carp2-1" in host.interfaces(), "the device is there again")
        scene.await_master("a")
        self.assert_caches(scene)
