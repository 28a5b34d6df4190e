"""The flight recorder of one node.

::

    CarpService -- FlightRecorder --+-- clock, system, surroundings --> Node
                                    +-- Tape --(each second)--> Writer --> INotebook        on the notebooks' thread

What was taken down is handed over once a second: a daemon that is killed takes its last second with it. A disk that is
slow holds nobody up; what it cannot take is left out, and the record goes on with a keyframe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist import __version__
from carptwist.config.schema import Knobs
from carptwist.election.effects import Became
from carptwist.election.machine import Machine
from carptwist.election.memory import Room
from carptwist.election.replay import Replay
from carptwist.interfaces import IAuthority, INotebook, ISurroundings, ISystem
from carptwist.node import Node, Read
from carptwist.recorder import keyframe, plain
from carptwist.recorder.recording import TapedAuthority, TapedReplay, TapedSystem
from carptwist.recorder.records import REFUSED, Decision, Input, Record
from carptwist.recorder.ring import VERSION, Writer
from carptwist.recorder.tape import Tape, TapedClock
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.roster import Occurrence
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.advertisement import read

WRITE_SECONDS = 1.0
#: The state is told this often even where no slot is full, for a replay to compare.
KEYFRAME_SECONDS = 600.0
#: Writings that have not ended yet; with more of them the disk is too slow.
MOST_UNWRITTEN = 8


@implementer(ISurroundings)
class FlightRecorder:
    """What a node needs to be recorded: its ``clock``, its ``system``, and this as its surroundings.

    :param octets: how long the file becomes at most.
    :param host: what the host is called.
    :param wall: the time of day, in seconds since the epoch.
    """

    _log = Logger()
    machine = Machine

    def __init__(
        self, reactor: Any, system: ISystem, *, octets: int, host: str, wall: Callable[[], float] = time.time
    ) -> None:
        self.tape = Tape(reactor)
        self.clock = TapedClock(self.tape, reactor)
        self.system = TapedSystem(
            self.tape, system, wanted=self._wanted, started=self._started, stopping=self._stopping
        )
        self._reactor = reactor
        self._octets = octets
        self._host = host
        self._wall = wall
        self._node: Node | None = None
        self._in_flight = 0  # commands whose Deferred has not fired
        self._refused: dict[str, int] = {}
        self._notebook: INotebook | None = None
        self._writer: Writer | None = None
        self._unwritten = 0
        self._has_complained = False
        self._keyframe_at = 0.0
        self._next = Alarm(reactor, self._write)

    def node(self, knobs: Knobs, read: Read = read) -> Node:
        """A node that is recorded."""
        node = self._node = Node(knobs, reactor=self.clock, system=self.system, read=read, surroundings=self)
        node.roster.observe(self._became)
        node.roster.witness(self._occurred)
        self.tape.input(Input.BEGIN, (self._introduction(knobs=plain.of_knobs(knobs)),), lambda: None)
        return node

    # ISurroundings

    def command(
        self, subject: object, name: str, arguments: tuple[Any, ...], named: Mapping[str, Any], work: Callable[[], Any]
    ) -> Any:
        if self.tape.busy:
            return work()  # the node does it itself
        who = subject.name if isinstance(subject, VirtualHost) else type(subject).__name__.lower()
        told = [plain.of(each) for each in arguments], {key: plain.of(value) for key, value in named.items()}
        results: list[Any] = []
        self.tape.input(Input.COMMAND, (who, name, *told), lambda: results.append(work()))
        (result,) = results
        return self._afterwards(result) if isinstance(result, Deferred) else result

    def outside(self, work: Callable[[], Any]) -> Deferred[None]:
        told: Deferred[None] = Deferred()
        self.tape.outside += 1
        number = self.tape.outside

        def tell(result: Any) -> None:
            error = result.getErrorMessage() if isinstance(result, Failure) else ""
            fire = told.errback if isinstance(result, Failure) else told.callback
            outcome = result if isinstance(result, Failure) else None
            self.tape.input(Input.OUTSIDE, (number, error), lambda: fire(outcome))

        self.tape.afterwards(lambda: maybeDeferred(work).addBoth(tell))
        return told

    def memory(self, room: Room) -> Replay:
        return TapedReplay(self.tape, room)

    def authority(self, interface: str, authority: IAuthority) -> IAuthority:
        return TapedAuthority(self.tape, authority)

    def aside(self, clock: Any) -> Any:
        return self._reactor

    def _afterwards(self, doing: Deferred[Any]) -> Deferred[Any]:
        """Whoever waits for it goes on when no input is at work: what they do then is a command again."""
        told: Deferred[Any] = Deferred()
        self._in_flight += 1

        def tell(result: Any) -> None:
            self._in_flight -= 1
            if isinstance(result, Failure):
                told.errback(result)
            else:
                told.callback(result)

        doing.addBoth(lambda result: self.tape.afterwards(lambda: tell(result)))
        return told

    # What is taken down here

    def _became(self, vhost: VirtualHost, change: Became) -> None:
        self.tape.say(Decision.BECAME, vhost.name, change.previous.value, change.state.value, change.reason)

    def _occurred(self, occurrence: Occurrence) -> None:
        if occurrence.kind == "demotion":
            self.tape.say(Decision.DEMOTED, occurrence.text)

    def _wanted(self, interface: str) -> Iterable[bytes]:
        return () if self._node is None else keyframe.wanted(self._node, interface)

    def _introduction(self, **more: Any) -> dict[str, Any]:
        """Whose record it is, and which time of day its first moment is."""
        return {
            "format": VERSION,
            "host": self._host,
            "version": __version__,
            "wall": self._wall(),
            "clock": self._reactor.seconds(),
            **more,
        }

    def _tell_keyframe(self, node: Node) -> None:
        told: dict[str, Any] = {}

        def tell() -> None:
            assert self.tape.now is not None
            told.update(self._introduction(state=keyframe.taken(node, self.tape.now)))
            self.tape.timers = self.tape.outside = 0
            self.tape.traits.clear()
            keyframe.arm_anew(node)

        self.tape.input(Input.KEYFRAME, (told,), tell)
        self._keyframe_at = self._reactor.seconds() + KEYFRAME_SECONDS

    # Writing

    def _started(self) -> None:
        self._notebook = self.system.recording()
        self._notebook.read().addCallbacks(self._read, self._failed)

    def _read(self, there: bytes) -> None:
        writer: list[Writer] = []

        def look() -> list[tuple[int, bytes]]:
            writer.append(Writer(self._octets, there))
            return []

        def begin(_: None) -> None:
            (self._writer,) = writer
            self._keyframe_at = self._reactor.seconds() + KEYFRAME_SECONDS
            self._write()

        assert self._notebook is not None
        self._notebook.patch(look).addCallbacks(begin, self._failed)

    def _stopping(self) -> None:
        self._next.cancel()
        self._hand_over(self.tape.take())
        self._writer = None

    def _write(self) -> None:
        writer, node, tape = self._writer, self._node, self.tape
        if writer is None or node is None:
            return
        self._next.set(self._reactor.seconds() + WRITE_SECONDS)
        self._tell_refused(node)
        if self._unwritten > MOST_UNWRITTEN:
            tape.lost += 1
            return
        if self._in_flight == 0 and keyframe.is_quiet(node):
            if tape.lost:
                self._hand_over([*tape.take(), [Input.GAP, tape.us]])
                tape.lost = 0
                self._tell_keyframe(node)
            elif writer.full or self._reactor.seconds() >= self._keyframe_at:
                self._tell_keyframe(node)
        self._hand_over(tape.take())

    def _tell_refused(self, node: Node) -> None:
        refused = node.roster.counters.refused
        more = {cause: count - self._refused.get(cause, 0) for cause, count in refused.items()}
        if any(more.values()):
            self._refused = dict(refused)
            self.tape.remark(REFUSED, {cause: count for cause, count in more.items() if count})

    def _hand_over(self, records: list[Record]) -> None:
        writer = self._writer
        if not records or writer is None or self._notebook is None:
            return
        self._unwritten += 1
        self._notebook.patch(lambda: writer.pieces(records)).addErrback(self._failed).addCallback(self._written)

    def _written(self, _: object) -> None:
        self._unwritten -= 1

    def _failed(self, failure: Failure) -> None:
        self.tape.lost += 1
        if not self._has_complained:
            self._has_complained = True
            self._log.warn(
                "carp: the flight recorder cannot write: {why}: what happens is not on record; state_dir must be a "
                "directory that this process may write to",
                why=failure.getErrorMessage(),
            )
