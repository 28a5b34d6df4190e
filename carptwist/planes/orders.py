"""Orders to the kernel, on a thread of their own, one after the other.

Most netlink requests take 0.3 to 0.6 ms through pyroute2, taking a device down 11 ms, reading a table of thousands of
routes a good part of a second: far too long for a reactor that advertisements wait for. One thread is enough, and
keeps all orders in order. But what addresses on the wire wait for does not queue behind what can wait: an urgent
order is carried out ahead of all that are not.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from queue import PriorityQueue
from threading import Thread
from typing import TypeVar

from pyroute2 import NetlinkError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from carptwist.planes import PlaneError
from carptwist.planes.kernel import Kernel, reason

T = TypeVar("T")


class Urgency(IntEnum):
    """Whose turn it is; among equals first come, first served."""

    TAKEOVER = 0
    CARE = 1
    END = 2


class Orders:
    """For the network namespace in which the thread is started."""

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._waiting: PriorityQueue[tuple[Urgency, int, Callable[[], None] | None]] = PriorityQueue()
        self._serial = count()  # two callables cannot be compared: it never comes to that
        self._thread: Thread | None = None
        self._kernel: Kernel | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = Thread(target=self._run, name="carptwist netlink")
        self._thread.start()

    def give(self, order: Callable[[Kernel], T], whose: str, urgency: Urgency = Urgency.CARE) -> Deferred[T]:
        """Call ``order`` on the thread; fires with what it returned or raised, a netlink error as a
        :class:`PlaneError` that names ``whose`` order it was."""
        assert self._thread is not None, "not started"
        doing: Deferred[T] = Deferred()

        def work() -> None:
            try:
                result = self._carry_out(order, whose)
            except BaseException:
                self._reactor.callFromThread(doing.errback, Failure())
            else:
                self._reactor.callFromThread(doing.callback, result)

        self._put(urgency, work)
        return doing

    def stop(self) -> None:
        """Carry out what was ordered so far, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._put(Urgency.END, None)
            thread.join()

    def _put(self, urgency: Urgency, work: Callable[[], None] | None) -> None:
        self._waiting.put((urgency, next(self._serial), work))

    def _run(self) -> None:
        while True:
            _, _, work = self._waiting.get()
            if work is None:
                break
            work()
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()

    def _carry_out(self, order: Callable[[Kernel], T], whose: str) -> T:
        if self._kernel is None:
            self._kernel = Kernel()
        try:
            return order(self._kernel)
        except NetlinkError as error:
            remedy = ": it needs CAP_NET_ADMIN" if error.code == errno.EPERM else ""
            raise PlaneError(f"the kernel refused what {whose} needs: {reason(error)}{remedy}") from error
