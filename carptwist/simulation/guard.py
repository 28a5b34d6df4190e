"""A guard in memory: it carries out a will when the clock has reached its moment, or when told that the daemon died."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.guard.process import FAREWELL_SECONDS
from carptwist.interfaces import IGuard, Will
from carptwist.vhost.alarm import Alarm


class _Kept:
    def __init__(self, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        self.will = will
        self.until = until
        self.ended = ended
        self.farewell = False


@implementer(IGuard)
class MemoryGuard:
    """``carry_out`` is called with a will's requests, and with its frames if the vhid has spoken.

    :param clock: moments are its seconds.
    :param tell: lets the daemon hear of what was done, by calling what it is given.
    """

    def __init__(
        self,
        clock: IReactorTime,
        carry_out: Callable[[tuple[bytes, ...], tuple[bytes, ...]], object] = lambda *_: None,
        tell: Callable[[Callable[[], object]], object] = lambda ended: ended(),
    ) -> None:
        self.kept: dict[str, _Kept] = {}
        self._clock = clock
        self._carry_out = carry_out
        self._tell = tell
        self._deadline = Alarm(clock, self._judge)

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        self.kept.clear()
        self._deadline.cancel()
        return succeed(None)

    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        former = self.kept.get(name)
        kept = self.kept[name] = _Kept(will, until, ended)
        kept.farewell = former is not None and former.farewell
        self._set()

    def renew(self, name: str, until: float) -> None:
        kept = self.kept.get(name)
        if kept is not None:
            sooner = until < kept.until
            kept.until = until
            kept.farewell = True
            if sooner:
                self._set()  # else it finds out when it looks

    def forget(self, name: str) -> None:
        self.kept.pop(name, None)
        self._set()

    def daemon_died(self) -> None:
        """Carry out every will; nobody is there to be told."""
        for kept in self.kept.values():
            self._end(kept)
        self.kept.clear()
        self._deadline.cancel()

    def _set(self) -> None:
        self._deadline.set(min((kept.until for kept in self.kept.values()), default=None))

    def _judge(self) -> None:
        now = self._clock.seconds()
        for name, kept in list(self.kept.items()):
            if kept.until <= now:
                del self.kept[name]
                self._end(kept)
                self._tell(partial(kept.ended, "the daemon does not run", now))
        self._set()

    def _end(self, kept: _Kept) -> None:
        bows_out = kept.farewell and self._clock.seconds() < kept.until + FAREWELL_SECONDS
        self._carry_out(kept.will.requests, kept.will.farewell if bows_out else ())
