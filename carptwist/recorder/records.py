"""What a record of a flight consists of.

::

    input                     answers and decisions, in their order, until the next input
    ["F", us, port, frame]    ["s", port, frame]  ["b", "1@em0", "BACKUP", "MASTER", why]  ["h", "1@em0", "hold"]
    ["T", us, number]         ...

Each is a list that begins with its kind: a capital letter for an input, whose second field is the time of the node's
clock in microseconds, a small one for all else. docs/recorder.md has them all.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Record = list[Any]


class Input(StrEnum):
    """What comes from outside."""

    BEGIN = "B"  # a daemon has started
    KEYFRAME = "K"  # all of the state, from which a replay can begin
    GAP = "G"  # some of the record is missing
    COMMAND = "C"  # somebody has asked for something
    SYSTEM = "S"  # the host is ready, or is not, or is let go of
    NOTEBOOK = "N"  # what was known in former lives is read
    LINK = "L"  # an interface is another one now
    FRAME = "F"  # a frame arrived
    TIMER = "T"  # a timer has fired
    PLANE = "P"  # a plane has done its work
    GUARD = "Y"  # there is no guard, for this reason; or there is one again
    ENDED = "E"  # the guard has ended a MASTER
    DAMAGE = "D"  # somebody has interfered with a plane
    OUTSIDE = "O"  # somebody else has done what the node waited for
    CLOSED = "X"  # a port was closed, by nobody here


class Answer(StrEnum):
    """What the host answered when it was asked. Most are left out where they are what they mostly are."""

    PHRASE = "p"  # which pass phrase, unless the first
    VERDICT = "v"  # what the memory of counters says, unless new
    KNOWN = "k"  # the next counter was used before
    DRAWN = "d"  # a random number
    LINK = "l"  # the state of an interface
    NAMES = "n"  # the interfaces
    OPENED = "o"  # a port could be opened, or a group be joined
    FAILED = "e"  # a frame could not be sent
    DONE = "q"  # a plane has done its work at once
    TRAIT = "t"  # a property of the host, when it is another than before


class Decision(StrEnum):
    """What the node does."""

    SENT = "s"  # a frame
    BECAME = "b"  # another state
    DEMOTED = "w"  # the demotion is another one
    GUARD = "g"  # the guard is told to keep a will, or to forget it
    PLANE = "h"  # a plane is told to do something


#: How many frames were refused, by cause. Nothing follows from it.
REFUSED = "r"

INPUTS = frozenset(Input)
DECISIONS = frozenset(Decision)


def is_input(record: Record) -> bool:
    """Whether a record is one of what comes from outside."""
    return record[0] in INPUTS


def seconds(us: int) -> float:
    """The time of the node's clock, the same for whoever asks."""
    return us / 1_000_000
