"""A host as it is, with every word that it and the node exchange taken down.

The other way round, in :mod:`carptwist.recorder.replaying`, the same words are answered from the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.election.memory import Room
from carptwist.election.replay import Replay, Verdict
from carptwist.interfaces import (
    IAuthority,
    IFramePort,
    IFrameReceiver,
    IGuard,
    ILinkMonitor,
    INotebook,
    IPlane,
    ISystem,
    LinkState,
    Will,
)
from carptwist.recorder import plain
from carptwist.recorder.records import Answer, Decision, Input
from carptwist.recorder.tape import Tape
from carptwist.wire import filters

#: What goes through a port, by its filter.
PROGRAMS = {filters.carp(): "carp", filters.arp(): "arp", filters.neighbor(): "nd"}


def port_name(interface: str, program: bytes) -> str:
    """``em0/carp``."""
    return f"{interface}/{PROGRAMS[program]}"


@implementer(ILinkMonitor)
class TapedMonitor:
    """What the node is told of interfaces, and what it asks."""

    def __init__(self, tape: Tape, monitor: ILinkMonitor) -> None:
        self._tape = tape
        self._monitor = monitor

    def state(self, name: str) -> LinkState:
        state: LinkState = self._monitor.state(name)
        if self._tape.busy:
            self._tape.say(Answer.LINK, plain.of_link(state))
        return state

    def names(self) -> list[str]:
        names: list[str] = self._monitor.names()
        if self._tape.busy:
            self._tape.say(Answer.NAMES, names)
        return names

    def watch(self, name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        stop: Callable[[], None] = self._monitor.watch(
            name, lambda link: self._tape.input(Input.LINK, (plain.of_link(link),), lambda: changed(link))
        )
        return stop

    def watch_routes(self, changed: Callable[[], object]) -> Callable[[], None]:
        stop: Callable[[], None] = self._monitor.watch_routes(changed)
        return stop


@implementer(IFramePort)
class TapedPort:
    """What the node sends."""

    def __init__(self, tape: Tape, name: str, port: IFramePort) -> None:
        self.interface: str = port.interface
        self._tape = tape
        self._name = name
        self._port = port

    def send(self, frame: bytes, until: float = inf) -> None:
        self._tape.say(Decision.SENT, self._name, frame)
        try:
            self._port.send(frame, until)
        except OSError as error:
            self._tape.say(Answer.FAILED, error.errno, error.strerror or str(error))
            raise

    def close(self) -> None:
        self._port.close()


@implementer(IFrameReceiver)
class TapedReceiver:
    """What the node hears.

    :param concerns: whether a frame that brings nothing about at once may do so later.
    """

    def __init__(self, tape: Tape, name: str, receiver: IFrameReceiver, concerns: Callable[[bytes], bool]) -> None:
        self._tape = tape
        self._name = name
        self._receiver = receiver
        self._concerns = concerns

    def connected(self, port: IFramePort) -> None:
        self._receiver.connected(TapedPort(self._tape, self._name, port))

    def frame_received(self, frame: bytes) -> None:
        self._tape.hear(self._name, frame, self._receiver.frame_received)

    def disconnected(self) -> None:
        if self._tape.busy:
            self._receiver.disconnected()  # we have closed it
        else:
            self._tape.input(Input.CLOSED, (self._name,), self._receiver.disconnected)


class ConcernedReceiver(TapedReceiver):
    """One whose frames concern the node although nothing may follow at once."""

    def frame_received(self, frame: bytes) -> None:
        self._tape.hear(self._name, frame, self._receive)

    def _receive(self, frame: bytes) -> None:
        if self._concerns(frame):
            self._tape.matters()
        self._receiver.frame_received(frame)


@implementer(IPlane)
class TapedPlane:
    """What the node has a plane do, and when that is done."""

    def __init__(self, tape: Tape, name: str, plane: IPlane) -> None:
        self._tape = tape
        self._name = name
        self._plane = plane

    @property
    def link_address(self) -> bytes:
        value: bytes = self._plane.link_address
        self._tape.trait(("link_address", self._name), value.hex())
        return value

    @property
    def answers(self) -> bool:
        value: bool = self._plane.answers
        self._tape.trait(("answers", self._name), value)
        return value

    @property
    def ending(self) -> tuple[bytes, ...]:
        value: tuple[bytes, ...] = self._plane.ending
        return value

    def refresh(self, seconds: int, until: float) -> None:
        self._plane.refresh(seconds, until)

    def adopt(self, config: VirtualHostConfig) -> None:
        self._tape.say(Decision.PLANE, self._name, "adopt")
        self._plane.adopt(config)

    def prepare(self) -> Deferred[None]:
        return self._do("prepare", self._plane.prepare)

    def hold(self) -> Deferred[None]:
        return self._do("hold", self._plane.hold)

    def release(self) -> Deferred[None]:
        return self._do("release", self._plane.release)

    def withdraw(self) -> Deferred[None]:
        return self._do("withdraw", self._plane.withdraw)

    def _do(self, step: str, work: Callable[[], Deferred[None]]) -> Deferred[None]:
        tape = self._tape
        tape.say(Decision.PLANE, self._name, step)
        told: Deferred[None] = Deferred()
        at_once = True

        def done(result: object) -> None:
            error = result.getErrorMessage() if isinstance(result, Failure) else ""

            def tell() -> None:
                if isinstance(result, Failure):
                    told.errback(result)
                else:
                    told.callback(None)

            if at_once:
                tape.say(Answer.DONE, self._name, step, error)
                tell()
            else:
                tape.input(Input.PLANE, (self._name, step, error), tell)

        try:
            work().addBoth(done)
        except Exception:
            done(Failure())
        at_once = False
        return told


@implementer(IGuard)
class TapedGuard:
    """What the guard is told, but for the wills themselves: signed farewells are in there; and what it tells."""

    def __init__(self, tape: Tape, guard: IGuard) -> None:
        self._tape = tape
        self._guard = guard

    def start(self) -> Deferred[None]:
        return seen(self._tape, "guard", self._guard.start())

    def stop(self) -> Deferred[None]:
        return seen(self._tape, "unguarded", self._guard.stop())

    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        self._tape.say(Decision.GUARD, name, "entrust", until)
        self._guard.entrust(
            name, will, until, lambda why, at: self._tape.input(Input.ENDED, (name, why, at), lambda: ended(why, at))
        )

    def renew(self, name: str, until: float) -> None:
        self._guard.renew(name, until)

    def forget(self, name: str) -> None:
        self._tape.say(Decision.GUARD, name, "forget", None)
        self._guard.forget(name)


class TapedReplay(Replay):
    """What is known of counters is too much for a record: what it says is taken down."""

    def __init__(self, tape: Tape, room: Room) -> None:
        super().__init__(room)
        self._tape = tape

    def judge(self, source: bytes, counter: int, network_control: bool) -> Verdict:
        verdict = super().judge(source, counter, network_control)
        if verdict is not Verdict.NEW:
            self._tape.say(Answer.VERDICT, verdict.value)
        return verdict

    def knows(self, counter: int) -> bool:
        known = super().knows(counter)
        if known:
            self._tape.say(Answer.KNOWN)
        return known


@implementer(IAuthority)
class TapedAuthority:
    """Takes down which phrase it was, and nothing of what one could be guessed from."""

    def __init__(self, tape: Tape, authority: IAuthority) -> None:
        self._tape = tape
        self._authority = authority

    def phrase_of(self, config: VirtualHostConfig, counter: int, digest: bytes) -> int | None:
        phrase: int | None = self._authority.phrase_of(config, counter, digest)
        if phrase is not None:
            self._tape.matters()
            if phrase:
                self._tape.say(Answer.PHRASE, phrase)
        return phrase

    def sign(self, config: VirtualHostConfig, counter: int) -> bytes:
        digest: bytes = self._authority.sign(config, counter)
        return digest


def seen(tape: Tape, what: str, doing: Deferred[None], first: Callable[[], object] = lambda: None) -> Deferred[None]:
    """Something of the host's that the node waits for. It is over when no input is at work; ``first`` is done then."""
    told: Deferred[None] = Deferred()

    def done(result: object) -> None:
        error = result.getErrorMessage() if isinstance(result, Failure) else ""

        def tell() -> None:
            if isinstance(result, Failure):
                told.errback(result)
            else:
                told.callback(None)

        if not error:
            first()
        tape.input(Input.SYSTEM, (what, error), tell)

    doing.addBoth(done)
    return told


@implementer(ISystem)
class TapedSystem:
    """A host, seen.

    :param wanted: the packed addresses whose MACs the node wants to know, on an interface.
    :param started: called when the host is ready.
    :param stopping: called when the node is about to let go of the host.
    """

    def __init__(
        self,
        tape: Tape,
        system: ISystem,
        *,
        wanted: Callable[[str], Iterable[bytes]],
        started: Callable[[], object],
        stopping: Callable[[], object],
    ) -> None:
        self.monitor = TapedMonitor(tape, system.monitor)
        self._tape = tape
        self._system = system
        self._wanted = wanted
        self._started = started
        self._stopping = stopping

    def start(self) -> Deferred[None]:
        return seen(self._tape, "start", self._system.start(), self._started)

    def stop(self) -> Deferred[None]:
        self._stopping()
        stopped: Deferred[None] = self._system.stop()
        return stopped

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        name, tape = config.name, self._tape
        return TapedPlane(
            tape,
            name,
            self._system.plane(
                config, lambda what: tape.input(Input.DAMAGE, (name, what), lambda: damaged(what)), balances
            ),
        )

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        name = port_name(interface, program)

        def concerns(frame: bytes) -> bool:
            return any(address in frame for address in self._wanted(interface))

        kind = TapedReceiver if program == filters.carp() else ConcernedReceiver
        seen = kind(self._tape, name, receiver, concerns)
        try:
            port = self._system.open_port(interface, program, seen)
        except OSError as error:
            self._tape.say(Answer.OPENED, name, error.errno, error.strerror or str(error))
            raise
        self._tape.say(Answer.OPENED, name, None, "")
        return port

    def join(self, link: LinkState) -> Callable[[], None]:
        try:
            leave: Callable[[], None] = self._system.join(link)
        except OSError as error:
            self._tape.say(Answer.OPENED, f"{link.name}/groups", error.errno, error.strerror or str(error))
            raise
        self._tape.say(Answer.OPENED, f"{link.name}/groups", None, "")
        return leave

    def forwards(self, interface: str) -> bool:
        value: bool = self._system.forwards(interface)
        self._tape.trait(("forwards", interface), value)
        return value

    def notebook(self, name: str) -> INotebook:
        notebook: INotebook = self._system.notebook(name)
        # That of a vhid; what else is written down is not the node's business.
        return _TapedNotebook(self._tape, name, notebook) if "@" in name else notebook

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        return TapedGuard(
            self._tape,
            self._system.guard(lambda why: self._tape.input(Input.GUARD, (why,), lambda: lacking(why))),
        )

    def recording(self) -> INotebook:
        notebook: INotebook = self._system.recording()
        return notebook

    def draw(self) -> int:
        number: int = self._system.draw()
        self._tape.say(Answer.DRAWN, number)
        return number


@implementer(INotebook)
class _TapedNotebook:
    """What is read is known to the memory of counters, and to it alone."""

    def __init__(self, tape: Tape, name: str, notebook: INotebook) -> None:
        self._tape = tape
        self._name = name
        self._notebook = notebook

    def read(self) -> Deferred[bytes]:
        told: Deferred[bytes] = Deferred()

        def done(result: Any) -> None:
            error = result.getErrorMessage() if isinstance(result, Failure) else ""
            tell = told.errback if isinstance(result, Failure) else told.callback
            self._tape.input(Input.NOTEBOOK, (self._name, error), lambda: tell(result))

        self._notebook.read().addBoth(done)
        return told

    def append(self, octets: bytes) -> Deferred[None] | None:
        appending: Deferred[None] | None = self._notebook.append(octets)
        return appending

    def replace(self, whole: Callable[[], bytes]) -> Deferred[int]:
        return self._notebook.replace(whole)

    def patch(self, pieces: Callable[[], Iterable[tuple[int, bytes]]]) -> Deferred[None]:
        return self._notebook.patch(pieces)
