"""The daemon as systemd runs it: told by the socket in $NOTIFY_SOCKET, as a user of its own with two capabilities."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from carptwist.lab.daemon import Daemon
from carptwist.lab.namespaces import LabError
from carptwist.lab.scene import SHARED4, Scene
from tests.lab.support import SceneTestCase, configuration, environment

_TWO = "-all,+net_admin,+net_raw"

#: Makes what it runs keep these two capabilities alone, and get no other ones.
CONFINED = ["setpriv", f"--bounding-set={_TWO}", f"--inh-caps={_TWO}", f"--ambient-caps={_TWO}", "--no-new-privs"]
NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups"]
_BITS = 1 << 12 | 1 << 13


def nobodys_python() -> str | None:
    """A Python of this version that another user can run, with all that a daemon imports; None where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with contextlib.suppress(OSError):
            # setpriv(1) itself still has what it takes to run anything.
            tried = [*CONFINED, *NOBODY, "--", "/bin/sh", "-c", 'exec "$0" "$@"']
            tried += [python, "-c", "import carptwist.service, carptwist.system"]
            if subprocess.run(tried, env=environment(), cwd="/", capture_output=True, check=False).returncode == 0:
                return python
    return None


class Heard:
    """systemd's end of the socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def expect(self, line: str, limit: float = 30.0) -> None:
        """Wait for a line that has not been waited for yet, and forget those before it."""
        deadline = time.monotonic() + limit
        before = []
        while line not in self._lines:
            before += self._lines
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                self._lines = self._socket.recv(4096).decode().split("\n")
            except TimeoutError:
                raise LabError(f"systemd was not told {line} within {limit:g} s, but {before}") from None
        del self._lines[: self._lines.index(line) + 1]

    def nothing_for(self, seconds: float) -> bool:
        """Whether nothing comes that has not been sent yet, for so long."""
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


class NotifyTests(SceneTestCase):
    def supervised(self, scene: Scene, text: str) -> tuple[Daemon, Heard]:
        """The daemon of a, started by a systemd that wants a heartbeat in each 0.4 s."""
        host = scene.hosts["a"]
        systemd = Heard(host.directory / "notify")
        self.addCleanup(systemd.close)
        daemon = scene.daemons["a"] = Daemon(host, text)
        daemon.environment = {"NOTIFY_SOCKET": str(systemd.path), "WATCHDOG_USEC": "400000"}
        daemon.start()
        return daemon, systemd

    def test_a_life(self) -> None:
        """Ready when it can be asked; its state when that changes; heartbeats; a reload from its beginning to its end;
        and the end. Hooks are told nothing of systemd."""
        scene = self.scene(1)
        hook = "[hook environment]\naction = sh -c env\ntype = MASTER\n"
        daemon, systemd = self.supervised(scene, configuration(more=hook))
        systemd.expect("READY=1")
        self.assertEqual(daemon.status()["host"], socket.gethostname())  # it is there, at once
        systemd.expect("STATUS=1 vhid: 1 MASTER")
        for _ in range(3):
            systemd.expect("WATCHDOG=1")
        daemon.expect("hook environment: 1@em0 MASTER: exit code 0")
        self.assertNotIn("NOTIFY_SOCKET", daemon.text())
        began = time.monotonic()
        daemon.hang_up()
        systemd.expect("RELOADING=1")
        systemd.expect("READY=1")
        self.assertLess(time.monotonic() - began, 30)
        daemon.expect("1 of 1 vhids unchanged")
        daemon.configuration.write_text("[carp]\nnonsense = yes\n")
        daemon.hang_up()
        systemd.expect("RELOADING=1")
        systemd.expect("READY=1")
        daemon.expect("refused, nothing is changed")
        daemon.stop()
        systemd.expect("STOPPING=1")

    def test_a_daemon_that_stands_still(self) -> None:
        """Sends no heartbeat; when it runs again it does."""
        scene = self.scene(1)
        daemon, systemd = self.supervised(scene, configuration())
        systemd.expect("WATCHDOG=1")
        child = daemon.child
        assert child is not None
        child.signal(signal.SIGSTOP)
        scene.wait(lambda: "T (stopped)" in Path(f"/proc/{child.pid}/status").read_text(), "it is stopped")
        self.assertTrue(systemd.nothing_for(1.0))
        child.signal(signal.SIGCONT)
        systemd.expect("WATCHDOG=1")

    def test_a_start_that_fails(self) -> None:
        """Is not called ready."""
        scene = self.scene(1)
        first, _ = self.supervised(scene, configuration())
        first.expect("INIT -> BACKUP")
        (scene.hosts["a"].directory / "notify").unlink()
        second, systemd = self.supervised(scene, configuration())
        assert second.child is not None
        self.assertEqual(second.child.wait(), 1)
        with self.assertRaises(LabError):
            systemd.expect("READY=1", limit=0.1)
        first.stop()


class ConfinedTests(SceneTestCase):
    def test_a_user_of_its_own(self) -> None:
        """With CAP_NET_ADMIN and CAP_NET_RAW alone, and as another user than root, it serves, sets and restores the
        kernel's settings, reloads, cleans up after a predecessor, and has a guard."""
        scene = self.scene(2)
        python = nobodys_python()
        scene.lab.directory.chmod(0o755)
        for name, advskew in (("a", 0), ("b", 100)):
            host = scene.hosts[name]
            for scope in ("all", "em0"):
                host.namespace.sysctl(f"ipv4.conf.{scope}.rp_filter", 1)
            daemon = scene.daemons[name] = Daemon(host, configuration(advskew=advskew))
            daemon.before = [*CONFINED, *(NOBODY if python is not None else []), "--"]
            daemon.python = python or sys.executable
            if python is not None:
                for path in (host.directory, daemon.configuration):
                    os.chown(path, 65534, 65534)
            daemon.start()
        scene.await_master("a")
        scene.await_backup("b")
        a, host = scene.daemons["a"], scene.hosts["a"]
        self.assert_confined(a, other_user=python is not None)
        self.assertEqual(host.namespace.sysctl("ipv4.conf.em0.rp_filter"), "2")
        a.hang_up()
        a.expect("1 of 1 vhids unchanged")
        began = time.time()
        a.kill()
        scene.await_master("b", since=began)
        outage = scene.outage(SHARED4, began)
        self.assertLess(0 if outage is None else outage.seconds, 2.0)  # its guard has bowed out for it
        a.start()
        a.expect("removed what a former daemon had left behind")
        scene.await_master("a")
        for daemon in scene.daemons.values():
            daemon.stop()
        self.assertEqual(host.namespace.sysctl("ipv4.conf.em0.rp_filter"), "1")
        self.assertEqual(scene.leftovers(), [])

    def assert_confined(self, daemon: Daemon, *, other_user: bool) -> None:
        assert daemon.child is not None
        status = Path(f"/proc/{daemon.child.pid}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines())
        for kind in ("CapPrm", "CapEff", "CapBnd"):
            self.assertEqual(int(fields[kind], 16), _BITS, kind)
        self.assertEqual(fields["NoNewPrivs"], "1")
        self.assertEqual(fields["Uid"].split()[0] != "0", other_user)
