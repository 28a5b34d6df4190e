"""Changing a pass phrase while everything runs, as docs/configuration.md says it is done."""

from __future__ import annotations

import time

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase, configuration

OLD, NEW = "mekmitasdigoat", "tiogasmisemkem"


class RotationTests(SceneTestCase):
    """a serves, b waits for its death; both know the old phrase alone."""

    def turn(self, scene: Scene, *phrases: str) -> None:
        """Give every host these phrases, one host after the other; then some advertisements pass."""
        for name, advskew in (("a", 0), ("b", 100)):
            daemon = scene.daemons[name]
            daemon.configure(configuration(advskew=advskew, phrase="\n       ".join(phrases)))
            done = daemon.text().count(" vhids unchanged")
            daemon.hang_up()
            scene.wait(
                lambda daemon=daemon, done=done: daemon.text().count(" vhids unchanged") > done, "it has reloaded"
            )
        heard = scene.daemons["b"].status()["vhids"][0]["received"]
        scene.wait(lambda: scene.daemons["b"].status()["vhids"][0]["received"] > heard + 2, "b hears a")

    def phrases(self, scene: Scene) -> set[int]:
        """Those that b's peers sign with, by their places in its configuration."""
        return {peer["phrase"] for peer in scene.daemons["b"].status()["vhids"][0]["peers"]}

    def test_nobody_notices(self) -> None:
        """Both phrases, the new one first, the new one alone: no echo is lost, no state changes, and b's log and status
        tell with which phrase a signs."""
        scene = self.scene()
        self.start_pair(scene, configuration(phrase=OLD), configuration(advskew=100, phrase=OLD))
        began = time.time()
        self.turn(scene, OLD, NEW)
        self.assertEqual(self.phrases(scene), {1})
        self.turn(scene, NEW, OLD)
        self.assertEqual(self.phrases(scene), {1})
        self.turn(scene, NEW)
        ended = time.time()
        told = [
            line.partition("signs with ")[2] for line in scene.daemons["b"].text().splitlines() if "signs with" in line
        ]
        # a was the first to have the new phrase first; for b that is still its second one.
        self.assertIn("pass phrase 2 of 2", told)
        self.assertIn("pass phrase 1 of 2", told)
        self.assertEqual(scene.daemons["b"].status()["vhids"][0]["transitions"], 1)
        for address in scene.prober.addresses:
            self.assertEqual(scene.prober.lost(address, began, ended), 0)
        for name in ("a", "b"):
            self.assertNotIn(OLD, scene.daemons[name].text())
            self.assertNotIn(NEW, scene.daemons[name].text())
