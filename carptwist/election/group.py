"""The vhids of a group, on one node: what each has to do so that they end up together on one host.

::

                     a member is in INIT
      any state  --------------------------->  UNABLE
      UNABLE     --------------------------->  WAITING    no member is in INIT any more
      WAITING    <-------------------------->  LEADING    the deciding member stops, begins to be MASTER here
      WAITING    --------------------------->  FOLLOWING  and another host is MASTER of the deciding one for a patience
      FOLLOWING  --------------------------->  LEADING    the deciding member begins to be MASTER here
      LEADING    --------------------------->  FOLLOWING  another member cannot be won: it decides from now on

      state        the deciding member                        the others
      UNABLE       YIELDING                                   YIELDING
      WAITING      FREE                                       MODEST as BACKUP; FREE as MASTER
      FOLLOWING    FREE; INSISTING when nobody has taken      YIELDING
                   what is offered for two patiences
      LEADING      FREE                                       FREE; INSISTING when one of them is elsewhere for two
                                                              patiences; what is elsewhere after a third decides

Rules that this file keeps:

- Nothing of this is on the wire. The other hosts may know of groups or not.
- One member decides, so that two hosts that are each preferred for another member do not pull for ever: the first one
  by number and interface, the same on all hosts. Only where another one cannot be won does that one decide, until it
  is MASTER or in INIT here.
- What a picture means is known once it has stood for as long as the longest patience of the members: a BACKUP then has
  heard another MASTER. All times are counted from the last change of state of any member.
- Yielding costs nothing where nobody takes over: what cannot be together is served apart.
- A node that again and again is not able loses its right to preempt for a time, longer with each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from carptwist.election.bearing import Bearing
from carptwist.election.state import State

#: The second time that a node was not able keeps it from preempting for one patience, each further one for twice as
#: long, but never longer than this.
LONGEST_HOLD_SECONDS = 60.0
#: After so long without a further time the former ones are forgotten.
FORGIVEN_AFTER_SECONDS = 600.0

#: In patiences, since the last change of any member: another host's being MASTER is a decision ...
_SETTLED = 1
#: ... a member elsewhere is not given away by itself ...
_INSISTS = 2
#: ... and cannot be won; or what is offered is not taken.
_GIVES_UP = 3


class Standing(NamedTuple):
    """How a member stands. ``reason`` is that of its state; ``patience`` its master-down timeout in seconds."""

    name: str
    state: State
    since: float
    reason: str
    patience: float


class Phase(Enum):
    """See the picture above."""

    UNABLE = "unable"
    WAITING = "waiting"
    FOLLOWING = "following"
    LEADING = "leading"


class Order(NamedTuple):
    """How a member is to bear itself, and why, for people; the empty string where it is FREE."""

    bearing: Bearing
    why: str = ""


_FREE = Order(Bearing.FREE)


class Group:
    """One group on one node."""

    def __init__(self) -> None:
        self.phase = Phase.WAITING
        self.deadline: float | None = None  # when to decide again, even if no member changes its state
        self._decider = ""
        self._was_able = False
        self._able_since = float("-inf")
        self._losses = 0
        self._lost_at = float("-inf")

    def decide(self, now: float, members: Sequence[Standing]) -> dict[str, Order]:
        """The order of every member, by name.

        :param members: at least one; the first one decides.
        """
        self.deadline = None
        unable = next((member for member in members if member.state is State.INIT), None)
        if unable is not None:
            self._lose(now)
            why = f"{unable.name} is not able to be MASTER here ({unable.reason})"
            return {member.name: Order(Bearing.YIELDING, why) for member in members}
        if not self._was_able:
            self._was_able = True
            self._able_since = now
        patience = max(member.patience for member in members)
        stands = (now - max(member.since for member in members)) / patience
        decider = self._choose(members, stands)
        self._decider = decider.name
        if decider.state is State.MASTER:
            self.phase = Phase.LEADING
            return self._lead(now, members, decider, stands, patience)
        if self.phase is Phase.FOLLOWING or stands >= _SETTLED:
            self.phase = Phase.FOLLOWING
        else:
            self.phase = Phase.WAITING
            self._look_again(now + (_SETTLED - stands) * patience)
        return self._follow(now, members, decider, stands, patience)

    def _lose(self, now: float) -> None:
        self.phase = Phase.UNABLE
        self._decider = ""
        if not self._was_able:
            return
        self._was_able = False
        if now - self._lost_at >= FORGIVEN_AFTER_SECONDS:
            self._losses = 0
        self._losses += 1
        self._lost_at = now

    def _choose(self, members: Sequence[Standing], stands: float) -> Standing:
        """Who decides now."""
        decider = next((member for member in members if member.name == self._decider), members[0])
        if decider.state is State.MASTER:
            decider = members[0]
        if decider.state is State.MASTER and stands >= _GIVES_UP:
            return next((member for member in members if member.state is State.BACKUP), decider)
        return decider

    def _lead(
        self, now: float, members: Sequence[Standing], decider: Standing, stands: float, patience: float
    ) -> dict[str, Order]:
        orders = {member.name: _FREE for member in members}
        elsewhere = [member for member in members if member.state is State.BACKUP]
        if not elsewhere:
            return orders
        insists = stands >= _INSISTS
        self._look_again(now + ((_GIVES_UP if insists else _INSISTS) - stands) * patience)
        if insists:
            order = Order(Bearing.INSISTING, f"{decider.name}, which decides, is MASTER here")
            orders.update((member.name, order) for member in elsewhere)
        return orders

    def _follow(
        self, now: float, members: Sequence[Standing], decider: Standing, stands: float, patience: float
    ) -> dict[str, Order]:
        following = self.phase is Phase.FOLLOWING
        orders = {}
        for member in members:
            if following:
                why = f"another host is MASTER of {decider.name}, which decides"
                orders[member.name] = Order(Bearing.YIELDING, why)
            elif member.state is State.BACKUP:
                orders[member.name] = Order(Bearing.MODEST, f"{decider.name}, which decides, is not MASTER here")
            else:
                orders[member.name] = _FREE
        orders[decider.name] = self._decide_freely(now, patience)
        offered = any(member.state is State.MASTER for member in members)
        if offered and stands >= _GIVES_UP:
            orders[decider.name] = Order(Bearing.INSISTING, "nobody takes what this host offers of the group")
        elif offered and following:
            self._look_again(now + (_GIVES_UP - stands) * patience)
        return orders

    def _decide_freely(self, now: float, patience: float) -> Order:
        """The deciding member's order, unless this node was not able too often."""
        hold = min(LONGEST_HOLD_SECONDS, patience * 2 ** (self._losses - 2)) if self._losses > 1 else 0.0
        until = self._able_since + hold
        if now >= until:
            return _FREE
        self._look_again(until)
        return Order(Bearing.MODEST, f"a member was not able to be MASTER here {self._losses} times lately")

    def _look_again(self, when: float) -> None:
        self.deadline = when if self.deadline is None else min(when, self.deadline)
