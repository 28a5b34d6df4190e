"""What the tests with real daemons have in common.

::

    class TakesOver(SceneTestCase):
        def test_crash(self) -> None:
            scene = self.scene()
            self.start_pair(scene)          # a is MASTER, b is BACKUP, the client is served
            began = time.time()
            self.crash(scene, "a")
            scene.await_master("b", since=began)
            self.assert_timely(scene, gone="a", advskew=100, since=began)

Whatever a scene has seen is judged by the rules of :mod:`carptwist.lab.rules` at the end of the test.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from carptwist.lab.namespaces import LabError
from carptwist.lab.scene import SHARED4, SHARED6, Scene

_libc = ctypes.CDLL(None, use_errno=True)

PHRASE = "mekmitasdigoat"

#: The most that a takeover takes beyond the protocol's own timeout, where this machine has nothing else to do; half of
#: several may be held to it anywhere.
USUAL_SECONDS = 0.05
#: What any single one is allowed, besides what :meth:`Scene.uncertainty` has measured: whatever goes wrong costs
#: another timeout, of seconds.
ALLOWED_SECONDS = 0.2


def configuration(
    *,
    advskew: int = 0,
    advbase: int = 1,
    preempt: bool = True,
    vhid: int = 1,
    addresses: Iterable[str] = (f"{SHARED4}/24", f"{SHARED6}/64"),
    phrase: str = PHRASE,
    knobs: Iterable[str] = (),
    more: str = "",
) -> str:
    """The text of a carp.ini: one virtual host on em0. ``knobs`` are further lines of [carp], ``more`` ends it.

    The state directory and the control socket are each host's own: :class:`carptwist.lab.daemon.Daemon` adds them.
    """
    return "\n".join(
        [
            "[carp]",
            f"preempt = {'yes' if preempt else 'no'}",
            *knobs,
            f"[vhid {vhid}@em0]",
            "address = " + "\n          ".join(addresses),
            f"pass = {phrase}",
            f"advbase = {advbase}",
            f"advskew = {advskew}",
            more,
            "",
        ]
    )


class SceneTestCase(unittest.TestCase):
    """A test with scenes: they end with it, and nothing that must never be on the wire may have been there."""

    def scene(self, hosts: int = 2, *, judged: bool = True, **options: Any) -> Scene:
        """A new scene for this test. One that is not ``judged`` may break the rules."""
        opened = contextlib.ExitStack()
        self.addCleanup(opened.close)
        scene = opened.enter_context(Scene(hosts, **options))
        if judged:
            self.addCleanup(self._judge, scene)
        return scene

    def _judge(self, scene: Scene) -> None:
        self.assertEqual(scene.offences(), [], "\n".join(daemon.tail() for daemon in scene.daemons.values()))

    def start_pair(self, scene: Scene, a: str | None = None, b: str | None = None) -> None:
        """Start the daemons of a and b, and wait until a serves and b waits for its death.

        The interpreter of b starts when a listens: without ``preempt`` whoever is first by more than the difference of
        their timeouts stays.
        """
        scene.daemon("a", a if a is not None else configuration(advskew=0)).expect("INIT -> BACKUP")
        scene.daemon("b", b if b is not None else configuration(advskew=100))
        scene.await_master("a")
        self.await_backup(scene, "b")

    def await_backup(self, scene: Scene, name: str) -> None:
        """Wait until a host is BACKUP and has heard the master at least once since."""
        scene.await_backup(name)

    def crash(self, scene: Scene, name: str) -> None:
        """A host dies: its daemon and its guard by SIGKILL, and its link at once."""
        scene.daemons[name].kill_with_guard()
        scene.lan.cut(scene.hosts[name])

    def recover(self, scene: Scene, name: str) -> None:
        """A crashed host comes back: first its daemon, which removes what the killed one has left, then its link."""
        scene.daemons[name].start()
        scene.wait(
            lambda: scene.hosts[name].interfaces(only_up=True) == ["lo", "em0"],
            f"{name} has cleaned up after its predecessor",
        )
        # Before it listens its kernel complains of what it is sent.
        scene.daemons[name].expect("carp: control starting")
        scene.daemons[name].status()
        scene.lan.heal(scene.hosts[name])

    def assert_timely(
        self, scene: Scene, *, gone: str, since: float, advbase: int = 1, advskew: int = 100
    ) -> list[float]:
        """A takeover from a host that is gone without a word took as long as the timeout of the successor, whose
        ``advbase`` and ``advskew`` are given, counted from the last advertisement, and little more. Gives by how many
        seconds more, for each address, without what this machine took."""
        bound = 3 * advbase + advskew / 256 if advbase else 3 * advskew / 256
        last = [scene.watcher.last(gone, family=family) for family in (4, 6)]
        heard = min(each.at for each in last if each is not None)
        heard_late = scene.uncertainty(heard)
        excess = []
        for address in map(str, scene.prober.addresses):
            outage = scene.outage(address, since)
            assert outage is not None
            assert outage.first_reply is not None
            taken = outage.first_reply - heard
            late = heard_late + scene.uncertainty(outage.first_reply, heard + bound)
            self.assertGreaterEqual(taken, bound, address)
            self.assertLessEqual(taken, bound + ALLOWED_SECONDS + late, f"{address}, on a machine late by {late:.3f} s")
            excess.append(taken - bound - late)
        return excess

    def assert_brief(self, scene: Scene, since: float, limit: float = ALLOWED_SECONDS) -> None:
        """No address was without an answer for longer than ``limit`` seconds."""
        for address in map(str, scene.prober.addresses):
            outage = scene.outage(address, since)
            if outage is not None:
                late = scene.uncertainty(outage.last_lost)
                self.assertLessEqual(outage.seconds, limit + late, f"{address}: {outage}")

    def assert_caches(self, scene: Scene) -> None:
        """The client has the virtual MAC for all shared addresses."""
        self.assertEqual(scene.wrong_caches(), [])


_PR_SET_CHILD_SUBREAPER = 36
_PR_CAPBSET_DROP = 24
_CAP_SETFCAP = 31


def drop_capabilities() -> None:
    """For ``preexec_fn``: still root, but after exec(2) without any capability, as in a container, but for the one that
    the kernel wants of a root who becomes root of a user namespace (user_namespaces(7))."""
    for capability in range(64):
        if capability != _CAP_SETFCAP:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def adopt_orphans(adopt: bool) -> None:
    """Whether what children of this process leave behind becomes its child, and not that of init, which in a container
    may not reap it."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def become_nobody() -> None:
    """For ``preexec_fn``: another user altogether."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def unprivileged_pythons() -> list[tuple[str, Callable[[], None] | None]]:
    """The ways to run a Python of this version without any right over the network, by its path and ``preexec_fn``: as
    we are, where that is nobody; else root without capabilities, and another user, where that one can read it all."""
    if os.geteuid() != 0:
        return [(sys.executable, None)]
    ways: list[tuple[str, Callable[[], None] | None]] = [(sys.executable, drop_capabilities)]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                [candidate, "-c", "import carptwist.tools.lab, twisted"],
                preexec_fn=become_nobody,
                env=environment(),
                cwd="/",
                check=True,
                capture_output=True,
            )
            ways.append((candidate, become_nobody))
            break
    return ways


def environment() -> dict[str, str]:
    """The environment in which another Python imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)}


def processes_with(token: str) -> list[str]:
    """The command lines of all processes of this machine that contain a token."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if token in line:
                    found.append(line)
    return found


__all__ = [
    "ALLOWED_SECONDS",
    "PHRASE",
    "USUAL_SECONDS",
    "LabError",
    "Scene",
    "SceneTestCase",
    "adopt_orphans",
    "configuration",
    "drop_capabilities",
    "environment",
    "processes_with",
    "unprivileged_pythons",
]
