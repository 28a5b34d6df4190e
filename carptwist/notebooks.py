"""Files that remember what a restart must not forget, written on a thread of their own.

::

    STATE_DIR/replay/1@em0       one file for each name, mode 0600
    STATE_DIR/replay/1@em0.new   its replacement, while it is being written
    STATE_DIR/recorder/flight    what the flight recorder writes

Disks make one wait, a full or a failing one for seconds: no advertisement may wait for that. One thread is
enough, and keeps what is read and written in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.interfaces import INotebook

T = TypeVar("T")


class Notebooks:
    """The notebooks in one directory, which is made when the first of them is written.

    :param what: what they remember, and ``lost``: what is lost without them, for the operator.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        directory: Path,
        *,
        what: str = "the advertisements of former runs",
        lost: str = "their replays are not recognised",
    ) -> None:
        self.directory = directory
        self._what = what
        self._lost = lost
        self._reactor = reactor
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._has_complained = False

    def start(self) -> None:
        """Start the thread."""
        self._thread = Thread(target=self._run, name="carptwist notebooks")
        self._thread.start()

    def stop(self) -> None:
        """Write what was given so far, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def open(self, name: str) -> Notebook:
        """The notebook of this name, which must be good for a file."""
        return Notebook(self, self.directory / name)

    def elsewhere(self, path: Path) -> Notebook:
        """A notebook in another place, whose trouble is told by whoever uses it."""
        return Notebook(self, path, tells=False)

    def give(self, work: Callable[[], T], *, tells: bool = True) -> Deferred[T]:
        """Call ``work`` on the thread; fires with what it returned or raised. The first trouble is told."""
        assert self._thread is not None, "not started"
        doing: Deferred[T] = Deferred()

        def attempt() -> None:
            try:
                result = work()
            except BaseException:
                self._reactor.callFromThread(doing.errback, Failure())
            else:
                self._reactor.callFromThread(doing.callback, result)

        self._waiting.put(attempt)
        return doing.addErrback(self._complain) if tells else doing

    def _run(self) -> None:
        while True:
            work = self._waiting.get()
            if work is None:
                return
            work()

    def _complain(self, failure: Failure) -> Failure:
        if not self._has_complained:
            self._has_complained = True
            self._log.warn(
                "carp: cannot remember {what} in {directory}: {why}: after a restart {lost}; state_dir must be a "
                "directory that this process may write to",
                what=self._what,
                lost=self._lost,
                directory=str(self.directory),
                why=failure.getErrorMessage(),
            )
        return failure


@implementer(INotebook)
class Notebook:
    """One file."""

    def __init__(self, notebooks: Notebooks, path: Path, *, tells: bool = True) -> None:
        self._notebooks = notebooks
        self._path = path
        self._tells = tells

    def read(self) -> Deferred[bytes]:
        return self._notebooks.give(self._read, tells=self._tells)

    def append(self, octets: bytes) -> Deferred[None]:
        return self._notebooks.give(lambda: self._append(octets), tells=self._tells)

    def replace(self, whole: Callable[[], bytes]) -> Deferred[int]:
        return self._notebooks.give(lambda: self._replace(whole()), tells=self._tells)

    def patch(self, pieces: Callable[[], Iterable[tuple[int, bytes]]]) -> Deferred[None]:
        return self._notebooks.give(lambda: self._patch(pieces()), tells=self._tells)

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def _append(self, octets: bytes) -> None:
        # Only to what is there: an end without its beginning would say nothing.
        _write(self._path, os.O_APPEND, octets, lasting=False)

    def _patch(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT, 0o600)
        except FileNotFoundError:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT, 0o600)
        try:
            for at, octets in pieces:
                unwritten = memoryview(octets)
                while unwritten:
                    written = os.pwrite(file, unwritten, at)
                    unwritten, at = unwritten[written:], at + written
        finally:
            os.close(file)

    def _replace(self, octets: bytes) -> int:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.new")
        # On the disk before it takes the former one's place: a power failure must leave one of them.
        _write(draft, os.O_CREAT | os.O_TRUNC, octets, lasting=True)
        draft.replace(self._path)
        return len(octets)


def _write(path: Path, how: int, octets: bytes, *, lasting: bool) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | how, 0o600)
    try:
        unwritten = memoryview(octets)
        while unwritten:
            unwritten = unwritten[os.write(file, unwritten) :]
        if lasting:
            os.fsync(file)
    finally:
        os.close(file)
