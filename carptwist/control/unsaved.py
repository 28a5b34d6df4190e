"""What runs, and differs from the configuration file: it lasts until the next start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from carptwist.config.reload import AT_START
from carptwist.config.schema import Configuration, Knobs, VirtualHostConfig

#: Told of by name alone.
_SECRET = ("phrases",)


def differences(configured: Configuration, knobs: Knobs, vhids: Iterable[VirtualHostConfig]) -> Iterator[str]:
    """Each difference as a text, none of them with a pass phrase."""
    for name, before, now in _changed(configured.knobs, knobs):
        if name in AT_START:
            continue  # what runs is what was so at the start: nobody has changed it
        yield f"net.inet.carp.{name} is {_shown(now)}, in the configuration {_shown(before)}"
    expected = {config.name: config for config in configured.vhids}
    for config in vhids:
        before_it = expected.pop(config.name, None)
        if before_it is config:
            continue
        if before_it is None:
            yield f"{config.name} is not in the configuration"
            continue
        for name, before, now in _changed(before_it, config):
            if name in _SECRET:
                yield f"{config.name}: the pass phrase is another one than in the configuration"
            else:
                yield f"{config.name}: {name} is {_shown(now)}, in the configuration {_shown(before)}"
    for name in expected:
        yield f"{name} is in the configuration, and was removed"


def _changed(before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(now, field.name)
        if old != new:
            yield field.name, old, new


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        return " ".join(str(each) for each in value) or "none"
    if value is None:
        return "none"
    return str(getattr(value, "value", value))
