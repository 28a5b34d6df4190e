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
    ) -> None:
        self.link_address = link_address
        self.answers = answers
        self.ending: tuple[bytes, ...] = ()
        self.refreshed: tuple[int, float] | None = None  # as it was asked last
        self.stands = Hold.NOTHING
        self.trouble: str | None = None
        self._config = config
        self._clock = clock
        self._step_seconds = step_seconds
        self._reached = reached

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
        changed = self.stands is not reached
        self.stands = reached
        if changed:
            self._reached()
