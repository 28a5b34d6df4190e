"""What becomes of an advertisement that was heard before.

::

    right digest --> Replay.judge --+-- new, or of a sender that cannot be protected --> believed
                                    +-- heard before, `observe` --> counted, told, believed
                                    +-- heard before, `enforce` --> counted, told, refused; and our next counter
                                                                    is random

A refused one touches no timer and no state. But our own next counter is drawn anew, which is how masters whose counters
run in lock-step, or one behind the other, come to hear one another: whatever made us refuse, what we send next is
new to everybody; a kernel goes on from it, and so is heard again here.
"""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.config.schema import ReplayMode
from carptwist.election.constancy import STEADY_INTERVALS, STEADY_SECONDS
from carptwist.election.precedence import interval_seconds
from carptwist.election.replay import Verdict
from carptwist.moderation import Moderation
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.advertisement import Heard
from carptwist.wire.refusal import Cause

#: Replays of one kind are told at most this often for a vhid; at ``log`` >= 2 for each sender of them.
REPLAY_LOG_SECONDS = 60.0

#: DSCP CS7, as TOS octet or traffic class.
NETWORK_CONTROL = 56 << 2

_WHAT = {
    Verdict.REPLAYED: "advertisement that was heard before",
    Verdict.OURS: "advertisement of our own heard",
}


class Repetition:
    """Judges the advertisements of one interface, whose digest was right."""

    _log = Logger()

    def __init__(self, roster: Roster, clock: IReactorTime) -> None:
        self._roster = roster
        self._clock = clock
        self._moderation = Moderation(clock, REPLAY_LOG_SECONDS)
        self._once = Moderation(clock, float("inf"))

    def refuses(self, vhost: VirtualHost, heard: Heard, verdict: Verdict) -> bool:
        """Whether an advertisement that was judged must not be believed, because it was heard before.

        A new one need not come here if its source is known to move.
        """
        config = vhost.config
        if verdict is Verdict.NEW:
            vhost.replay.introduced(
                self._clock.seconds(),
                heard.source,
                heard.advertisement.counter,
                network_control=heard.tos == NETWORK_CONTROL,
                steady=max(STEADY_SECONDS, STEADY_INTERVALS * interval_seconds(config.advbase, config.advskew)),
            )
            return False
        if verdict is Verdict.CONSTANT:
            self._tell_constant(vhost, heard)
            return False
        refused = config.replay is ReplayMode.ENFORCE
        self._roster.counters.refused[Cause.REPLAY.value] += 1
        vhost.replays += 1
        if refused:
            vhost.refused(Cause.REPLAY.value, heard.source, str)
            vhost.counter.renew()
        self._tell(vhost, heard, verdict, refused=refused)
        return refused

    def _tell(self, vhost: VirtualHost, heard: Heard, verdict: Verdict, *, refused: bool) -> None:
        log = self._roster.knobs.log
        key = (vhost.name, verdict, heard.source if log >= 2 else None)
        unsaid = self._moderation.admit(key)
        if unsaid is None:
            return
        if refused:
            self._roster.occurred("refusal", vhost.name, f"{_WHAT[verdict]} from {ip_address(heard.source)}")
        if log < 1:
            return
        self._log.warn(
            "carp: {name}: {what} from {source}: {fate}{repeated}",
            name=vhost.name,
            what=_WHAT[verdict],
            source=ip_address(heard.source),
            fate="refused" if refused else "believed all the same (replay = observe)",
            repeated=f" ({unsaid} more like it unsaid)" if unsaid else "",
        )

    def _tell_constant(self, vhost: VirtualHost, heard: Heard) -> None:
        if self._roster.knobs.log < 1 or self._once.admit((vhost.name, heard.source)) is None:
            return
        self._log.warn(
            "carp: {name}: the counter of {source} never changes, as OpenBSD's: it cannot be protected from replays of "
            "its advertisements",
            name=vhost.name,
            source=ip_address(heard.source),
        )
