"""Programs that mean ill, or nothing, at the control socket of a daemon that has elections to hold."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from itertools import pairwise

from carptwist.lab.scene import Scene
from tests.lab.support import PHRASE, SceneTestCase, environment

VHIDS = range(1, 101)
IDLE = 1000
HOSTILE = 100
SECONDS = 10.0
#: More than the machine itself was late: what the control protocol may delay an advertisement by.
ALLOWED_SECONDS = 0.1
MOST_MEGABYTES = 100

#: Each connection says its own kind of nonsense again and again, without reading an answer, and comes back when it was
#: disconnected.
_HOSTILE = """
import random, socket, sys, time
path, number, seconds, seed = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
random = random.Random(seed)

def box(*pairs):
    return b"".join(len(p).to_bytes(2, "big") + p for p in pairs) + bytes(2)

HELLO = box(b"_command", b"Hello", b"_ask", b"1", b"version", b"0", b"protocol", b"1")
STATUS = box(b"_command", b"Status", b"_ask", b"2", b"offset", b"0")
SAYINGS = [
    lambda: random.randbytes(random.randrange(1, 5000)),
    lambda: HELLO + STATUS * 500,
    lambda: b"\\0\\1k\\xff\\xff" + bytes(60000),
    lambda: b"".join(b"\\0\\4%04x\\0\\1x" % n for n in range(4000)),
    lambda: box(b"_command", b"StartTLS", b"_ask", b"1"),
    lambda: box(b"_answer", b"9"),
    lambda: HELLO + box(b"_command", b"Events", b"_ask", b"3", b"after", b"x" * 9000, b"most", b"1"),
    lambda: HELLO + box(b"_command", b"Subscribe", b"_ask", b"4") + STATUS,
    lambda: HELLO + box(b"_command", b"Ifconfig", b"_ask", b"5", b"interface", b"em0", b"words", random.randbytes(300)),
    lambda: HELLO[: random.randrange(len(HELLO))],
]
def connect():
    made = socket.socket(socket.AF_UNIX)
    made.setblocking(False)
    try:
        made.connect(path)
    except OSError:
        pass
    return made

connections = [connect() for _ in range(number)]
until = time.monotonic() + seconds
said = 0
while time.monotonic() < until:
    for index, connection in enumerate(connections):
        try:
            connection.send(SAYINGS[index % len(SAYINGS)]())
            said += 1
        except BlockingIOError:
            pass
        except OSError:
            connection.close()
            connections[index] = connect()
    time.sleep(0.005)
print(said)
"""


def resident_megabytes(pid: int) -> float:
    """The memory that a process holds."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class HostileTests(SceneTestCase):
    """A thousand that say nothing, a hundred that say anything."""

    def gaps(self, scene: Scene, since: float) -> list[tuple[float, float]]:
        """When each interval between two advertisements of a vhid ended, and how long it was."""
        found = []
        for vhid in VHIDS:
            heard = [each.at for each in scene.watcher.heard(vhid=vhid, since=since)]
            self.assertGreater(len(heard), SECONDS / 2, vhid)
            found += [(after, after - before) for before, after in pairwise(heard)]
        return found

    def test_the_elections_notice_nothing(self) -> None:
        """Every vhid keeps its beat and its state, an operator is answered, memory stays bounded, and the log short."""
        scene = self.scene(1, shared={}, pinged=[])
        sections = [
            f"[vhid {vhid}@em0]\naddress = 198.51.100.{vhid}/24\npass = {PHRASE}\nplane = none" for vhid in VHIDS
        ]
        daemon = scene.daemon("a", "\n".join(["[carp]", *sections]))
        daemon.expect("100@em0: BACKUP -> MASTER", 60)
        path = str(daemon.control_socket)
        assert daemon.child is not None
        before = resident_megabytes(daemon.child.process.pid)
        time.sleep(2)
        idle = [socket.socket(socket.AF_UNIX) for _ in range(IDLE)]
        for each in idle:
            self.addCleanup(each.close)
            each.connect(path)
        began = time.time()
        hostile = subprocess.Popen(
            [sys.executable, "-c", _HOSTILE, path, str(HOSTILE), str(SECONDS), "1"],
            env=environment(),
            stdout=subprocess.PIPE,
        )
        self.addCleanup(hostile.kill)
        answers = []
        while hostile.poll() is None:
            asked = time.monotonic()
            self.assertEqual({vhid["state"] for vhid in daemon.status()["vhids"]}, {"MASTER"})
            answers.append(time.monotonic() - asked)
        said, _ = hostile.communicate()
        self.assertGreater(int(said), 1000)
        self.assertGreater(len(answers), 2)
        for ended, gap in self.gaps(scene, began):
            self.assertLess(gap, 1.0 + ALLOWED_SECONDS + 2 * scene.uncertainty(ended))
        after = resident_megabytes(daemon.child.process.pid)
        self.assertLess(after - before, MOST_MEGABYTES)
        log = daemon.text()
        self.assertEqual(log.partition("Traceback")[2][:2000], "")
        self.assertEqual(log.count("MASTER -> "), 0)
        self.assertLess(log.count("carp: control:"), 60)
        daemon.stop()
