"""Interfaces that are set down and up, removed and made again, by an administrator or by a driver.

Unlike a cable that is pulled this shows an error on every packet socket of the interface.
"""

from __future__ import annotations

import time

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase, configuration, environment


class AdministrativelyDownTests(SceneTestCase):
    """``ip link set em0 down`` and ``up`` again: afterwards there is one MASTER, and it hears."""

    def states(self, scene: Scene) -> dict[str, str]:
        return {name: daemon.status()["vhids"][0]["state"] for name, daemon in scene.daemons.items()}

    def set(self, scene: Scene, name: str, state: str) -> None:
        host = scene.hosts[name]
        host.namespace.route.link("set", index=host.index("em0"), state=state)
        if state == "up":
            # The address went with the link.
            host.namespace.route.addr(
                "replace", index=host.index("em0"), address=f"2001:db8::{host.number + 1:x}", prefixlen=64
            )

    def await_one_master(self, scene: Scene, name: str) -> None:
        expected = {other: "MASTER" if other == name else "BACKUP" for other in scene.daemons}
        scene.wait(lambda: self.states(scene) == expected, f"{name} alone is MASTER")
        began = time.time()
        scene.await_master(name, since=began)
        scene.wait(lambda: len(scene.watcher.heard(name, since=began)) > 5, "some more advertisements")
        self.assertEqual(self.states(scene), expected)

    def test_on_the_master(self) -> None:
        """The other takes over; when the interface is up again the preferred one has the addresses back."""
        scene = self.scene(judged=False)
        self.start_pair(scene)
        self.set(scene, "a", "down")
        scene.await_master("b", since=time.time())
        self.set(scene, "a", "up")
        self.await_one_master(scene, "a")

    def test_on_the_backup(self) -> None:
        """It hears the master again, and stays BACKUP."""
        scene = self.scene(judged=False)
        self.start_pair(scene)
        self.set(scene, "b", "down")
        scene.daemons["b"].expect("BACKUP -> INIT (interface down em0)")
        self.set(scene, "b", "up")
        self.await_one_master(scene, "a")

    def test_before_the_start(self) -> None:
        """An interface that comes up later is used, in both directions."""
        scene = self.scene(judged=False)
        self.set(scene, "b", "down")
        scene.daemon("a", configuration(advskew=0))
        daemon = scene.daemon("b", configuration(advskew=100))
        daemon.expect("carp: demoted by 240 to 240 (interface down em0)")
        scene.await_master("a")
        self.set(scene, "b", "up")
        daemon.expect("carp: demoted by -240 to 0 (interface up em0)")
        self.await_one_master(scene, "a")

    def test_ten_times_in_a_row(self) -> None:
        """A flapping interface ends as one that never did."""
        scene = self.scene(judged=False)
        self.start_pair(scene)
        for _ in range(10):
            self.set(scene, "a", "down")
            self.set(scene, "a", "up")
            time.sleep(0.1)
        self.await_one_master(scene, "a")
        self.assertEqual(scene.daemons["a"].status()["demotion"], 0)

    def test_several_vhids_leave_no_demotion_behind(self) -> None:
        """Six dual-stack ones: when the link is back nothing is left in the ledger."""
        more = [
            f"[vhid {number}@em0]\naddress = 198.51.100.{number}/24\n  2001:db8:1::{number}/64\npass = x"
            for number in range(2, 7)
        ]
        scene = self.scene(1, judged=False)
        daemon = scene.daemon("a", configuration(more="\n".join(more)))
        scene.wait(lambda: daemon.text().count("BACKUP -> MASTER") == 6, "all are MASTER")
        self.set(scene, "a", "down")
        scene.wait(lambda: daemon.text().count("MASTER -> INIT") == 6, "all are INIT")
        self.assertEqual({entry["owner"].split()[0] for entry in daemon.status()["ledger"]}, {"ifdown"})
        self.set(scene, "a", "up")
        scene.wait(lambda: daemon.text().count("BACKUP -> MASTER") == 12, "all are MASTER again")
        self.assertEqual(daemon.status()["ledger"], [])


class SecondDaemonTests(SceneTestCase):
    """Two daemons on one host."""

    def test_the_second_one_refuses(self) -> None:
        """With one line, exit code 1, and without touching what the first one has made."""
        scene = self.scene(1)
        first = scene.daemon("a", configuration())
        scene.await_master("a")
        began = time.time()
        assert first.child is not None
        second = scene.hosts["a"].run(first.child.argv, log="second.log", env=environment())
        scene.wait(lambda: not second.running, "the second one has ended")
        self.assertEqual(second.process.returncode, 1)
        self.assertIn(f"another carptwist daemon runs on this host (process {first.child.process.pid})", second.text())
        scene.await_master("a", since=time.time())
        self.assertIsNone(scene.outage("192.0.2.1", began))
