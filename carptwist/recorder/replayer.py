"""A flight, run again: the daemon's own code on a host that is the record, up to the first difference.

::

    parts --> Script --input--> Node --asks, decides--> Script: the same as then?

A life of the daemon is replayed from its beginning, or from the first keyframe that is left of it. Where the record
has a keyframe while the node runs, the node's state is compared with it as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer

from carptwist import __version__
from carptwist.config.schema import Knobs
from carptwist.election.effects import Became
from carptwist.election.machine import Machine
from carptwist.election.memory import Room
from carptwist.election.replay import Replay
from carptwist.interfaces import IAuthority, ISurroundings
from carptwist.node import Node
from carptwist.recorder import keyframe, plain
from carptwist.recorder.records import Decision, Input, Record, seconds
from carptwist.recorder.replaying import ReplayedAuthority, ReplayedClock, ReplayedReplay, ReplayedSystem
from carptwist.recorder.ring import VERSION, Part
from carptwist.recorder.script import Difference, Script
from carptwist.vhost.roster import Occurrence
from carptwist.vhost.virtualhost import VirtualHost


class UnreplayableError(Exception):
    """The record is of a version that does not know, or knows other things than, this one. The text says which."""


class Stretch(NamedTuple):
    """A part of the record that was replayed in one piece. Times are seconds since the epoch."""

    host: str
    version: str
    begin: float
    end: float
    from_start: bool


class Outcome(NamedTuple):
    """What came of a replay. ``missing``: how often something was missing in between."""

    stretches: tuple[Stretch, ...]
    inputs: int
    decisions: int
    missing: int
    difference: Difference | None
    difference_at: float

    @property
    def seconds(self) -> float:
        """How much of the time of day was replayed."""
        return sum(stretch.end - stretch.begin for stretch in self.stretches)


@implementer(ISurroundings)
class _Stand:
    """Answers for what is not a node's own."""

    def __init__(self, script: Script, machine: Callable[..., Machine]) -> None:
        self.machine = machine
        self.waiting: dict[int, Deferred[None]] = {}  # for others
        self.asked = 0
        self._script = script

    def command(
        self, subject: object, name: str, arguments: tuple[Any, ...], named: Mapping[str, Any], work: Callable[[], Any]
    ) -> Any:
        return work()

    def outside(self, work: Callable[[], Any]) -> Deferred[None]:
        self.asked += 1
        self.waiting[self.asked] = Deferred()
        return self.waiting[self.asked]

    def memory(self, room: Room) -> Replay:
        return ReplayedReplay(self._script)

    def authority(self, interface: str, authority: IAuthority) -> IAuthority:
        return ReplayedAuthority(self._script)

    def aside(self, clock: Any) -> Any:
        return Clock()


class Replayer:
    """Replays the parts of one file.

    :param machine: the rules; others than the daemon's show where these would have decided otherwise.
    """

    _log = Logger()

    def __init__(self, machine: Callable[..., Machine] = Machine) -> None:
        self.wall = 0.0  # the time of day of the input at work, in seconds since the epoch
        self._machine = machine
        self._script = Script()
        self._clock = ReplayedClock(self._script)
        self._system = ReplayedSystem(self._script)
        self._stand = _Stand(self._script, machine)
        self._node: Node | None = None
        self._shift = 0.0  # from the node's clock to the time of day
        self._stretches: list[Stretch] = []
        self._missing = 0

    def run(self, parts: Iterable[Part]) -> Outcome:
        """Replay all of it, or up to the first difference.

        :raises UnreplayableError: it is of another version, too different from this one.
        """
        for part in parts:
            if not part.follows:
                self._missing += self._node is not None and part.records[0][0] != Input.BEGIN
                self._node = None
            self._script.load(part.records)
            while self._script.difference is None:
                record = self._script.next_input()
                if record is None:
                    break
                self._happen(record)
                self._script.finish_input()
        script = self._script
        return Outcome(
            tuple(self._stretches), script.inputs, script.decisions, self._missing, script.difference, self.wall
        )

    # Inputs

    def _happen(self, record: Record) -> None:
        kind, us, *fields = record
        self._clock.now = seconds(us)
        if kind in (Input.BEGIN, Input.KEYFRAME):
            introduction = fields[0]
            try:
                if introduction["format"] != VERSION:
                    raise ValueError(f"format {introduction['format']}")
                if kind == Input.BEGIN:
                    self._begin(introduction)
                else:
                    self._keyframe(record, introduction)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                version = introduction.get("version") if isinstance(introduction, dict) else None
                raise UnreplayableError(
                    f"written by carptwist {version}, which this one, {__version__}, cannot replay: {error!r}"
                ) from error
        elif self._node is not None:
            self._pass_time()
            try:
                done = self._do(kind, fields)
            except Exception:
                # What it happens to is not there, or fails.
                self._log.failure("carp: replay: {record}", record=record)
                done = False
            if not done:
                self._script.differ(record, None)

    def _do(self, kind: str, fields: list[Any]) -> bool:
        """Let something happen; False if it cannot."""
        system = self._system
        if kind == Input.FRAME:
            port = system.ports.get(fields[0])
            if port is not None:
                port.receiver.frame_received(fields[1])
            return port is not None
        if kind == Input.TIMER:
            return self._clock.fire(fields[0])
        if kind == Input.LINK:
            link = plain.to_link(fields[0])
            changed = system.monitor.watchers.get(link.name)
            if changed is not None:
                changed(link)
            return changed is not None
        if kind == Input.PLANE:
            plane = system.planes.get(fields[0])
            return plane is not None and plane.done(fields[1], fields[2])
        if kind == Input.COMMAND:
            return self._command(*fields)
        if kind == Input.SYSTEM:
            _fire(system.doing[fields[0]], fields[1])
        elif kind == Input.NOTEBOOK:
            _fire(system.notebooks[fields[0]].reading, fields[1], b"")
        elif kind == Input.GUARD:
            assert system.its_guard is not None
            system.its_guard.lacking(fields[0])
        elif kind == Input.ENDED:
            assert system.its_guard is not None
            system.its_guard.wills[fields[0]](fields[1], fields[2])
        elif kind == Input.DAMAGE:
            system.planes[fields[0]].damaged(fields[1])
        elif kind == Input.OUTSIDE:
            _fire(self._stand.waiting.pop(fields[0]), fields[1])
        elif kind == Input.CLOSED:
            system.ports[fields[0]].receiver.disconnected()
        return True

    def _command(self, who: str, name: str, arguments: list[Any], named: dict[str, Any]) -> bool:
        assert self._node is not None
        subject: Any = {"node": self._node, "roster": self._node.roster}.get(who) or self._node.find(who)
        if subject is None:
            return False
        told = [plain.back(each) for each in arguments], {key: plain.back(value) for key, value in named.items()}
        try:
            result = getattr(subject, name)(*told[0], **told[1])
        except (ValueError, KeyError):
            return True  # whoever has asked then was refused as well
        if hasattr(result, "addErrback"):
            result.addErrback(lambda _: None)
        return True

    # Beginnings

    def _begin(self, introduction: dict[str, Any]) -> None:
        self._renew(introduction, Knobs(**introduction["knobs"]), from_start=True)

    def _keyframe(self, record: Record, introduction: dict[str, Any]) -> None:
        node = self._node
        state = introduction["state"]
        if node is None:
            node = self._renew(introduction, Knobs(**state["knobs"]), from_start=False)
            self._script.muted = True
            try:
                keyframe.restore(node, state)
            finally:
                self._script.muted = False
        else:
            self._shift = introduction["wall"] - introduction["clock"]
            self._pass_time()
        has = json.loads(json.dumps(keyframe.taken(node, self._clock.now)))
        if has != state:
            self._script.differ(record, [Input.KEYFRAME, record[1], {"state": has}])
        self._clock.number_anew()
        self._stand.asked = 0
        self._script.traits.clear()
        keyframe.arm_anew(node)

    def _renew(self, introduction: dict[str, Any], knobs: Knobs, *, from_start: bool) -> Node:
        self._shift = introduction["wall"] - introduction["clock"]
        self.wall = self._clock.now + self._shift
        self._stretches.append(Stretch(introduction["host"], introduction["version"], self.wall, self.wall, from_start))
        self._clock.number_anew()
        self._script.traits.clear()
        self._system = ReplayedSystem(self._script)
        stand = self._stand = _Stand(self._script, self._machine)
        node = self._node = Node(knobs, reactor=self._clock, system=self._system, surroundings=stand)
        node.roster.observe(self._became)
        node.roster.witness(self._occurred)
        return node

    def _became(self, vhost: VirtualHost, change: Became) -> None:
        self._script.decided(Decision.BECAME, vhost.name, change.previous.value, change.state.value, change.reason)

    def _occurred(self, occurrence: Occurrence) -> None:
        if occurrence.kind == "demotion":
            self._script.decided(Decision.DEMOTED, occurrence.text)

    def _pass_time(self) -> None:
        self.wall = self._clock.now + self._shift
        self._stretches[-1] = self._stretches[-1]._replace(end=self.wall)


def _fire(doing: Any, error: str, result: Any = None) -> None:
    if error:
        doing.errback(OSError(error))
    else:
        doing.callback(result)
