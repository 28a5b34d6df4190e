"""Those who serve at the addresses of one vhid, in this process or others, and may do so only while it holds them.

::

    addresses reachable, first advertisement left
      |  advertisement          advertisement                     leaves in good order
      |  |                      |                                 |
      |  |------- until ------->|------- until -------> …         | told None, and waited for
      since                                                       |---------->| addresses go, farewell

A lease begins with an advertisement that has left this host, and each further one prolongs it: until its end nobody
else counts this host as dead. A vhid that goes in good order tells its tenants first, and waits for their answers
before its addresses go and it says farewell: nobody else has been told by then. One that has lost to a better master
tells them as soon as it knows, and waits for nobody: the other one is there already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred, DeferredList, TimeoutError, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

#: So long before the end of a lease nobody is waited for any more.
MARGIN_SECONDS = 0.2


class Lease(NamedTuple):
    """From when on and until when a vhid has its addresses for itself, in seconds of the reactor's clock.

    :ivar since: of the first advertisement
    :ivar until: when others may count this host as dead
    """

    since: float
    until: float


class Tenant(Protocol):
    """One who serves there."""

    @property
    def patience_seconds(self) -> float:
        """For how long at most it wants to be waited for when it has to end."""

    def told(self, lease: Lease | None) -> Deferred[None] | None:
        """The lease is this one now. With None there is none, and the Deferred fires when nothing is served any
        more."""


class Tenants:
    """All of them, for one vhid, for as long as the process runs."""

    _log = Logger()

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self.lease: Lease | None = None
        self._name = name
        self._clock = clock
        self._tenants: list[Tenant] = []

    def attend(self, tenant: Tenant) -> Callable[[], None]:
        """Tell a tenant from now on, with the lease that there is; the value stops that."""
        self._tenants.append(tenant)
        self._tell(tenant)

        def leave() -> None:
            if tenant in self._tenants:
                self._tenants.remove(tenant)

        return leave

    def renew(self, until: float) -> None:
        """The vhid holds its addresses, and has advertised."""
        now, former = self._clock.seconds(), self.lease
        # After one that has run out others may have served meanwhile: it is not the same one any more.
        since = former.since if former is not None and now < former.until else now
        self.lease = Lease(since, until)
        for tenant in tuple(self._tenants):
            self._tell(tenant)

    def end(self, *, in_good_order: bool) -> Deferred[object]:
        """The addresses are to go; fires when they may.

        :param in_good_order: nobody else has them, or will before this host has said that it goes.
        """
        former, self.lease = self.lease, None
        now = self._clock.seconds()
        ending: list[Deferred[object]] = []
        for tenant in tuple(self._tenants):
            answer = self._tell(tenant)
            if former is not None and in_good_order:
                # Beyond the lease the others would not wait for a farewell, nor the guard for us.
                patience = min(tenant.patience_seconds, former.until - now - MARGIN_SECONDS)
                if patience > 0:
                    ending.append(self._within(patience, answer))
        ended: Deferred[object] = succeed(None)
        return ended.addCallback(lambda _: DeferredList(ending))

    def _tell(self, tenant: Tenant) -> Deferred[object]:
        answer: Deferred[object] = maybeDeferred(tenant.told, self.lease)
        return answer.addErrback(self._failed)

    def _within(self, patience: float, answer: Deferred[object]) -> Deferred[object]:
        """An answer, or its being late: it may still come then, and harms nobody."""
        waiting: Deferred[object] = Deferred()

        def answered(_: object) -> None:
            if not waiting.called:
                waiting.callback(None)

        answer.addCallback(answered)
        return waiting.addTimeout(patience, self._clock).addErrback(self._too_slow)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("carp: {name}: somebody who serves at its addresses failed", failure, name=self._name)

    def _too_slow(self, failure: Failure) -> None:
        failure.trap(TimeoutError)
        self._log.warn(
            "carp: {name}: somebody who serves at its addresses does not end in time: not waited for", name=self._name
        )
