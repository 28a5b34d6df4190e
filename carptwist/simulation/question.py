"""An operator's question: if this fails, who has the addresses then, after how long, and why?

The hosts are simulated until they have settled, then the failures happen, at several moments of the advertisement
interval, since that is what the time depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from carptwist.election.precedence import MAX_SKEW, interval_seconds, master_down_seconds
from carptwist.simulation.history import Happening, Kind
from carptwist.simulation.ownership import FaultKind, Service
from carptwist.simulation.scenario import Event, Part, Scenario, Scheduled
from carptwist.simulation.script import described
from carptwist.simulation.stage import Outcome, play

#: At so many moments of the advertisement interval the failure is tried.
MOMENTS = 12


class Change(NamedTuple):
    """What becomes of one vhid. Times are in seconds after the failure, the shortest and the longest that were seen."""

    service: Service
    before: tuple[str, ...]
    after: tuple[str, ...]
    soonest: float
    latest: float
    outage: tuple[float, float]
    double: float
    why: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What becomes of all vhids."""

    failures: tuple[str, ...]
    changes: tuple[Change, ...]


def answer(parts: Sequence[Part], failures: Sequence[Event]) -> Answer:
    """Try it."""
    settled = _settling_seconds(parts)
    longest = max((_interval(part) for part in parts), default=1.0)
    outcomes = []
    for moment in range(MOMENTS):
        at = settled + longest * moment / MOMENTS
        events = tuple(Scheduled(at, failure, described(failure)) for failure in failures)
        scenario = Scenario("what if", at + settled, tuple(parts), events, seed=moment + 1)
        outcomes.append((at, play(scenario)))
    return Answer(
        tuple(described(failure) for failure in failures),
        tuple(_change(number, outcomes) for number in range(len(outcomes[0][1].ownerships))),
    )


def _change(number: int, outcomes: Sequence[tuple[float, Outcome]]) -> Change:
    first_at, first = outcomes[0]
    ownership = first.ownerships[number]
    before = next((span.owners for span in ownership.spans if span.begin < first_at <= span.end), ())
    after = ownership.owners
    settled, outages, doubles = [], [], []
    for at, outcome in outcomes:
        there = outcome.ownerships[number]
        settled.append(max([span.begin - at for span in there.spans if span.begin >= at], default=0.0))
        late = [fault for fault in there.faults if fault.begin >= at]
        outages.append(sum(fault.seconds for fault in late if fault.kind is FaultKind.OUTAGE))
        doubles.append(sum(fault.seconds for fault in late if fault.kind is FaultKind.DOUBLE))
    why = tuple(_why(first, first_at, ownership.service))
    span = (min(outages), max(outages))
    return Change(ownership.service, before, after, min(settled), max(settled), span, max(doubles), why)


def _why(outcome: Outcome, at: float, service: Service) -> list[str]:
    """What the hosts said of it after the failure, in their order."""
    told = []
    for happening in outcome.world.history.of(Kind.STATE, Kind.DEMOTION):
        if happening.at >= at and (happening.kind is Kind.DEMOTION or _concerns(outcome, happening, service)):
            subject = f" {happening.subject}" if happening.subject else ""
            told.append(f"{happening.host}{subject}: {happening.text}")
    return told


def _concerns(outcome: Outcome, happening: Happening, service: Service) -> bool:
    vhid, _, interface = happening.subject.partition("@")
    wiring = outcome.world.hosts[happening.host].wiring
    return vhid == str(service.vhid) and wiring[interface].name == service.segment


def _settling_seconds(parts: Sequence[Part]) -> float:
    """After so long every election has ended: as in the property tests, with a round for a tie."""
    configs = [config for part in parts for config in part.configuration.vhids]
    timeout = max((master_down_seconds(config.advbase, 254) for config in configs), default=1.0)
    return 3 * timeout + 5 * max((_interval(part) for part in parts), default=1.0)


def _interval(part: Part) -> float:
    return max((interval_seconds(config.advbase, MAX_SKEW) for config in part.configuration.vhids), default=1.0)
