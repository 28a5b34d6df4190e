"""What a command says, on its standard output and its standard error: the beginning of it.

Whoever reads it decides when. Once enough is kept, what follows is thrown away, and read at a trickle: a flood stands
still in the pipe then, and neither it nor who reads costs more than the little that is kept.
"""

from __future__ import annotations

import os

#: Octets of output that are kept.
KEPT_OUTPUT = 2000
#: Octets that are read at a time, and the seconds between two reads once so many are kept.
CHUNK = 2**16
PAUSE_SECONDS = 0.01


class Output:
    """What comes from a pipe, which does not block and stays its owner's to close."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()

    def take(self) -> bool:
        """Read once. Whether more may come: else nobody can write any more."""
        try:
            octets = os.read(self._descriptor, CHUNK)
        except BlockingIOError:
            return True
        self._kept += octets[: KEPT_OUTPUT - len(self._kept)]
        return bool(octets)

    @property
    def is_full(self) -> bool:
        """Whether nothing more will be kept."""
        return len(self._kept) >= KEPT_OUTPUT

    def __str__(self) -> str:
        return self._kept.decode(errors="replace").strip()
