"""Services that run on one host of several: where a virtual host is MASTER. For schedulers, pollers, single writers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.child import Child
from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.integration.client import CarpClient, canonical, connect, control_endpoint
from carptwist.integration.gate import Gate, boottime

#: Three times advbase 1: what a lease lasts, even that of a daemon that stands still.
SETTLE_SECONDS = 3.0
PATIENCE_SECONDS = 2.0


class CarpGatedService(Child, MultiService):
    """Its children are started when this host holds the addresses of a virtual host, and stopped when it does not.

    ::

        jobs = CarpGatedService(reactor, "1@em0")
        TimerService(60, clean_up).setServiceParent(jobs)
        jobs.setServiceParent(application)

    What is guaranteed, and what is not:

    - A host that goes in good order has stopped its children, all their ``stopService`` Deferreds fired, before any
      other host has been told. It is waited for ``patience_seconds`` at most, and never beyond the time for which
      others wait for an advertisement.
    - A host that is preempted hears of it by the advertisement of its successor, and stops then. The successor starts
      its children ``settle_seconds`` after its first advertisement: children that stop within that time never run on
      two hosts, even where advertisements are lost, as long as it is not all of them. A preempted daemon that stands
      still at that very moment has its children stopped at the end of its lease, 0.25 s before three times advbase are
      over: with that, the default for advbase 1, this holds for children that stop in 0.25 s; add what others take.
    - A daemon that dies takes its children's right to run with it, at once; one that hangs, by the time at which others
      may take over. So does a program that was stopped itself, when it runs again.
    - Where hosts are alive and cannot hear one another, each is MASTER and runs its children, until they hear one
      another again. No protocol on one LAN excludes that. Nor does anything here reach a call that a child has begun
      and does not stop: what must never be done twice needs a token that its receiver checks.

    :param vhid: ``VHID@INTERFACE``.
    :param control: where the daemon of this host listens.
    :param settle_seconds: how long after the first advertisement of a new MASTER its children are started.
    :param patience_seconds: for how long at most the daemon waits for the children, where it goes in good order.
    :raises ValueError: the vhid is no ``VHID@INTERFACE``, or ``control`` neither a path nor an endpoint string.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        vhid: str,
        *,
        control: IStreamClientEndpoint | str = DEFAULT_CONTROL_SOCKET,
        settle_seconds: float = SETTLE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
        boottime: Callable[[], float] = boottime,
    ) -> None:
        """Nothing is asked before it is started."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._are_started = False
        self._vhid = canonical(vhid)
        endpoint = control_endpoint(reactor, control)

        def client() -> CarpClient:
            return connect(reactor, endpoint)

        self._gate = Gate(
            self._vhid,
            self,
            client=client,
            clock=reactor,
            settle_seconds=settle_seconds,
            patience_seconds=patience_seconds,
            boottime=boottime,
        )

    @property
    def is_open(self) -> bool:
        """Whether the children may run, at this very moment: for those that ask before each piece of their work. A
        program that was stopped for a while and goes on runs its timers in the order in which they were due: one may
        come before the one that finds the lease run out."""
        return self._gate.is_open

    def privilegedStartService(self) -> None:
        """The children are started later, without the privileges of the start."""

    def startService(self) -> None:
        """From now on the children run whenever this host holds the addresses."""
        Service.startService(self)
        self._gate.start()

    def stopService(self) -> Deferred[None]:
        """Fires when no child runs any more."""
        Service.stopService(self)
        return self._gate.stop()

    def addService(self, service: IService) -> None:
        """One more child, which is started at once if the children run.

        :raises RuntimeError: there is a child of this name already.
        """
        with _as_running(self, self._are_started):
            super().addService(service)  # type: ignore[no-untyped-call]

    def removeService(self, service: IService) -> Deferred[None]:
        """Fires when it has stopped, if it ran."""
        with _as_running(self, self._are_started):
            return maybeDeferred(super().removeService, service)

    # The gate

    def opened(self) -> None:
        """For the gate."""
        self._log.info("carp: the services of {vhid} run here from now on", vhid=self._vhid)
        self._are_started = True
        for service in list(self):
            # Each for itself: one that cannot be started keeps none from running.
            try:
                service.privilegedStartService()
                service.startService()
            except Exception:
                self._log.failure("carp: a gated service has not started well")

    def closed(self) -> Deferred[Any]:
        """For the gate."""
        self._log.info("carp: the services of {vhid} do not run here any more", vhid=self._vhid)
        self._are_started = False
        stopping = [maybeDeferred(service.stopService).addErrback(self._failed) for service in reversed(list(self))]
        return DeferredList(stopping)

    def _failed(self, failure: Failure) -> None:
        self._log.failure("carp: a gated service has not stopped well", failure)


@contextmanager
def _as_running(service: MultiService, running: bool) -> Iterator[None]:
    """A MultiService asks itself whether it runs, where it is to ask whether its children do."""
    former, service.running = service.running, running
    try:
        yield
    finally:
        service.running = former
