"""A scenario as the text of a file, that :mod:`carptwist.simulation.script` reads as the same scenario.

For what the breaker draws: configurations with a pass phrase in them, which are none of anybody's hosts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, assert_never

from carptwist.config.schema import Configuration, Knobs, VirtualHostConfig
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.host import Nature
from carptwist.simulation.scenario import (
    Adjust,
    Ask,
    Block,
    CableEvent,
    Demote,
    Divide,
    Event,
    FailSending,
    Heal,
    HostEvent,
    Part,
    Replay,
    Scenario,
    Weather,
)

_NATURE_KEYS = {"rate": "clock", "offset": "offset", "jitter": "jitter", "hold": "hold", "forwards": "router"}


def written(scenario: Scenario, comment: str = "") -> str:
    """The text of a scenario without expectations; each line of ``comment`` goes before it."""
    return "\n".join((*(f"# {line}" for line in comment.splitlines()), *_lines(scenario))) + "\n"


def configuration_text(configuration: Configuration) -> str:
    """A configuration as INI.

    :raises ValueError: it has a key that this cannot write.
    """
    lines = ["[carp]"]
    for each in fields(Knobs):
        value = getattr(configuration.knobs, each.name)
        if value != each.default:
            lines.append(f"{each.name} = {_ini(value)}")
    for vhid in configuration.vhids:
        lines += ["", *_vhid_lines(vhid)]
    return "\n".join(lines) + "\n"


def _vhid_lines(vhid: VirtualHostConfig) -> Iterator[str]:
    yield f"[vhid {vhid.name}]"
    for each in fields(VirtualHostConfig):
        value = getattr(vhid, each.name)
        if each.name in ("vhid", "interface") or value == each.default:
            continue
        if each.name == "addresses":
            yield "address = " + "\n          ".join(map(str, value))
        elif each.name == "phrases":
            yield "pass = " + "\n       ".join(phrase.octets.decode() for phrase in value)
        elif isinstance(value, tuple):
            raise ValueError(f"{each.name} cannot be written")
        else:
            yield f"{each.name} = {_ini(value)}"


def _ini(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(getattr(value, "value", value))


def _lines(scenario: Scenario) -> Iterator[str]:
    yield f"title = {_toml(scenario.title)}"
    if scenario.about:
        yield f"about = {_toml(scenario.about)}"
    yield f"duration = {_toml(scenario.duration)}"
    yield f"seed = {scenario.seed}"
    for part in scenario.parts:
        yield from _part(part)
    for name, conditions in scenario.weather.items():
        yield ""
        yield f"[segments.{name}]"
        yield from (f"{key} = {_toml(value)}" for key, value in _differing(conditions).items())
    for scheduled in scenario.events:
        yield ""
        yield "[[events]]"
        yield f"at = {_toml(scheduled.at)}"
        yield from (f"{key} = {_toml(value)}" for key, value in _event(scheduled.event).items())


def _part(part: Part) -> Iterator[str]:
    yield ""
    yield f"[hosts.{part.name}]"
    yield f"interfaces = {_toml(dict(part.wiring))}"
    if part.start != 0.0:
        yield f"start = {_toml('never' if part.start is None else part.start)}"
    ordinary = Nature(observes=False)
    for name, key in _NATURE_KEYS.items():
        value = getattr(part.nature, name)
        if value != getattr(ordinary, name):
            yield f"{key} = {_toml(value)}"
    yield 'configuration = """'
    yield configuration_text(part.configuration) + '"""'


def _event(event: Event) -> dict[str, Any]:
    """The keys of an event besides its time."""
    if isinstance(event, HostEvent):
        return {event.order.value: event.host}
    if isinstance(event, CableEvent):
        return {event.what.value: f"{event.host}:{event.interface}"}
    if isinstance(event, Divide):
        return {"partition": [list(island) for island in event.islands], "segment": event.segment}
    if isinstance(event, Block):
        return {"block": {"from": event.sender, "to": event.receiver}, "segment": event.segment}
    if isinstance(event, Heal):
        return {"heal": True if event.segment is None else event.segment}
    if isinstance(event, Weather):
        to = {} if event.receiver is None else {"to": event.receiver}
        return {"network": _differing(event.conditions), "segment": event.segment, **to}
    if isinstance(event, Demote):
        entry = {"host": event.host, "owner": event.owner, "reason": event.reason}
        if event.by is None:
            return {"undemote": entry}
        span = {} if event.seconds is None else {"for": event.seconds}
        return {"demote": {**entry, "by": event.by, **span}}
    if isinstance(event, Ask):
        return {"state": {"host": event.host, "vhid": event.vhid, "state": event.state.value}}
    if isinstance(event, Adjust):
        return {"adjust": {"host": event.host, "vhid": event.vhid, "advskew": event.advskew}}
    if isinstance(event, FailSending):
        return {"send_errors": {"host": event.host, "interface": event.interface, "frames": event.frames}}
    if isinstance(event, Replay):
        drawn = {"frames": event.frames, "every": event.every}
        chosen = {"which": event.selection.value, "forge": event.forgery.value}
        return {"replay": {**drawn, **chosen}, "segment": event.segment}
    assert_never(event)


def _differing(conditions: Conditions) -> dict[str, Any]:
    ordinary = Conditions()
    return {
        each.name: getattr(conditions, each.name)
        for each in fields(Conditions)
        if getattr(conditions, each.name) != getattr(ordinary, each.name)
    }


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)
