"""Plays a scenario: makes its world, lets things happen at their time, and judges what was expected."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, assert_never

from twisted.python.failure import Failure

from carptwist.node import Node
from carptwist.pcap import Capture
from carptwist.planes import PlaneError
from carptwist.simulation.attacker import Attacker
from carptwist.simulation.history import Kind
from carptwist.simulation.inquirer import inquire
from carptwist.simulation.inspector import Inspector, Violation
from carptwist.simulation.ownership import Fault, FaultKind, Ownership
from carptwist.simulation.scenario import (
    Adjust,
    Ask,
    Block,
    Cable,
    CableEvent,
    Demote,
    Divide,
    Event,
    Expectation,
    FailSending,
    Heal,
    HostEvent,
    LimitExpected,
    Order,
    OwnerExpected,
    Replay,
    Scenario,
    Scheduled,
    Weather,
)
from carptwist.simulation.world import World

#: A change of owners takes a moment, in which both or neither have the addresses. What is shorter is no fault.
HANDOVER_SECONDS = 0.010


class Judgement(NamedTuple):
    """Whether something that was expected came true; ``text`` says what it was and what was there instead."""

    met: bool
    text: str


class Outcome(NamedTuple):
    """A scenario that was played to its end."""

    scenario: Scenario
    world: World
    judgements: tuple[Judgement, ...]
    violations: tuple[Violation, ...] = ()

    @property
    def good(self) -> bool:
        if self.violations or self.world.history.of(Kind.BUG):
            return False
        return all(judgement.met for judgement in self.judgements)

    @property
    def ownerships(self) -> list[Ownership]:
        """Segment by segment, vhid by vhid."""
        return [self.world.ownerships[key] for key in sorted(self.world.ownerships)]

    @property
    def faults(self) -> list[Fault]:
        """What went wrong, in the order of its beginning, without what a change of owners takes."""
        found = [fault for each in self.ownerships for fault in each.faults if fault.seconds > HANDOVER_SECONDS]
        return sorted(found, key=lambda fault: (fault.begin, fault.service))

    @property
    def handovers(self) -> list[Fault]:
        """The moments that changes of owners took."""
        return [fault for each in self.ownerships for fault in each.faults if fault.seconds <= HANDOVER_SECONDS]


def make(scenario: Scenario, seed: int | None = None) -> World:
    """The world of a scenario, in which everything is going to happen at its time."""
    world = World(scenario.seed if seed is None else seed)
    for part in scenario.parts:
        host = world.add(part.name, part.configuration, part.wiring, part.nature)
        if part.start is not None:
            world.timeline.callLater(part.start, world.script, f"{part.name} starts", host.start, part.name)
    for name, segment in world.segments.items():
        segment.conditions = scenario.conditions(name)
    if any(isinstance(scheduled.event, Replay) for scheduled in scenario.events):
        world.attackers = {name: Attacker(world, segment) for name, segment in world.segments.items()}
    for scheduled in scenario.events:
        world.timeline.callLater(scheduled.at, perform, world, scheduled)
    return world


def play(scenario: Scenario, *, seed: int | None = None, pcap: Path | None = None, inspect: bool = False) -> Outcome:
    """Play a scenario to its end.

    :param seed: instead of the scenario's own.
    :param pcap: where all frames are written to; with several segments one file for each, with its name in it.
    :param inspect: look after everything that happens whether what must always hold still does.
    :raises OSError: the capture cannot be written.
    """
    world = make(scenario, seed)
    checks = [(expected, _when(expected, scenario)) for expected in scenario.expectations]
    judgements: dict[int, Judgement] = {}
    for number, (expected, at) in enumerate(checks):
        if isinstance(expected, OwnerExpected) and at < scenario.duration:
            world.timeline.callLater(at, _note, world, expected, judgements, number)
    captures = _record(world, pcap) if pcap is not None else []
    inspector = Inspector(world) if inspect else None
    if inspect:
        inquire(world)
    try:
        with world:
            world.run(scenario.duration, inspector.look if inspector is not None else None)
            for number, (expected, _) in enumerate(checks):
                if isinstance(expected, OwnerExpected) and number not in judgements:
                    judgements[number] = _judge_owner(world, expected)
            world.finish()
            if inspector is not None:
                inspector.finish()
    finally:
        for capture in captures:
            capture.close()
    for number, (expected, _) in enumerate(checks):
        if isinstance(expected, LimitExpected):
            judgements[number] = _judge_limit(world, expected)
    found = tuple(inspector.violations) if inspector is not None else ()
    return Outcome(scenario, world, tuple(judgements[number] for number in range(len(checks))), found)


def perform(world: World, scheduled: Scheduled) -> None:
    """Let one event happen, and write it down."""
    event = scheduled.event
    host = event.host if isinstance(event, HostEvent | CableEvent | Demote | Ask | Adjust | FailSending) else ""
    world.script(scheduled.text, lambda: _happen(world, event), host)
    if isinstance(event, Divide | Block | Heal | Weather):
        world.network_changed(scheduled.text)


def _happen(world: World, event: Event) -> None:
    if isinstance(event, HostEvent):
        _order(world, event)
    elif isinstance(event, CableEvent):
        host = world.hosts[event.host]
        if event.what in (Cable.PLUG, Cable.UNPLUG):
            host.set_carrier(event.interface, event.what is Cable.PLUG)
        else:
            host.set_up(event.interface, event.what is Cable.UP)
    elif isinstance(event, Divide):
        world.segments[event.segment].partition(event.islands)
    elif isinstance(event, Block):
        world.segments[event.segment].blocked.add((event.sender, event.receiver))
    elif isinstance(event, Heal):
        for name, segment in world.segments.items():
            if event.segment in (None, name):
                segment.heal()
    elif isinstance(event, Weather):
        segment = world.segments[event.segment]
        if event.receiver is None:
            segment.conditions = event.conditions
        else:
            segment.hearing[event.receiver] = event.conditions
    elif isinstance(event, Demote):
        world.hosts[event.host].ask(lambda node: _demote(node, event))
    elif isinstance(event, Ask):
        world.hosts[event.host].ask(lambda node: _ask(node, event))
    elif isinstance(event, Adjust):
        world.hosts[event.host].ask(lambda node: _adjust(node, event))
    elif isinstance(event, FailSending):
        errors = [OSError(errno.ENOBUFS, "no buffer space available") for _ in range(event.frames)]
        world.hosts[event.host].fail_sending(event.interface, errors)
    elif isinstance(event, Replay):
        world.attackers[event.segment].replay(event)
    else:
        assert_never(event)


def _demote(node: Node, event: Demote) -> None:
    if event.by is None:
        node.roster.undemote(event.owner, event.reason)
    else:
        node.roster.demote(event.owner, event.by, event.reason, event.seconds)


def _ask(node: Node, event: Ask) -> None:
    vhost = node.find(event.vhid)
    if vhost is not None:
        vhost.asked(event.state)


def _adjust(node: Node, event: Adjust) -> None:
    vhost = node.find(event.vhid)
    if vhost is not None:
        node.change(replace(vhost.config, advskew=event.advskew)).addErrback(_refused, event)


def _refused(failure: Failure, event: Adjust) -> None:
    # A vhid that leaves meanwhile cannot be changed.
    failure.trap(KeyError, ValueError, PlaneError)


def _order(world: World, event: HostEvent) -> None:
    host = world.hosts[event.host]
    orders: dict[Order, Callable[[], object]] = {
        Order.START: host.start,
        Order.STOP: host.stop,
        Order.KILL: host.kill,
        Order.KILL_BOTH: lambda: host.kill(guard=True),
        Order.CRASH: host.crash,
        Order.STALL: host.stall,
        Order.FREEZE: host.freeze,
        Order.RESUME: host.resume,
    }
    orders[event.order]()


# What was expected


def _when(expected: Expectation, scenario: Scenario) -> float:
    return min(expected.at, scenario.duration) if isinstance(expected, OwnerExpected) else scenario.duration


def _note(world: World, expected: OwnerExpected, judgements: dict[int, Judgement], number: int) -> None:
    judgements[number] = _judge_owner(world, expected)


def _judge_owner(world: World, expected: OwnerExpected) -> Judgement:
    owners = world.ownerships[expected.segment, expected.vhid].owners
    wanted = _owners(expected.owners)
    text = f"at {world.now:.3f} s {wanted} has vhid {expected.vhid} of {expected.segment}"
    if owners == tuple(sorted(expected.owners)):
        return Judgement(True, text)
    return Judgement(False, f"{text}: it was {_owners(owners)}")


def _judge_limit(world: World, expected: LimitExpected) -> Judgement:
    kind = FaultKind.DOUBLE if expected.double else FaultKind.OUTAGE
    worst: Fault | None = None
    for (segment, vhid), ownership in sorted(world.ownerships.items()):
        if expected.segment not in (None, segment) or expected.vhid not in (None, vhid):
            continue
        for fault in ownership.faults:
            if fault.kind is kind and fault.end > expected.after and (worst is None or fault.seconds > worst.seconds):
                worst = fault
    after = f" after {expected.after:g} s" if expected.after else ""
    text = f"no {kind.value} of more than {expected.seconds:g} s{after}"
    if worst is None:
        return Judgement(True, f"{text}: there was none")
    told = f"{text}: the longest was {worst.seconds:.3f} s, of {worst.service.name} from {worst.begin:.3f} s on"
    return Judgement(worst.seconds <= expected.seconds, told)


def _owners(owners: tuple[str, ...]) -> str:
    return " and ".join(owners) or "nobody"


# Captures


def _record(world: World, pcap: Path) -> list[Capture]:
    captures = []
    for name, segment in world.segments.items():
        path = pcap if len(world.segments) == 1 else pcap.with_name(f"{pcap.stem}-{name}{pcap.suffix}")
        capture = Capture(path)
        captures.append(capture)
        segment.watchers.append(_writer(world, capture))
    return captures


def _writer(world: World, capture: Capture) -> Callable[[str, bytes], object]:
    return lambda station, frame: capture.write(world.now, frame)
