"""Who would be MASTER of a vhid after a change: the rules themselves, run ahead on a clock that is only a number.

::

    Contender this host, before -> after  --+
    Contender 192.0.2.3 (as last heard)   --+--> Machine each, advertising to one another --> who is MASTER, and why
    Contender b.ini                       --+

Nothing is known here but what the contenders are said to be. Where nobody else is known there is no election to run;
:func:`precedence_change` then says against whom the change matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from carptwist.config.schema import Configuration, Dialect, VirtualHostConfig
from carptwist.election.effects import Advertise, Became, Effect
from carptwist.election.machine import Machine, Settings
from carptwist.election.precedence import MAX_SKEW, UNITS_PER_SECOND, interval_seconds, master_down_seconds
from carptwist.election.state import State

#: Whom forecasts call so.
THIS_HOST = "this host"
#: An election that is not decided after so many steps is not run any further.
MOST_STEPS = 2_000
#: The timeouts of hosts that start together are never quite the same.
_STAGGER_SECONDS = 1e-6


class Contender(NamedTuple):
    """One host in an election. ``settings`` is None while it does not take part."""

    name: str
    settings: Settings | None
    preempt: bool
    demotion: int = 0

    @property
    def interval(self) -> int | None:
        """How often it advertises, or would, in 1/256 s."""
        if self.settings is None:
            return None
        return Machine(0.0, self.settings, preempt=self.preempt, demotion=self.demotion).own_interval


class Forecast(NamedTuple):
    """Who is MASTER before and after a change, by name, None for nobody; and why the later one is."""

    before: str | None
    after: str | None
    reason: str

    @property
    def text(self) -> str:
        if self.after is None:
            return "nobody is MASTER afterwards"
        if self.after == self.before:
            return f"{self.after} stays MASTER"
        return f"{self.after} becomes MASTER ({self.reason})"


def settings_of(config: VirtualHostConfig) -> Settings:
    """What the rules know of a vhid's configuration."""
    families = tuple(sorted({address.version for address in config.addresses}))
    return Settings(config.advbase, config.advskew, families, config.dialect is Dialect.OPENBSD)


def contender(name: str, configuration: Configuration, vhid: VirtualHostConfig | None, demotion: int = 0) -> Contender:
    """A host with a configuration; ``vhid`` is its part in the election, None if it has none."""
    knobs = configuration.knobs
    takes_part = vhid is not None and vhid.addresses and knobs.allow
    return Contender(name, settings_of(vhid) if vhid is not None and takes_part else None, knobs.preempt, demotion)


def same(ours: VirtualHostConfig, theirs: Configuration) -> VirtualHostConfig | None:
    """Another host's part in the same group: the number and an address in common, for interfaces may be called
    otherwise there."""
    addresses = {address.ip for address in ours.addresses}
    for config in theirs.vhids:
        if config.vhid == ours.vhid and addresses & {address.ip for address in config.addresses}:
            return config
    return None


def foresee(
    before: Contender, after: Contender, others: Sequence[Contender] = (), master: str | None = None
) -> Forecast:
    """Run the election of one host that changes, and others that stay as they are.

    :param master: who is MASTER now; None: whoever becomes it when all start together.
    """
    election = _Election([before, *others])
    if master is not None:
        election.crown(master)
    election.run()
    was = election.master
    election.change(after)
    election.run()
    return Forecast(was, election.master, election.reason)


def precedence_change(before: Contender, after: Contender) -> str:
    """Against which others a change decides otherwise than before, where it is not known who they are."""
    old, new = before.interval, after.interval
    if old is None or new is None:
        if new is None:
            return "takes no part" if old is None else "another host takes over at once, if there is one"
        assert after.settings is not None
        patience = master_down_seconds(after.settings.advbase, after.settings.advskew)
        slower = f" or only one that advertises less often than every {_seconds(new)}" if after.preempt else ""
        return f"joins as BACKUP, and is MASTER if it hears no other for {patience:.3f} s{slower}"
    if old == new:
        if before.preempt == after.preempt:
            return "as before"
        if after.preempt:
            return f"takes over from a MASTER that advertises less often than every {_seconds(new)}"
        return "as BACKUP it leaves a slower MASTER alone"
    told = interval_change(before, after)
    between = _between(before, after)
    if not between:
        return f"{told}: no other setting lies between"
    if new < old:
        if after.preempt:
            return f"{told}: now preferred to a host with {between}"
        return f"{told}: now preferred to a host with {between}, but takes over from none that is alive (preempt no)"
    return f"{told}: a host with {between} is now preferred, and takes over if it preempts"


def interval_change(before: Contender, after: Contender) -> str:
    """``own interval 1.391 s -> 1.195 s``; the empty string where there is none."""
    old, new = before.interval, after.interval
    if old is None or new is None or old == new:
        return ""
    return f"own interval {_seconds(old)} -> {_seconds(new)}"


def _between(before: Contender, after: Contender) -> str:
    """The settings of others that stood on the one side before and stand on the other side now, as text."""
    old, new = before.interval, after.interval
    assert old is not None and new is not None
    low, high = min(old, new) + 1, max(old, new) - 1
    if low > high:
        return ""
    base, skew = divmod(low, UNITS_PER_SECOND)
    if base == high // UNITS_PER_SECOND:
        highest = min(MAX_SKEW, high % UNITS_PER_SECOND)  # nobody advertises a higher one
        if skew > highest:
            return ""
        skews = f"advskew {skew}" if skew == highest else f"advskew {skew} to {highest}"
        return f"advbase {base} and {skews}"
    return f"an interval between {_seconds(min(old, new))} and {_seconds(max(old, new))}"


def _seconds(interval: int) -> str:
    return f"{interval / UNITS_PER_SECOND:.3f} s"


class _Election:
    """Machines that hear one another at once."""

    def __init__(self, contenders: Sequence[Contender]) -> None:
        self._now = 0.0
        self._machines: dict[str, Machine] = {}
        self._longest = 1.0
        self.master: str | None = None
        self.reason = "nobody takes part"
        for each in contenders:
            self._join(each)

    def crown(self, name: str) -> None:
        """This one is MASTER to begin with."""
        if name in self._machines:
            self._perform(name, self._machines[name].asked(self._now, State.MASTER))

    def change(self, after: Contender) -> None:
        """One host is another one from now on."""
        machine = self._machines.get(after.name)
        if after.settings is None:
            if machine is not None:
                self._perform(after.name, machine.obstructed(self._now, "removed", link_carries=True))
                del self._machines[after.name]
        elif machine is None:
            self._join(after)
        else:
            machine.preempt = after.preempt
            self._lengthen(after.settings)
            self._perform(after.name, machine.reconfigured(self._now, after.settings))
            self._perform(after.name, machine.demoted(self._now, after.demotion))

    def run(self) -> None:
        """Until nothing is to be expected any more."""
        until = self._now + 4 * self._longest
        for _ in range(MOST_STEPS):
            due = [(when, name) for name, each in self._machines.items() if (when := each.deadline) is not None]
            if not due or min(due)[0] > until:
                break
            self._now, name = min(due)
            self._perform(name, self._machines[name].tick(self._now))
        masters = [name for name, each in self._machines.items() if each.state is State.MASTER]
        if self.master not in masters:
            self.master = masters[0] if masters else None

    def _join(self, each: Contender) -> None:
        if each.settings is None:
            return
        self._lengthen(each.settings)
        self._now += _STAGGER_SECONDS
        machine = Machine(self._now, each.settings, preempt=each.preempt, demotion=each.demotion)
        self._machines[each.name] = machine
        self._perform(each.name, machine.ready(self._now))

    def _lengthen(self, settings: Settings) -> None:
        longest = master_down_seconds(settings.advbase, settings.advskew)
        self._longest = max(self._longest, longest, interval_seconds(settings.advbase, settings.advskew))

    def _perform(self, name: str, effects: Sequence[Effect]) -> None:
        families = self._machines[name].settings.families
        for effect in effects:
            if isinstance(effect, Became) and effect.state is State.MASTER:
                self.master, self.reason = name, effect.reason
            elif isinstance(effect, Advertise):
                for other, machine in tuple(self._machines.items()):
                    for family in families if other != name else ():
                        heard = machine.heard(self._now, family, effect.advbase, effect.advskew, effect.demote)
                        self._perform(other, heard)
