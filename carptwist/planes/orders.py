"""Orders to the kernel, on a thread of their own, one after the other.

Most netlink requests take 0.3 to 0.6 ms through pyroute2, taking a device down 11 ms: far too long for a reactor that
advertisements wait for. One thread is enough, and keeps all orders in order.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pyroute2 import IPRoute, NetlinkError
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from carptwist.planes import PlaneError

T = TypeVar("T")


class Orders:
    """A pyroute2 socket in the network namespace in which the thread was started."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool: ThreadPool | None = None
        self._route: IPRoute | None = None

    def start(self) -> None:
        """Start the thread."""
        self._pool = ThreadPool(minthreads=1, maxthreads=1, name="carptwist netlink")
        self._pool.start()

    def give(self, order: Callable[[IPRoute], T], whose: str) -> Deferred[T]:
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

    def _carry_out(self, order: Callable[[IPRoute], T], whose: str) -> T:
        if self._route is None:
            self._route = IPRoute()
        try:
            return order(self._route)
        except NetlinkError as error:
            remedy = ": it needs CAP_NET_ADMIN" if error.code == errno.EPERM else ""
            raise PlaneError(f"the kernel refused what {whose} needs: {error}{remedy}") from error

    def _close(self) -> None:
        route, self._route = self._route, None
        if route is not None:
            route.close()


@contextlib.contextmanager
def device_gone() -> Iterator[None]:
    """It is no error that the device is not there any more."""
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
