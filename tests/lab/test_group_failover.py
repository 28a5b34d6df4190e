"""The first example of the manual pages, from the files in conf/examples: two interfaces fail over together."""

from __future__ import annotations

from pathlib import Path

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples"

BOTH = {"em0": "MASTER", "em1": "MASTER"}
NONE = {"em0": "BACKUP", "em1": "BACKUP"}


class GroupFailoverCase(SceneTestCase):
    """Two hosts on two LANs."""

    def configuration(self, name: str) -> str:
        """Of one host."""
        return (EXAMPLES / "failover" / f"{name}.ini").read_text()

    def pair(self, *, head_start: bool = False) -> Scene:
        """Hosts a and b with em0 on one LAN and em1 on another. With a ``head_start`` a is MASTER before b is there."""
        scene = self.scene(shared={}, pinged=[])
        self.second = scene.lab.lan("second")
        for number, (name, host) in enumerate(scene.hosts.items(), 2):
            self.second.connect(host, "em1", [f"192.168.2.{number}/24"])
            scene.daemon(name, self.configuration(name))
            if head_start and name == "a":
                for vhid in ("1@em0", "2@em1"):
                    scene.daemons["a"].expect(f"{vhid}: BACKUP -> MASTER")
        for daemon in scene.daemons.values():
            daemon.expect("2@em1: INIT -> BACKUP")
        return scene

    def states(self, scene: Scene, name: str) -> dict[str, str]:
        return {vhid["interface"]: vhid["state"] for vhid in scene.daemons[name].status()["vhids"]}

    def await_states(self, scene: Scene, a: dict[str, str], b: dict[str, str], what: str) -> None:
        scene.wait(lambda: (self.states(scene, "a"), self.states(scene, "b")) == (a, b), what)


class GroupFailoverTests(GroupFailoverCase):
    """a is the preferred host of both vhids: carp(4) of 2018."""

    def test_one_lost_link_moves_both(self) -> None:
        """And back, when it is there again; the log says why."""
        scene = self.pair()
        self.await_states(scene, BOTH, NONE, "a has both")
        self.second.cut(scene.hosts["a"])
        self.await_states(scene, {"em0": "BACKUP", "em1": "INIT"}, BOTH, "b has both")
        status = scene.daemons["a"].status()
        self.assertEqual(status["demotion"], 240)
        self.assertEqual([(entry["owner"], entry["value"]) for entry in status["ledger"]], [("ifdown 2@em1", 240)])
        log = scene.daemons["a"].text()
        self.assertIn("carp: demoted by 240 to 240 (interface down em1)", log)
        self.assertIn("carp: 1@em0: MASTER -> BACKUP (more frequent advertisement received)", log)
        self.second.heal(scene.hosts["a"])
        self.await_states(scene, BOTH, NONE, "a has both again")
        self.assertIn("carp: demoted by -240 to 0 (interface up em1)", scene.daemons["a"].text())
        self.assertEqual(scene.daemons["a"].status()["demotion"], 0)


class OldGroupFailoverTests(GroupFailoverTests):
    """The same with advskew 0 on a: carp(4) of 2005."""

    def configuration(self, name: str) -> str:
        return (EXAMPLES / "failover-2005" / f"{name}.ini").read_text()


class EqualHostsTests(GroupFailoverCase):
    """The trap: nobody has an advskew."""

    def configuration(self, name: str) -> str:
        return (EXAMPLES / "failover-2005" / "a.ini").read_text()

    def test_no_way_back(self) -> None:
        """A lost link moves both; when it is there again both stay where they are."""
        scene = self.pair(head_start=True)
        self.await_states(scene, BOTH, NONE, "a has both")
        self.second.cut(scene.hosts["a"])
        self.await_states(scene, {"em0": "BACKUP", "em1": "INIT"}, BOTH, "b has both")
        self.second.heal(scene.hosts["a"])
        self.await_states(scene, NONE, BOTH, "b still has both")
        heard = scene.daemons["a"].status()["vhids"][0]["received"]
        scene.wait(
            lambda: scene.daemons["a"].status()["vhids"][0]["received"] > heard + 4, "a has had its chance to preempt"
        )
        self.assertEqual((self.states(scene, "a"), self.states(scene, "b")), (NONE, BOTH))
