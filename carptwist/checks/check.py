"""One check, from its first probe to its last.

::

    begin --delay--> probe --> Result --> Health --> its standing has changed: told
                       ^                     |
                       +------ interval -----+       from the beginning of one probe to that of the next

A probe that has not ended within its timeout is cancelled, and counts as bad. The next one does not begin before that,
so that a check never overlaps itself. It is given up LEEWAY_SECONDS early: what follows, until another host has the
addresses, is to have happened when fall x interval + timeout have passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.checks.health import Health, Result
from carptwist.config.health import CheckConfig
from carptwist.patience import within

#: Less than the shortest timeout, and more than a takeover takes.
LEEWAY_SECONDS = 0.1

#: Looks once. Fires with what it has found; may be cancelled, and cleans up after itself then.
Probe = Callable[[], "Deferred[Result]"]


@runtime_checkable
class Stoppable(Protocol):
    """A probe that wants to know when it is asked no more."""

    def stop(self) -> None: ...


class Check:
    """Looks again and again. Between :meth:`begin` and :meth:`end`.

    :param told: called with this and whether its standing has changed, after each result.
    """

    _log = Logger()

    def __init__(
        self, config: CheckConfig, probe: Probe, clock: IReactorTime, told: Callable[[Check, bool], object]
    ) -> None:
        self.config = config
        self.health = Health(config.rise, config.fall)
        self.since = clock.seconds()  # that its standing is what it is
        self.took: float | None = None  # seconds, the last probe
        self._probe = probe
        self._clock = clock
        self._told = told
        self._next: IDelayedCall | None = None
        self._looking: Deferred[Any] | None = None
        self._ended = False

    def begin(self, delay: float) -> None:
        """Look for the first time in so many seconds."""
        self._next = self._clock.callLater(delay, self._look)

    def end(self) -> None:
        """Look no more; a probe at work is cancelled."""
        self._ended = True
        if self._next is not None and self._next.active():
            self._next.cancel()
        if self._looking is not None:
            self._looking.cancel()
        if isinstance(self._probe, Stoppable):
            self._probe.stop()

    def _look(self) -> None:
        began = self._clock.seconds()
        looking = within(self.config.timeout - LEEWAY_SECONDS, self._clock, maybeDeferred(self._probe))
        self._looking = looking
        looking.addErrback(self._as_result)
        looking.addCallback(self._found, began)
        looking.addErrback(lambda failure: self._log.failure("carp: check {name}", failure, name=self.config.name))
        looking.addBoth(self._rest, began)

    def _as_result(self, failure: Failure) -> Result:
        if failure.check(TimeoutError, OSError):
            return Result(False, failure.getErrorMessage())
        if not self._ended:
            # A bug of ours must not keep a host from being demoted, nor pass for health.
            self._log.failure("carp: check {name}", failure, name=self.config.name)
        return Result(False, f"{type(failure.value).__name__}: {failure.getErrorMessage()}")

    def _found(self, result: Result, began: float) -> None:
        if self._ended:
            return
        now = self._clock.seconds()
        self.took = now - began
        changed = self.health.heard(result)
        if changed:
            self.since = now
        self._told(self, changed)

    def _rest(self, _: object, began: float) -> None:
        self._looking = None
        if not self._ended:
            due = began + self.config.interval
            self._next = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._look)
