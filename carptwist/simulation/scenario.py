"""A scenario, as values: hosts on segments, what happens to them and when, and what is expected of the end.

:mod:`carptwist.simulation.script` reads one from a TOML file, and :mod:`carptwist.simulation.stage` plays it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from carptwist.config.schema import Configuration
from carptwist.election.state import State
from carptwist.simulation.conditions import GOOD, Conditions
from carptwist.simulation.host import ORDINARY, Nature


@dataclass(frozen=True)
class Part:
    """One host. ``wiring``: interface -> segment. ``start``: when its daemon starts, None: never by itself."""

    name: str
    configuration: Configuration
    wiring: Mapping[str, str]
    nature: Nature = ORDINARY
    start: float | None = 0.0


class Order(Enum):
    """What can happen to a host as a whole."""

    START = "start"
    STOP = "stop"
    KILL = "kill"
    KILL_BOTH = "kill_both"
    CRASH = "crash"
    STALL = "stall"
    FREEZE = "freeze"
    RESUME = "resume"


@dataclass(frozen=True)
class HostEvent:
    """Something happens to a host."""

    order: Order
    host: str


class Cable(Enum):
    """What can happen to an interface."""

    UNPLUG = "unplug"
    PLUG = "plug"
    DOWN = "down"
    UP = "up"


@dataclass(frozen=True)
class CableEvent:
    """A cable is pulled or put back, an interface set down or up."""

    what: Cable
    host: str
    interface: str


@dataclass(frozen=True)
class Divide:
    """A segment falls into islands."""

    segment: str
    islands: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Block:
    """One station is not heard by another any more, while it hears that one."""

    segment: str
    sender: str
    receiver: str


@dataclass(frozen=True)
class Heal:
    """A segment is whole and good again; ``segment`` None: all of them."""

    segment: str | None


@dataclass(frozen=True)
class Weather:
    """A segment has these conditions from now on; with ``receiver``, what that station hears has."""

    segment: str
    conditions: Conditions
    receiver: str | None = None


@dataclass(frozen=True)
class Demote:
    """An entry of a host's demotion ledger is made, or with ``by`` None taken back."""

    host: str
    by: int | None
    owner: str
    reason: str
    seconds: float | None = None


@dataclass(frozen=True)
class Ask:
    """The operator asks for a state."""

    host: str
    vhid: str
    state: State


@dataclass(frozen=True)
class Adjust:
    """The operator gives a running vhid another advskew."""

    host: str
    vhid: str
    advskew: int


@dataclass(frozen=True)
class FailSending:
    """So many of the next frames cannot be sent."""

    host: str
    interface: str
    frames: int


class Selection(Enum):
    """Which of the recorded advertisements are replayed."""

    OLDEST = "oldest"
    NEWEST = "newest"
    RANDOM = "random"


class Forgery(Enum):
    """What is changed in a replayed advertisement: its digest covers none of this."""

    NOTHING = "nothing"
    SOURCE = "source"
    FAMILY = "family"
    ADVSKEW = "advskew"
    FAREWELL = "farewell"
    DSCP = "dscp"


@dataclass(frozen=True)
class Replay:
    """An attacker sends each host of a segment what that host has heard or said before: ``frames`` times, one each
    ``every`` seconds."""

    segment: str
    frames: int
    every: float
    selection: Selection = Selection.NEWEST
    forgery: Forgery = Forgery.NOTHING


Event = HostEvent | CableEvent | Divide | Block | Heal | Weather | Demote | Ask | Adjust | FailSending | Replay


@dataclass(frozen=True)
class Scheduled:
    """An event and its time; ``text`` is what a timeline says of it."""

    at: float
    event: Event
    text: str


@dataclass(frozen=True)
class OwnerExpected:
    """At this time these hosts own a vhid of a segment, and no others."""

    at: float
    segment: str
    vhid: int
    owners: tuple[str, ...]


@dataclass(frozen=True)
class LimitExpected:
    """From ``after`` on no outage, or no double ownership, is longer than ``seconds``."""

    double: bool
    seconds: float
    after: float
    segment: str | None = None
    vhid: int | None = None


Expectation = OwnerExpected | LimitExpected


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. ``weather`` has the conditions at the start of each segment that is not a good network."""

    title: str
    duration: float
    parts: tuple[Part, ...]
    events: tuple[Scheduled, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    about: str = ""
    seed: int = 1
    weather: Mapping[str, Conditions] = field(default_factory=dict)

    def conditions(self, segment: str) -> Conditions:
        """What the network is like at the start."""
        return self.weather.get(segment, GOOD)
