"""The status as it travels, taken a few virtual hosts at a time: nothing has to wait until all of them are told.

::

    asked ---> head, 1@em0 ... 15@em0 | 16@em0 ... 31@em0 | ... 255@em0 ---> deflated, to all who have asked meanwhile
               one turn at the turnstile   the next one       the last

So what is said of two virtual hosts may be some milliseconds apart.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

#: Pieces, which is virtual hosts, for one turn: about half a millisecond.
PIECES_AT_ONCE = 16


class Snapshot:
    """One status, a visitor of :class:`carptwist.control.turnstile.Turnstile`.

    :param pieces: of a JSON text, in their order; each is made when it is asked for.
    :param seconds: a clock that runs while work is done.
    """

    def __init__(self, pieces: Iterator[str], seconds: Callable[[], float]) -> None:
        self.cost = 0.0  # seconds that it has taken so far
        self._pieces = pieces
        self._seconds = seconds
        self._deflater = zlib.compressobj(1)
        self._deflated: list[bytes] = []
        self._waiting: list[Deferred[bytes]] = []

    def wait(self) -> Deferred[bytes]:
        """Fires with all of it, deflated."""
        waiting: Deferred[bytes] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def serve(self) -> bool:
        """Take some of it; whether there may be more."""
        began = self._seconds()
        try:
            pieces = list(islice(self._pieces, PIECES_AT_ONCE))
            self._deflated.append(self._deflater.compress("".join(pieces).encode()))
        except Exception:
            self._tell(Failure())
            return False
        self.cost += self._seconds() - began
        if len(pieces) == PIECES_AT_ONCE:
            return True
        self._tell(b"".join((*self._deflated, self._deflater.flush())))
        return False

    def _tell(self, result: bytes | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if isinstance(result, Failure):
                each.errback(result)
            else:
                each.callback(result)
