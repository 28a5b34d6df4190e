"""A host that a node runs on, in memory: interfaces, planes and ports that belong to one life of one daemon."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from random import Random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.config.schema import PlaneKind, VirtualHostConfig
from carptwist.guard.unguarded import Unguarded
from carptwist.interfaces import IFramePort, IFrameReceiver, IGuard, INotebook, IPlane, ISystem, LinkState
from carptwist.simulation.guard import MemoryGuard
from carptwist.simulation.monitor import MemoryLinkMonitor
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.simulation.plane import Hold, MemoryPlane
from carptwist.simulation.segment import MemoryPort, Segment
from carptwist.wire.carp import virtual_mac


@implementer(ISystem)
class MemorySystem:
    """What one life of a daemon sees of its host.

    :param segments: where each interface leads to.
    :param links: the interfaces as they are now.
    :param notebooks: what outlives the daemon.
    :param hold_seconds: what each step of a plane takes.
    :param plane_changed: called with a vhid's configuration when its addresses have become reachable or stopped to be.
    :param kernel: the clock of what goes on when the daemon does not: the guard, and addresses that expire. Without it
        there is neither.
    """

    def __init__(
        self,
        station: str,
        *,
        clock: IReactorTime,
        segments: Mapping[str, Segment],
        links: Mapping[str, LinkState],
        random: Random,
        notebooks: dict[str, MemoryNotebook] | None = None,
        hold_seconds: float = 0.002,
        forwards: bool = True,
        plane_changed: Callable[[VirtualHostConfig], object] = lambda config: None,
        kernel: IReactorTime | None = None,
    ) -> None:
        self.keeper: MemoryGuard | None = None  # the guard, while a daemon has one
        self.monitor = MemoryLinkMonitor(*links.values())
        self.planes: dict[str, MemoryPlane] = {}
        self.ports: list[MemoryPort] = []
        self.members: list[str] = []  # the interfaces on which the multicast groups are joined
        self._station = station
        self._clock = clock
        self._segments = segments
        self._random = random
        self._notebooks = {} if notebooks is None else notebooks
        self._hold_seconds = hold_seconds
        self._forwards = forwards
        self._plane_changed = plane_changed
        self._kernel = kernel

    def holds(self, name: str) -> bool:
        """Whether the addresses of ``VHID@INTERFACE`` are on this host, whatever its cables are like."""
        plane = self.planes.get(name)
        return plane is not None and plane.stands is Hold.HELD

    @property
    def holds_any(self) -> bool:
        """Whether any shared address is on this host."""
        return any(plane.stands is Hold.HELD for plane in self.planes.values())

    def power_off(self) -> None:
        """Nothing of it is there any more; nobody is told."""
        for plane in self.planes.values():
            plane.forget()
        self.detach()

    def detach(self) -> None:
        """The program is gone; what it had set up is not."""
        for port in tuple(self.ports):
            port.close()

    # ISystem

    def start(self) -> Deferred[None]:
        return succeed(None)

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def plane(
        self, config: VirtualHostConfig, damaged: Callable[[str], object], balances: Callable[[bytes], bool]
    ) -> IPlane:
        own = self.monitor.state(config.interface).mac
        plane = self.planes[config.name] = MemoryPlane(
            config,
            link_address=own if config.plane is PlaneKind.INTERFACE else virtual_mac(config.vhid),
            answers=config.plane is PlaneKind.MACVLAN,
            clock=self._clock,
            step_seconds=self._hold_seconds,
            reached=lambda: self._plane_changed(config),
            kernel=self._kernel,
            # News waits in a socket for a daemon that does not run.
            damaged=lambda what: self._clock.callLater(0.0, damaged, what),
        )
        return plane

    def guard(self, lacking: Callable[[str | None], object]) -> IGuard:
        if self._kernel is None:
            return Unguarded()
        self.keeper = MemoryGuard(self._kernel, self._carry_out, self._tell)
        return self.keeper

    def _carry_out(self, requests: tuple[bytes, ...], farewell: tuple[bytes, ...]) -> None:
        """What the guard does: the addresses go, and whoever has bowed out is heard."""
        for request in requests:
            name = request.decode()
            self.planes[name].end()
            interface = name.partition("@")[2]
            for frame in farewell:
                if self.monitor.state(interface).usable:
                    self._segments[interface].send(self._station, frame)

    def _tell(self, ended: Callable[[], object]) -> None:
        """What the guard has done waits in a socket for a daemon that does not run."""
        self._clock.callLater(0.0, ended)

    def open_port(self, interface: str, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        segment = self._segments.get(interface)
        if segment is None or not self.monitor.state(interface).exists:
            raise OSError(errno.ENODEV, f"no interface {interface}")
        port = segment.open(self._station, interface, receiver, program, lambda mac: self._listens_to(interface, mac))
        self.ports = [*(each for each in self.ports if each.plugged_in), port]
        return port

    def join(self, link: LinkState) -> Callable[[], None]:
        self.members.append(link.name)
        return lambda: self.members.remove(link.name)

    def forwards(self, interface: str) -> bool:
        return self._forwards

    def draw(self) -> int:
        return self._random.getrandbits(64)

    def notebook(self, name: str) -> INotebook:
        return self._notebooks.setdefault(name, MemoryNotebook())

    def recording(self) -> INotebook:
        return self.notebook("flight")

    def _listens_to(self, interface: str, mac: bytes) -> bool:
        if mac == self.monitor.state(interface).mac:
            return True
        return any(
            plane.stands is Hold.HELD and plane.link_address == mac
            for name, plane in self.planes.items()
            if name.endswith(f"@{interface}")
        )
