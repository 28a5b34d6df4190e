"""The check that is a command: its exit code says.

::

    spawn, aside --> /bin/sh, which becomes the command, in a session of its own
       |--- pipe of stdout and stderr --> the beginning is kept, the rest thrown away, slowly if there is much of it
       +--- pidfd, readable when it has ended --> exit code, 0 is good

Rules that this file keeps:

- No thread waits for a command: two hundred that hang cost two hundred entries of the reactor.
- The reactor does not wait until one is loaded: a thread does, which starts it and ends.
- At the timeout the process group is killed. A process that even so does not end is not joined by another one.
- What is over is gone at once. Left to the garbage collector, the remains of a thousand commands stop everything for a
  tenth of a second.
- A flood of output is read at a trickle: it stands still in the pipe, and the reactor does not.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.aside import aside
from carptwist.checks.health import Result
from carptwist.output import PAUSE_SECONDS, Output
from carptwist.spawning import Spawned, observed

_log = Logger()


class CommandProbe:
    """Runs a command.

    :param reactor: one that waits for descriptors.
    """

    def __init__(self, reactor: Any, words: Sequence[str], variables: dict[str, str]) -> None:
        self._reactor = reactor
        self._words = words
        self._variables = variables
        self._run: _Run | None = None

    @property
    def busy(self) -> bool:
        """Whether a process of the last run is still there."""
        return self._run is not None and not self._run.ended

    def __call__(self) -> Deferred[Result]:
        if self.busy:
            return succeed(Result(False, "killed, but has not ended"))
        self._run = _Run(self._reactor, self._words, {**os.environ, **self._variables})
        return self._run.begin()


class _Run:
    """One command at work. ``ended``: no process of it is left to be waited for."""

    def __init__(self, reactor: Any, words: Sequence[str], environment: dict[str, str]) -> None:
        self.ended = False
        self._reactor = reactor
        self._words = words
        self._environment = environment
        self._wanted: Deferred[Result] | None = None
        self._process: Spawned | None = None

    def begin(self) -> Deferred[Result]:
        """Start it. What is returned may be cancelled: then it is killed."""
        wanted: Deferred[Result] = Deferred(lambda _: self._kill())
        self._wanted = wanted
        aside(self._reactor, self._start, "carptwist starts a check").addCallbacks(self._started, self._not_started)
        return wanted

    def _start(self) -> Spawned:
        """On a thread."""
        process = observed(self._words, self._environment)
        if self._wanted is None:  # perhaps the reactor has ended, and nobody is told
            os.killpg(process.pid, signal.SIGKILL)
        return process

    def _started(self, process: Spawned) -> None:
        self._process = process
        self._end = _Readable(self._reactor, process.end, self._ended)
        self._output = _Listening(self._reactor, process.output)
        if self._wanted is None:
            self._kill()

    def _not_started(self, failure: Failure) -> None:
        self.ended = True
        if failure.check(OSError, ValueError):
            self._tell(Result(False, f"could not be started: {failure.getErrorMessage()}"))
        else:
            self._tell(failure)

    def _kill(self) -> None:
        self._wanted = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._output.close()

    def _ended(self) -> None:
        assert self._process is not None
        pid, status = os.waitpid(self._process.pid, os.WNOHANG)
        if pid == 0:
            return  # not yet
        self._end.close()
        self.ended = True
        said = self._output.close()
        code = os.waitstatus_to_exitcode(status)
        self._tell(Result(code == 0, _told(code), said))

    def _tell(self, result: Result | Failure) -> None:
        wanted, self._wanted = self._wanted, None  # whoever cancels it knows of this, which is to be gone when it ends
        if wanted is not None:
            wanted.callback(result)


def _told(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"exit code {code}"


@implementer(IReadDescriptor)
class _Readable:
    """Calls ``ready`` whenever a descriptor may be readable, until it is closed.

    A reactor takes a volley of events from the kernel, each told by the number of its descriptor. A descriptor that is
    closed on behalf of one of them, and opened by somebody else at once, would get an event that was not meant for it.
    So the number is given back in the next turn; and whoever is told that it is lost looks for itself.
    """

    def __init__(self, reactor: Any, descriptor: int, ready: Callable[[], object]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._ready = ready
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody writes any more, or so the reactor believes; it has removed this."""
        self._ready()
        if self._descriptor >= 0:
            self._reactor.callLater(0, self._return)

    def logPrefix(self) -> str:
        return "carptwist check"

    def _return(self) -> None:
        if self._descriptor >= 0:
            self._reactor.addReader(self)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            self._reactor.callLater(0, os.close, self._descriptor)
            self._descriptor = -1
            self._ready = _nothing


def _nothing() -> None:
    """It is over."""


class _Listening:
    """What a command says, read whenever there is something."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._output = Output(descriptor)
        self._pause: IDelayedCall | None = None
        self._pipe = _Readable(reactor, descriptor, self._read)

    def close(self) -> str:
        """Read no more than what there is already; the beginning of it all."""
        if self._pipe.fileno() >= 0:
            self._output.take()
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
        self._pipe.close()
        return str(self._output)

    def _read(self) -> None:
        if not self._output.take():
            self._pipe.close()  # nobody can write any more
        elif self._output.is_full:
            self._reactor.removeReader(self._pipe)
            self._pause = self._reactor.callLater(PAUSE_SECONDS, self._reactor.addReader, self._pipe)
