"""What the rules want done: a closed set of values, performed in the order given."""

from __future__ import annotations

from dataclasses import dataclass

from carptwist.election.state import State


@dataclass(frozen=True, slots=True)
class Became:
    """The state has changed. Always the first effect of a change."""

    previous: State
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The shared addresses become reachable on this host."""


@dataclass(frozen=True, slots=True)
class Release:
    """The shared addresses stop being reachable on this host."""


@dataclass(frozen=True, slots=True)
class Advertise:
    """One advertisement of every family, with these values. advskew is the effective one; 255/255 bows out.

    ``demote`` is the count of the OpenBSD dialect, 0 in the others.
    """

    advbase: int
    advskew: int
    demote: int = 0


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the neighbours where every shared address is: gratuitous ARP, unsolicited advertisements."""


Effect = Became | Hold | Release | Advertise | Announce
