"""When something may run that must run on one host alone: the rules of the endpoint and of the gated service.

::

           lease, and settled               lease ended, lapsed, or the connection lost
    SHUT ---------------------> OPEN ---------------------------------------------------> CLOSING
      ^                                                                                      |
      +--------------------------------------------- all has stopped ------------------------+

It is open while the daemon of this host is known to hold the addresses: it says so with each advertisement, and what it
said is good until the others could have taken over. A daemon that has gone, does not answer or cannot send any more
shuts the gate, sooner or later: where nothing is known, nothing runs. ``settle_seconds`` after the first advertisement
it opens, so that a master that was there before has heard that advertisement, and has stopped.

Opening never begins before closing has ended, and the daemon is told that it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.integration.client import CarpClient
from carptwist.vhost.tenants import Lease


class Gated(Protocol):
    """What runs while a gate is open."""

    def opened(self) -> object:
        """Run."""

    def closed(self) -> Deferred[Any] | None:
        """Stop; fires when nothing runs any more."""


class _Position(Enum):
    SHUT = "shut"
    OPEN = "open"
    CLOSING = "closing"


def boottime() -> float:
    """The clock of leases: seconds since the host was started, while it was suspended too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Gate:
    """For one vhid.

    :param client: makes a client of the daemon; it is closed when the gate is.
    :param settle_seconds: how long after the first advertisement it opens.
    :param patience_seconds: for how long at most the daemon waits for what is gated to stop, where it goes in good
      order.
    """

    _log = Logger()

    def __init__(
        self,
        vhid: str,
        gated: Gated,
        *,
        client: Callable[[], CarpClient],
        clock: IReactorTime,
        settle_seconds: float,
        patience_seconds: float,
        boottime: Callable[[], float] = boottime,
    ) -> None:
        self._vhid = vhid
        self._gated = gated
        self._make_client = client
        self._clock = clock
        self._boottime = boottime
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._client: CarpClient | None = None
        self._lease: Lease | None = None
        self._position = _Position.SHUT
        self._look_again: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []

    @property
    def is_open(self) -> bool:
        """Whether what is gated may run now. This looks at the clock: after the whole program has stood still for a
        while it is the first to know that a lease has run out."""
        return self._position is _Position.OPEN and self._lease is not None and self._boottime() < self._lease.until

    def start(self) -> None:
        """Follow the daemon from now on."""
        if self._client is not None:
            return
        client = self._client = self._make_client()
        client.attend(self._vhid, partial(self._hear, client), patience_seconds=self._patience_seconds)

    def stop(self) -> Deferred[None]:
        """Shut it, and follow the daemon no more; fires when nothing runs any more."""
        client, self._client = self._client, None
        shut = self.told(None)
        if client is None:
            return shut
        return shut.addCallback(lambda _: client.close())

    def told(self, lease: Lease | None) -> Deferred[None]:
        """The lease is this one now. Fires, where there is none, when nothing runs any more."""
        self._lease = lease
        self._judge()
        return succeed(None) if lease is not None else self.when_shut()

    def _hear(self, client: CarpClient, lease: Lease | None) -> Deferred[None]:
        if client is self._client:
            return self.told(lease)
        # It is followed no more, so that none of its leases may open anything; but while something is being shut that
        # it has opened, its daemon waits for that.
        return succeed(None) if lease is not None else self.when_shut()

    def when_shut(self) -> Deferred[None]:
        """Fires when nothing runs, which may be so already."""
        if self._position is _Position.SHUT:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _judge(self) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None
        may_run = self._may_run()
        if may_run and self._position is _Position.SHUT:
            self._position = _Position.OPEN
            maybeDeferred(self._gated.opened).addErrback(self._failed)
        elif not may_run and self._position is _Position.OPEN:
            self._position = _Position.CLOSING
            maybeDeferred(self._gated.closed).addErrback(self._failed).addCallback(self._shut)

    def _may_run(self) -> bool:
        """Whether it may, now; and it is asked again when that changes by itself."""
        if self._lease is None:
            return False
        now, settled = self._boottime(), self._lease.since + self._settle_seconds
        if now >= self._lease.until:
            return False
        is_settled = now >= settled
        self._look_again = self._clock.callLater(
            (self._lease.until if is_settled else min(settled, self._lease.until)) - now, self._due
        )
        return is_settled

    def _due(self) -> None:
        self._look_again = None
        self._judge()

    def _shut(self, _: object) -> None:
        self._position = _Position.SHUT
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
        self._judge()

    def _failed(self, failure: Failure) -> None:
        self._log.failure("carp: {vhid}: what is gated failed", failure, vhid=self._vhid)
