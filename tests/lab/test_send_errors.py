"""Advertisements that the kernel does not take."""

from __future__ import annotations

import subprocess

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase


class SendErrorTests(SceneTestCase):
    """a is MASTER when its interface's queue begins to refuse everything."""

    def tc(self, scene: Scene, *words: str) -> None:
        with scene.hosts["a"].namespace:
            subprocess.run(["tc", "qdisc", *words], check=True, capture_output=True)

    def test_a_real_one(self) -> None:
        """Three in a row demote the host, which is MASTER no more when its lease ends, before the other one takes over;
        after three that leave again, when it is MASTER once more, the demotion is taken back."""
        scene = self.scene()
        self.start_pair(scene)
        a = scene.daemons["a"]
        self.tc(scene, "replace", "dev", "em0", "root", "pfifo", "limit", "0")
        a.expect("carp: demoted by 240 to 240 (send error em0)")
        scene.await_master("b")
        scene.await_backup("a")
        status = a.status()
        self.assertEqual([entry["owner"] for entry in status["ledger"]], ["senderr 1@em0"])
        self.assertGreaterEqual(status["vhids"][0]["send_errors"], 3)
        self.assertGreaterEqual(status["stats"]["nomem"], 3)
        self.assertEqual(status["sysctl"]["suppress_preempt"], 1)
        self.assertIn("cannot send advertisements: [Errno 105] No buffer space available", a.text())
        self.tc(scene, "delete", "dev", "em0", "root")
        self.crash(scene, "b")
        scene.await_master("a")
        a.expect("carp: demoted by -240 to 0 (send ok em0)")
        self.assertEqual(a.status()["ledger"], [])
