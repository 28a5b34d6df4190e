"""Addresses that expire by themselves, and are kept alive: when nobody does that any more, the kernel removes them.

::

    advertisement --> plane.refresh(2 s) --> thread --> the kernel: every address is valid for 2 s more
                                                        (one datagram for 64 addresses, made once)
    neither daemon nor guard, and so no advertisement   the addresses go, 2.0 to 2.3 s after the last one

A lifetime is an attribute of an address that is there: to change it touches no route and no connection. An address that
has expired meanwhile comes back with the next refreshing. With the last IPv4 address of a device the kernel removes all
IPv4 routes through it; these come back first, lest what is sent from the address leaves by another device.

This is a thread of its own: what the kernel's other thread is at may take longer than a lifetime. Of one plane no
refreshing is under way, and none begins, once :meth:`Term.end` has returned.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from pyroute2.netlink import NLM_F_ACK

#: Of so many requests in one datagram the errors fit into any socket's buffer.
_BATCH = 64
_ANSWERS_LENGTH = 65536
#: What the kernel does at its leisure after a hold is done by then.
SETTLED_SECONDS = 0.5
#: The kernel may take an address for expired so much too early.
_EARLY_SECONDS = 0.1

#: Messages of :mod:`carptwist.planes.messages` that give addresses a lifetime, in seconds.
Requests = Callable[[int], Iterable[Any]]


def datagrams(requests: Iterable[Any], *, answered: bool = True) -> tuple[bytes, ...]:
    """Messages of :mod:`carptwist.planes.messages` as they go to the kernel, for somebody without pyroute2 to send.

    :param answered: whether the kernel is to answer each; it tells of those that it refuses in any case.
    """
    encoded = []
    for message in requests:
        if not answered:
            message["header"]["flags"] &= ~NLM_F_ACK
        message.encode()
        encoded.append(bytes(message.data))
    return tuple(b"".join(encoded[start : start + _BATCH]) for start in range(0, len(encoded), _BATCH))


class Upkeep:
    """For the network namespace in which it is started.

    :param now: the clock that moments are given on; any thread may ask it.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._waiting: SimpleQueue[Callable[[socket.socket], None] | None] = SimpleQueue()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        sock.bind((0, 0))
        self._thread = Thread(target=self._run, args=(sock,), name="carptwist upkeep")
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join()

    def term(self) -> Term:
        """The upkeep of one plane's addresses."""
        return Term(self._waiting.put, self._now)

    def _run(self, sock: socket.socket) -> None:
        with sock:
            while True:
                work = self._waiting.get()
                if work is None:
                    return
                work(sock)


class Term:
    """The time during which one plane holds addresses. :meth:`begin` and :meth:`end` are for the kernel's thread."""

    def __init__(self, give: Callable[[Callable[[socket.socket], None]], None], now: Callable[[], float]) -> None:
        self._give = give
        self._now = now
        self._lock = Lock()
        self._requests: Requests | None = None
        self._made: tuple[int, tuple[bytes, ...]] | None = None
        self._then: Callable[[], Iterable[Any]] | None = None
        self._then_at = 0.0
        self._mortal = False
        self._lost: Callable[[], Iterable[Any]] | None = None
        self._expire_at = float("inf")

    def begin(
        self,
        requests: Requests,
        then: Callable[[], Iterable[Any]] | None = None,
        lost: Callable[[], Iterable[Any]] | None = None,
    ) -> None:
        """Addresses are held from now on, in the place of others, if there were any. Takes no time.

        :param requests: gives the messages that let them live for so many seconds.
        :param then: gives those that are to be sent, once, with the first refreshing after the kernel has settled.
        :param lost: gives those that make what goes with addresses that expire; any thread may ask for them.
        """
        with self._lock:
            self._lost = lost
            self._requests, self._made = requests, None
            self._then, self._then_at = then, self._now() + SETTLED_SECONDS

    def end(self) -> bool:
        """Nothing is held any more. Gives whether any address had a lifetime: those that stay keep it."""
        with self._lock:
            mortal, self._mortal = self._mortal, False
            self._requests, self._made, self._then = None, None, None
            self._lost, self._expire_at = None, float("inf")
            return mortal

    def refresh(self, seconds: int, until: float) -> None:
        """Let what is held live for so many seconds from now; not if it is ``until`` by the time that it is done."""
        self._give(lambda sock: self.refresh_now(sock, seconds, until))

    def refresh_now(self, sock: socket.socket, seconds: int, until: float) -> None:
        """The same, on the thread that calls it, through a netlink socket that does not block."""
        with self._lock:
            if self._requests is None:
                return
            if self._made is None or self._made[0] != seconds:
                self._made = seconds, datagrams(self._requests(seconds), answered=False)
            messages = self._made[1]
            now = self._now()
            if self._lost is not None and now >= self._expire_at:
                messages = datagrams(self._lost(), answered=False) + messages
            if self._then is not None and now >= self._then_at:
                messages += datagrams(self._then(), answered=False)
                self._then = None
            for datagram in messages:
                # Whoever was away must not bring back what was taken from it.
                if self._now() >= until:
                    return
                self._mortal = True
                with contextlib.suppress(OSError):
                    sock.send(datagram)
            self._expire_at = now + seconds - _EARLY_SECONDS
        # What was refused: the device is gone, or an address was taken away by somebody; its plane will notice.
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.recv(_ANSWERS_LENGTH)
