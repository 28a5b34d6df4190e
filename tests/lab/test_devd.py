"""The stream of events and the manual page's script, with real daemons and real readers."""

from __future__ import annotations

import contextlib
import shutil
import stat
import sys
from pathlib import Path

from carptwist.lab.children import Child
from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase, configuration

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "notify"

#: A program as users write them: it connects, reads to the end, and prints what it gets.
READER = """
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as pipe:
    pipe.connect(sys.argv[1])
    for line in pipe.makefile():
        print(line, end="", flush=True)
print("the end", flush=True)
"""


def read(scene: Scene, name: str, pipe: Path, log: str) -> Child:
    """A reader in a host, which is connected when this returns."""
    before = scene.daemons[name]
    scene.wait(pipe.exists, f"{before.host.name} listens")
    reader = scene.hosts[name].run([sys.executable, "-c", READER, str(pipe)], log=log)
    sockets = Path(f"/proc/{reader.pid}/fd")

    def connected() -> bool:
        # One descriptor beyond the three standard ones would do before connect(2) too: the kernel's table tells more.
        inodes = set()
        for link in sockets.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it opens and closes others meanwhile
                inodes.add(link.readlink().name)
        table = Path(f"/proc/{reader.pid}/net/unix").read_text().splitlines()
        return any(f"socket:[{row.split()[6]}]" in inodes and row.split()[5] == "03" for row in table[1:])

    scene.wait(connected, "the reader is connected")
    return reader


class StreamTests(SceneTestCase):
    """``[devd]``."""

    def test_a_reader_sees_a_takeover_and_the_way_back(self) -> None:
        """Exactly the changes, in order, up to the INIT of the end, after which the socket is gone."""
        scene = self.scene()
        pipe = scene.hosts["b"].directory / "devd.pipe"
        stream = f"[devd]\nunix = {pipe}\n"
        self.start_pair(scene, b=configuration(advskew=100, more=stream))
        self.assertEqual(stat.S_IMODE(pipe.stat().st_mode), 0o666)
        reader = read(scene, "b", pipe, "read.log")
        self.crash(scene, "a")
        scene.await_master("b")
        self.recover(scene, "a")
        scene.await_master("a")
        self.await_backup(scene, "b")
        scene.daemons["b"].stop()
        self.assertEqual(reader.wait(), 0)
        self.assertEqual(
            reader.text().splitlines(),
            [
                "!system=CARP subsystem=1@em0 type=MASTER",
                "!system=CARP subsystem=1@em0 type=BACKUP",
                "!system=CARP subsystem=1@em0 type=INIT",
                "the end",
            ],
        )
        self.assertFalse(pipe.exists())

    def test_a_daemon_that_was_killed_leaves_nothing_in_the_way(self) -> None:
        """Its successor listens on the same path."""
        scene = self.scene(1)
        pipe = scene.hosts["a"].directory / "devd.pipe"
        daemon = scene.daemon("a", configuration(advskew=100, more=f"[devd]\nunix = {pipe}\n"))
        scene.await_master("a")
        daemon.kill()
        self.assertTrue(pipe.exists())
        daemon.start()
        daemon.expect("1@em0: INIT -> BACKUP")
        daemon.status()
        reader = read(scene, "a", pipe, "read.log")
        reader.expect("!system=CARP subsystem=1@em0 type=MASTER")

    def test_a_socket_that_cannot_be_made_stops_nothing(self) -> None:
        """The log says so, and the addresses are served."""
        scene = self.scene(1)
        daemon = scene.daemon("a", configuration(more="[devd]\nunix = /proc/devd.pipe\n"))
        daemon.expect("carp: cannot listen on the devd socket /proc/devd.pipe: ")
        scene.await_master("a")


class ExampleTests(SceneTestCase):
    """conf/examples/notify."""

    def test_the_script_is_called_with_subsystem_and_type(self) -> None:
        """With nothing changed but the paths; never for INIT, which the regular expression leaves out."""
        scene = self.scene(1)
        directory = scene.hosts["a"].directory
        script, pipe = directory / "carpcontrol.sh", directory / "devd.pipe"
        shutil.copy(EXAMPLES / "carpcontrol.sh", script)
        text = (EXAMPLES / "carp.ini").read_text()
        self.assertEqual(text.count("/root/carpcontrol.sh"), 1)
        text = text.replace("/root/carpcontrol.sh", str(script)) + f"unix = {pipe}\n"
        daemon = scene.daemon("a", "[carp]\n" + text)
        daemon.expect("carp: hook carpcontrol: 1@em0 MASTER: exit code 0: serving 1@em0")
        scene.await_master("a")  # the hook may have been before its first word
        daemon.stop()
        told = [line.partition("carp: hook ")[2] for line in daemon.text().splitlines() if "carp: hook " in line]
        self.assertEqual(
            told,
            [
                "carpcontrol: 1@em0 BACKUP: exit code 0: standing by for 1@em0",
                "carpcontrol: 1@em0 MASTER: exit code 0: serving 1@em0",
            ],
        )
