"""One vhid's time as MASTER, as those must know of it who end it if the daemon does not: the guard, and the kernel.

::

    hold ............ advertisement ........... advertisement ............................... released
    begin(will)       spoke()                   spoke()                                       end()
                      |--------- lease -------->|
                                                |--------- lease ----------> lapsed: others have taken over, or will
                      |--- lifetime --->
                             |--- lifetime -|-->|--- lifetime --->                the kernel removes the addresses

Each advertisement is a new lease, on which guard and daemon agree: until it ends nobody else takes over, and after it
this host is MASTER no more. Lifetimes are whole seconds, and end before the others' patience does; where the time
between two advertisements is nearly as long, they are refreshed once more in between.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from carptwist.election.precedence import lifetime_seconds
from carptwist.interfaces import IGuard, IPlane, Will
from carptwist.vhost.alarm import Alarm

#: Before the first advertisement nothing is promised to anybody; but a plane that takes longer has its MASTER ended.
FIRST_LEASE_SECONDS = 5.0
#: Advertisements may come faster than addresses need to be refreshed.
LEAST_REFRESH_SECONDS = 0.25
#: A lifetime is to outlast the next advertisement by this.
SPARE_SECONDS = 1.5
#: The refreshing in between comes at the latest then; and may be so late without making a lifetime too long.
AGAIN_SECONDS = 0.9
LATEST_REFRESH_SECONDS = 1.1


class Tenure:
    """For one vhid, again and again.

    :param expires: whether the kernel is to remove the addresses by itself.
    :param ended: called with why and since when, when the guard has ended it while the daemon lives.
    """

    def __init__(
        self,
        name: str,
        *,
        guard: IGuard,
        plane: IPlane,
        clock: IReactorTime,
        expires: bool,
        ended: Callable[[str, float], object],
    ) -> None:
        self._name = name
        self._guard = guard
        self._plane = plane
        self._clock = clock
        self._expires = expires
        self._ended = ended
        self._again = Alarm(clock, self._refresh)
        self._until = float("inf")
        self._advbase = 1
        self._refreshable_until = 0.0
        self._refreshed = float("-inf")

    @property
    def is_on(self) -> bool:
        """Whether it has begun, and not ended."""
        return self._until < float("inf")

    @property
    def until(self) -> float:
        """When others count as having taken over; later than any time if it is not on."""
        return self._until

    @property
    def is_lapsed(self) -> bool:
        """Whether others count as having taken over: nothing may be said as MASTER any more."""
        return self._clock.seconds() >= self._until

    def begin(self, will: Will) -> None:
        """The addresses are about to become reachable; or, once it has begun, this is what ends them now."""
        if not self.is_on:
            self._until = self._clock.seconds() + FIRST_LEASE_SECONDS
        self._guard.entrust(self._name, will, self._until, self._ended)

    def spoke(self, advbase: int, interval: float, until: float) -> None:
        """An advertisement has left this host: the next one is due after ``interval`` seconds, and the others wait for
        it ``until`` then."""
        now = self._clock.seconds()
        self._until = until
        self._guard.renew(self._name, self._until)
        if not self._expires:
            return
        self._advbase = advbase
        self._refreshable_until = min(self._until, now + LATEST_REFRESH_SECONDS)
        if now - self._refreshed >= LEAST_REFRESH_SECONDS:
            self._refresh()
        needs_more = interval > lifetime_seconds(advbase) - SPARE_SECONDS
        self._again.set(now + min(AGAIN_SECONDS, interval / 2) if needs_more else None)

    def end(self) -> None:
        """None of the addresses is reachable any more."""
        self._until = float("inf")
        self._refreshed = float("-inf")
        self._again.set(None)
        self._guard.forget(self._name)

    def close(self) -> None:
        """Leave nothing on the clock."""
        self._again.cancel()

    def _refresh(self) -> None:
        self._refreshed = self._clock.seconds()
        self._plane.refresh(lifetime_seconds(self._advbase), self._refreshable_until)
