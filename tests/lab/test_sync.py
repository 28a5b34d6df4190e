"""A program that synchronises state tables beside real daemons."""

from __future__ import annotations

import socket

from carptwist.lab.scene import Scene
from tests.lab.support import LabError, SceneTestCase, configuration


class SyncTests(SceneTestCase):
    """a is preferred, but only while its tables are in sync."""

    def configuration(self, name: str, advskew: int) -> str:
        sync = f"[sync states]\nunix = /run/carptwist-lab/{name}/sync.sock\nstartup = 3600\n"
        return configuration(advskew=advskew, more=sync)

    def say(self, scene: Scene, name: str, *lines: str, connection: socket.socket | None = None) -> list[str]:
        """What a program on a host is answered."""
        with connection or self.connect(scene, name) as spoken:
            spoken.sendall("".join(f"{line}\n" for line in lines).encode())
            with spoken.makefile() as heard:
                return [heard.readline().strip() for _ in lines]

    def connect(self, scene: Scene, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(scene.hosts[name].directory / "sync.sock"))
        return connection

    def test_a_host_is_not_preferred_while_it_synchronises(self) -> None:
        """b serves while a's tables are empty, a when they are in sync, b again while a updates in bulk."""
        scene = self.scene()
        scene.daemon("b", self.configuration("b", 100))
        scene.await_master("b")
        self.assertEqual(self.say(scene, "b", "done states"), ["ok 0"])
        scene.daemon("a", self.configuration("a", 0))
        a = scene.daemons["a"]
        a.expect("carp: demoted by 240 to 240 (sync states: not in sync since the start)")
        scene.wait(lambda: a.status()["vhids"][0]["received"] > 3, "a has heard b, and leaves it be")
        scene.await_backup("a")
        self.assertEqual(self.say(scene, "a", "done states"), ["ok 0"])
        scene.await_master("a")
        held = self.connect(scene, "a")
        self.assertEqual(self.say(scene, "a", "begin states", connection=held), ["ok 240"])
        scene.await_master("b")
        # Its connection is lost by now, which is not a "done".
        entry = a.status()["ledger"][0]
        self.assertEqual((entry["owner"], entry["value"]), ("sync states", 240))
        self.assertEqual(entry["reason"], "sync states: bulk update, its holder has gone")
        self.assertIsNotNone(entry["expires"])
        self.assertEqual(self.say(scene, "a", "fail states"), ["ok 0"])
        scene.await_master("a")

    def test_carpctl(self) -> None:
        """The same from a script, whose connection ends at once; a name that is not there is refused."""
        scene = self.scene(1, pinged=[])
        a = scene.daemon("a", self.configuration("a", 0))
        scene.await_master("a")
        self.assertEqual(a.carpctl("sync", "done", "states"), "demotion: 0\n")
        self.assertEqual(a.carpctl("sync", "begin", "states"), "demotion: 240\n")
        entry = a.status()["ledger"][0]
        self.assertEqual(entry["reason"], "sync states: bulk update, its holder has gone")
        self.assertEqual(a.carpctl("sync", "fail", "states"), "demotion: 0\n")
        with self.assertRaisesRegex(LabError, "no \\[sync tables\\] here: there is states"):
            a.carpctl("sync", "begin", "tables")
