"""Tries to break the daemon: schedules of failures drawn from a seed, each with everything looked at all the time.

::

    seed --> hosts, vhids, failures --> + healing, quiet, orderly end --> World, with an Inspector --> violations?
                      ^                                                                                    |
                      +------------------ fewer failures, hosts, vhids <--- shrink <-----------------------+
                                                   |
                                                   v
                                          a short scenario file

A schedule has a wild part, in which everything happens that may happen; then all is healed and quiet for as long as
an election may take, with exactly one owner at its end; then every daemon stops in good order and has to have put
everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_interface
from random import Random

from carptwist.config.schema import Configuration, Dialect, Knobs, Phrase, ReplayMode, VirtualHostConfig
from carptwist.election.state import State
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.host import Nature
from carptwist.simulation.inquirer import inquire
from carptwist.simulation.inspector import Inspector, Violation
from carptwist.simulation.scenario import (
    Adjust,
    Ask,
    Block,
    Cable,
    CableEvent,
    Demote,
    Divide,
    Event,
    FailSending,
    Forgery,
    Heal,
    HostEvent,
    Order,
    Part,
    Replay,
    Scenario,
    Scheduled,
    Selection,
    Weather,
)
from carptwist.simulation.script import described
from carptwist.simulation.stage import make

WILD_SECONDS = 20.0
MOST_FAILURES = 14
#: How long daemons have to end in good order.
ENDING_SECONDS = 2.0

#: What an assault takes: a takeover at the start, trouble, and the longest timeout after it.
ASSAULT_SECONDS = 13.0
_LAST_TROUBLE = 8.0

_NAMES = "abcd"
_PHRASE = (Phrase(b"mekmitasdigoat"),)


@dataclass(frozen=True)
class Schedule:
    """What is drawn, and shrunk: hosts, and what happens to them. The rest follows from it."""

    seed: int
    parts: tuple[Part, ...]
    failures: tuple[Scheduled, ...]
    #: Whether it ends with healing, quiet and an orderly end; else it stops a timeout after the last failure.
    whole: bool = True


@dataclass(frozen=True)
class Breakage:
    """A schedule that broke a rule."""

    schedule: Schedule
    violation: Violation


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(seed)
    shared = [_a_vhid(random, number) for number in range(1, random.randint(1, 3) + 1)]
    flavour = random.choice((Dialect.FREEBSD, Dialect.FREEBSD, Dialect.FREEBSD, Dialect.OPENBSD))
    skews = random.sample(range(10, 240, 20), len(_NAMES))
    alike = random.random() < 0.25
    if alike:
        skews = [random.choice(skews[:2]) for _ in _NAMES]
    preempt = random.random() < 0.6
    parts = []
    for name, skew in list(zip(_NAMES, skews, strict=True))[: random.randint(2, len(_NAMES))]:
        vhids = tuple(replace(vhid, advskew=skew, dialect=flavour) for vhid in shared)
        nature = Nature(
            rate=random.choice((1.0, 1.0, random.uniform(0.95, 1.05))),
            # Hosts that are alike have nothing but this to tell them apart.
            jitter=0.01 if alike else random.choice((0.0005, 0.002, 0.01)),
            hold=random.choice((0.0, 0.002, 0.02)),
            observes=False,
        )
        knobs = Knobs(
            preempt=preempt if random.random() < 0.8 else not preempt,
            guard=random.random() < 0.8,
            expire=random.random() < 0.5,
        )
        wiring = {vhid.interface: vhid.interface.replace("em", "lan") for vhid in vhids}
        parts.append(
            Part(name, Configuration(knobs, vhids), wiring, nature, random.choice((0.0, random.uniform(0, 5))))
        )
    failures = sorted(
        (_a_failure(random, parts) for _ in range(random.randint(1, MOST_FAILURES))), key=lambda scheduled: scheduled.at
    )
    return Schedule(seed, tuple(parts), tuple(failures))


def draw_assault(seed: int) -> Schedule:
    """A short schedule of few hosts that refuse replays, some trouble, and an attacker who records and replays."""
    random = Random(f"assault {seed}")
    families = random.choice(("4", "4", "6", "46"))
    addresses = ["192.0.2.1/24"] * ("4" in families) + ["2001:db8::1/64"] * ("6" in families)
    flavour = random.choice((Dialect.FREEBSD, Dialect.FREEBSD, Dialect.OPENBSD))
    preempt = random.random() < 0.6
    parts = []
    for name, skew in zip(_NAMES, random.sample(range(0, 240, 20), random.choice((2, 2, 2, 3))), strict=False):
        vhid = VirtualHostConfig(
            1,
            "em0",
            tuple(map(ip_interface, addresses)),
            _PHRASE,
            advskew=skew,
            dialect=flavour,
            replay=ReplayMode.ENFORCE,
        )
        nature = Nature(rate=random.choice((1.0, 1.0, random.uniform(0.97, 1.03))), observes=False)
        start = random.choice((0.0, 0.0, random.uniform(0, 2)))
        parts.append(Part(name, Configuration(Knobs(preempt=preempt), (vhid,)), {"em0": "lan0"}, nature, start))
    happening = [_an_attack(random) for _ in range(random.randint(1, 3))]
    happening += [_trouble(random, parts) for _ in range(random.randint(1, 3))]
    return Schedule(seed, tuple(parts), tuple(sorted(happening, key=lambda scheduled: scheduled.at)), whole=False)


def draw_tangible(seed: int) -> Schedule:
    """A short schedule of two or three hosts on one LAN, with failures that real hosts can be made to suffer."""
    random = Random(f"tangible {seed}")
    preempt = random.random() < 0.6
    addresses = tuple(map(ip_interface, ("192.0.2.1/24", "2001:db8::1/64")))
    parts = []
    for name, skew in zip(_NAMES, random.sample(range(0, 200, 20), random.choice((2, 2, 3))), strict=False):
        vhid = VirtualHostConfig(1, "em0", addresses, _PHRASE, advskew=skew)
        parts.append(Part(name, Configuration(Knobs(preempt=preempt), (vhid,)), {"em0": "lan0"}))
    failures = [_something_tangible(random, parts) for _ in range(random.randint(4, 8))]
    return Schedule(seed, tuple(parts), tuple(sorted(failures, key=lambda scheduled: scheduled.at)), whole=False)


def complete(schedule: Schedule) -> Scenario:
    """The scenario of a schedule: with the healing, the quiet and the orderly end."""
    title = f"The breaker's seed {schedule.seed}"
    if not schedule.whole:
        return Scenario(title, ASSAULT_SECONDS, schedule.parts, schedule.failures, seed=schedule.seed)
    quiet = max((_quiet_seconds(part) for part in schedule.parts), default=0.0)
    healed = WILD_SECONDS + 0.001
    ending = healed + quiet
    events = [*schedule.failures, *(Scheduled(healed, event, described(event)) for event in _healing(schedule))]
    for part in schedule.parts:
        order = HostEvent(Order.STOP, part.name)
        events.append(Scheduled(ending, order, described(order)))
    return Scenario(title, ending + ENDING_SECONDS, schedule.parts, tuple(events), seed=schedule.seed)


def trial(schedule: Schedule) -> Violation | None:
    """Play a schedule; the first rule that it breaks."""
    scenario = complete(schedule)
    with make(scenario) as world:
        inspector = Inspector(world)
        inquire(world)

        def watch() -> None:
            inspector.look()
            if inspector.violations:
                raise _Broken

        try:
            world.run(scenario.duration, watch)
        except _Broken:
            return inspector.violations[0]
        inspector.finish()
    return next(iter(inspector.violations), None)


def search(seeds: Iterable[int], drawn: Callable[[int], Schedule] = draw) -> Iterator[Breakage]:
    """The breakages of these seeds."""
    for seed in seeds:
        schedule = drawn(seed)
        violation = trial(schedule)
        if violation is not None:
            yield Breakage(schedule, violation)


def shrink(breakage: Breakage, most_trials: int = 400) -> Breakage:
    """The same rule, broken with less: failures, hosts and vhids are left out as long as it is."""
    best = breakage
    trials = 0
    progress = True
    while progress and trials < most_trials:
        progress = False
        for smaller in _smaller(best.schedule):
            trials += 1
            violation = trial(smaller)
            if violation is not None and violation.rule == best.violation.rule:
                best = Breakage(smaller, violation)
                progress = True
                break
            if trials >= most_trials:
                break
    return best


class _Broken(Exception):
    """A rule is broken: nothing more need happen."""


# Drawing


def _a_vhid(random: Random, number: int) -> VirtualHostConfig:
    families = random.choice(("4", "4", "6", "46"))
    addresses = [f"192.0.2.{number}/24"] * ("4" in families) + [f"2001:db8::{number}/64"] * ("6" in families)
    interface = random.choice(("em0", "em1"))
    advbase = random.choice((1, 1, 1, 2))
    return VirtualHostConfig(number, interface, tuple(map(ip_interface, addresses)), _PHRASE, advbase=advbase)


def _a_failure(random: Random, parts: Sequence[Part]) -> Scheduled:
    at = round(random.uniform(0, WILD_SECONDS), 3)
    part = random.choice(parts)
    interface = random.choice(sorted(part.wiring))
    segment = part.wiring[interface]
    others = [each.name for each in parts if each is not part]
    makers: tuple[Callable[[], Event], ...] = (
        *(lambda order=order: HostEvent(order, part.name) for order in Order),
        lambda: HostEvent(Order.START, part.name),
        lambda: HostEvent(Order.RESUME, part.name),
        *(lambda cable=cable: CableEvent(cable, part.name, interface) for cable in Cable),
        lambda: Divide(segment, _islands(random, parts)),
        lambda: Block(segment, part.name, random.choice(others)),
        lambda: Heal(random.choice((None, segment))),
        lambda: Weather(segment, _weather(random), random.choice((None, part.name))),
        lambda: Demote(part.name, random.choice((-300, -1, 1, 100, 240)), random.choice(("sysctl", "check")), "drawn"),
        lambda: Demote(part.name, 240, "expiring", "drawn", round(random.uniform(0.1, 5), 3)),
        lambda: Demote(part.name, None, random.choice(("sysctl", "check")), "taken back"),
        lambda: Ask(
            part.name, random.choice(part.configuration.vhids).name, random.choice((State.BACKUP, State.MASTER))
        ),
        lambda: Adjust(part.name, random.choice(part.configuration.vhids).name, random.choice(range(10, 240, 20))),
        lambda: FailSending(part.name, interface, random.randint(1, 6)),
    )
    event = random.choice(makers)()
    return Scheduled(at, event, described(event))


def _an_attack(random: Random) -> Scheduled:
    frames, every = random.choice(((40, 0.02), (20, 0.1), (20, 0.3), (10, 0.7)))
    forgery = random.choice((Forgery.NOTHING, *Forgery))
    event = Replay("lan0", frames, every, random.choice(list(Selection)), forgery)
    return Scheduled(round(random.uniform(3.0, _LAST_TROUBLE), 3), event, described(event))


def _trouble(random: Random, parts: Sequence[Part]) -> Scheduled:
    part = random.choice(parts)
    makers: tuple[Callable[[], Event], ...] = (
        *(lambda order=order: HostEvent(order, part.name) for order in Order),
        lambda: HostEvent(Order.CRASH, part.name),
        lambda: HostEvent(Order.START, part.name),
        lambda: CableEvent(random.choice((Cable.UNPLUG, Cable.PLUG)), part.name, "em0"),
        lambda: Demote(part.name, random.choice((1, 100, 240)), "check", "drawn", random.choice((None, 1.5))),
        lambda: Ask(part.name, "1@em0", random.choice((State.BACKUP, State.MASTER))),
        lambda: Block("lan0", part.name, random.choice([each.name for each in parts if each is not part])),
        lambda: Heal(None),
    )
    event = random.choice(makers)()
    return Scheduled(round(random.uniform(2.0, _LAST_TROUBLE), 3), event, described(event))


def _something_tangible(random: Random, parts: Sequence[Part]) -> Scheduled:
    part = random.choice(parts)
    others = tuple(each.name for each in parts if each is not part)
    makers: tuple[Callable[[], Event], ...] = (
        *(lambda order=order: HostEvent(order, part.name) for order in Order if order is not Order.FREEZE),
        lambda: HostEvent(Order.START, part.name),
        *(lambda cable=cable: CableEvent(cable, part.name, "em0") for cable in (Cable.UNPLUG, Cable.PLUG)),
        lambda: Divide("lan0", ((part.name,), others)),
        lambda: Heal(None),
        lambda: Demote(part.name, random.choice((100, 240)), "check", "drawn", random.choice((None, 2.0))),
    )
    event = random.choice(makers)()
    return Scheduled(round(random.uniform(0.0, _LAST_TROUBLE), 3), event, described(event))


def _islands(random: Random, parts: Sequence[Part]) -> tuple[tuple[str, ...], ...]:
    sides: tuple[list[str], list[str]] = ([], [])
    for part in parts:
        random.choice(sides).append(part.name)
    return tuple(tuple(side) for side in sides if side)


def _weather(random: Random) -> Conditions:
    return Conditions(
        delay=random.choice((0.0001, 0.01)),
        jitter=random.choice((0.0, 0.02)),
        loss=random.choice((0.0, 0.3, 0.8, 1.0)),
        duplicate=random.choice((0.0, 0.3)),
        reorder=random.choice((0.0, 0.3)),
    )


# Completing


def _healing(schedule: Schedule) -> list[Event]:
    """Whatever may be wrong is right again."""
    events: list[Event] = [Heal(None)]
    for part in schedule.parts:
        events += [HostEvent(Order.RESUME, part.name)]
        for interface in sorted(part.wiring):
            events += [CableEvent(Cable.PLUG, part.name, interface), CableEvent(Cable.UP, part.name, interface)]
        events += [HostEvent(Order.START, part.name)]
    return events


def _quiet_seconds(part: Part) -> float:
    """Longer than the inspector's bound for any election of these configurations, and than any expiring demotion."""
    longest = max((config.advbase for config in part.configuration.vhids), default=1)
    return 5.0 + (3 * (3 * longest + 1) + 5 * (longest + 1)) / 0.95 + 2.0


# Shrinking


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    """Schedules with less in them, the boldest first."""
    failures = schedule.failures
    size = (len(failures) + 1) // 2
    while failures and size >= 1:
        for begin in range(0, len(failures), size):
            yield replace(schedule, failures=failures[:begin] + failures[begin + size :])
        size = (size + 1) // 2 if size > 1 else 0
    for part in schedule.parts:
        if len(schedule.parts) > 1:
            left = tuple(each for each in schedule.parts if each is not part)
            kept = tuple(each for each in failures if not _concerns(each.event, part.name))
            yield replace(schedule, parts=left, failures=kept)
    for vhid in sorted({config.vhid for part in schedule.parts for config in part.configuration.vhids}):
        yield from _without_vhid(schedule, vhid)


def _concerns(event: Event, host: str) -> bool:
    if isinstance(event, Divide):
        return any(host in island for island in event.islands)
    if isinstance(event, Block):
        return host in (event.sender, event.receiver)
    if isinstance(event, Weather):
        return event.receiver == host
    if isinstance(event, Heal | Replay):
        return False
    return event.host == host


def _without_vhid(schedule: Schedule, vhid: int) -> Iterator[Schedule]:
    parts = []
    for part in schedule.parts:
        left = tuple(config for config in part.configuration.vhids if config.vhid != vhid)
        if not left:
            return
        # The wiring stays, so that what happens to an interface still can.
        parts.append(replace(part, configuration=replace(part.configuration, vhids=left)))
    kept = tuple(
        each
        for each in schedule.failures
        if not (isinstance(each.event, Ask | Adjust) and each.event.vhid.partition("@")[0] == str(vhid))
    )
    yield replace(schedule, parts=tuple(parts), failures=kept)
