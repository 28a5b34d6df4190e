"""``twistd carp`` as a user meets it: what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from carptwist.lab.daemon import Daemon
from tests.lab.support import Scene, SceneTestCase, adopt_orphans, configuration, drop_capabilities, environment

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "carp"]
SAMPLE = Path(__file__).parents[2] / "conf" / "carp.ini"


def twistd(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*TWISTD, *words], env=environment(), capture_output=True, text=True, timeout=60, check=False, **options
    )


class TwistdTests(SceneTestCase):
    """Start and end."""

    def test_a_bad_configuration_is_refused_as_a_whole(self) -> None:
        """Every error with its place, on standard error, and exit code 2."""
        path = self.scene(1).lab.directory / "bad.ini"
        path.write_text("[carp]\nprempt = yes\n[vhid 1@em0]\naddress = 192.0.2.1/24\npass = x\nadvskew = 300\n")
        ended = twistd("--config", str(path))
        self.assertEqual(ended.returncode, 2)
        self.assertIn(f"{path}:2: [carp] prempt", ended.stderr)
        self.assertIn("preempt", ended.stderr)
        self.assertIn(f"{path}:6: [vhid 1@em0] advskew = 300: must be 0 to 254", ended.stderr)

    def test_a_missing_configuration(self) -> None:
        """Is named."""
        ended = twistd("--config", "/nowhere/carp.ini")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("/nowhere/carp.ini", ended.stderr)

    def test_without_privileges(self) -> None:
        """One line says which are missing, and exit code 1."""
        path = self.scene(1).lab.directory / "carp.ini"
        path.write_text(configuration())
        ended = twistd("--config", str(path), preexec_fn=drop_capabilities)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("CAP_NET_RAW and CAP_NET_ADMIN", ended.stderr)

    def test_the_sample_on_a_host_without_its_interfaces(self) -> None:
        """One clear line names the interfaces that there are, and the daemon waits."""
        scene = self.scene(1, shared={}, pinged=[])
        text = SAMPLE.read_text().replace("em0", "em7").replace("em1", "em8")
        text = text.replace("/run/carptwist/", "/run/carptwist-lab/").replace(
            "/var/lib/carptwist", "/run/carptwist-lab/state"
        )
        daemon = scene.daemon("a", text)
        daemon.expect("carp: waiting for interfaces em7, em8: this host has lo, em0")
        self.assertEqual(daemon.text().count("waiting for"), 1)
        daemon.stop()

    def test_an_interface_that_appears_is_used(self) -> None:
        """And one that goes away is waited for again."""
        scene = self.scene(1)
        host = scene.hosts["a"]
        route = host.namespace.route
        index = host.index("em0")
        route.link("set", index=index, state="down")
        route.link("set", index=index, ifname="later")
        daemon = scene.daemon("a", configuration())
        daemon.expect("carp: waiting for interface em0: this host has lo, later")
        daemon.expect("carp: demoted by 240 to 240 (no interface em0)")
        route.link("set", index=index, ifname="em0", state="up")
        route.addr("add", index=index, address="2001:db8::2", prefixlen=64)
        scene.await_master("a")
        route.link("set", index=index, state="down")
        daemon.expect("MASTER -> INIT (interface down em0)")
        route.link("set", index=index, ifname="gone")
        route.link("set", index=index, ifname="em0", state="up")
        route.addr("add", index=index, address="2001:db8::2", prefixlen=64)
        scene.await_master("a")


class DaemonisedTests(SceneTestCase):
    """Without ``-n`` twistd goes on in a process of its own, in the background."""

    def launch(self, scene: Scene) -> int:
        """Start the daemon of a; gives the process that it goes on in."""
        host, daemon = scene.hosts["a"], self.daemon
        words = ["--pidfile", str(self.pidfile), "--logfile", str(self.logfile), "carp", "--config"]
        python = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        launched = host.run([*python, *words, str(daemon.configuration)], log="launch.log", env=environment())
        self.assertEqual(launched.wait(), 0, launched.tail())
        scene.wait(self.pidfile.exists, "there is a pid file")
        number = int(self.pidfile.read_text())
        self.assertNotEqual(number, launched.pid)
        return number

    def parent(self, number: int) -> int:
        """Of which process a process is a child."""
        status = Path(f"/proc/{number}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("PPid:")).split()[1])

    def reap(self, scene: Scene, number: int) -> int:
        """Wait until an orphan has ended, as init does; gives its exit code."""
        statuses: list[int] = []

        def ended() -> bool:
            child, status = os.waitpid(number, os.WNOHANG)
            statuses.append(status)
            return child == number

        scene.wait(ended, f"process {number} has ended")
        return os.waitstatus_to_exitcode(statuses[-1])

    def test_a_daemon_in_the_background(self) -> None:
        """Its guard is its own child, outlives the launch, and ends its vhids when it is killed; the next one finds the
        pid file of a dead process, and starts all the same; and SIGTERM is an orderly end."""
        adopt_orphans(True)
        self.addCleanup(adopt_orphans, False)
        scene = self.scene()
        host = scene.hosts["a"]
        self.daemon = Daemon(host, configuration())
        self.pidfile, self.logfile = host.directory / "carp.pid", host.directory / "twistd.log"
        first = self.launch(scene)
        scene.await_master("a")
        (guard,) = self.daemon.guards()
        self.assertEqual(self.parent(guard), first)
        scene.daemon("b", configuration(advskew=100))
        self.await_backup(scene, "b")
        self.assertEqual(self.daemon.guards(), [guard])
        killed = time.time()
        os.kill(first, signal.SIGKILL)
        scene.await_master("b", since=killed)
        self.assert_brief(scene, killed)
        self.assertEqual(self.reap(scene, first), -signal.SIGKILL)
        self.assertEqual(self.reap(scene, guard), 0)
        self.assertTrue(any(each.bows_out for each in scene.watcher.heard("a", since=killed)))
        back = time.time()
        second = self.launch(scene)
        self.assertNotEqual(second, first)
        scene.await_master("a", since=back)
        self.await_backup(scene, "b")
        self.assertIn("what the guard of a former daemon did: ", self.logfile.read_text())
        (guard,) = self.daemon.guards()
        self.assertEqual(self.parent(guard), second)
        stopped = time.time()
        os.kill(second, signal.SIGTERM)
        scene.await_master("b", since=stopped)
        self.assert_brief(scene, stopped)
        self.assertEqual(self.reap(scene, second), -signal.SIGTERM)
        self.assertEqual(self.daemon.guards(), [])
        self.assertFalse(self.pidfile.exists())
        self.assertEqual(host.interfaces(), ["lo", "em0"])
        self.assertEqual(len([each for each in scene.watcher.heard("a", since=stopped) if each.bows_out]), 2)
        self.assertEqual(self.logfile.read_text().count("carp: guard: "), 1)  # in what the former one did
