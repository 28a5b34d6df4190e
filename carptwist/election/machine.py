"""The election of one vhid.

::

               ready                    master timed out, preempting, asked
      INIT  ----------->  BACKUP  ------------------------------------------->  MASTER
        ^                   |  ^                                                  |  |
        |     obstacle      |  +--------------------------------------------------+  |
        +-------------------+     more frequent advertisement heard, asked           |
        +----------------------------------------------------------------------------+
                                       obstacle (bows out first)

One method per input; each takes the time and returns the effects, in the order in which they are to
be performed. The machine does nothing itself, and knows no clock: :attr:`Machine.deadline` says when
it wants its next :meth:`Machine.tick`. What the numbers mean and how they compare is in
:mod:`carptwist.election.precedence`.

The rules are those of the kernels, ip_carp.c of FreeBSD first. Where the manual pages differ from
the kernels, the kernels are right: a BACKUP preempts a *slower* master, one with a higher advskew.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

from carptwist.election.bearing import GRACE_SECONDS, Bearing, offer
from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.precedence import (
    BOW_OUT,
    MAX_DEMOTE,
    MAX_SKEW,
    UNITS_PER_SECOND,
    effective_advskew,
    interval,
    interval_seconds,
    is_bow_out,
    lease_seconds,
    master_down_seconds,
    patience,
)
from carptwist.election.state import State

#: What a node of last resort advertises: longer than anybody's patience, so that whoever can takes over; no farewell.
LAST_RESORT = (BOW_OUT, BOW_OUT - 1)
#: Announcements in answer to the claims of somebody else: at most one a second, and the last claim gets one.
REANNOUNCE_SECONDS = 1.0
#: Whoever takes over from a master that lives announces its addresses again so long afterwards.
REPEAT_SECONDS = (0.1, 0.4)
#: A timer that comes later than this is that of a BACKUP that stood still: the silence proves nothing ...
LATE_SECONDS = 0.25
#: ... before it has read, for so long, what the master may have said meanwhile; longer after a longer absence.
READ_SECONDS = 0.02

# In Python 3.11 an attribute of an Enum costs as much as a call.
_INIT, _BACKUP, _ = State
_YIELDING = Bearing.YIELDING


class Settings(NamedTuple):
    """What the operator decided for a vhid.

    ``families``: 4, 6 or both; each has a timeout of its own. ``counts_demotion``: demotion travels as a
    count of its own and is compared before the intervals, as in OpenBSD, instead of being added to advskew.
    """

    advbase: int
    advskew: int
    families: tuple[int, ...]
    counts_demotion: bool = False


class Machine:
    """State, timers and rules of one vhid on one node.

    What follows from settings and demotion is reckoned when they change, since each advertisement is compared with it:
    ``effective_advskew``; ``demote``, the demote count that this node advertises, an octet; ``pace``, the seconds from
    one advertisement to the next, and ``lease``, for how many a MASTER may count on being the only one after each.
    """

    __slots__ = (
        "_abandoned",
        "_advertise_at",
        "_announce_at",
        "_answered_at",
        "_demotion",
        "_interval",
        "_lapses_at",
        "_limit",
        "_listens_until",
        "_master_down",
        "_timeout",
        "bearing",
        "demote",
        "effective_advskew",
        "last_resort",
        "lease",
        "pace",
        "preempt",
        "reason",
        "settings",
        "since",
        "state",
    )

    def __init__(
        self,
        now: float,
        settings: Settings,
        *,
        preempt: bool = False,
        demotion: int = 0,
        last_resort: bool = False,
    ) -> None:
        self.settings = settings
        self.preempt = preempt
        self.last_resort = last_resort  # MASTER only while nobody else is
        self.bearing = Bearing.FREE
        self.state = State.INIT
        self.reason = "not started"
        self.since = now
        self._demotion = demotion
        self._master_down: dict[int, float] = {}  # family -> when its master counts as dead
        self._advertise_at: float | None = None
        self._announce_at: list[float] = []  # when the addresses are announced again, the next one last
        self._answered_at = float("-inf")  # when it last answered a claim of somebody else with an announcement
        self._lapses_at = float("inf")  # when a MASTER that has said nothing since counts as replaced
        self._listens_until = float("-inf")  # and takes over from nobody
        self._abandoned = False  # by a farewell that it has left to others
        self._reckon()

    # What others may ask

    @property
    def own_interval(self) -> int:
        """What this node advertises, or would: 1/256 s."""
        return interval(*self._told())

    @property
    def preempts(self) -> bool:
        """Whether as BACKUP it takes over from a slower master that is alive."""
        if self.bearing is Bearing.FREE:
            return self.preempt
        return self.bearing is Bearing.INSISTING

    @property
    def deadline(self) -> float | None:
        """When the next tick is due; None: no timer runs."""
        if self._advertise_at is None:
            down = self._master_down
            return min(down.values()) if down else None
        return min(self._advertise_at, self._announce_at[-1]) if self._announce_at else self._advertise_at

    @property
    def master_down_at(self) -> dict[int, float]:
        """By family, when a BACKUP will call its master dead."""
        return dict(self._master_down)

    @property
    def advertise_at(self) -> float | None:
        """When the next advertisement is due."""
        return self._advertise_at

    @property
    def lapses_at(self) -> float:
        """When this MASTER will no longer count on being the only one, unless it advertises before; else never."""
        return self._lapses_at

    def is_listening(self, now: float) -> bool:
        """Whether it was away itself, and so takes over from nobody yet."""
        return now < self._listens_until

    # Inputs

    def ready(self, now: float, reason: str = "initialization complete") -> list[Effect]:
        """Interface, link, addresses and operator all allow this vhid to take part."""
        if self.state is not State.INIT:
            return []
        effects = self._become(now, State.BACKUP, reason)
        self._await_master(now, self.settings.families)
        return effects

    def obstructed(self, now: float, reason: str, *, link_carries: bool) -> list[Effect]:
        """Something keeps this vhid from taking part. ``link_carries``: a bow-out would still be heard."""
        if self.state is State.INIT:
            self.reason = reason
            return []
        effects = self._lapse(now)
        was_master = self.state is State.MASTER
        effects += self._become(now, State.INIT, reason)
        if was_master and link_carries:
            # The others need not wait for their timeout: we say that we go.
            effects.append(Advertise(BOW_OUT, BOW_OUT, self.demote))
        return effects

    def heard(self, now: float, family: int, advbase: int, advskew: int, demote: int = 0) -> list[Effect]:
        """A valid advertisement of another node for this vhid. ``demote`` counts in the OpenBSD dialect alone."""
        if demote and not self.settings.counts_demotion:
            demote = 0
        if self.state is _BACKUP:
            return self._heard_as_backup(now, family, advbase, advskew, demote)
        if self.state is _INIT:
            return []
        lapsed = self._lapse(now)
        if lapsed:
            return lapsed + self._heard_as_backup(now, family, advbase, advskew, demote)
        return self._heard_as_master(now, advbase, advskew, demote)

    def foresee(self, now: float, family: int, advbase: int, advskew: int, demote: int = 0) -> list[Effect]:
        """What :meth:`heard` would give now; nothing changes."""
        twin = copy(self)
        twin._master_down = dict(self._master_down)
        return twin.heard(now, family, advbase, advskew, demote)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed. Does nothing before :attr:`deadline`."""
        if self.state is _BACKUP:
            # Either family's silence is enough: an address that nobody serves is what CARP is there to prevent.
            due = min(self._master_down.values(), default=float("inf"))
            if now < due:
                return []
            if now - due > LATE_SECONDS and due != self._listens_until:  # whoever has listened for once need not again
                was_away = now - due > interval_seconds(self.settings.advbase, self.settings.advskew)
                self._listen(now, self._one_interval if was_away else READ_SECONDS)
                return []
            return self._take_over(now, "master timed out")
        effects = self._lapse(now)
        if self._advertise_at is not None and self._advertise_at <= now:
            effects.append(self._advertise(now))
            # From due time to due time, so that lateness does not add up; but no burst after a long absence.
            self._advertise_at = max(self._advertise_at + self.pace, now + self.pace / 2)
        if self._announce_at and self._announce_at[-1] <= now:
            self._announce_at = [moment for moment in self._announce_at if moment > now]
            self._answered_at = now
            effects.append(Announce())
        return effects

    def replaced(self, now: float, reason: str) -> list[Effect]:
        """Somebody else is MASTER by now, or will be at once: whoever was so says nothing, and listens for one interval
        of whichever master there is before it speaks again."""
        if self.state is not State.MASTER:
            return []
        effects = self._become(now, State.BACKUP, reason)
        self._listen(now, self._one_interval)
        return effects

    def asked(self, now: float, state: State, reason: str = "requested by the operator") -> list[Effect]:
        """The operator wants BACKUP or MASTER, whatever the timers say. Not possible while obstructed."""
        lapsed = self._lapse(now)
        if lapsed and state is State.BACKUP:
            return lapsed
        if self.state is State.BACKUP and state is State.MASTER:
            return lapsed + self._take_over(now, reason)
        if self.state is State.MASTER and state is State.BACKUP:
            effects = self._become(now, State.BACKUP, reason)
            effects.append(Advertise(BOW_OUT, BOW_OUT, self.demote))
            self._await_master(now, self.settings.families)
            return effects
        return []

    def resort(self, now: float, last: bool) -> list[Effect]:
        """From now on this node is the last resort, or no longer.

        A last resort gives away what it has in good order, preempts nobody, yields to everybody, and waits longer for a
        master than any other node does. If it is MASTER all the same, it advertises an interval beyond every patience:
        a BACKUP that hears that takes over at once, whatever its preempt says.
        """
        if last is self.last_resort:
            return []
        self.last_resort = last
        self._reckon()
        if self.state is State.MASTER and last:
            return self.asked(now, State.BACKUP, "maintenance")
        if self.state is State.BACKUP:
            self._await_master(now, self.settings.families)
        return self._advertise_now(now) if self.state is State.MASTER else []

    def bear(self, now: float, bearing: Bearing, reason: str) -> list[Effect]:
        """Its group wants it to bear itself so from now on: see :mod:`carptwist.election.bearing`."""
        before, self.bearing = self.bearing, bearing
        if before is bearing or Bearing.YIELDING not in (before, bearing):
            return []
        effects = self._lapse(now)
        self._reckon()
        if self.state is State.MASTER:
            if bearing is Bearing.YIELDING and self.settings.advbase == 0:
                # Who does not preempt would not take an offer then.
                return self.asked(now, State.BACKUP, reason)
            # At once, so that the others can take it at once, or know that it is no longer to be had.
            return self._advertise_now(now)
        if self._abandoned:
            # Nobody took it while we must not.
            effects += self._take_over(now, "master has left")
        return effects

    def demoted(self, now: float, demotion: int) -> list[Effect]:
        """The host-wide demotion is now ``demotion``."""
        if demotion == self._demotion:
            return []
        self._demotion = demotion
        self._reckon()
        lapsed = self._lapse(now)
        # At once, so that the others can react at once.
        return self._advertise_now(now) if self.state is State.MASTER else lapsed

    def reconfigured(self, now: float, settings: Settings) -> list[Effect]:
        """The operator decided otherwise. The state stays; timers run on from where they began."""
        lapsed = self._lapse(now)
        before, self.settings = self.settings, settings
        self._reckon()
        if self.state is State.BACKUP:
            later = self._patience(settings) - self._patience(before)
            for family in settings.families:
                due = self._master_down.get(family)
                # Of a family that is new here nobody could be heard before.
                self._master_down[family] = now + self._patience(settings) if due is None else due + later
            for family in before.families:
                if family not in settings.families:
                    del self._master_down[family]
            return lapsed
        if self.state is State.MASTER:
            # At once: the others compare and time out by what they heard last, and the digest may be another one.
            return self._advertise_now(now)
        return []

    # What the inputs share

    def _reckon(self) -> None:
        settings = self.settings
        if settings.counts_demotion:
            self.effective_advskew = settings.advskew
            yields = self.bearing is Bearing.YIELDING
            self.demote = MAX_DEMOTE if yields else max(0, min(MAX_DEMOTE, self._demotion))
        else:
            self.effective_advskew = effective_advskew(settings.advskew, self._demotion)
            self.demote = 0
        self._interval = interval(settings.advbase, self.effective_advskew)
        self._timeout = self._patience(settings)
        # Any whole second is longer than our patience where advbase is 0; OpenBSD does not compare either. A farewell
        # is a farewell all the same, and no other interval is as long.
        self.pace = interval_seconds(settings.advbase, self.effective_advskew)
        self.lease = lease_seconds(settings.advbase, settings.advskew, self.effective_advskew)
        own = patience(settings.advbase, self.effective_advskew)
        self._limit = own if settings.advbase else interval(BOW_OUT, BOW_OUT) - 1

    def _heard_as_backup(self, now: float, family: int, advbase: int, advskew: int, demote: int) -> list[Effect]:
        if self.last_resort:
            # Even after a farewell: the others are to be faster.
            self._await_master(now, tuple(each for each in (family,) if each in self.settings.families))
            return []
        if self.bearing is _YIELDING:
            self._leave_to_others(now, family, advbase, advskew)
            return []
        theirs = interval(advbase, advskew)
        if now < self._listens_until:
            # It may be old. After a farewell nobody is waited for longer than that.
            if family not in self.settings.families:
                return []
            if self._limit < theirs:
                self._master_down[family] = self._listens_until
            else:
                self._await_master(now, (family,))
            return []
        if self._interval < theirs and self.preempts and demote >= self.demote:
            # We would advertise more often than this master: we are the better one.
            return self._take_over(now, "preempting a slower master", former_lives=not is_bow_out(advbase, advskew))
        if demote > self.demote:
            # Whatever preempt says: a master that is demoted asks to be relieved.
            return self._take_over(now, "master is demoted more", former_lives=not is_bow_out(advbase, advskew))
        if self._limit < theirs:
            # It promises less than our patience: waiting would end in the same way, only later.
            # This is how a bow-out takes effect at once.
            return self._take_over(now, "master will time out")
        if family in self.settings.families:
            # Only then: nothing would ever stop the timer of a family that we have no address of.
            self._await_master(now, (family,), _promised(advbase, advskew))
        return []

    def _leave_to_others(self, now: float, family: int, advbase: int, advskew: int) -> None:
        self._abandoned = is_bow_out(advbase, advskew)
        if self._abandoned:
            grace = GRACE_SECONDS + self.settings.advskew / UNITS_PER_SECOND
            self._await_master(now, self.settings.families, at_most=grace)
        elif family in self.settings.families:
            self._await_master(now, (family,), _promised(advbase, advskew))

    def _heard_as_master(self, now: float, advbase: int, advskew: int, demote: int) -> list[Effect]:
        if demote < self.demote or (demote == self.demote and interval(advbase, advskew) <= self.own_interval):
            # Equal ones yield both, so that neither insists; the order of their timeouts decides.
            reason = "less demoted master heard" if demote < self.demote else "more frequent advertisement received"
            effects = self._become(now, State.BACKUP, reason)
            self._await_master(now, self.settings.families, _promised(advbase, advskew))
            return effects
        if is_bow_out(advbase, advskew):
            return []
        # Somebody else has just claimed our addresses, and switches have learned it: until we send something again,
        # which is an advertisement at the latest, nobody reaches us. No kernel does this.
        again = self._answered_at + REANNOUNCE_SECONDS
        if again <= now:
            self._answered_at = now
            return [Announce()]
        if again not in self._announce_at:
            self._announce_at = sorted([*self._announce_at, again], reverse=True)
        return []

    def _take_over(self, now: float, reason: str, *, former_lives: bool = False) -> list[Effect]:
        effects = self._become(now, State.MASTER, reason)
        effects += [self._advertise(now), Announce()]
        # The first interval leaves demotion out, as the kernels' carp_setrun does: a second
        # advertisement that comes early harms nobody.
        self._advertise_at = now + interval_seconds(self.settings.advbase, self.settings.advskew)
        # Once more after two intervals, for switches that lost the first one.
        self._announce_at = [now + 2 * self.pace]
        if former_lives:
            # And soon, for switches that hear the former master once more, before it has its device down.
            self._announce_at = sorted({*self._announce_at, *(now + each for each in REPEAT_SECONDS)}, reverse=True)
        return effects

    def _advertise_now(self, now: float) -> list[Effect]:
        self._advertise_at = now + self.pace
        return [self._advertise(now)]

    def _advertise(self, now: float) -> Effect:
        self._lapses_at = now + self.lease
        return Advertise(*self._told(), self.demote)

    def _told(self) -> tuple[int, int]:
        """The advbase and advskew that it advertises, or would."""
        if self.last_resort:
            return LAST_RESORT
        if self.bearing is Bearing.YIELDING:
            return offer(self.settings.advbase, self.settings.advskew)
        return self.settings.advbase, self.effective_advskew

    def _await_master(
        self, now: float, families: tuple[int, ...], promised: float = 0.0, at_most: float = float("inf")
    ) -> None:
        """Start the timeout anew; ``promised``: the patience that the master that was heard asks for, in seconds."""
        own = self._timeout
        if promised > own and self.settings.advbase == 0 and not self.settings.counts_demotion:
            own = promised
        due = now + (own if own < at_most else at_most)
        for family in families:
            self._master_down[family] = due

    def _patience(self, settings: Settings) -> float:
        """The timeout by our own settings, in seconds."""
        if self.last_resort:
            # Longer than that of the slowest other node, by an interval and more.
            return master_down_seconds(settings.advbase, LAST_RESORT[1]) + settings.advbase + 1
        if settings.advbase or settings.counts_demotion:
            return master_down_seconds(settings.advbase, settings.advskew)
        # A demoted node has a better one to wait for, whose interval may be many times our own timeout.
        return master_down_seconds(0, max(settings.advskew, effective_advskew(settings.advskew, self._demotion)))

    def _lapse(self, now: float) -> list[Effect]:
        """Late is lost: a MASTER that was away for longer than others wait does not go on as if nothing had been."""
        if now < self._lapses_at or self._advertise_at is None:
            return []
        return self.replaced(now, f"was away for {now - self._advertise_at:.1f} s")

    @property
    def _one_interval(self) -> float:
        """Of any master, in seconds: it may be demoted, and so advertise as seldom as that."""
        return min(interval_seconds(self.settings.advbase, MAX_SKEW), self._timeout)

    def _listen(self, now: float, seconds: float) -> None:
        self._listens_until = now + seconds
        for family in self.settings.families:
            self._master_down[family] = self._listens_until

    def _become(self, now: float, state: State, reason: str) -> list[Effect]:
        """The one place that changes the state. Effects hang on what is left and what is entered."""
        previous, self.state = self.state, state
        self.reason = reason
        self.since = now
        self._master_down.clear()
        self._advertise_at = None
        self._announce_at = []
        self._lapses_at = float("inf")
        self._abandoned = False
        effects: list[Effect] = [Became(previous, state, reason)]
        if previous is State.MASTER:
            effects.append(Release())
        if state is State.MASTER:
            effects.append(Hold())
        return effects


def _promised(advbase: int, advskew: int) -> float:
    """Three intervals of a master whose advbase is 0, in seconds; 0 where no such patience is asked for.

    Timeouts of advbase 0 are three times one's own advskew, and so say nothing of how often another node advertises.
    Without this a fast node would call a slower master dead between any two of its advertisements: a demoted one would
    be MASTER beside it again and again, and one that must not preempt would preempt. OpenBSD does just that, and its
    dialect here. Longer promises are not believed, for nothing authenticates them.
    """
    return master_down_seconds(0, advskew) if advbase == 0 else 0.0
