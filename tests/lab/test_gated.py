"""The example of a gated scheduler on two hosts: one of them works."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

from carptwist.integration.gated import SETTLE_SECONDS
from carptwist.lab.children import Child
from carptwist.lab.scene import Scene
from tests.lab.support import environment
from tests.lab.twisted_support import TwistedTestCase

EXAMPLE = Path(__file__).parents[2] / "conf" / "examples" / "twisted" / "scheduler.py"
#: Without relying on any program in PATH.
_TWISTD = "from twisted.scripts.twistd import run; run()"


class SchedulerTests(TwistedTestCase):
    """It works on the master alone."""

    def start(self) -> Scene:
        scene = self.scene()
        self.start_pair(scene)
        self.programs = {name: self.scheduler(scene, name) for name in "ab"}
        scene.wait(lambda: len(self.works("a")) > 3, "a works")
        return scene

    def scheduler(self, scene: Scene, name: str) -> Child:
        return scene.hosts[name].run(
            [sys.executable, "-c", _TWISTD, "-n", "-y", str(EXAMPLE), "--pidfile="],
            log="scheduler.log",
            env={"PYTHONPATH": environment()["PYTHONPATH"], "SCHEDULER_CONTROL": self.control(scene, name)},
        )

    def works(self, name: str) -> list[float]:
        """When a host worked."""
        return [float(found) for found in re.findall(r"worked at ([\d.]+)", self.programs[name].text())]

    def test_an_orderly_stop(self) -> None:
        """a's work has ended before b has been told, and b's begins."""
        scene = self.start()
        self.assertEqual(self.works("b"), [])
        scene.daemons["a"].stop()
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        farewell = next(each for each in scene.watcher.advertisements if each.host == "a" and each.interval > 255)
        self.assertLess(max(self.works("a")), farewell.at)
        self.assertGreater(min(self.works("b")), farewell.at + SETTLE_SECONDS)

    def test_preemption(self) -> None:
        """What is preempted has ended before its successor begins."""
        scene = self.start()
        scene.daemons["a"].stop()
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        began = time.time()
        scene.daemons["a"].start()
        scene.wait(lambda: self.works("a")[-1] > began, "a works again")
        again = min(at for at in self.works("a") if at > began)
        self.assertLess(max(self.works("b")), again)

    def test_a_daemon_that_is_killed(self) -> None:
        """Takes the right to work with it, though the program lives."""
        scene = self.start()
        killed = time.time()
        scene.daemons["a"].kill()
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        self.assertLess(max(self.works("a")), killed + 0.5)
        self.assertTrue(self.programs["a"].running)

    def test_a_daemon_that_hangs(self) -> None:
        """Is not believed for longer than the others wait."""
        scene = self.start()
        daemon = scene.daemons["a"].child
        assert daemon is not None
        daemon.signal(signal.SIGSTOP)
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        self.assertLess(max(self.works("a")), min(self.works("b")))
