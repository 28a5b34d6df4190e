"""The check that is a command: its exit code says.

::

    Popen --> /bin/sh, which becomes the command, in a session of its own
       |--- pipe of stdout and stderr --> the beginning is kept, the rest thrown away, slowly if there is much of it
       +--- pidfd, readable when it has ended --> exit code, 0 is good

Rules that this file keeps:

- No thread waits: two hundred commands that hang cost two hundred entries of the reactor.
- Python starts a process by vfork(2), which stops the whole interpreter until the program is loaded, on whatever
  thread. So what is loaded there is /bin/sh, which is always at hand; the command, on a disk that perhaps does not
  answer, is loaded by the child.
- At the timeout the process group is killed. A process that even so does not end is not joined by another one.
- A flood of output is read at a trickle: it stands still in the pipe, and the reactor does not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.checks.health import Result

#: Octets of output that are kept for the log.
KEPT_OUTPUT = 2000
#: Octets that are read at a time, and, at the latest after so many, the seconds between two reads.
CHUNK = 2**16
PAUSE_SECONDS = 0.01

_log = Logger()


class CommandProbe:
    """Runs a command.

    :param reactor: one that waits for descriptors.
    """

    def __init__(self, reactor: Any, words: Sequence[str], variables: dict[str, str]) -> None:
        self._reactor = reactor
        self._words = ["/bin/sh", "-c", 'exec "$@"', "sh", *words]
        self._variables = variables
        self._run: _Run | None = None

    @property
    def busy(self) -> bool:
        """Whether a process of the last run is still there."""
        return self._run is not None and not self._run.ended

    def __call__(self) -> Deferred[Result]:
        if self.busy:
            return succeed(Result(False, "killed, but has not ended"))
        try:
            self._run = _Run(self._reactor, self._words, self._variables)
        except (OSError, ValueError) as error:
            return succeed(Result(False, f"could not be started: {error}"))
        return self._run.result


class _Run:
    """One command at work. ``ended``: no process of it is left to be waited for."""

    def __init__(self, reactor: Any, words: Sequence[str], variables: dict[str, str]) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(writing, True)
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, **variables},
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.ended = False
        self.result: Deferred[Result] = Deferred(lambda _: self._kill())
        self._end = _Readable(reactor, os.pidfd_open(self._process.pid), self._ended)
        self._output = _Output(reactor, reading)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._output.close()

    def _ended(self) -> None:
        code = self._process.poll()
        if code is None:
            return  # not yet
        self._end.close()
        self.ended = True
        said = self._output.close()
        if not self.result.called:
            self.result.callback(Result(code == 0, _told(code), said))


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


class _Output:
    """What a command says: the beginning of it."""

    def __init__(self, reactor: Any, descriptor: int) -> None:
        self._reactor = reactor
        self._kept = bytearray()
        self._unread = 0
        self._pause: IDelayedCall | None = None
        self._pipe = _Readable(reactor, descriptor, self._read)

    def close(self) -> str:
        """Read no more than what there is already; the beginning of it all."""
        if self._pipe.fileno() >= 0:
            self._take()
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
        self._pipe.close()
        return self._kept.decode(errors="replace").strip()

    def _read(self) -> None:
        if not self._take():
            self._pipe.close()  # nobody can write any more
        elif len(self._kept) >= KEPT_OUTPUT:
            self._reactor.removeReader(self._pipe)
            self._pause = self._reactor.callLater(PAUSE_SECONDS, self._reactor.addReader, self._pipe)

    def _take(self) -> bool:
        """Read once. Whether more may come."""
        try:
            octets = os.read(self._pipe.fileno(), CHUNK)
        except BlockingIOError:
            return True
        self._kept += octets[: KEPT_OUTPUT - len(self._kept)]
        return bool(octets)
