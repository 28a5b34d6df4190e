"""A real daemon in a host: ``twistd carp`` with a configuration of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from carptwist.lab.children import Child
from carptwist.lab.host import Host
from carptwist.lab.namespaces import LabError

#: Configurations for the lab name files below this directory; the lab's own, temporary one takes its place, so that
#: two labs at a time never meet. Every host has a directory of its own name in there.
LAB_DIRECTORY = "/run/carptwist-lab"

# Without relying on any program in PATH.
_TWISTD = ["-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
_CARPCTL = [sys.executable, "-c", "import sys; from carptwist.tools.carpctl import main; sys.exit(main())"]

_SOCKET = re.compile(r"^\[control\]$[^\[]*?^unix\s*=\s*(\S+)\s*$", re.MULTILINE)


class Daemon:
    """The daemon of one host, which can be started, stopped, killed and started again.

    ``configuration`` is the text of a carp.ini, in which ``/run/carptwist-lab`` stands for the lab's directory. The
    logs of all its runs are in the host's ``carp.log``.
    """

    def __init__(self, host: Host, configuration: str) -> None:
        self.host = host
        self.child: Child | None = None
        #: What is run instead of the daemon, and is to run it: ``setpriv --reuid=...``.
        self.before: list[str] = []
        self.python = sys.executable
        self.environment: dict[str, str] = {}
        self.configuration = host.directory / "carp.ini"
        self.configure(configuration)

    def configure(self, configuration: str) -> None:
        """Give it another configuration file; it reads it when it is started, or told to."""
        host = self.host
        text = configuration.replace(LAB_DIRECTORY, str(host.directory.parent))
        if "[control]" not in text:
            text += f"\n[control]\nunix = {host.directory}/control.sock\n"
        if not re.search(r"^state_dir\s*=", text, re.MULTILINE):
            text = re.sub(r"^\[carp\]$", f"[carp]\nstate_dir = {host.directory}/state", text, flags=re.MULTILINE)
        found = _SOCKET.search(text)
        self.control_socket = Path(found[1]) if found else None
        # It holds pass phrases.
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(text)

    def hang_up(self) -> None:
        """Have it read its configuration again, by SIGHUP; it is not yet done when this returns."""
        self._started().signal(signal.SIGHUP)

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.running

    def start(self) -> Child:
        """Start it; it is not yet up when this returns: see :meth:`expect`."""
        if self.running:
            raise LabError(f"the daemon of {self.host.name} runs already")
        self.child = self.host.run(
            [*self.before, self.python, *_TWISTD, "carp", "--config", str(self.configuration)],
            log="carp.log",
            env={"PYTHONPATH": _python_path(), "PYTHONUNBUFFERED": "1", **self.environment},
        )
        return self.child

    def stop(self, limit: float = 30.0) -> None:
        """End it in good order.

        :raises LabError: if it does not end, or not with exit code 0.
        """
        child = self._started()
        code = child.stop(limit)
        # twistd ends a daemon that a signal has stopped by that same signal.
        if code not in (0, -signal.SIGTERM):
            raise LabError(f"the daemon of {self.host.name} ended with {code}\n{child.tail()}")

    def kill(self) -> None:
        """End it with SIGKILL. Its guard notices."""
        self._started().kill()

    def kill_with_guard(self) -> None:
        """End it and its guard at once, as the kernel does with a whole control group."""
        guards = self.guards()
        for guard in guards:
            _signal(guard, signal.SIGSTOP)
        self._started().kill()
        for guard in guards:
            _signal(guard, signal.SIGKILL)

    def guards(self) -> list[int]:
        """The process numbers of the guards that its runs have left, or have now, as this process may signal them."""
        note = str(self.host.directory / "state" / "guard-").encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if note in (entry / "cmdline").read_bytes():
                        found.append(_number_here(entry))
        return found

    def expect(self, words: str, limit: float = 30.0) -> None:
        """Wait until it has logged ``words`` since it was started last.

        :raises LabError: if it ends without, or ``limit`` seconds pass; with the end of its log.
        """
        self._started().expect(words, limit)

    def text(self) -> str:
        """All that it has logged since it was started last."""
        return self._started().text()

    def tail(self) -> str:
        return self.child.tail() if self.child is not None else f"--- {self.host.name} was never started ---"

    def carpctl(self, *words: str) -> str:
        """What ``carpctl WORDS`` prints.

        :raises LabError: if it refuses.
        """
        if self.control_socket is None:
            raise LabError(f"the daemon of {self.host.name} has no control socket")
        child = self.host.run(
            [*_CARPCTL, "--socket", str(self.control_socket), *words],
            env={"PYTHONPATH": _python_path()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            answer, complaint = child.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            raise LabError(f"carpctl {' '.join(words)} in {self.host.name} has not ended within 30 s") from None
        if child.process.returncode != 0:
            raise LabError(f"carpctl {' '.join(words)} in {self.host.name}: {complaint.decode().strip()}")
        return answer.decode()

    def status(self) -> dict[str, Any]:
        """What ``carpctl status --json`` says."""
        status: dict[str, Any] = json.loads(self.carpctl("status", "--json"))
        return status

    def _started(self) -> Child:
        if self.child is None:
            raise LabError(f"the daemon of {self.host.name} was never started")
        return self.child


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _number_here(entry: Path) -> int:
    """The number of a process in our own process namespace, which /proc may not be of: the innermost that it is in."""
    line = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-1])


def _python_path() -> str:
    """What this process imports from, so that a daemon runs the same code from another directory."""
    return os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
