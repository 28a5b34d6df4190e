"""A host that is a record: it answers what was answered then, and compares what it is told with what was told then."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
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
from carptwist.planes import PlaneError
from carptwist.recorder import plain
from carptwist.recorder.blanking import blanked
from carptwist.recorder.recording import port_name
from carptwist.recorder.records import Answer, Decision, Input
from carptwist.recorder.script import Script
from carptwist.wire.carp import virtual_mac

#: A timer that fires so much too early does so by rounding.
_ROUNDING_SECONDS = 1e-5


@implementer(IDelayedCall)
class ReplayedCall:
    """A call that waits until the record says that it was made."""

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when = when
        self.call: Callable[[], object] | None = call

    def getTime(self) -> float:
        return self.when

    def cancel(self) -> None:
        self.call = None

    def delay(self, secondsLater: float) -> None:
        self.when += secondsLater

    def reset(self, secondsFromNow: float) -> None:
        raise NotImplementedError("nothing in a node does this")

    def active(self) -> bool:
        return self.call is not None


@implementer(IReactorTime)
class ReplayedClock:
    """Its time is that of the input at work."""

    def __init__(self, script: Script) -> None:
        self.now = 0.0
        self.timers = 0
        self._script = script
        self._calls: dict[int, ReplayedCall] = {}

    def seconds(self) -> float:
        return self.now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> ReplayedCall:
        call = ReplayedCall(self.now + delay, lambda: callable(*args, **kwargs))
        if not self._script.muted:
            self.timers += 1
            self._calls[self.timers] = call
        return call

    def getDelayedCalls(self) -> list[ReplayedCall]:
        return [call for call in self._calls.values() if call.active()]

    def fire(self, number: int) -> bool:
        """Make a call; False if there is none of this number that is due."""
        call = self._calls.pop(number, None)
        if call is None or call.call is None or call.when > self.now + _ROUNDING_SECONDS:
            return False
        work, call.call = call.call, None
        work()
        return True

    def number_anew(self) -> None:
        """From here on timers are asked for anew: see :func:`carptwist.recorder.keyframe.arm_anew`."""
        self.timers = 0
        self._calls.clear()


@implementer(ILinkMonitor)
class ReplayedMonitor:
    """Its interfaces are what the node was told of them."""

    def __init__(self, script: Script) -> None:
        self.watchers: dict[str, Callable[[LinkState], object]] = {}
        self._script = script

    def state(self, name: str) -> LinkState:
        told = self._script.answer(Answer.LINK, demanded=True)
        return LinkState(name) if told is None else plain.to_link(told[1])

    def names(self) -> list[str]:
        told = self._script.answer(Answer.NAMES)
        return [] if told is None else told[1]

    def watch(self, name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        self.watchers[name] = changed
        return lambda: self.watchers.pop(name, None) and None

    def watch_routes(self, changed: Callable[[], object]) -> Callable[[], None]:
        return lambda: None


@implementer(IFramePort)
class ReplayedPort:
    """What is sent is compared."""

    def __init__(self, script: Script, interface: str, name: str, receiver: IFrameReceiver) -> None:
        self.interface = interface
        self.receiver = receiver
        self._script = script
        self._name = name
        self._open = True

    def send(self, frame: bytes, until: float = inf) -> None:
        self._script.decided(Decision.SENT, self._name, blanked(frame))
        failed = self._script.answer(Answer.FAILED)
        if failed is not None:
            raise OSError(failed[1], failed[2])

    def close(self) -> None:
        was_open, self._open = self._open, False
        if was_open:
            self.receiver.disconnected()


@implementer(IPlane)
class ReplayedPlane:
    """Its work is done when the record says so."""

    def __init__(self, script: Script, config: VirtualHostConfig, damaged: Callable[[str], object]) -> None:
        self.damaged = damaged
        self._script = script
        self._name = config.name
        self._mac = virtual_mac(config.vhid)
        self._pending: tuple[str, Deferred[None]] | None = None

    @property
    def link_address(self) -> bytes:
        return bytes.fromhex(self._script.trait("link_address", self._name, default=""))

    @property
    def answers(self) -> bool:
        return bool(self._script.trait("answers", self._name, default=False))

    @property
    def ending(self) -> tuple[bytes, ...]:
        return ()

    def refresh(self, seconds: int, until: float) -> None:
        pass

    def adopt(self, config: VirtualHostConfig) -> None:
        self._script.decided(Decision.PLANE, self._name, "adopt")

    def prepare(self) -> Deferred[None]:
        return self._do("prepare")

    def hold(self) -> Deferred[None]:
        return self._do("hold")

    def release(self) -> Deferred[None]:
        return self._do("release")

    def withdraw(self) -> Deferred[None]:
        return self._do("withdraw")

    def _do(self, step: str) -> Deferred[None]:
        self._script.decided(Decision.PLANE, self._name, step)
        doing: Deferred[None] = Deferred()
        self._pending = (step, doing)
        told = self._script.answer(Answer.DONE, self._name, step)
        if told is not None:
            self.done(step, told[3])
        return doing

    def done(self, step: str, error: str) -> bool:
        """A step has ended; False if none is at work."""
        if self._pending is None or self._pending[0] != step:
            return False
        (_, doing), self._pending = self._pending, None
        if error:
            doing.errback(PlaneError(error))
        else:
            doing.callback(None)
        return True


@implementer(IGuard)
class ReplayedGuard:
    """What it is told is compared, and what it told is told again."""

    def __init__(self, script: Script, doing: dict[str, Deferred[None]], lacking: Callable[[str | None], object]):
        self.lacking = lacking
        self.wills: dict[str, Callable[[str, float], object]] = {}
        self._script = script
        self._doing = doing

    def start(self) -> Deferred[None]:
        return self._doing.setdefault("guard", Deferred())

    def stop(self) -> Deferred[None]:
        return self._doing.setdefault("unguarded", Deferred())

    def entrust(self, name: str, will: Will, until: float, ended: Callable[[str, float], object]) -> None:
        self._script.decided(Decision.GUARD, name, "entrust", until)
        self.wills[name] = ended

    def renew(self, name: str, until: float) -> None:
        pass

    def forget(self, name: str) -> None:
        self._script.decided(Decision.GUARD, name, "forget", None)


@implementer(INotebook)
class ReplayedNotebook:
    """Nothing is in it, for what is read answers from the record as well."""

    def __init__(self) -> None:
        self.reading: Deferred[bytes] = Deferred()

    def read(self) -> Deferred[bytes]:
        return self.reading

    def append(self, octets: bytes) -> Deferred[None]:
        return Deferred()

    def replace(self, whole: Callable[[], bytes]) -> Deferred[int]:
        return Deferred()

    def patch(self, pieces: Callable[[], Iterable[tuple[int, bytes]]]) -> Deferred[None]:
        return Deferred()


class ReplayedReplay(Replay):
    """Says of each counter what was said of it then."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    def judge(self, source: bytes, counter: int, network_control: bool) -> Verdict:
        told = self._script.answer(Answer.VERDICT)
        return Verdict.NEW if told is None else Verdict(told[1])

    def introduced(self, *_: Any, **__: Any) -> None:
        pass

    def sent(self, counter: int) -> None:
        pass

    def knows(self, counter: int) -> bool:
        return self._script.answer(Answer.KNOWN) is not None


@implementer(IAuthority)
class ReplayedAuthority:
    """Every advertisement on record was signed with some phrase; ours are compared without their digests."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def phrase_of(self, config: VirtualHostConfig, counter: int, digest: bytes) -> int | None:
        told = self._script.answer(Answer.PHRASE)
        return 0 if told is None else int(told[1])

    def sign(self, config: VirtualHostConfig, counter: int) -> bytes:
        return bytes(20)


@implementer(ISystem)
class ReplayedSystem:
    """The host of one life."""

    def __init__(self, script: Script) -> None:
        self.monitor = ReplayedMonitor(script)
        self.planes: dict[str, ReplayedPlane] = {}
        self.ports: dict[str, ReplayedPort] = {}
        self.notebooks: dict[str, ReplayedNotebook] = {}
        self.doing: dict[str, Deferred[None]] = {}
        self.its_guard: ReplayedGuard | None = None
        self._script = script

    def start(self) -> Deferred[None]:
        return self.doing.setdefault("start", Deferred())

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        plane = self.planes[config.name] = ReplayedPlane(self._script, config, damaged)
        return plane

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        name = port_name(interface, program)
        self._opened(name)
        port = self.ports[name] = ReplayedPort(self._script, interface, name, receiver)
        receiver.connected(port)
        return port

    def join(self, link: LinkState) -> Callable[[], None]:
        self._opened(f"{link.name}/groups")
        return lambda: None

    def forwards(self, interface: str) -> bool:
        return bool(self._script.trait("forwards", interface, default=False))

    def notebook(self, name: str) -> INotebook:
        notebook = self.notebooks[name] = ReplayedNotebook()
        return notebook

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        self.its_guard = ReplayedGuard(self._script, self.doing, lacking)
        return self.its_guard

    def recording(self) -> INotebook:
        return ReplayedNotebook()

    def draw(self) -> int:
        told = self._script.answer(Answer.DRAWN, demanded=True)
        return 0 if told is None else int(told[1])

    def _opened(self, name: str) -> None:
        told = self._script.answer(Answer.OPENED, name, demanded=True)
        if told is not None and told[3]:
            raise OSError(told[2], told[3])


__all__ = ["Input", "ReplayedAuthority", "ReplayedClock", "ReplayedReplay", "ReplayedSystem"]
