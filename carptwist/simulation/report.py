"""An outcome in words, for a tired operator, and as JSON, for scripts.

The words come in the order of the questions: what happened, who had the addresses when, what went wrong and why, and
was it as expected.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from carptwist.simulation.history import Happening, Kind
from carptwist.simulation.ownership import Fault, FaultKind, Service
from carptwist.simulation.stage import Outcome

WIDTH = 100

_SHOWN = (Kind.SCRIPT, Kind.STATE, Kind.DEMOTION, Kind.HOOK, Kind.WARNING, Kind.BUG)


def lines(outcome: Outcome) -> Iterator[str]:
    """The whole report."""
    scenario = outcome.scenario
    hosts, vhids = len(outcome.world.hosts), len(outcome.ownerships)
    yield scenario.title
    if scenario.about:
        yield from textwrap.wrap(scenario.about, WIDTH)
    yield f"{_count(hosts, 'host')}, {_count(vhids, 'shared vhid')}, {scenario.duration:g} s, seed {outcome.world.seed}"
    yield ""
    yield "WHAT HAPPENED"
    width = max((len(name) for name in outcome.world.hosts), default=0)
    for happening in outcome.world.history.happenings:
        yield from _happening(happening, width)
    yield ""
    yield "WHO HAD THE ADDRESSES"
    for ownership in outcome.ownerships:
        yield f"  {_service(ownership.service)}"
        for span in ownership.spans:
            yield f"  {span.begin:10.3f} - {span.end:.3f}  {' AND '.join(span.owners) or 'nobody'}"
    yield ""
    yield "WHAT WENT WRONG"
    yield from _faults(outcome)
    if outcome.violations:
        yield ""
        yield "WHAT MUST NEVER BE"
        yield from (f"  {violation}" for violation in outcome.violations)
    if outcome.judgements:
        yield ""
        yield "AS EXPECTED?"
        for judgement in outcome.judgements:
            yield f"  {'yes' if judgement.met else 'NO '} {judgement.text}"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """One object, with times in seconds."""
    return {
        "title": outcome.scenario.title,
        "seed": outcome.world.seed,
        "duration": outcome.scenario.duration,
        "good": outcome.good,
        "happenings": [
            {
                "at": happening.at,
                "kind": happening.kind.value,
                "host": happening.host,
                "vhid": happening.subject,
                "text": happening.text,
            }
            for happening in outcome.world.history.happenings
        ],
        "vhids": [
            {
                "segment": ownership.service.segment,
                "vhid": ownership.service.vhid,
                "addresses": list(ownership.service.addresses),
                "owners": [
                    {"begin": span.begin, "end": span.end, "hosts": list(span.owners)} for span in ownership.spans
                ],
            }
            for ownership in outcome.ownerships
        ],
        "faults": [_fault_as_json(fault) for fault in outcome.faults],
        "violations": [violation._asdict() for violation in outcome.violations],
        "handovers": len(outcome.handovers),
        "expectations": [{"met": judgement.met, "text": judgement.text} for judgement in outcome.judgements],
    }


def _happening(happening: Happening, width: int) -> Iterator[str]:
    if happening.kind not in _SHOWN:
        return
    text = happening.text.splitlines() or [""]
    if happening.kind is Kind.SCRIPT:
        yield f"  {happening.at:10.3f}  ---- {happening.text} ----"
        return
    mark = {Kind.WARNING: "warning: ", Kind.BUG: "BUG: ", Kind.HOOK: "would run: "}.get(happening.kind, "")
    subject = f"{happening.subject}: " if happening.subject else ""
    yield f"  {happening.at:10.3f}  {happening.host:<{width}}  {subject}{mark}{text[0]}"
    yield from (f"  {'':10}  {'':{width}}    {line}" for line in text[1:])


def _faults(outcome: Outcome) -> Iterator[str]:
    for fault in outcome.faults:
        until = f"to {fault.end:.3f}" if fault.ended else "to the end"
        whose = f" by {' and '.join(fault.owners)}" if fault.kind is FaultKind.DOUBLE else ""
        when = f"from {fault.begin:.3f} {until}"
        yield f"  {fault.seconds:.3f} s of {fault.kind.value}{whose}: {fault.service.name}, {when}"
        yield f"      it began when {fault.cause}"
        if fault.circumstances:
            yield f"      while {fault.circumstances}"
        if fault.ended:
            yield f"      it ended when {fault.ended}"
    if not outcome.faults:
        yield "  nothing"
    if outcome.handovers:
        longest = max(fault.seconds for fault in outcome.handovers) * 1000
        yield f"  (and {_count(len(outcome.handovers), 'moment')} of at most {longest:.1f} ms while owners changed)"


def _fault_as_json(fault: Fault) -> dict[str, Any]:
    return {
        "kind": fault.kind.value,
        "segment": fault.service.segment,
        "vhid": fault.service.vhid,
        "begin": fault.begin,
        "end": fault.end,
        "seconds": fault.seconds,
        "hosts": list(fault.owners),
        "cause": fault.cause,
        "circumstances": fault.circumstances,
        "ended": fault.ended or None,
    }


def _service(service: Service) -> str:
    return f"{service.name} ({', '.join(service.addresses) or 'no address'})"


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
