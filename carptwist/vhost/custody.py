r"""A virtual host's addresses in the hands of this host: the plane that they are on, and the leases on holding them.

::

    prepare ----> prepared .... hold ----> held .... release ----> prepared .... withdraw ----> nothing is left
       \--> failed: again after 5, 10, 20 ... 60 s

Each of these is a job on the agenda of the virtual host, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.election.effects import Advertise
from carptwist.election.precedence import BOW_OUT
from carptwist.election.state import State
from carptwist.interfaces import IGuard, IPlane, Will
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.tenure import Tenure

if TYPE_CHECKING:
    from carptwist.vhost.virtualhost import VirtualHost

#: After a plane that failed: the next attempt, and twice as long after each further failure.
RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 60.0


class Custody:
    """Of one virtual host. ``held``: its addresses are reachable here."""

    _log = Logger()

    def __init__(self, vhost: VirtualHost, plane: IPlane, *, clock: IReactorTime, guard: IGuard, expires: bool) -> None:
        self.held = False
        self.tenure = Tenure(
            vhost.name,
            guard=guard,
            plane=plane,
            clock=clock,
            expires=expires,
            ended=lambda why, _: self._ended_by_guard(why),
        )
        self._vhost = vhost
        self._plane = plane
        self._clock = clock
        self._retry = Alarm(clock, self.prepare)
        self._retry_seconds = RETRY_SECONDS

    def prepare(self) -> None:
        """Have everything ready for the next :meth:`hold`, soon."""
        vhost = self._vhost
        if vhost.is_leaving:
            return  # nothing may be made any more
        if vhost.plane_trouble is None and vhost.state is State.INIT:
            vhost.put_off("plane", "setting up")
        vhost.agenda.add("prepare", lambda: maybeDeferred(self._plane.prepare).addCallback(self._prepared))
        vhost.agenda.work()

    def close(self) -> None:
        """Try no more of what has failed."""
        self._retry.cancel()

    # Jobs of the agenda

    def hold(self) -> Deferred[None] | None:
        """The addresses become reachable, unless this is no MASTER any more."""
        if self._vhost.state is not State.MASTER:
            return None  # it was over before it began; a release follows
        self.tenure.begin(self.will())
        return maybeDeferred(self._plane.hold).addCallback(self._holds)

    def release(self, emptied: Deferred[None]) -> Deferred[None]:
        """They stop being reachable, whoever has made them so.

        :param emptied: fires when nobody serves there any more, who may still have answers to send from them.
        """
        self.held = False  # a hold before it may have ended while this was already the next MASTER
        return emptied.addCallback(lambda _: self._give_up())

    def _give_up(self) -> Deferred[None]:
        # The guard may have been at it as well, and does not leave things as a release does.
        mend = self.tenure.is_lapsed or not self.tenure.is_on
        releasing = maybeDeferred(self._plane.release).addCallback(lambda _: self.tenure.end())
        return releasing.addCallback(lambda _: self._plane.prepare()) if mend else releasing

    def withdraw(self) -> Deferred[None]:
        """Leave nothing on this host, and nothing on the clock."""
        return maybeDeferred(self._plane.withdraw).addCallback(lambda _: self.tenure.close())

    def failed(self, failure: Failure) -> None:
        """One of them has failed: nothing can be held before the plane could be prepared."""
        vhost, why = self._vhost, failure.getErrorMessage()
        if vhost.is_leaving:
            self._log.warn("carp: {name}: on leaving: {why}", name=vhost.name, why=why)
            return
        if vhost.plane_trouble != why:
            self._log.warn("carp: {name}: {why}", name=vhost.name, why=why)
        vhost.obstruct("plane", why)
        self._retry.set(self._clock.seconds() + self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _prepared(self, _: None) -> None:
        self._vhost.clear("plane")

    def _holds(self, _: None) -> None:
        self._retry_seconds = RETRY_SECONDS
        self.held = self._vhost.state is State.MASTER

    # Leases

    def renew(self, heard: float | None) -> None:
        """An advertisement was made.

        :param heard: since when at the latest nobody has waited for more of them, in seconds of the clock; None if
            nothing has left this host yet: then the first lease is not renewed, but the kernel is to know of its end.
        """
        vhost, machine = self._vhost, self._vhost.machine
        if heard is None:
            until = min(self.tenure.until, self._clock.seconds() + machine.lease)
        else:
            until = heard + machine.lease
        self.tenure.spoke(machine.settings.advbase, machine.pace, until)
        if heard is not None and vhost.holding:
            vhost.tenants.renew(until)

    def changed(self) -> None:
        """The farewell has other sources now, or is signed as the others expect it from now on."""
        if self.tenure.is_on:
            self.tenure.begin(self.will())

    def will(self) -> Will:
        """What ends this MASTER without us."""
        vhost = self._vhost
        farewell = Advertise(BOW_OUT, BOW_OUT, vhost.machine.demote)
        frames: list[bytes] = []
        if vhost.connection.voice is not None:
            for family in vhost.machine.settings.families:
                frames += vhost.connection.voice.farewell(vhost, family, farewell)
        return Will(self._plane.ending, vhost.connection.link.index, tuple(frames))

    def _ended_by_guard(self, why: str) -> None:
        self._log.warn("carp: {name}: the guard has ended it: {why}", name=self._vhost.name, why=why)
        self._vhost.lose("ended by the guard")
