"""Flights of real daemons, replayed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from carptwist.recorder.replayer import Outcome, Replayer
from carptwist.recorder.ring import parts
from tests.lab.support import PHRASE, Scene, SceneTestCase, configuration, environment


class RecorderTests(SceneTestCase):
    def file(self, scene: Scene, name: str) -> Path:
        """What the daemons of a host have recorded."""
        return Path(scene.hosts[name].directory, "state", "recorder", "flight")

    def replayed(self, scene: Scene, name: str) -> Outcome:
        """What comes of its replay: no difference."""
        outcome = Replayer().run(parts(self.file(scene, name).read_bytes()))
        self.assertIsNone(outcome.difference, f"{name}: {outcome}")
        return outcome

    def moments(self, *files: Path) -> list[dict[str, Any]]:
        """What the verb tells of files in which there is no difference."""
        told = subprocess.run(
            [sys.executable, "-m", "carptwist.tools.carptwist", "replay", "--json", *map(str, files)],
            env=environment(),
            check=True,
            capture_output=True,
        )
        moments: list[dict[str, Any]] = json.loads(told.stdout)["moments"]
        return moments

    def test_a_crash_and_what_came_after(self) -> None:
        """A master is killed and comes back, a link fails, an operator interferes: the replay of each host's record
        comes to the same, tells all of it, and no pass phrase is in it."""
        scene = self.scene(judged=False)  # a demotion makes the master worse than what was just heard
        self.start_pair(scene, configuration(preempt=True), configuration(advskew=100, preempt=True))
        self.crash(scene, "a")
        scene.await_master("b")
        self.recover(scene, "a")
        scene.await_master("a")
        scene.lan.cut(scene.hosts["a"])
        scene.await_master("b")
        scene.lan.heal(scene.hosts["a"])
        scene.await_master("a")
        scene.daemons["a"].carpctl("demote", "200", "--owner", "night", "--reason", "somebody is at work here")
        scene.await_master("b")
        scene.daemons["a"].carpctl("undemote", "night")
        scene.await_master("a")
        for daemon in scene.daemons.values():
            daemon.stop()
        for name in ("a", "b"):
            file = self.file(scene, name)
            self.assertEqual(file.stat().st_mode & 0o777, 0o600)
            outcome = self.replayed(scene, name)
            self.assertGreater(outcome.decisions, 20)
            self.assertEqual(outcome.missing, 0)
            self.assertNotIn(PHRASE, str(parts(file.read_bytes())))
        texts = [moment["text"] for moment in self.moments(self.file(scene, "a"), self.file(scene, "b"))]
        self.assertEqual(sum(text.endswith("starts") for text in texts), 3)
        self.assertIn("demoted by 200 to 200 (somebody is at work here)", texts)
        self.assertIn("1@em0: BACKUP -> MASTER (master timed out)", texts)
        self.assertIn("1@em0: BACKUP -> MASTER (preempting a slower master)", texts)
        self.assertTrue(any(text.startswith("interface em0 is without a link") for text in texts), texts)

    def test_killed_in_the_middle_of_writing(self) -> None:
        """However often a daemon is killed, its record can be read, and all but the last second of it is there."""
        scene = self.scene()
        self.start_pair(scene)
        for _ in range(4):
            scene.daemons["b"].kill()
            scene.daemons["b"].start()
            self.await_backup(scene, "b")
        scene.wait(
            lambda: self.replayed(scene, "b").inputs > 0 and len(self.replayed(scene, "b").stretches) == 5,
            "all five lives are on record",
        )
