"""Hooks of a real daemon."""

from __future__ import annotations

from tests.lab.support import SceneTestCase, configuration


class HookTests(SceneTestCase):
    """As in the manual pages: a script, called with the subsystem and the type."""

    def test_a_script_hears_of_every_state(self) -> None:
        """Up to the end: the INIT of a daemon that is stopped is told of before it is gone."""
        scene = self.scene(1)
        directory = scene.hosts["a"].directory
        script, told = directory / "carpcontrol.sh", directory / "told"
        script.write_text(f"#!/bin/sh\necho $1 $2 $reason >> {told}\n")
        script.chmod(0o700)
        hook = f"[hook control]\nmatch = [0-9]+@[0-9a-z.]+\naction = {script} $subsystem $type\n"
        daemon = scene.daemon("a", configuration(more=hook))
        scene.await_master("a")
        scene.wait(lambda: told.exists() and "MASTER" in told.read_text(), "the script was told of MASTER")
        daemon.stop()
        self.assertEqual(
            told.read_text().splitlines(),
            ["1@em0 BACKUP initialization complete", "1@em0 MASTER master timed out", "1@em0 INIT stopped"],
        )

    def test_a_hook_that_hangs_harms_nobody(self) -> None:
        """The election goes on at its pace, and the end waits for the timeout alone."""
        scene = self.scene()
        hang = "[hook hang]\naction = sleep 1000\ntimeout = 1\n"
        self.start_pair(scene, configuration(advskew=0, more=hang), configuration(advskew=100, more=hang))
        scene.daemons["a"].stop()
        scene.await_master("b")
        scene.daemons["a"].expect("carp: hook hang: 1@em0 INIT: killed after 1.")
