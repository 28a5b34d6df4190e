"""How busy this machine is with other things: by how much a thread that does nothing is woken too late.

What real daemons do in real time is measured on a machine that may be shared. Whoever judges a measurement adds what
the machine took at that moment to what the daemon is allowed.
"""

from __future__ import annotations

import threading
import time

_INTERVAL_SECONDS = 0.005
#: Less is not worth keeping.
_WORTH_SECONDS = 0.002


class Metronome:
    """Ticks within a ``with`` block, in a thread of its own, and keeps by how much it was late, and when."""

    def __init__(self) -> None:
        self._delays: list[tuple[float, float]] = []
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

    def _work(self) -> None:
        due = time.monotonic() + _INTERVAL_SECONDS
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            delay = time.monotonic() - due
            if delay > _WORTH_SECONDS:
                self._delays.append((time.time(), delay))
            due = time.monotonic() + _INTERVAL_SECONDS
