"""The groups of this node: told of every change of their members, they tell the members how to bear themselves.

::

    a member changes its state, or its group --> review --> (next turn) election.Group.decide --> VirtualHost.bear
                                                    deadline ----^

It is in a turn of its own that they decide, so that a link that many members share is one change and not many.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.election.bearing import Bearing
from carptwist.election.effects import Became
from carptwist.election.group import Group, Order, Phase, Standing
from carptwist.election.precedence import master_down_seconds
from carptwist.vhost.deadline import Deadline
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost


class Groups:
    """All groups of one roster."""

    _log = Logger()

    def __init__(self, roster: Roster, clock: IReactorTime) -> None:
        self._roster = roster
        self._clock = clock
        self._groups: dict[str, Group] = {}
        self._deadline = Deadline(clock, self._decide)
        self._unobserve = roster.observe(self._changed)
        self._stopped = False

    def review(self) -> None:
        """Members have changed, or who is one."""
        if not self._stopped:
            self._deadline.set(self._clock.seconds())

    def stop(self) -> None:
        """Decide no more."""
        self._stopped = True
        self._unobserve()
        self._deadline.cancel()

    def _changed(self, vhost: VirtualHost, change: Became) -> None:
        if vhost.config.group is not None:
            self.review()

    def _decide(self) -> None:
        now = self._clock.seconds()
        members: dict[str, list[VirtualHost]] = {}
        for vhost in sorted(self._roster.all(), key=lambda vhost: (vhost.config.vhid, vhost.config.interface)):
            if vhost.config.group is not None:
                members.setdefault(vhost.config.group, []).append(vhost)
            else:
                vhost.bear(Order(Bearing.FREE))
        self._groups = {name: self._groups.get(name) or Group() for name in members}
        orders: list[tuple[VirtualHost, Order]] = []
        for name, group in self._groups.items():
            before = group.phase
            given = group.decide(now, [_standing(vhost) for vhost in members[name]])
            orders += [(vhost, given[vhost.name]) for vhost in members[name]]
            if group.phase is not before:
                self._tell(name, group.phase, next((order.why for order in given.values() if order.why), ""))
        # First: what an order leads to may ask for a review.
        self._deadline.set(min((group.deadline for group in self._groups.values() if group.deadline), default=None))
        for vhost, order in orders:
            vhost.bear(order)

    def _tell(self, name: str, phase: Phase, why: str) -> None:
        because = f" ({why})" if why else ""
        self._roster.occurred("group", "", f"group {name}: {phase.value}{because}")
        if self._roster.knobs.log >= 1:
            self._log.info("carp: group {name}: {phase}{because}", name=name, phase=phase.value, because=because)


def _standing(vhost: VirtualHost) -> Standing:
    machine, settings = vhost.machine, vhost.machine.settings
    patience = master_down_seconds(settings.advbase, settings.advskew)
    return Standing(vhost.name, machine.state, machine.since, machine.reason, patience)
