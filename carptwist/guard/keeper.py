"""The daemon's side of its guard: a process is started, told what it must know, and started anew when it ends.

::

    start --> process --hello--> present:  wills go there, each renewed with its vhid's advertisements
                 |                  |
                 | ends by itself,  | ends, or answers no ping for 5 s; or somebody kills it, even before
                 | or says nothing  v
                 | for 5 s       another one is started at once, and told all there is
                 v
              lacking: whoever asked to be told is told why; another attempt in 1, 2, 4 ... 60 s

The socket between the two keeps messages apart and in order (SOCK_SEQPACKET). Nothing here ever waits for the guard:
one that does not take what it is sent is replaced.
"""

from __future__ import annotations

import fcntl
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.guard import process
from carptwist.interfaces import IGuard, Will

PROGRAM = Path(process.__file__)

PING_SECONDS = 1.0
#: A guard that says nothing for so long is replaced.
PATIENCE_SECONDS = 5.0
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
#: Guards in a row that end within PATIENCE_SECONDS and are replaced at once; to start processes without end would be
#: worse than to be without a guard for a moment.
MOST_SHORT_LIVES = 5
#: An orderly end takes a few milliseconds.
END_SECONDS = 2.0

#: Octets that wait for a guard, as the kernel counts them: the wills of 255 vhids, of many addresses each, at once.
_WAITING_LENGTH = 16 << 20
_SO_SNDBUFFORCE = 32
#: Others are numbered from 0; the kernel's table grows with the highest number, and select(2) takes no higher one.
_MOST_FILES = 1024
_LAST_FILES = 8
_MESSAGE_LENGTH = 4096


def closed_first(sock: socket.socket) -> socket.socket:
    """The same socket, under a number above those of all other files of this process.

    Of a process that was killed Linux closes the files with the highest numbers first, and each packet socket takes it
    some 8 ms: the guard would hear of the daemon's death 40 ms later.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if limit == resource.RLIM_INFINITY else min(limit, _MOST_FILES)
    try:
        number = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, max(0, most - _LAST_FILES))
    except OSError:
        return sock  # there is no room for another one
    sock.close()
    above = socket.socket(fileno=number)
    above.setblocking(False)
    return above


class _Entrusted:
    """A will that a guard has, or the next one will get."""

    def __init__(self, serial: int, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        self.serial = serial
        self.will = will
        self.until = until
        self.ended = ended
        self.spoken = False


@implementer(IGuard)
class GuardKeeper:
    """Keeps a guard alive, in the network namespace in which it is started.

    :param note: the file in which a guard says what it did when its daemon was gone. What a former one has said there
        is logged at the start.
    :param lacking: called with why there is no guard, and with None when there is one again.
    :param sweep: the rtnetlink(7) request that removes all devices of the daemon, if it has any.
    :param command: what is run, :data:`PROGRAM` in a daemon; the name of the note comes after it.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        note: Path,
        lacking: Callable[[str | None], object],
        sweep: bytes = b"",
        command: tuple[str, ...] = (sys.executable, "-I", "-S", "-E", str(PROGRAM)),
    ) -> None:
        self._reactor = reactor
        self._note = note
        self._lacking = lacking
        self._sweep = sweep
        self._command = command
        self._serial = 0
        self._entrusted: dict[str, _Entrusted] = {}
        self._process: _GuardProcess | None = None
        self._timer: IDelayedCall | None = None
        self._retry_seconds = RETRY_SECONDS
        self._short_lives = 0
        self._is_lacking = False
        self._running = False
        self._started: Deferred[None] | None = None
        self._ended: Deferred[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the guard, None while there is none."""
        return self._process.pid if self._process is not None else None

    # IGuard

    def start(self) -> Deferred[None]:
        self._read_note()
        self._running = True
        started = self._started = Deferred()
        self._spawn()
        return started

    def stop(self) -> Deferred[None]:
        self._running = False
        self._cancel()
        self._settle()
        guard = self._process
        if guard is None:
            return succeed(None)
        ended = self._ended = Deferred()
        guard.send(process.FAREWELL)
        self._timer = self._reactor.callLater(END_SECONDS, guard.kill)
        return ended

    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        self._serial += 1
        former = self._entrusted.get(name)
        entrusted = self._entrusted[name] = _Entrusted(self._serial, will, until, ended)
        entrusted.spoken = former is not None and former.spoken
        if self._process is not None and self._process.is_present:
            self._send_will(self._process, name, entrusted)

    def renew(self, name: str, until: float) -> None:
        entrusted = self._entrusted.get(name)
        if entrusted is None:
            return
        entrusted.until = until
        entrusted.spoken = True
        if self._process is not None and self._process.is_present:
            self._process.send(process.RENEW + process.RENEWAL.pack(entrusted.serial, self._in_boottime(until)))

    def forget(self, name: str) -> None:
        entrusted = self._entrusted.pop(name, None)
        if entrusted is not None and self._process is not None and self._process.is_present:
            self._process.send(process.FORGET + process.SERIAL.pack(entrusted.serial))

    # What the guard does

    def said(self, guard: _GuardProcess, kind: bytes, body: bytes) -> None:
        """A message of the guard."""
        if kind == process.HELLO:
            self._present(guard)
        elif kind == process.ENDED:
            serial, at = process.ENDING.unpack_from(body)
            why = body[process.ENDING.size :].decode()
            for name, entrusted in list(self._entrusted.items()):
                if entrusted.serial == serial:
                    del self._entrusted[name]
                    entrusted.ended(why, self._reactor.seconds() + (at - process.boottime()))
            self._forget_note()  # we are told

    def gone(self, guard: _GuardProcess, why: str) -> None:
        """The process has ended."""
        if guard is not self._process:
            return
        self._process = None
        self._cancel()
        self._forget_note()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended.callback(None)
        if not self._running:
            return
        if guard.is_present or (guard.was_killed and self._short_lives < MOST_SHORT_LIVES):
            self._log.warn("carp: the guard has ended ({why}): starting another", why=why)
            is_short = self._reactor.seconds() - guard.began < PATIENCE_SECONDS
            self._short_lives = self._short_lives + 1 if is_short else 0
            if self._short_lives <= MOST_SHORT_LIVES:
                self._spawn()
            else:
                self._timer = self._reactor.callLater(RETRY_SECONDS, self._spawn)
        else:
            self._fail(f"the guard does not start: {why}")

    def _present(self, guard: _GuardProcess) -> None:
        guard.is_present = True
        self._cancel()
        self._retry_seconds = RETRY_SECONDS
        guard.send(process.SWEEP + self._sweep)
        for name, entrusted in self._entrusted.items():
            self._send_will(guard, name, entrusted)
        self._ping(guard)
        if self._is_lacking:
            self._is_lacking = False
            self._log.info("carp: there is a guard again")
            self._lacking(None)
        self._settle()

    def _settle(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started.callback(None)

    def _spawn(self) -> None:
        self._timer = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        ours = closed_first(ours)
        with suppress(OSError):
            # Past net.core.wmem_max: a guard without CAP_SYS_NICE gets a processor when we have done.
            ours.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _WAITING_LENGTH // 2)
        guard = self._process = _GuardProcess(self._reactor, self, ours)
        try:
            self._reactor.spawnProcess(
                guard,
                self._command[0],
                [*self._command, str(self._note)],
                env={},
                path="/",
                childFDs={0: theirs.fileno(), 1: 2, 2: 2},
            )
        except OSError as error:
            guard.close()
            self._process = None
            self._fail(f"the guard cannot be started: {error}")
        else:
            self._timer = self._reactor.callLater(PATIENCE_SECONDS, guard.kill)
        finally:
            theirs.close()

    def _fail(self, why: str) -> None:
        self._log.warn("carp: {why}; next attempt in {seconds:g} s", why=why, seconds=self._retry_seconds)
        if not self._is_lacking:
            self._is_lacking = True
            self._lacking(why)
        self._timer = self._reactor.callLater(self._retry_seconds, self._spawn)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        self._settle()

    def _ping(self, guard: _GuardProcess) -> None:
        if self._reactor.seconds() - guard.heard_at > PATIENCE_SECONDS:
            if guard.pinged_at - guard.heard_at > PATIENCE_SECONDS - 2 * PING_SECONDS:
                self._log.warn("carp: the guard does not answer")
                guard.kill()
                return
            guard.heard_at = guard.pinged_at  # it was we who were away
        guard.pinged_at = self._reactor.seconds()
        guard.send(process.PING)
        self._timer = self._reactor.callLater(PING_SECONDS, self._ping, guard)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # Messages

    def _send_will(self, guard: _GuardProcess, name: str, entrusted: _Entrusted) -> None:
        will = entrusted.will
        header = process.WILL_HEADER.pack(
            entrusted.serial, self._in_boottime(entrusted.until), will.interface, len(will.farewell)
        )
        body = header + process.pack([name.encode(), *will.farewell, *will.requests])
        while len(body) > process.PIECE:
            guard.send(process.MORE + body[: process.PIECE])
            body = body[process.PIECE :]
        guard.send(process.WILL + body)
        if entrusted.spoken:
            guard.send(process.RENEW + process.RENEWAL.pack(entrusted.serial, self._in_boottime(entrusted.until)))

    def _in_boottime(self, moment: float) -> float:
        """A moment of the reactor's clock on the guard's."""
        return process.boottime() + (moment - float(self._reactor.seconds()))

    # The note

    def _read_note(self) -> None:
        with suppress(OSError):
            for line in self._note.read_text(errors="replace").splitlines():
                self._log.warn("carp: what the guard of a former daemon did: {line}", line=line)
            self._note.unlink()

    def _forget_note(self) -> None:
        with suppress(OSError):
            self._note.unlink()


@implementer(IReadDescriptor)
class _GuardProcess(ProcessProtocol):
    """One guard, and our end of the socket to it."""

    _log = Logger()

    def __init__(self, reactor: Any, keeper: GuardKeeper, sock: socket.socket) -> None:
        self.is_present = False
        self.was_killed = False  # by somebody else
        self._given_up = False
        self.began = self.heard_at = self.pinged_at = float(reactor.seconds())
        self._reactor = reactor
        self._keeper = keeper
        self._socket: socket.socket | None = sock
        reactor.addReader(self)

    @property
    def pid(self) -> int | None:
        return self.transport.pid if self.transport is not None else None

    def send(self, message: bytes) -> None:
        """Hand over a message at once; a guard that does not take it is ended."""
        if self._socket is None:
            return
        try:
            self._socket.send(message)
        except BlockingIOError:
            self._log.warn("carp: the guard does not listen")
            self.kill()
        except OSError as error:
            self._log.debug("carp: the guard: {error}", error=error)  # its end is about to be noticed

    def kill(self) -> None:
        """End it, whatever it does."""
        self._given_up = True
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess(signal.Signals.SIGKILL.name[3:])
        # Only now: while it lives, our end's being closed means to it that we are dead.
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        sock, self._socket = self._socket, None
        if sock is not None:
            self._reactor.removeReader(self)
            sock.close()

    # ProcessProtocol

    def processEnded(self, reason: Failure) -> None:
        self.was_killed = getattr(reason.value, "signal", None) is not None and not self._given_up
        self.close()
        self._keeper.gone(self, reason.getErrorMessage())

    # IReadDescriptor

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "carp guard"

    def doRead(self) -> None:
        while self._socket is not None:
            try:
                message = self._socket.recv(_MESSAGE_LENGTH)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended without having read all that we said; what it said last is still to come
            except OSError:
                message = b""
            if not message:
                self._hung_up()
                return
            self.heard_at = float(self._reactor.seconds())
            self._keeper.said(self, message[:1], message[1:])

    def connectionLost(self, reason: Failure) -> None:
        self._hung_up()

    def _hung_up(self) -> None:
        # It has ended, or is about to: only the end of the process counts. A reactor that was started without signal
        # handlers does not hear of that by itself.
        self.close()
        reapAllProcesses()
