"""A group of hosts on a LAN in memory: carptwist's own node, whole, and kernels as FreeBSD's is.

::

    Lan --- Kernel    election.machine and the counter rule of ip_carp.c: goes on from any counter that it hears
     |  --- Ours      carptwist.node.Node on a system in memory, its notebooks kept over its lives
     |
     +-- who hears whom, and how much is lost, can be changed at any moment

Frames are real ones, signed and verified. All time is that of one virtual clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import ip_address, ip_interface
from math import inf
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from carptwist.config.schema import AddressWithPrefix, Knobs, Phrase, ReplayMode, VirtualHostConfig
from carptwist.election.counter import Counter
from carptwist.election.effects import Advertise
from carptwist.election.machine import Machine, Settings
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State
from carptwist.interfaces import IFramePort, IFrameReceiver, LinkState
from carptwist.node import Node
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.simulation.system import MemorySystem
from carptwist.vhost.deadline import Deadline
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import carp, filters
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator

PHRASE = b"mekmitasdigoat"
LATENCY_SECONDS = 0.0002


def run(clock: Clock, seconds: float) -> None:
    """Let time pass, stopping at everything that is due."""
    end = clock.seconds() + seconds
    while clock.calls and clock.calls[0].getTime() <= end:
        clock.advance(max(0.0, clock.calls[0].getTime() - clock.seconds()))
    clock.advance(max(0.0, end - clock.seconds()))


class Lan:
    """Who hears whom. ``sides`` has the hosts that are apart from the others; ``loss`` is a probability."""

    def __init__(self, clock: Clock, chance: random.Random) -> None:
        self.clock = clock
        self.chance = chance
        self.loss = 0.0
        self.apart: set[str] = set()
        self.record: list[tuple[str, bytes]] = []
        self._ears: dict[str, Callable[[bytes], object]] = {}

    def plug(self, name: str, hear: Callable[[bytes], object]) -> None:
        self._ears[name] = hear

    def unplug(self, name: str) -> None:
        self._ears.pop(name, None)

    def connected(self, one: str, other: str) -> bool:
        return (one in self.apart) == (other in self.apart)

    def send(self, sender: str, frame: bytes) -> None:
        self.record.append((sender, frame))
        for name in self._ears:
            if name != sender and self.connected(sender, name) and self.chance.random() >= self.loss:
                self.clock.callLater(LATENCY_SECONDS, self._deliver, sender, name, frame)

    def _deliver(self, sender: str, name: str, frame: bytes) -> None:
        hear = self._ears.get(name)
        if hear is not None and self.connected(sender, name):
            hear(frame)


class Life:
    """The clock of one life of a host: with its end all that it had planned is off."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[Any] = []
        self.seconds = clock.seconds

    def callLater(self, delay: float, call: Any, *arguments: Any, **named: Any) -> Any:
        self._calls = [each for each in self._calls if each.active()]
        self._calls.append(self._clock.callLater(delay, call, *arguments, **named))
        return self._calls[-1]

    def end(self) -> None:
        for each in self._calls:
            if each.active():
                each.cancel()


class Host:
    """What all hosts of the group have in common."""

    def __init__(self, name: str, lan: Lan, number: int, addresses: tuple[AddressWithPrefix, ...], skew: int) -> None:
        self.name = name
        self.lan = lan
        self.addresses = addresses
        self.skew = skew
        self.own4 = ip_address(f"192.0.2.{number}")
        self.own6 = ip_address(f"fe80::{number}")
        self.life: Life | None = None

    @property
    def alive(self) -> bool:
        return self.life is not None

    @property
    def state(self) -> State:
        raise NotImplementedError

    def start(self, preempt: bool) -> None:
        raise NotImplementedError

    def crash(self) -> None:
        """Gone without a word."""
        assert self.life is not None
        self.life.end()
        self.life = None
        self.lan.unplug(self.name)


class Kernel(Host):
    """As FreeBSD: a random counter each time until somebody was heard, then one more than was last sent or heard."""

    _machine: Machine

    @property
    def state(self) -> State:
        return self._machine.state if self.alive else State.INIT

    def start(self, preempt: bool) -> None:
        self.life = Life(self.lan.clock)
        families = tuple(sorted({address.version for address in self.addresses}))
        self._counter = Counter(lambda: self.lan.chance.getrandbits(64))
        self._machine = Machine(self.life.seconds(), Settings(1, self.skew, families), preempt=preempt)
        self._deadline = Deadline(self.life, self._tick)  # type: ignore[arg-type]
        self._authenticator = Authenticator(PHRASE, 1, [address.ip for address in self.addresses])
        self.lan.plug(self.name, self._hear)
        self._perform(self._machine.ready(self.life.seconds()))

    def _tick(self) -> None:
        self._perform(self._machine.tick(self.lan.clock.seconds()))

    def _hear(self, frame: bytes) -> None:
        heard = read(frame)
        assert isinstance(heard, Heard)
        said = heard.advertisement
        if not self._authenticator.verify(said.counter, said.digest):
            raise AssertionError("all of them have one phrase")
        self._counter.heard(said.counter)
        self._perform(
            self._machine.heard(self.lan.clock.seconds(), heard.family, said.advbase, said.advskew, said.demote)
        )

    def _perform(self, effects: list[Any]) -> None:
        self._deadline.set(self._machine.deadline)
        for effect in effects:
            # FreeBSD has no bow-out.
            if isinstance(effect, Advertise) and not is_bow_out(effect.advbase, effect.advskew):
                for family in self._machine.settings.families:
                    self._advertise(family, effect)

    def _advertise(self, family: int, effect: Advertise) -> None:
        counter = self._counter.next()
        digest = self._authenticator.sign(counter)
        said = carp.Advertisement(1, effect.advskew, effect.advbase, 0, counter, digest)
        make, source = (frame4, self.own4) if family == 4 else (frame6, self.own6)
        self.lan.send(self.name, make(said, source_mac=carp.virtual_mac(1), source=source.packed))


class Ours(Host):
    """A node of ours. ``notebooks`` outlive it."""

    def __init__(
        self,
        name: str,
        lan: Lan,
        number: int,
        addresses: tuple[AddressWithPrefix, ...],
        skew: int,
        mode: ReplayMode = ReplayMode.ENFORCE,
    ) -> None:
        super().__init__(name, lan, number, addresses, skew)
        self.mode = mode
        self.notebooks: dict[str, MemoryNotebook] = {}
        self.refused = 0
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        assert self._node is not None
        return self._node

    @property
    def vhost(self) -> VirtualHost:
        (vhost,) = self.node.roster.all()
        return vhost

    @property
    def state(self) -> State:
        return self.vhost.state if self.alive else State.INIT

    def start(self, preempt: bool) -> None:
        self.life = Life(self.lan.clock)
        self._node = Node(Knobs(preempt=preempt, log=0), reactor=self.life, system=_System(self))
        config = VirtualHostConfig(1, "em0", self.addresses, (Phrase(PHRASE),), advskew=self.skew, replay=self.mode)
        starting = self._node.start([config])
        assert starting.called, "all of a system in memory is done at once"

    def crash(self) -> None:
        self.refused += self.node.roster.counters.refused["replay"]
        super().crash()

    def stop(self) -> None:
        """In good order."""
        stopping = self.node.stop()
        run(self.lan.clock, LATENCY_SECONDS)
        assert stopping.called
        self.crash()


@implementer(IFramePort)
class _Port:
    def __init__(self, host: Ours, interface: str, receiver: IFrameReceiver, *, hears: bool) -> None:
        self.interface = interface
        self._host = host
        self._hears = hears
        if hears:
            host.lan.plug(host.name, receiver.frame_received)
        receiver.connected(self)

    def send(self, frame: bytes, until: float = inf) -> None:
        # What says where the addresses are is not looked at here.
        if self._hears:
            self._host.lan.send(self._host.name, frame)

    def close(self) -> None:
        if self._hears:
            self._host.lan.unplug(self._host.name)


class _System(MemorySystem):
    """One that is plugged into the group's LAN."""

    def __init__(self, host: Ours) -> None:
        assert host.life is not None
        link = LinkState(
            "em0",
            index=2,
            up=True,
            carrier=True,
            mac=b"\x02\0\0\0\0\x01",
            hardware=1,
            own4=(host.own4,),  # type: ignore[arg-type]
            own6=(host.own6,),  # type: ignore[arg-type]
        )
        super().__init__(
            host.name,
            clock=host.life,  # type: ignore[arg-type]
            segments={},
            links={"em0": link},
            random=host.lan.chance,
            notebooks=host.notebooks,
            hold_seconds=0.0,
        )
        self._host = host

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        return _Port(self._host, interface, receiver, hears=program == filters.carp())


def both_families(both: bool) -> tuple[AddressWithPrefix, ...]:
    """The shared addresses."""
    return tuple(map(ip_interface, ["192.0.2.1/24", "2001:db8::1/64"][: 1 + both]))
