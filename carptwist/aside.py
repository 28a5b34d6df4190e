"""Work that may take for ever, off the reactor's thread: each piece has a thread of its own, for as long as it takes.

A pool would be cheaper, but a few files on a server that does not answer would occupy all of it. Here what hangs holds
up nothing but itself, and not the end of the process either. Whoever asks bounds how much of it there can be at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def aside(reactor: Any, work: Callable[[], T], name: str = "carptwist aside") -> Deferred[T]:
    """Fires with the value of ``work``, or fails as it does. When it is cancelled the work goes on, for nobody."""
    wanted: Deferred[T] = Deferred()

    def run() -> None:
        try:
            told: T | Failure = work()
        except Exception:
            told = Failure()
        # Nobody is told any more where the reactor has ended meanwhile.
        with contextlib.suppress(Exception):
            reactor.callFromThread(tell, told)

    def tell(told: T | Failure) -> None:
        if not wanted.called:
            wanted.callback(told)

    Thread(target=run, name=name, daemon=True).start()
    return wanted
