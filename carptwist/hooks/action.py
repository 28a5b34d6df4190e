"""One command, run to its end or to its timeout, with the process group that it has made.

It blocks, and so belongs on a thread. Output goes to a file without a name, so that neither a flood of it nor a child
that keeps it open can hold anybody up; the beginning is kept for the log.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

#: Octets of output that are kept.
KEPT_OUTPUT = 2000


class Outcome(NamedTuple):
    """How a command ended. ``code`` is its exit code, negative for a signal, None where it could not be started.

    ``output`` is the beginning of what it wrote, or why it could not be started.
    """

    code: int | None
    timed_out: bool
    seconds: float
    output: str

    @property
    def succeeded(self) -> bool:
        return self.code == 0 and not self.timed_out

    def __str__(self) -> str:
        if self.code is None:
            return f"could not be started: {self.output}"
        if self.timed_out:
            return f"killed after {self.seconds:.1f} s"
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"


def run(words: Sequence[str], variables: Mapping[str, str], timeout_seconds: float) -> Outcome:
    """Run a command in a session of its own; at the timeout its whole process group is killed.

    ``variables`` are added to the environment.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, **variables},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Outcome(None, False, 0.0, str(error))
        timed_out = False
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        text = output.read(KEPT_OUTPUT).decode(errors="replace").strip()
        return Outcome(process.returncode, timed_out, time.monotonic() - began, text)
