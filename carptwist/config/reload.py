"""What has to be done so that what runs is what a configuration says: two configurations -> steps.

::

    running  [carp] preempt no      1@em0 advskew 100    2@em0      3@em0      [control] /run/a.sock
    wanted   [carp] preempt yes     1@em0 advskew 50                3@em0      [control] /run/b.sock
    steps    Knob preempt           Change 1@em0         Remove     Keep       Later control

The order of the steps is the order in which they are to be done:

- the host-wide settings first, for they hold for what is added; but that addresses are balanced ends only when no two
  vhids have the same one any more;
- a vhid gives an address up before another one takes it. Where two exchange theirs, so that neither could be the
  first, one of them is removed and added anew;
- what is unchanged is a step as well, in which nothing is done.

What cannot be changed while it runs becomes :class:`Later`. No text ever has a pass phrase in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, assert_never

from carptwist.config.keys import SECTIONS
from carptwist.config.schema import Configuration, Knobs, VirtualHostConfig
from carptwist.config.spelling import key_of, spelled

#: The settings of a vhid with which it goes on, state, timers and all. With any other it begins anew.
LIVE: Final = frozenset(
    {"addresses", "phrases", "advbase", "advskew", "dialect", "replay", "group", "peers", "peers6", "sources"}
)
#: Host-wide settings that are looked at once, at the start.
AT_START: Final = frozenset({"state_dir", "guard", "expire", "recorder"})
#: Allow several vhids of an interface to have the same address.
_BALANCE: Final = frozenset({"arpbalance", "ndbalance"})
#: Parts of a configuration that are exchanged as a whole while everything runs, in this order.
PARTS: Final = ("hooks", "checks", "webhooks", "syncs", "devd")

_Address = tuple[IPv4Address | IPv6Address, str | None]


@dataclass(frozen=True)
class Knob:
    """One host-wide setting."""

    name: str
    before: Any
    after: Any
    undoes: bool = False

    @property
    def subject(self) -> str:
        return "[carp]"

    @property
    def text(self) -> str:
        return f"{self.name} {_one(self.before)} -> {_one(self.after)}"


@dataclass(frozen=True)
class Keep:
    """A vhid that notices nothing."""

    config: VirtualHostConfig
    undoes: bool = False

    @property
    def subject(self) -> str:
        return self.config.name

    @property
    def text(self) -> str:
        return "unchanged"


@dataclass(frozen=True)
class Change:
    """A vhid gets other settings."""

    before: VirtualHostConfig
    after: VirtualHostConfig
    undoes: bool = False

    @property
    def subject(self) -> str:
        return self.after.name

    @property
    def text(self) -> str:
        told = ", ".join(_differences(self.before, self.after))
        return f"{told}: begins anew" if self.anew else told

    @property
    def anew(self) -> bool:
        """Whether the vhid cannot go on with its state."""
        return not set(_changed(self.before, self.after)) <= LIVE


@dataclass(frozen=True)
class Remove:
    """A vhid leaves. ``returns``: only to be added again further on."""

    config: VirtualHostConfig
    undoes: bool = False
    returns: bool = False

    @property
    def subject(self) -> str:
        return self.config.name

    @property
    def text(self) -> str:
        return "removed, to exchange addresses" if self.returns else "removed"


@dataclass(frozen=True)
class Add:
    """A vhid joins."""

    config: VirtualHostConfig
    undoes: bool = False

    @property
    def subject(self) -> str:
        return self.config.name

    @property
    def text(self) -> str:
        return f"added with {', '.join(map(str, self.config.addresses))}"


@dataclass(frozen=True)
class Part:
    """A part of the configuration that somebody exchanges as a whole: the hooks, the checks, the webhooks ..."""

    part: str  # the field of Configuration
    section: str
    before: Any
    after: Any
    undoes: bool = False

    @property
    def subject(self) -> str:
        return f"[{self.section}]"

    @property
    def text(self) -> str:
        if isinstance(self.after, tuple):
            return _named(self.before, self.after)
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(frozen=True)
class Later:
    """A part that is looked at once, at the start."""

    part: str
    what: str
    undoes: bool = False

    @property
    def subject(self) -> str:
        return f"[{self.part}]"

    @property
    def text(self) -> str:
        return f"{self.what}: takes effect at the next start"


Step = Knob | Keep | Change | Remove | Add | Part | Later


def line(step: Step) -> str:
    """A step for people: ``1@em0: advskew 100 -> 50``."""
    undone = " (a change made at run time is undone)" if step.undoes else ""
    return f"{step.subject}: {step.text}{undone}"


def action(step: Step) -> str:
    """What kind of step this is, in one word, for programs."""
    match step:
        case Keep():
            return "keep"
        case Knob() | Part():
            return "set"
        case Change():
            return "restart" if step.anew else "change"
        case Remove():
            return "remove"
        case Add():
            return "add"
        case Later():
            return "later"
        case _:
            assert_never(step)


def described(step: Step) -> dict[str, Any]:
    """A step as JSON-able values."""
    return {"action": action(step), "subject": step.subject, "text": step.text, "undoes": step.undoes}


def steps(running: Configuration, wanted: Configuration, loaded: Configuration | None = None) -> tuple[Step, ...]:
    """What leads from what runs to what is wanted, in the order in which it is to be done.

    :param loaded: what was read before. Where what runs is not that, it was changed at run time, and the steps tell
        that they undo it.
    """
    before = loaded if loaded is not None else running
    knobs = list(_knobs(running.knobs, wanted.knobs, before.knobs))
    last = [step for step in knobs if isinstance(step, Knob) and step.name in _BALANCE and not step.after]
    return (
        *(step for step in knobs if step not in last),
        *_vhids(running.vhids, wanted.vhids, before.vhids),
        *last,
        *_parts(running, wanted),
    )


def _knobs(running: Knobs, wanted: Knobs, loaded: Knobs) -> Iterable[Step]:
    for field in fields(Knobs):
        now, then = getattr(running, field.name), getattr(wanted, field.name)
        if now == then:
            continue
        if field.name in AT_START:
            yield Later("carp", f"{field.name} {_one(now)} -> {_one(then)}")
        else:
            yield Knob(field.name, now, then, undoes=now != getattr(loaded, field.name))


def _parts(running: Configuration, wanted: Configuration) -> Iterable[Step]:
    """Every part besides the knobs and vhids; last those that nobody knows how to change while they run."""
    at_start = [field.name for field in fields(Configuration) if field.name not in ("knobs", "vhids", *PARTS)]
    for part in (*PARTS, *at_start):
        now, then = getattr(running, part), getattr(wanted, part)
        if now == then:
            continue
        section = next((kind.name for kind in SECTIONS.values() if kind.part == part), part)
        yield Part(part, section, now, then) if part in PARTS else Later(section, "changed")


# Virtual hosts


def _vhids(
    running: Iterable[VirtualHostConfig], wanted: Iterable[VirtualHostConfig], loaded: Iterable[VirtualHostConfig]
) -> Iterable[Step]:
    there = {config.name: config for config in running}
    then = {config.name: config for config in wanted}
    read = {config.name: config for config in loaded}

    def undoes(name: str) -> bool:
        return there.get(name) != read.get(name)

    for name, config in there.items():
        if name not in then:
            yield Remove(config, undoes=undoes(name))
    pending: list[Change | Add] = []
    for name, config in then.items():
        if name not in there:
            pending.append(Add(config, undoes=undoes(name)))
        elif config == there[name]:
            yield Keep(config)
        else:
            pending.append(Change(there[name], config, undoes=undoes(name)))
    yield from _in_order(pending)


def _in_order(pending: list[Change | Add]) -> Iterable[Step]:
    """No address is taken before it is given up."""
    while pending:
        ready = next((step for step in pending if not _waits(step, pending)), None)
        if ready is not None:
            pending.remove(ready)
            yield ready
            continue
        # A circle. An addition waits for changes alone, so there is a change in it.
        place, broken = next((place, step) for place, step in enumerate(pending) if isinstance(step, Change))
        yield Remove(broken.before, returns=True)
        pending[place] = Add(broken.after, undoes=broken.undoes)


def _waits(step: Change | Add, pending: Iterable[Change | Add]) -> bool:
    """Whether an address that this step takes is still held by a vhid that will give it up."""
    taken = _gained(step)
    return any(taken & _lost(other) for other in pending if other is not step and isinstance(other, Change))


def _gained(step: Change | Add) -> set[_Address]:
    if isinstance(step, Add):
        return _addresses(step.config)
    return _addresses(step.after) - _addresses(step.before)


def _lost(step: Change) -> set[_Address]:
    # What it keeps it shares with whoever takes it: both balance it.
    return _addresses(step.before) - _addresses(step.after)


def _addresses(config: VirtualHostConfig) -> set[_Address]:
    # A link-local address is one of its link.
    return {(each.ip, config.interface if each.ip.is_link_local else None) for each in config.addresses}


def _changed(before: VirtualHostConfig, after: VirtualHostConfig) -> list[str]:
    return [
        field.name for field in fields(VirtualHostConfig) if getattr(before, field.name) != getattr(after, field.name)
    ]


def _differences(before: VirtualHostConfig, after: VirtualHostConfig) -> Iterable[str]:
    for name in _changed(before, after):
        key = key_of("vhid", name)
        called = key.name if key is not None else name
        if key is not None and key.secret:
            yield f"{called} changed"
        elif key is not None and key.several:
            yield from _listed(called, spelled(getattr(before, name)), spelled(getattr(after, name)))
        else:
            yield f"{called} {_one(getattr(before, name))} -> {_one(getattr(after, name))}"


def _listed(name: str, before: tuple[str, ...], after: tuple[str, ...]) -> Iterable[str]:
    if set(before) == set(after):
        yield f"{name}: another order"
    yield from (f"{name} {each} added" for each in after if each not in before)
    yield from (f"{name} {each} removed" for each in before if each not in after)


def _named(before: Iterable[Any], after: Iterable[Any]) -> str:
    """What became of sections with names."""
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    told = [f"{name} removed" for name in old if name not in new]
    told += [f"{name} added" for name in new if name not in old]
    told += [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    return ", ".join(told) or "another order"


def _one(value: Any) -> str:
    return ", ".join(spelled(value)) or "none"
