"""The plug-ins of conf/examples/plugins in real daemons, which find them where they are installed, here PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from carptwist.lab.daemon import Daemon
from tests.lab.support import SceneTestCase, configuration, environment
from tests.plugins.support import EXAMPLES

ADDRESS = """#!/bin/sh
# What a cloud's own tool would do.
what=$1; shift
for address; do
    if [ $what = up ]; then ip addr replace $address dev em0 nodad; else ip addr del $address dev em0 2>/dev/null; fi
done
exit 0
"""


class PluginTests(SceneTestCase):
    """Two hosts."""

    def test_link_and_plane(self) -> None:
        """They elect a master through a tunnel, which nobody else on the LAN sees, and a command of somebody's holds
        the addresses; when the master goes they are at the other one."""
        scene = self.scene(judged=False)  # the addresses are at the hosts' own MACs
        script = Path(scene.hosts["a"].directory.parent, "address")
        script.write_text(ADDRESS)
        script.chmod(0o755)
        for name, own, other, advskew in (("a", 2, 3, 0), ("b", 3, 2, 100)):
            text = configuration(
                advskew=advskew,
                more=f"plane = plugin\nplugin = commands\nargument = {script} up\n    {script} down\n"
                f"[link em0]\nplugin = tunnel\nargument = 192.0.2.{own}:8112 192.0.2.{other}:8112",
            )
            daemon = scene.daemons[name] = Daemon(scene.hosts[name], text)
            daemon.environment = {"PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], str(EXAMPLES)])}
            daemon.start()
            daemon.expect("1@em0: INIT -> BACKUP")
        scene.wait(lambda: scene.logged_state("a") == "MASTER", "a is MASTER")
        scene.wait(lambda: all(map(scene.prober.flowing, scene.prober.addresses)), "the addresses answer")
        scene.wait(lambda: scene.daemons["b"].status()["vhids"][0]["master"] is not None, "b hears a")
        self.assertEqual(scene.logged_state("b"), "BACKUP")
        self.assertEqual(scene.watcher.advertisements, [])
        plugins = {each["plugin"]: each["errors"] for each in scene.daemons["a"].status()["plugins"]}
        self.assertEqual(plugins, {"tunnel": 0, "commands": 0})
        began = time.time()
        scene.daemons["a"].stop()
        scene.wait(lambda: scene.logged_state("b") == "MASTER", "b is MASTER")
        self.assertLess(time.time() - began, 1.5)  # it had said farewell
        # In a cloud its network knows at once where an address has gone; on this LAN nobody has told the client.
        with scene.client.namespace:
            subprocess.run(["ip", "neigh", "flush", "all"], check=True)
        scene.wait(lambda: all(map(scene.prober.flowing, scene.prober.addresses)), "the addresses answer again")
        scene.daemons["b"].stop()
        self.assertEqual(scene.leftovers(), [])
