"""As many vhids as an interface can have, and one vhid on two interfaces, with real daemons."""

from __future__ import annotations

import time
from pathlib import Path

from carptwist.lab.scene import Scene
from tests.lab.support import PHRASE, SceneTestCase

VHIDS = range(1, 256)


def section(vhid: int, interface: str, address: str, advskew: int) -> str:
    """A virtual host with one address."""
    lines = [f"[vhid {vhid}@{interface}]", f"address = {address}", f"pass = {PHRASE}", f"advskew = {advskew}"]
    return "\n".join(lines)


def address_of(vhid: int) -> str:
    return f"198.51.{100 + vhid // 200}.{vhid % 200 + 1}/24"


class ManyVhidsTests(SceneTestCase):
    """255 elections at once."""

    def masters(self, scene: Scene, name: str) -> set[int]:
        return {vhid["vhid"] for vhid in scene.daemons[name].status()["vhids"] if vhid["state"] == "MASTER"}

    def assert_small(self, scene: Scene, name: str) -> None:
        """The guard of a host has what ends all vhids in less than 8 MiB, and no threads."""
        (guard,) = scene.daemons[name].guards()
        proc = Path(f"/proc/{guard}")
        self.assertEqual(len(list((proc / "task").iterdir())), 1)
        memory = next(line for line in (proc / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        self.assertLess(int(memory.split()[1]), 8 * 1024)

    def test_255_vhids_on_one_interface(self) -> None:
        """Odd ones prefer a, even ones b; when a goes in good order b has all of them, and a's half goes back to a."""
        scene = self.scene(shared={}, pinged=[])
        skews = {"a": (100, 0), "b": (0, 100)}  # of the even and the odd ones
        for name, (even, odd) in skews.items():
            sections = [section(vhid, "em0", address_of(vhid), odd if vhid % 2 else even) for vhid in VHIDS]
            scene.daemon(name, "\n".join(["[carp]", "preempt = yes", *sections]))
        for daemon in scene.daemons.values():
            daemon.expect("255@em0: INIT -> BACKUP", 60)
        odd, even = set(VHIDS[::2]), set(VHIDS[1::2])
        scene.wait(lambda: self.masters(scene, "a") == odd, "a has the odd ones", 60)
        scene.wait(lambda: self.masters(scene, "b") == even, "b has the even ones", 60)
        scene.daemons["a"].stop()
        scene.wait(lambda: self.masters(scene, "b") == set(VHIDS), "b has them all", 60)
        self.assert_small(scene, "b")
        scene.daemons["a"].start()
        scene.wait(lambda: self.masters(scene, "b") == even, "b has given the odd ones back", 60)
        for daemon in scene.daemons.values():
            stats = daemon.status()["stats"]
            self.assertEqual([stats[cause] for cause in ("badauth", "badsum", "badlen")], [0, 0, 0])
        killed = time.time()
        scene.daemons["b"].kill()
        scene.wait(lambda: self.masters(scene, "a") == set(VHIDS), "a has them all", 60)
        self.assert_farewells_at_once(scene, "b", even, killed)
        scene.daemons["a"].stop()
        self.assertEqual(scene.leftovers(), [])

    def assert_farewells_at_once(self, scene: Scene, name: str, vhids: set[int], since: float) -> None:
        """The guard has bowed out of all of them, not one after the other as "link down" takes its time."""
        farewells = [each for each in scene.watcher.heard(name, since=since) if each.bows_out]
        self.assertEqual({each.vhid for each in farewells}, vhids)
        last = max(each.at for each in farewells)
        self.assertLess(last - since, 1.0 + scene.uncertainty(last, since))


class TwoInterfacesTests(SceneTestCase):
    """The same vhid on two LANs."""

    def state(self, scene: Scene, name: str) -> dict[str, str]:
        return {vhid["interface"]: vhid["state"] for vhid in scene.daemons[name].status()["vhids"]}

    def test_they_are_two_elections(self) -> None:
        """a is preferred on em0, b on em1; a cable that is pulled on em0 moves nothing on em1, without preempt."""
        scene = self.scene(shared={}, pinged=[])
        second = scene.lab.lan("second")
        for number, host in enumerate(scene.hosts.values(), 2):
            second.connect(host, "em1", [f"203.0.113.{number}/24"])
        for name, skews in {"a": (0, 240), "b": (240, 0)}.items():
            sections = [
                section(1, "em0", "192.0.2.1/24", skews[0]),
                section(1, "em1", "203.0.113.1/24", skews[1]),
            ]
            scene.daemon(name, "\n".join(["[carp]", "preempt = no", *sections]))
        for daemon in scene.daemons.values():
            daemon.expect("1@em1: INIT -> BACKUP")
        expected = {"a": {"em0": "MASTER", "em1": "BACKUP"}, "b": {"em0": "BACKUP", "em1": "MASTER"}}
        scene.wait(lambda: {name: self.state(scene, name) for name in "ab"} == expected, "each has one")
        scene.lan.cut(scene.hosts["a"])
        scene.wait(lambda: self.state(scene, "b") == {"em0": "MASTER", "em1": "MASTER"}, "b has both")
        self.assertEqual(self.state(scene, "a"), {"em0": "INIT", "em1": "BACKUP"})
        changes = [line for line in scene.daemons["b"].text().splitlines() if "1@em1" in line]
        self.assertEqual(len(changes), 2, changes)
