"""Groups, from the files in conf/examples: two addresses on two LANs move together, with real daemons and cables."""

from __future__ import annotations

import time
from pathlib import Path

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "groups"

BOTH = {"em0": "MASTER", "em1": "MASTER"}
NONE = {"em0": "BACKUP", "em1": "BACKUP"}


class GroupTests(SceneTestCase):
    """Hosts a and b with em0 on one LAN, where the client pings what is shared, and em1 on another."""

    def pair(self, *, preempt: bool = False, group: dict[str, bool] | None = None) -> Scene:
        """a is MASTER of both before b is there. ``group``: which of them know of groups."""
        scene = self.scene(shared={"192.0.2.1": 1}, pinged=["192.0.2.1"])
        self.second = scene.lab.lan("second")
        for number, (name, host) in enumerate(scene.hosts.items(), 2):
            self.second.connect(host, "em1", [f"192.168.2.{number}/24"])
            text = (EXAMPLES / f"{name}.ini").read_text()
            if preempt:
                text = text.replace("preempt = no", "preempt = yes")
            if group is not None and not group[name]:
                text = text.replace("group = edge\n", "")
            scene.daemon(name, text)
            scene.daemons[name].expect("2@em1: INIT -> BACKUP")
            if name == "a":
                scene.daemons["a"].expect("2@em1: BACKUP -> MASTER")
                self.await_states(scene, {"a": BOTH}, "a has both")
        self.await_states(scene, {"a": BOTH, "b": NONE}, "b has none")
        scene.await_backup("b")
        scene.await_master("a")
        return scene

    def states(self, scene: Scene, name: str) -> dict[str, str]:
        return {vhid["interface"]: vhid["state"] for vhid in scene.daemons[name].status()["vhids"]}

    def await_states(self, scene: Scene, expected: dict[str, dict[str, str]], what: str) -> None:
        scene.wait(lambda: all(self.states(scene, name) == states for name, states in expected.items()), what, 60.0)

    def test_without_preempt(self) -> None:
        """A lost link moves both, the healthy one within the time of an orderly handover; when it is there again, they
        stay; and carpctl says what holds whom back."""
        scene = self.pair()
        began = time.time()
        self.second.cut(scene.hosts["a"])
        self.await_states(scene, {"a": {"em0": "BACKUP", "em1": "INIT"}, "b": BOTH}, "b has both")
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        held = {vhid["interface"]: vhid["held_back"] for vhid in scene.daemons["a"].status()["vhids"]}
        why = "2@em1 is not able to be MASTER here (interface down em1)"
        self.assertEqual(held, {"em0": why, "em1": why})
        self.assertIn(f"1@em0: held back: group edge: {why}", " ".join(scene.daemons["a"].carpctl("status").split()))
        self.assertIn(
            f"Held back: group edge: {why}.", " ".join(scene.daemons["a"].carpctl("explain", "1@em0").split())
        )
        self.assertIn(f"carp: group edge: unable ({why})", scene.daemons["a"].text())
        healed = time.time()
        self.second.heal(scene.hosts["a"])
        self.await_states(scene, {"a": NONE, "b": BOTH}, "a is BACKUP of both")
        scene.wait(
            lambda: len(scene.watcher.heard("b", 1, since=healed)) > 4, "b has advertised for several intervals since"
        )
        self.assertEqual((self.states(scene, "a"), self.states(scene, "b")), (NONE, BOTH))
        self.assertEqual(scene.watcher.heard("a", 1, since=healed), [])
        self.assert_brief(scene, healed)

    def test_with_preempt(self) -> None:
        """Both move back together when the preferred host can carry both again."""
        scene = self.pair(preempt=True)
        began = time.time()
        self.second.cut(scene.hosts["a"])
        self.await_states(scene, {"a": {"em0": "BACKUP", "em1": "INIT"}, "b": BOTH}, "b has both")
        self.second.heal(scene.hosts["a"])
        self.await_states(scene, {"a": BOTH, "b": NONE}, "a has both again")
        scene.await_master("a", since=began)
        self.assert_brief(scene, began)

    def test_both_hosts_have_lost_a_link(self) -> None:
        """Nobody can carry both: each serves what it can, and the one that nobody takes is not missed for a moment."""
        scene = self.pair()
        scene.lan.cut(scene.hosts["b"])
        self.await_states(scene, {"b": {"em0": "INIT", "em1": "BACKUP"}}, "b knows")
        began = time.time()
        self.second.cut(scene.hosts["a"])
        self.await_states(
            scene, {"a": {"em0": "MASTER", "em1": "INIT"}, "b": {"em0": "INIT", "em1": "MASTER"}}, "both serve"
        )
        offers = [each for each in scene.watcher.heard("a", 1, since=began) if each.advbase == 254]
        self.assertNotEqual(offers, [])
        self.assert_brief(scene, began)
        healed = time.time()
        scene.lan.heal(scene.hosts["b"])
        self.await_states(scene, {"a": {"em0": "BACKUP", "em1": "INIT"}, "b": BOTH}, "b has both")
        scene.await_master("b", since=healed)
        self.assert_brief(scene, healed)

    def test_beside_a_host_that_knows_nothing_of_groups(self) -> None:
        """It takes what is offered, and what it keeps beside a link that it has lost is claimed."""
        scene = self.pair(group={"a": True, "b": False})
        began = time.time()
        self.second.cut(scene.hosts["a"])
        self.await_states(scene, {"a": {"em0": "BACKUP", "em1": "INIT"}, "b": BOTH}, "b has both")
        self.second.heal(scene.hosts["a"])
        self.await_states(scene, {"a": NONE, "b": BOTH}, "a is BACKUP of both")
        self.second.cut(scene.hosts["b"])
        self.await_states(scene, {"a": BOTH, "b": {"em0": "BACKUP", "em1": "INIT"}}, "a has both")
        self.assert_brief(scene, began)
