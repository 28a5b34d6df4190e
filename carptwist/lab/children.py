"""A process that the lab has started in one of its hosts: it dies with the lab, whatever happens to that."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from carptwist.lab.namespaces import LabError, NetworkNamespace, die_with


class Child:
    """One started command. Start it with :meth:`carptwist.lab.host.Host.run`, from a thread that lives as long as
    the lab does: the kernel kills the child when that thread ends.

    ``log`` is the file that its output goes to, both stdout and stderr; None where the caller takes it elsewhere.
    """

    def __init__(
        self,
        namespace: NetworkNamespace,
        name: str,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        cwd: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        own_session: bool = True,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.log = log
        # Where this one's output begins in a log that it shares with its predecessors, in octets.
        self._begin = log.stat().st_size if log is not None and log.exists() else 0
        self._read = 0
        alive, mine = os.pipe()
        output: IO[bytes] | None = log.open("ab") if log is not None else None
        try:
            with namespace:
                self.process: subprocess.Popen[bytes] = subprocess.Popen(
                    self.argv,
                    cwd=cwd,
                    env=None if env is None else dict(env),
                    stdin=stdin,
                    stdout=output or stdout,
                    stderr=subprocess.STDOUT if output is not None else stderr,
                    start_new_session=own_session,
                    # Nothing in here takes a lock, as a thread that was not forked along might hold it.
                    preexec_fn=lambda: die_with(alive, mine),
                )
        except OSError as error:
            raise LabError(f"{name}: {self.argv[0]} cannot be started: {error.strerror}") from error
        finally:
            os.close(alive)
            os.close(mine)
            if output is not None:
                output.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait_for_ever(self) -> int:
        """Its exit code, however long that takes; an interrupt is noticed at once.

        A signal that comes just before a blocking waitpid(2) does not end that. With a limit, Python asks from time to
        time instead.
        """
        return self.process.wait(timeout=threading.TIMEOUT_MAX)

    def wait(self, limit: float = 30.0) -> int:
        """Its exit code, negative for the number of the signal that ended it.

        :raises LabError: if it has not ended within ``limit`` seconds.
        """
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: {self.argv[0]} has not ended within {limit:g} s\n{self.tail()}") from None

    def stop(self, limit: float = 30.0) -> int:
        """Ask it to end in good order (SIGTERM), and wait for that."""
        self.signal(signal.SIGTERM)
        return self.wait(limit)

    def kill(self) -> None:
        """End it with SIGKILL, and reap it. Nothing happens where it has ended."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def text(self) -> str:
        """All that it has written to its log."""
        if self.log is None or not self.log.exists():
            return ""
        return self.log.read_bytes()[self._begin :].decode(errors="replace")

    def new_lines(self) -> list[str]:
        """The whole lines of its log that this has not returned before."""
        fresh = self.text()[self._read :]
        fresh = fresh[: fresh.rfind("\n") + 1]
        self._read += len(fresh)
        return fresh.splitlines()

    def tail(self, lines: int = 30) -> str:
        """The end of its log, for a message that says what went wrong."""
        last = self.text().splitlines()[-lines:]
        return "\n".join([f"--- the last {len(last)} lines of {self.name} ---", *last])

    def expect(self, words: str, limit: float = 30.0) -> None:
        """Wait until its log contains ``words``.

        :raises LabError: if it ends without, or ``limit`` seconds pass; with the end of the log.
        """
        deadline = time.monotonic() + limit
        while words not in self.text():
            ended = not self.running
            if ended and words in self.text():
                return
            if ended:
                raise LabError(f"{self.name} ended with {self.process.returncode} before {words!r}\n{self.tail()}")
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not say {words!r} within {limit:g} s\n{self.tail()}")
            time.sleep(0.02)
