"""Planted faults of the election and of the guard, each of which the breaker has to find.

A mutant is a subclass that takes the place of the real class in the module that makes its objects. ``rule`` is what it
breaks, by :mod:`carptwist.simulation.inspector`; ``assaults`` where it takes an attacker to show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, succeed

from carptwist import node
from carptwist.election.counter import Counter
from carptwist.election.effects import Effect
from carptwist.election.machine import Machine
from carptwist.election.precedence import interval, is_bow_out
from carptwist.election.replay import Replay, Verdict
from carptwist.election.state import State
from carptwist.interfaces import Will
from carptwist.simulation import system
from carptwist.simulation.guard import MemoryGuard
from carptwist.vhost import custody, surroundings, virtualhost
from carptwist.vhost.custody import Custody
from carptwist.vhost.tenure import Tenure
from carptwist.vhost.virtualhost import VirtualHost


class Mutant(NamedTuple):
    """``made`` instead of the class of the same place."""

    fault: str
    rule: str
    where: ModuleType | type
    name: str
    made: type
    assaults: bool = False


class PreemptsTheFaster(Machine):
    def _heard_as_backup(self, now: float, family: int, advbase: int, advskew: int, demote: int) -> list[Effect]:
        if self.preempt and self.own_interval > interval(advbase, advskew):
            return self._take_over(now, "preempting a faster master")
        return super()._heard_as_backup(now, family, advbase, advskew, demote)


class InsistsOnATie(Machine):
    def _heard_as_master(self, now: float, advbase: int, advskew: int, demote: int) -> list[Effect]:
        if interval(advbase, advskew) == self.own_interval:
            return []
        return super()._heard_as_master(now, advbase, advskew, demote)


class DoesNotHeedFarewells(Machine):
    def _heard_as_backup(self, now: float, family: int, advbase: int, advskew: int, demote: int) -> list[Effect]:
        if is_bow_out(advbase, advskew):
            return []
        return super()._heard_as_backup(now, family, advbase, advskew, demote)


class DoesNotRestartTheTimer(Machine):
    def _await_master(self, now: float, families: tuple[int, ...], *limits: Any, **named: Any) -> None:
        super()._await_master(now, tuple(each for each in families if each not in self._master_down), *limits, **named)


class RestartsTheTimerOfIPv4Alone(Machine):
    def _await_master(self, now: float, families: tuple[int, ...], *limits: Any, **named: Any) -> None:
        super()._await_master(now, tuple(each for each in families if each == 4 or len(families) > 1), *limits, **named)


class DoesNotCountDemotion(Machine):
    def _reckon(self) -> None:
        demotion, self._demotion = self._demotion, 0
        super()._reckon()
        self._demotion = demotion


class _NeverLapses(Machine):
    __slots__ = ()

    def _lapse(self, now: float) -> list[Effect]:
        return []


class _NeverEnds(Tenure):
    @property
    def is_lapsed(self) -> bool:
        return False


class GoesOnThoughLate(VirtualHost):
    """Two places know of it, each of which is enough."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.machine.__class__ = _NeverLapses
        self.custody.tenure.__class__ = _NeverEnds


class WaitsTwiceAsLong(Machine):
    def _patience(self, settings: Any) -> float:
        return 2 * super()._patience(settings)


class NeverAdvertisesAgain(Machine):
    def tick(self, now: float) -> list[Effect]:
        effects = super().tick(now)
        if self.state is State.MASTER:
            self._advertise_at = now + 3600
        return effects


class DoesNotRelease(Custody):
    def release(self, *_: Any) -> Deferred[None]:
        return succeed(None)


class RepeatsItsCounter(Counter):
    def next(self, used: Callable[[int], bool] = lambda counter: False) -> int:
        return 4711


class BelievesReplaysOfItsOwn(Replay):
    def judge(self, source: bytes, counter: int, network_control: bool) -> Verdict:
        verdict = super().judge(source, counter, network_control)
        return Verdict.NEW if verdict is Verdict.OURS else verdict


class RemembersNothingHeard(Replay):
    def judge(self, source: bytes, counter: int, network_control: bool) -> Verdict:
        return Verdict.OURS if counter in self._own else Verdict.NEW


class ForgetsAWill(MemoryGuard):
    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        pass


class ActsLate(MemoryGuard):
    def renew(self, name: str, until: float) -> None:
        super().renew(name, until + 2)


class NeverHearsOfTheEnd(MemoryGuard):
    def daemon_died(self) -> None:
        pass


class BowsOutForNobody(MemoryGuard):
    def renew(self, name: str, until: float) -> None:
        super().renew(name, until)
        self.kept[name].farewell = False


class EndsTheLiving(MemoryGuard):
    def renew(self, name: str, until: float) -> None:
        self.kept[name].farewell = True


class TellsNoGuardOfTheEnd(Tenure):
    def end(self) -> None:
        self._until = float("inf")
        self._refreshed = float("-inf")
        self._again.set(None)


class RefreshesOnce(Tenure):
    def _refresh(self) -> None:
        if self._refreshed == float("-inf"):
            super()._refresh()


MUTANTS = (
    Mutant("preempts a faster master", "one owner", surroundings.Ordinary, "machine", PreemptsTheFaster),
    Mutant("a tie: neither yields", "one owner", surroundings.Ordinary, "machine", InsistsOnATie),
    Mutant("a farewell is not heeded", "farewells are heeded", surroundings.Ordinary, "machine", DoesNotHeedFarewells),
    Mutant("a timer is not restarted", "one owner", surroundings.Ordinary, "machine", DoesNotRestartTheTimer),
    Mutant(
        "only IPv4's timer is restarted", "one owner", surroundings.Ordinary, "machine", RestartsTheTimerOfIPv4Alone
    ),
    Mutant("demotion is not counted", "one sum", surroundings.Ordinary, "machine", DoesNotCountDemotion),
    Mutant("goes on though its lease is over", "late is lost", node, "VirtualHost", GoesOnThoughLate),
    Mutant("waits twice as long", "in time", surroundings.Ordinary, "machine", WaitsTwiceAsLong),
    Mutant("a MASTER falls silent", "one owner", surroundings.Ordinary, "machine", NeverAdvertisesAgain),
    Mutant("a BACKUP does not release", "no address without MASTER", virtualhost, "Custody", DoesNotRelease),
    Mutant("a counter is repeated", "one owner", virtualhost, "Counter", RepeatsItsCounter),
    Mutant("believes its own", "replays change nothing", surroundings, "Replay", BelievesReplaysOfItsOwn, True),
    Mutant("remembers nothing", "replays change nothing", surroundings, "Replay", RemembersNothingHeard, True),
    Mutant("the guard forgets a will", "nobody left behind", system, "MemoryGuard", ForgetsAWill),
    Mutant("the guard acts late", "nobody left behind", system, "MemoryGuard", ActsLate),
    Mutant("the guard misses the end", "nobody left behind", system, "MemoryGuard", NeverHearsOfTheEnd),
    Mutant("the guard does not bow out", "the guard bows out", system, "MemoryGuard", BowsOutForNobody),
    Mutant("the guard ends the living", "one owner", system, "MemoryGuard", EndsTheLiving),
    Mutant("the guard is not told of a release", "one owner", custody, "Tenure", TellsNoGuardOfTheEnd),
    Mutant("addresses are not refreshed", "nobody left behind", custody, "Tenure", RefreshesOnce),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Every daemon that is made meanwhile has the fault."""
    sound = getattr(mutant.where, mutant.name)
    setattr(mutant.where, mutant.name, mutant.made)
    try:
        yield
    finally:
        setattr(mutant.where, mutant.name, sound)
