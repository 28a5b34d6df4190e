"""Orders to the kernel, on a thread of their own, one after the other.

Most netlink requests take 0.3 to 0.6 ms through pyroute2, taking a device down 11 ms: far too long for a reactor that
advertisements wait for. One thread is enough, and keeps all orders in order.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, TypeVar

from pyroute2 import NetlinkError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from carptwist.planes import PlaneError
from carptwist.planes.kernel import Kernel

T = TypeVar("T")


class Orders:
    """For the network namespace in which the thread is started."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool: ThreadPool | None = None
        self._kernel: Kernel | None = None

    def start(self) -> None:
        """Start the thread."""
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name="carptwist netlink")
        self._pool.start()

    def give(self, order: Callable[[Kernel], T], whose: str) -> Deferred[T]:
        """Call ``order`` on the thread; fires with what it returned or raised, a netlink error as a
        :class:`PlaneError` that names ``whose`` order it was."""
        assert self._pool is not None, "not started"
        doing: Deferred[T] = deferToThreadPool(self._reactor, self._pool, self._carry_out, order, whose)
        return doing

    def stop(self) -> None:
        """Carry out what was ordered so far, and end the thread."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.callInThread(self._close)
            pool.stop()

    def _carry_out(self, order: Callable[[Kernel], T], whose: str) -> T:
        if self._kernel is None:
            self._kernel = Kernel()
        try:
            return order(self._kernel)
        except NetlinkError as error:
            remedy = ": it needs CAP_NET_ADMIN" if error.code == errno.EPERM else ""
            raise PlaneError(f"the kernel refused what {whose} needs: {error}{remedy}") from error

    def _close(self) -> None:
        kernel, self._kernel = self._kernel, None
        if kernel is not None:
            kernel.close()
