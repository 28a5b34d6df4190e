"""Twisted programs on the hosts of a scene, and a client that asks them for something all the time."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from carptwist.lab.children import Child
from carptwist.lab.scene import SHARED4, Scene
from tests.lab import asker
from tests.lab.support import SceneTestCase, environment

PORT = 8000
EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "twisted"
_TWISTD = "from twisted.scripts.twistd import run; run()"


class Request(NamedTuple):
    """One that is over: see :mod:`tests.lab.asker`."""

    began: float
    connected: float | None
    ended: float
    text: str | None
    error: str | None


class Asker:
    """The client, at work from the start on.

    :param protocol: ``http``, ``udp``, ``tcp`` or ``mail``.
    """

    def __init__(self, scene: Scene, protocol: str = "http") -> None:
        # By its file: it needs nothing of ours.
        words = [sys.executable, str(asker.__file__), SHARED4, str(PORT), protocol]
        self._child = scene.client.run(words, log=f"asker-{protocol}.log")

    def requests(self) -> list[Request]:
        """All that are over, in the order in which they began."""
        lines = self._child.text().split("\n")[:-1]
        return sorted(Request(**json.loads(line)) for line in lines)

    def answered(self, since: float = 0.0) -> list[Request]:
        """Those that were answered."""
        return [each for each in self.requests() if each.text is not None and each.began >= since]

    def last_text(self) -> str | None:
        """What the last one was answered."""
        answered = self.answered()
        return answered[-1].text if answered else None

    def lost(self) -> list[Request]:
        """Those that a server had let in, and did not answer."""
        return [each for each in self.requests() if each.connected is not None and each.text is None]

    def gap(self, since: float) -> tuple[float, float]:
        """The longest time between two answers, the second of which came after a moment; and when that one came."""
        ends = sorted(each.ended for each in self.answered())
        gaps = [(after - before, after) for before, after in pairwise(ends) if after >= since]
        return max(gaps, default=(0.0, 0.0))


class Programs:
    """Starts Twisted programs on the hosts of a scene."""

    def twist(self, scene: Scene, name: str, *words: str) -> Child:
        """Run ``twist WORDS`` in a host."""
        return scene.hosts[name].run(
            [sys.executable, "-m", "twisted", "--log-format=text", *words],
            log="twist.log",
            env={"PYTHONPATH": environment()["PYTHONPATH"]},
        )

    def python(self, scene: Scene, name: str, program: Path, *words: str) -> Child:
        """Run a Python program in a host."""
        return scene.hosts[name].run(
            [sys.executable, str(program), *words],
            log=f"{program.stem}.log",
            env={"PYTHONPATH": environment()["PYTHONPATH"], "PYTHONUNBUFFERED": "1"},
        )

    def twistd(self, scene: Scene, name: str, program: Path, *, log: str | None = None, **env: str) -> Child:
        """``twistd -n -y PROGRAM`` in a host, with this environment."""
        return scene.hosts[name].run(
            # Without relying on any program in PATH.
            [sys.executable, "-c", _TWISTD, "-n", "-y", str(program), "--pidfile="],
            log=log or f"{program.stem}.log",
            env={"PYTHONPATH": environment()["PYTHONPATH"], **env},
        )

    def control(self, scene: Scene, name: str) -> str:
        """Where the daemon of a host listens."""
        return f"{scene.hosts[name].directory}/control.sock"

    def serve_names(self, scene: Scene, names: str = "ab", *, more: Sequence[str] = ()) -> dict[str, Child]:
        """``twist web`` on hosts, with a page that says which one it is. ``more`` words are its."""
        served = {}
        for name in names:
            site = scene.hosts[name].directory / "site"
            site.mkdir()
            (site / "who").write_text(name)
            listen = rf"carp:1@em0:tcp\:{PORT}\:interface={SHARED4}:control={self.control(scene, name)}"
            served[name] = self.twist(scene, name, "web", "--listen", listen, "--path", str(site), *more)
        return served


class TwistedTestCase(Programs, SceneTestCase):
    """A scene with Twisted programs on its hosts."""
