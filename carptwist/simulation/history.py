"""What happened in a simulated world, in its order: the raw material of timelines, pictures and verdicts."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What sort of thing happened."""

    SCRIPT = "script"  # the scenario did it
    STATE = "state"  # a vhid changed its state
    DEMOTION = "demotion"  # a host's demotion changed
    HOOK = "hook"  # a hook would have run
    WARNING = "warning"  # a host's log has something for its operator
    BUG = "bug"  # a host's log has a traceback


class Happening(NamedTuple):
    """One thing. ``at`` is in the world's seconds; ``host`` is empty where it is about no host in particular.

    ``subject`` is ``VHID@INTERFACE`` where it is about a vhid; ``states`` are the former and the new one.
    """

    at: float
    kind: Kind
    host: str
    subject: str
    text: str
    states: tuple[str, str] = ("", "")


class History:
    """Everything that happened so far."""

    def __init__(self) -> None:
        self.happenings: list[Happening] = []

    def add(
        self,
        at: float,
        kind: Kind,
        text: str,
        *,
        host: str = "",
        subject: str = "",
        states: tuple[str, str] = ("", ""),
    ) -> None:
        self.happenings.append(Happening(at, kind, host, subject, text, states))

    def of(self, *kinds: Kind) -> list[Happening]:
        """What happened of these kinds."""
        return [each for each in self.happenings if each.kind in kinds]
