"""How busy this machine is with other things: by how much a thread that does nothing is woken too late, and for how
long the processes that are measured had work to do and no processor to do it on.

What real daemons do in real time is measured on a machine that may be shared. Whoever judges a measurement adds what
the machine took at that moment to what the daemon is allowed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable

_INTERVAL_SECONDS = 0.005
#: Less is not worth keeping.
_WORTH_SECONDS = 0.002
#: The processes are looked at once in so many ticks.
_TICKS = 4


class Metronome:
    """Ticks within a ``with`` block, in a thread of its own, and keeps by how much it was late, and when.

    :param measured: gives the numbers of the processes whose waiting counts.
    """

    def __init__(self, measured: Callable[[], Iterable[int]] = lambda: ()) -> None:
        self._measured = measured
        self._delays: list[tuple[float, float]] = []
        self._waits: list[tuple[float, float]] = []
        self._waited: dict[int, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metronome", daemon=True)

    def __enter__(self) -> Metronome:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping.set()
        self._thread.join()

    def late(self, since: float, until: float) -> float:
        """The longest delay, in seconds, between two moments (seconds since the epoch)."""
        return max((delay for at, delay in self._delays if since <= at <= until), default=0.0)

    def waited(self, since: float, until: float) -> float:
        """For how many seconds the measured processes waited for a processor between two moments, one after the
        other: what one says another waits for."""
        return sum(wait for at, wait in self._waits if since <= at <= until)

    def _work(self) -> None:
        due = time.monotonic() + _INTERVAL_SECONDS
        ticks = 0
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            delay = time.monotonic() - due
            if delay > _WORTH_SECONDS:
                self._delays.append((time.time(), delay))
            if ticks % _TICKS == 0:
                self._look()
            ticks += 1
            due = time.monotonic() + _INTERVAL_SECONDS

    def _look(self) -> None:
        now = {number: wait for number in self._measured() if (wait := waited(number)) is not None}
        more = sum(wait - self._waited[number] for number, wait in now.items() if number in self._waited)
        if more > 0:
            self._waits.append((time.time(), more))
        self._waited = now


def waited(number: int) -> float | None:
    """For how many seconds the threads of a process have waited for a processor so far (proc_pid_schedstat(5)), one
    after the other; None where nobody tells."""
    try:
        # Where /proc is of another process namespace the number means another process there.
        if os.readlink("/proc/self") != str(os.getpid()):
            return None
        threads = os.listdir(f"/proc/{number}/task")
        return sum(_waited(f"/proc/{number}/task/{thread}/schedstat") for thread in threads)
    except (OSError, ValueError, IndexError):
        return None


def _waited(path: str) -> float:
    with open(path) as file:
        return int(file.read().split()[1]) / 1e9
