"""An Ethernet segment in memory: what one port sends, all others hear a little later, if the network lets them.

::

    MemoryPort.send --> cut off? --> passed, watchers --> for each listener: path open? lost? twice? how late?
                                                                  |
                          frame_received <-- still plugged in? <--+  (or into a queue, while its host stands still)

Implements the frame ports of :mod:`carptwist.interfaces`, so that the daemon's own protocols run on
it unchanged. A port hears the frames that its filter accepts, a program of :mod:`carptwist.wire.filters`, and of those
to a single station only its own.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from random import Random
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.interfaces import IFramePort, IFrameReceiver
from carptwist.simulation.clock import Running
from carptwist.simulation.conditions import GOOD, LATENCY_SECONDS, Conditions
from carptwist.wire import filters

__all__ = ["LATENCY_SECONDS", "MemoryPort", "Passed", "Segment"]

#: Frames that a socket keeps for a program that does not read: 212,992 octets at about 832 for a short frame.
QUEUE_LENGTH = 256

#: What the known filters accept; a port without a filter hears everything.
_CARP, _ARP, _NEIGHBOR, _OTHER = range(4)
_KINDS = {
    filters.carp(): (_CARP,),
    filters.arp(): (_ARP,),
    filters.neighbor(): (_NEIGHBOR,),
    filters.reject_all(): (),
    b"": (_CARP, _ARP, _NEIGHBOR, _OTHER),
}
_NEIGHBOR_TYPES = (135, 136)


class Passed(NamedTuple):
    """A frame that was sent on the segment."""

    at: float
    station: str
    frame: bytes


class Segment:
    """A LAN. A station hears what others send, through all of its ports, and never itself.

    :param random: where chances are drawn.
    :param keep: whether all frames are kept in :attr:`passed`, for whoever wants to look.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        name: str = "lan",
        random: Random | None = None,
        keep: bool = True,
        running: Running | None = None,
    ) -> None:
        self.name = name
        self.passed: list[Passed] = []
        self.watchers: list[Callable[[str, bytes], object]] = []  # each is told who has sent what
        self.readers: list[Callable[[str, bytes], object]] = []  # each is told who has read what
        self.cut: set[str] = set()  # the stations whose cable is out
        self.conditions = GOOD
        self.hearing: dict[str, Conditions] = {}  # how a station is reached, where it differs from the others
        self.blocked: set[tuple[str, str]] = set()  # who does not reach whom: (from, to)
        self.swallows: Callable[[str, str, bytes], bool] | None = None  # loses a frame from one station to another
        self._islands: dict[str, int] = {}  # a partition: who can reach whom at all
        self._clock = clock
        self._random = random or Random(0)
        self._keep = keep
        self._running = running or Running()
        self._ports: tuple[list[MemoryPort], ...] = ([], [], [], [])

    # What is plugged in

    def open(
        self,
        station: str,
        interface: str,
        receiver: IFrameReceiver,
        program: bytes = b"",
        owns: Callable[[bytes], bool] | None = None,
    ) -> MemoryPort:
        """Plug a port in.

        :param owns: tells the unicast MACs that the station listens to; without it, it hears all.
        :raises ValueError: the filter is none that is known here.
        """
        if program not in _KINDS:
            raise ValueError("a filter that the simulation does not know")
        port = MemoryPort(self, station, interface, receiver, owns)
        for kind in _KINDS[program]:
            self._ports[kind].append(port)
        receiver.connected(port)
        return port

    def unplug(self, port: MemoryPort) -> None:
        """The port is gone."""
        for ports in self._ports:
            if port in ports:
                ports.remove(port)

    # What the network is like

    def partition(self, islands: Iterable[Iterable[str]]) -> None:
        """Stations reach those of their own island alone; who is on none of them is on one more."""
        self._islands = {station: number for number, island in enumerate(islands, 1) for station in island}

    def heal(self) -> None:
        """Everybody reaches everybody, over a good network. Cables that are out stay out."""
        self._islands = {}
        self.blocked.clear()
        self.hearing.clear()
        self.conditions = GOOD

    @property
    def divided(self) -> bool:
        """Whether some station cannot reach another, through no fault of their cables."""
        return bool(self._islands or self.blocked)

    def island_of(self, station: str) -> int:
        """Which island of a partition a station is on; 0: the one of all that were not named."""
        return self._islands.get(station, 0)

    def connects(self, sender: str, receiver: str) -> bool:
        """Whether the network takes frames from one station to another, whatever their own cables are like."""
        return self.island_of(sender) == self.island_of(receiver) and (sender, receiver) not in self.blocked

    def reaches(self, sender: str, receiver: str) -> bool:
        """Whether frames get from one station to another, if they are not lost."""
        return sender not in self.cut and receiver not in self.cut and self.connects(sender, receiver)

    # Frames

    def send(self, station: str, frame: bytes) -> None:
        """Put a frame on the wire as ``station``."""
        if station in self.cut:
            return
        if self._keep:
            self.passed.append(Passed(self._clock.seconds(), station, frame))
        for watcher in self.watchers:
            watcher(station, frame)
        kind = _kind_of(frame)
        if self._islands or self.blocked or self.hearing or self.swallows or not self.conditions.even:
            for port in self._ports[kind]:
                if port.station == station or not self.reaches(station, port.station):
                    continue
                if self.swallows is None or not self.swallows(station, port.station, frame):
                    self._convey(port, frame)
        else:
            self._clock.callLater(self.conditions.delay, self._deliver, station, kind, frame)

    def _convey(self, port: MemoryPort, frame: bytes) -> None:
        """One frame on its way to one port, under the conditions of that path."""
        conditions = self.hearing.get(port.station, self.conditions)
        draw = self._random.random
        if conditions.loss and draw() < conditions.loss:
            return
        for _ in range(2 if conditions.duplicate and draw() < conditions.duplicate else 1):
            delay = conditions.delay + conditions.jitter * (draw() if conditions.jitter else 0.0)
            if conditions.reorder and draw() < conditions.reorder:
                delay += conditions.reorder_by
            self._clock.callLater(delay, self._arrive, port, frame)

    def _deliver(self, sender: str, kind: int, frame: bytes) -> None:
        running, cut, readers, group = self._running, self.cut, self.readers, frame[0] & 1
        for port in tuple(self._ports[kind]):
            station = port.station
            if station == sender or station in cut:
                continue
            if port.queue is not None:
                port.enqueue(frame)
            elif group or port.accepts(frame):
                running.station = station
                if readers:
                    port.read(frame)
                else:
                    port.receiver.frame_received(frame)

    def _arrive(self, port: MemoryPort, frame: bytes) -> None:
        if not port.plugged_in or port.station in self.cut:
            return
        if port.queue is not None:
            port.enqueue(frame)
        elif frame[0] & 1 or port.accepts(frame):
            self._running.station = port.station
            port.read(frame)

    def inject(self, station: str, frame: bytes) -> None:
        """A frame reaches one station alone, from somebody whom no partition and no weather keeps from it."""
        for port in tuple(self._ports[_kind_of(frame)]):
            if port.station == station:
                self._arrive(port, frame)


@implementer(IFramePort)
class MemoryPort:
    """A port on a segment in memory."""

    def __init__(
        self,
        segment: Segment,
        station: str,
        interface: str,
        receiver: IFrameReceiver,
        owns: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.interface = interface
        self.station = station
        self.receiver = receiver
        self.failures: list[OSError] = []  # what the next frames fail with
        self.queue: deque[bytes] | None = None  # what was heard while its host stood still
        self.overrun = 0  # frames for which there was no room in it
        self._owns = owns
        self._segment: Segment | None = segment

    @property
    def plugged_in(self) -> bool:
        return self._segment is not None

    def accepts(self, frame: bytes) -> bool:
        """Whether a frame to a single station is for this one."""
        return self._owns is None or self._owns(frame[:6])

    def send(self, frame: bytes, until: float = inf) -> None:
        # No time passes here between deciding and sending.
        if self._segment is None:
            raise OSError(errno.ENODEV, f"the port on {self.interface} is closed")
        if self.failures:
            raise self.failures.pop(0)
        self._segment.send(self.station, frame)

    def close(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.unplug(self)
            self.receiver.disconnected()

    def read(self, frame: bytes) -> None:
        """The program takes a frame from the socket."""
        segment = self._segment
        self.receiver.frame_received(frame)
        for reader in segment.readers if segment is not None else ():
            reader(self.station, frame)

    # A host that stands still

    def hold_back(self) -> None:
        """From now on frames wait in the socket, as many as there is room for."""
        if self.queue is None:
            self.queue = deque()

    def enqueue(self, frame: bytes) -> None:
        """One more frame for a program that does not read."""
        assert self.queue is not None
        if not (frame[0] & 1 or self.accepts(frame)):
            return
        if len(self.queue) < QUEUE_LENGTH:
            self.queue.append(frame)
        else:
            self.overrun += 1

    def read_on(self) -> None:
        """The program reads what has waited, and hears again."""
        queue, self.queue = self.queue, None
        for frame in queue or ():
            if self._segment is not None:
                self.read(frame)


def _kind_of(frame: bytes) -> int:
    """Which of the filters a whole frame passes; their programs say the same in BPF."""
    ethertype = frame[12:14]
    if ethertype == b"\x08\x00":
        return _CARP if frame[23:24] == b"\x70" else _OTHER
    if ethertype == b"\x08\x06":
        return _ARP
    if ethertype == b"\x86\xdd":
        following = frame[20:21]
        if following == b"\x70":
            return _CARP
        if following == b"\x3a" and len(frame) > 54 and frame[54] in _NEIGHBOR_TYPES:
            return _NEIGHBOR
    return _OTHER
