"""A plane that changes nothing but what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import IPlane
from carptwist.planes import PlaneError
from carptwist.vhost.alarm import Alarm

#: How late the kernel is at most when it removes an address whose lifetime is over.
KERNEL_LATE_SECONDS = 0.25


class Hold(Enum):
    """How far a plane has got."""

    NOTHING = "nothing"
    PREPARED = "prepared"
    HELD = "held"


@implementer(IPlane)
class MemoryPlane:
    """Each step takes some time on a clock, and fails as long as there is a :attr:`trouble`.

    :param clock: what the steps take their time from; without one they are done at once.
    :param step_seconds: how long each takes.
    :param reached: called whenever :attr:`stands` has changed.
    :param kernel: the clock of the host's kernel, by which addresses expire; without one they do not.
    :param damaged: called when they did, with what is wrong.
    """

    def __init__(
        self,
        config: VirtualHostConfig,
        *,
        link_address: bytes,
        answers: bool = True,
        clock: IReactorTime | None = None,
        step_seconds: float = 0.0,
        reached: Callable[[], object] = lambda: None,
        kernel: IReactorTime | None = None,
        damaged: Callable[[str], object] = lambda what: None,
    ) -> None:
        self.link_address = link_address
        self.answers = answers
        self.ending: tuple[bytes, ...] = (config.name.encode(),)  # for whoever calls :meth:`end`
        self.refreshed: tuple[int, float] | None = None  # as it was asked last
        self.stands = Hold.NOTHING
        self.trouble: str | None = None
        self._config = config
        self._clock = clock
        self._step_seconds = step_seconds
        self._reached = reached
        self._expiry = Alarm(kernel, self._expire) if kernel is not None else None
        self._kernel = kernel
        self._damaged = damaged

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config

    def prepare(self) -> Deferred[None]:
        return self._step(Hold.HELD if self.stands is Hold.HELD else Hold.PREPARED)

    def hold(self) -> Deferred[None]:
        if self.stands is Hold.NOTHING:
            return fail(PlaneError(f"{self._config.name} was not prepared"))
        return self._step(Hold.HELD)

    def refresh(self, seconds: int, until: float) -> None:
        self.refreshed = (seconds, until)
        if self._expiry is not None and self._kernel is not None and self.stands is Hold.HELD:
            self._expiry.set(self._kernel.seconds() + seconds + KERNEL_LATE_SECONDS)

    def end(self) -> None:
        """The addresses are taken away by somebody else than the daemon: its guard, or the kernel."""
        if self.stands is Hold.HELD:
            self._stand(Hold.PREPARED)

    def _expire(self) -> None:
        self.end()
        self._damaged("its addresses have expired")

    def forget(self) -> None:
        """The host has nothing of it any more."""
        if self._expiry is not None:
            self._expiry.cancel()

    def release(self) -> Deferred[None]:
        return self._step(Hold.NOTHING if self.stands is Hold.NOTHING else Hold.PREPARED)

    def withdraw(self) -> Deferred[None]:
        return self._step(Hold.NOTHING)

    def _step(self, reached: Hold) -> Deferred[None]:
        if self._clock is None:
            return succeed(None).addCallback(lambda _: self._reach(reached))
        return deferLater(self._clock, self._step_seconds, self._reach, reached)

    def _reach(self, reached: Hold) -> None:
        if self.trouble is not None:
            raise PlaneError(self.trouble)
        self._stand(reached)

    def _stand(self, reached: Hold) -> None:
        if self._expiry is not None and reached is not Hold.HELD:
            self._expiry.set(None)
        changed = self.stands is not reached
        self.stands = reached
        if changed:
            self._reached()
