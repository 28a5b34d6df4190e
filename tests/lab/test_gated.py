"""The example of a gated scheduler on two hosts: one of them works."""

from __future__ import annotations

import re
import signal
import time

from carptwist.integration.gated import SETTLE_SECONDS
from carptwist.lab.children import Child
from carptwist.lab.scene import Scene
from tests.lab.twisted_support import EXAMPLES, TwistedTestCase

#: Until a's next advertisement has been heard, and acted upon: a's interval is a second.
HEALING_SECONDS = 2.0


class SchedulerTests(TwistedTestCase):
    """It works on the master alone."""

    def start(self) -> Scene:
        scene = self.scene()
        self.programs = {name: self.scheduler(scene, name) for name in "ab"}
        self.start_pair(scene)
        scene.wait(lambda: len(self.works("a")) > 3, "a works")
        self.assertEqual(self.works("b"), [])
        return scene

    def scheduler(self, scene: Scene, name: str, log: str = "scheduler.log") -> Child:
        return self.twistd(scene, name, EXAMPLES / "scheduler.py", log=log, SCHEDULER_CONTROL=self.control(scene, name))

    def works(self, name: str) -> list[float]:
        """When a host worked."""
        return [float(found) for found in re.findall(r"worked at ([\d.]+)", self.programs[name].text())]

    def test_an_orderly_stop_and_preemption(self) -> None:
        """a's work has ended before b has been told, and b's begins; b's before that of a, which has preempted it."""
        scene = self.start()
        scene.daemons["a"].stop()
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        farewell = next(each for each in scene.watcher.advertisements if each.host == "a" and each.interval > 255)
        self.assertLess(max(self.works("a")), farewell.at)
        self.assertGreater(min(self.works("b")), farewell.at + SETTLE_SECONDS)
        began = time.time()
        scene.daemons["a"].start()
        scene.wait(lambda: self.works("a")[-1] > began, "a works again")
        again = min(at for at in self.works("a") if at > began)
        self.assertLess(max(self.works("b")), again)

    def test_a_daemon_that_is_killed(self) -> None:
        """Takes the right to work with it, though the programs live: that of one which stood still as well, when it
        goes on after another host has taken over."""
        scene = self.start()
        self.programs["stopped"] = self.scheduler(scene, "a", log="stopped.log")
        scene.wait(lambda: len(self.works("stopped")) > 3, "it works")
        self.programs["stopped"].signal(signal.SIGSTOP)
        killed = time.time()
        scene.daemons["a"].kill()
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        self.programs["stopped"].signal(signal.SIGCONT)
        self.programs["stopped"].expect("the services of 1@em0 do not run here any more")
        for name in ("a", "stopped"):
            self.assertLess(max(self.works(name)), killed + 0.5, name)
        self.assertTrue(self.programs["a"].running)

    def test_a_daemon_that_hangs(self) -> None:
        """Is not believed for longer than the others wait."""
        scene = self.start()
        daemon = scene.daemons["a"].child
        assert daemon is not None
        daemon.signal(signal.SIGSTOP)
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        self.assertLess(max(self.works("a")), min(self.works("b")))

    def test_a_host_that_is_cut_off(self) -> None:
        """Works as the other one does: that is the split. Once they hear one another again there is one."""
        scene = self.start()
        cut = time.time()
        scene.lan.isolate(scene.hosts["a"])
        scene.wait(lambda: len(self.works("b")) > 3, "b works")
        self.assertGreater(min(self.works("b")), cut + SETTLE_SECONDS)
        self.assertGreater(self.works("a")[-1], time.time() - 1)
        scene.lan.heal(scene.hosts["a"])
        healed = time.time()
        self.programs["b"].expect("the services of 1@em0 do not run here any more")
        scene.wait(lambda: self.works("a")[-1] > healed + HEALING_SECONDS, "a goes on")
        self.assertLess(max(self.works("b")), healed + HEALING_SECONDS + scene.uncertainty(max(self.works("b"))))
