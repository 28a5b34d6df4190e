"""One command, run to its end or to its timeout, with the process group that it has made.

::

    observed --> a session of its own
       |--- pipe of stdout and stderr --> the beginning is kept, the rest thrown away, slowly if there is much of it
       +--- pidfd, readable when it has ended --> exit code

It blocks, and so belongs on a thread. Neither a flood of output nor a child that keeps the pipe open holds anybody up,
or costs more than the little that is kept.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from carptwist.output import PAUSE_SECONDS, Output
from carptwist.spawning import observed


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
    try:
        process = _Process(words, {**os.environ, **variables})
    except (OSError, ValueError) as error:
        return Outcome(None, False, 0.0, str(error))
    timed_out = not process.ends(began + timeout_seconds)
    code, text = process.close()
    return Outcome(code, timed_out, time.monotonic() - began, text)


class _Process:
    """A command at work, until :meth:`close`."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self._pid, self._end, self._pipe = observed(words, environment)
        self._output = Output(self._pipe)

    def ends(self, until: float) -> bool:
        """Whether it has ended by then, in seconds of the monotonic clock; what it says meanwhile is read."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        poll.register(self._pipe, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            ready = [descriptor for descriptor, _ in poll.poll(math.ceil(1000 * left))]
            if self._end in ready:
                return True
            if self._pipe in ready:
                if not self._output.take():
                    poll.unregister(self._pipe)  # nobody can write any more
                elif self._output.is_full:
                    time.sleep(PAUSE_SECONDS)  # a flood stands still in the pipe
        return False

    def close(self) -> tuple[int, str]:
        """Kill it, if it has not ended; -> its exit code, and the beginning of what it has said."""
        code = self._kill()
        self._output.take()
        os.close(self._end)
        os.close(self._pipe)
        return code, str(self._output)

    def _kill(self) -> int:
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid == 0:
            os.killpg(self._pid, signal.SIGKILL)
            _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)
