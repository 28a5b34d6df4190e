"""The daemon's side of its guard, with real guards."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock, deferLater
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from carptwist.guard import process
from carptwist.guard.keeper import (
    MOST_SHORT_LIVES,
    PATIENCE_SECONDS,
    PING_SECONDS,
    PROGRAM,
    RETRY_SECONDS,
    GuardKeeper,
    closed_first,
)
from carptwist.interfaces import IGuard, Will
from tests.contracts.guard import GuardContract, Step
from tests.guard.host import GuardedHost


class KeeperCase(GuardedHost):
    """A keeper whose guards are in ``here``."""

    def setUp(self) -> None:
        super().setUp()
        self.lacking: list[str | None] = []
        self._farewells: set[str] = set()

    def keeper(self, **options: Any) -> GuardKeeper:
        """Stopped at the end of the test."""
        keeper = GuardKeeper(reactor, note=self.note, lacking=self.lacking.append, **options)
        self.addCleanup(keeper.stop)
        return keeper

    def now(self) -> float:
        return float(reactor.seconds())  # type: ignore[attr-defined]

    def pass_time(self, seconds: float) -> Deferred[None]:
        return deferLater(reactor, seconds, lambda: None)  # type: ignore[arg-type]

    @inlineCallbacks
    def until(self, condition: Callable[[], bool], what: str) -> Generator[Deferred[Any], Any, None]:
        deadline = time.monotonic() + 20
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within 20 s: {what}")
            yield self.pass_time(0.01)


class KeptGuardTests(KeeperCase, GuardContract):
    """The contract, with a process."""

    def a_guard(self) -> IGuard:
        keeper = self.keeper()
        begin = keeper.start

        def start() -> Deferred[None]:
            with self.here.namespace:
                return begin()

        keeper.start = start  # type: ignore[method-assign]
        return keeper

    def a_will(self, name: str) -> Will:
        return self.will(name)

    def ended(self, name: str) -> bool:
        return not self.reachable(name)

    def farewells(self) -> set[str]:
        self.ear.setblocking(False)
        try:
            while True:
                self._farewells.add(self.heard())
        except BlockingIOError:
            return self._farewells


class _Guardless(Clock):
    """A reactor on which a guard is a socket, and a list of what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.guards: list[Any] = []

    def addReader(self, reader: object) -> None:
        pass

    removeReader = addReader

    def spawnProcess(self, guard: Any, *command: object, childFDs: dict[int, int], **named: object) -> None:
        self.end = socket.socket(fileno=os.dup(childFDs[0]))
        self.guards.append(guard)
        guard.makeConnection(self)

    pid = 7

    def signalProcess(self, name: str) -> None:
        try:
            self.done.append(f"{name}, {'hung up' if self.end.recv(1, socket.MSG_PEEK) == b'' else 'told something'}")
        except BlockingIOError:
            self.done.append(name)


class EndTests(SynchronousTestCase):
    """A guard that is ended by its daemon."""

    def test_killed_before_hung_up(self) -> None:
        """It never sees the socket closed: it would take its daemon for dead, and a healthy MASTER's addresses away."""
        clock = _Guardless()
        keeper = GuardKeeper(clock, note=Path("/nonexistent/note"), lacking=lambda why: None)
        keeper.start()
        self.addCleanup(clock.end.close)
        clock.advance(PATIENCE_SECONDS)
        self.assertEqual(clock.done, ["KILL"])
        self.assertEqual(clock.end.recv(1), b"")


#: Has a socket, as a daemon has one to its guard, a pipe that was there before, and packet sockets; waits to be killed.
_DAEMON = """
import os, socket, sys, time
from carptwist.guard.keeper import closed_first
guarded = closed_first(socket.socket(fileno=int(sys.argv[1])))
sockets = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in range(5)]
guarded.send(b"here")
time.sleep(100)
"""


class ClosedFirstTests(GuardedHost):
    """Of a daemon that is killed the guard hears before all else."""

    def test_the_order(self) -> None:
        """The kernel has not closed the other files then; packet sockets take it tens of milliseconds. On a busy
        machine we may look too late to see that, but never see the contrary."""
        for _ in range(20):
            first, *others = self.closed_at_first()
            self.assertEqual(first, "guarded")
            if not others:
                return
        self.fail("all files of a killed process seem to be closed at once")

    def closed_at_first(self) -> list[str]:
        """Of a daemon that is killed, what is seen to be closed at the first look."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reader, writer = os.pipe()
        with ours, open(reader), self.here.namespace:
            with theirs, open(writer, "w"):
                killed = subprocess.Popen(
                    [sys.executable, "-c", _DAEMON, str(theirs.fileno())],
                    pass_fds=(theirs.fileno(),),
                    stdout=writer,  # a number below those of all sockets
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
                )
            self.assertEqual(ours.recv(10), b"here")
            killed.kill()
            ready = select.poll()
            names = {ours.fileno(): "guarded", reader: "another"}
            for number in names:
                ready.register(number, select.POLLIN)
            seen = sorted((names[number] for number, _ in ready.poll(20_000)), key=["guarded", "another"].index)
            killed.wait()
        return seen

    def test_without_room(self) -> None:
        """Where a process may have a few files only it stays as it is, or comes as far up as it may."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        first, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(other.close)
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, limits[1]))
        first = closed_first(first)
        self.assertGreater(first.fileno(), 480)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        self.addCleanup(first.close)
        self.assertIs(closed_first(first), first)
        other.send(b"x")
        self.assertEqual(first.recv(10), b"x")
        self.assertRaises(BlockingIOError, first.recv, 10)


class ShortLivesTests(SynchronousTestCase):
    """Guards that end as soon as they are there."""

    def test_one_a_second(self) -> None:
        """After a few that were replaced at once: the daemon does not start processes without end."""
        clock = _Guardless()
        keeper = GuardKeeper(clock, note=Path("/nonexistent/note"), lacking=lambda why: None)
        keeper.start()
        for _ in range(MOST_SHORT_LIVES + 1):
            self.end(clock)
        self.assertEqual(len(clock.guards), 1 + MOST_SHORT_LIVES)
        clock.advance(RETRY_SECONDS)
        self.assertEqual(len(clock.guards), 2 + MOST_SHORT_LIVES)
        # One that lasts has the next one replaced at once again.
        for _ in range(int(PATIENCE_SECONDS) + 1):
            clock.end.send(process.HELLO if not clock.guards[-1].is_present else process.PONG)
            clock.guards[-1].doRead()
            clock.advance(PING_SECONDS)
        self.end(clock)
        self.assertEqual(len(clock.guards), 3 + MOST_SHORT_LIVES)
        clock.guards[-1].close()
        clock.end.close()

    def end(self, clock: _Guardless) -> None:
        """The guard says that it is there, and ends."""
        clock.end.send(process.HELLO)
        guard = clock.guards[-1]
        guard.doRead()
        clock.end.close()
        guard.processEnded(Failure(ProcessDone(0)))


class ReplacementTests(KeeperCase):
    """A guard that ends is replaced."""

    @inlineCallbacks
    def test_killed(self) -> Step:
        """Another one is there at once, and knows what the former one knew; nobody is demoted for that."""
        keeper = self.keeper()
        with self.here.namespace:
            yield keeper.start()
            first = keeper.pid
            assert first is not None
            keeper.entrust("1@em0", self.will(), self.now() + 2, lambda *_: None)
            keeper.renew("1@em0", self.now() + 2)
        os.kill(first, signal.SIGKILL)
        with self.here.namespace:
            yield self.until(lambda: keeper.pid not in (None, first), "another guard")
        self.assertEqual(self.lacking, [])
        yield self.until(lambda: not self.reachable(), "the second guard carries the will out")
        self.assertEqual(self.heard(), "1@em0")

    @inlineCallbacks
    def test_killed_as_it_starts(self) -> Step:
        """Nor is that a host that cannot have a guard."""
        script = (
            "import os, sys, time\nopen(sys.argv[1] + '.began', 'a').write('x')\n"
            "if os.stat(sys.argv[1] + '.began').st_size < 3: os.kill(os.getpid(), 9)\n"
            f"os.execv(sys.executable, [sys.executable, '-I', '-S', {str(PROGRAM)!r}, sys.argv[1]])\n"
        )
        keeper = self.keeper(command=(sys.executable, "-c", script))
        yield keeper.start()
        self.assertEqual(self.lacking, [])
        self.assertIsNotNone(keeper.pid)

    @inlineCallbacks
    def test_killed_whenever_it_starts(self) -> Step:
        """After a few attempts it is one: something on this host does not want it."""
        began = self.here.directory / "began"
        script = f"import os\nopen({str(began)!r}, 'a').write('x')\nos.kill(os.getpid(), 9)\n"
        keeper = self.keeper(command=(sys.executable, "-c", script))
        yield keeper.start()
        self.assertEqual(began.read_text(), "x" * (1 + MOST_SHORT_LIVES))
        self.assertEqual(len(self.lacking), 1)
        self.assertIn("signal 9", str(self.lacking[0]))

    @inlineCallbacks
    def test_cannot_be_started(self) -> Step:
        """Whoever asked is told why, and told when there is one again."""
        ready = self.here.directory / "ready"
        script = (
            f"import os, sys\nif not os.path.exists({str(ready)!r}): sys.exit(3)\n"
            f"os.execv(sys.executable, [sys.executable, '-I', '-S', {str(PROGRAM)!r}, sys.argv[1]])\n"
        )
        keeper = self.keeper(command=(sys.executable, "-c", script))
        yield keeper.start()
        self.assertEqual(len(self.lacking), 1)
        self.assertIn("exit code 3", str(self.lacking[0]))
        ready.touch()
        yield self.until(lambda: self.lacking[-1] is None, "there is a guard")
        self.assertEqual(len(self.lacking), 2)

    @inlineCallbacks
    def test_one_that_hangs(self) -> Step:
        """A guard that does not answer any more is replaced."""
        keeper = self.keeper()
        yield keeper.start()
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        yield self.until(lambda: keeper.pid not in (None, first), "another guard")
        self.assertRaises(ProcessLookupError, os.kill, first, 0)

    @inlineCallbacks
    def test_volley(self) -> Step:
        """A host becomes MASTER of 255 vhids while its guard has no processor: all is told, and it stays the guard."""
        keeper = self.keeper()
        with self.here.namespace:
            yield keeper.start()
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        whole = self.will()
        large = Will(whole.requests * 64, whole.interface, whole.farewell * 2)
        for number in range(255):
            keeper.entrust(f"{number}@em0", large, self.now() + 60, lambda *_: None)
            keeper.renew(f"{number}@em0", self.now() + 60)
        os.kill(first, signal.SIGCONT)
        told: list[tuple[str, float]] = []
        keeper.entrust("last", self.will(), self.now() - 1, lambda *ended: told.append(ended))
        yield self.until(lambda: bool(told), "the last of them is known, and carried out")
        self.assertEqual(keeper.pid, first)

    @inlineCallbacks
    def test_note(self) -> Step:
        """What a guard did after its daemon's death is in the next daemon's log, once."""
        self.note.write_text("2026-01-01T00:00:00 carp: guard: 1@em0: the daemon has ended\n")
        logged: list[str] = []
        observer = lambda event: logged.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        keeper = self.keeper()
        yield keeper.start()
        self.assertTrue(any("1@em0: the daemon has ended" in line for line in logged), logged)
        self.assertFalse(self.note.exists())

    @inlineCallbacks
    def test_no_process_is_left(self) -> Step:
        """After stop, not even a dead one."""
        keeper = self.keeper()
        yield keeper.start()
        pid = keeper.pid
        assert pid is not None
        yield keeper.stop()
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
