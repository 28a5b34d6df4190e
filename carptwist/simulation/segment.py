"""An Ethernet segment in memory: what one port sends, all others hear a little later.

Implements the frame ports of :mod:`carptwist.interfaces`, so that the daemon's own protocols run on
it unchanged. Every frame is kept, with its time and its sender, for whoever wants to look.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.interfaces import IFramePort, IFrameReceiver

#: What a switch takes to pass a short frame on.
LATENCY_SECONDS = 0.0001


class Passed(NamedTuple):
    """A frame that was sent on the segment."""

    at: float
    station: str
    frame: bytes


class Segment:
    """A LAN. A station hears what others send, through all of its ports, and never itself."""

    def __init__(self, clock: IReactorTime) -> None:
        self.passed: list[Passed] = []
        self.cut: set[str] = set()  # the stations whose cable is out
        self._clock = clock
        self._ports: list[MemoryPort] = []

    def open(self, station: str, interface: str, receiver: IFrameReceiver) -> MemoryPort:
        """Plug a port in."""
        port = MemoryPort(self, station, interface, receiver)
        self._ports.append(port)
        receiver.connected(port)
        return port

    def send(self, station: str, frame: bytes) -> None:
        """Put a frame on the wire as ``station``."""
        if station in self.cut:
            return
        self.passed.append(Passed(self._clock.seconds(), station, frame))
        self._clock.callLater(LATENCY_SECONDS, self._deliver, station, frame)

    def unplug(self, port: MemoryPort) -> None:
        """The port is gone."""
        self._ports.remove(port)

    def _deliver(self, sender: str, frame: bytes) -> None:
        for port in tuple(self._ports):
            if port.station != sender and port.station not in self.cut:
                port.receiver.frame_received(frame)


@implementer(IFramePort)
class MemoryPort:
    """A port on a segment in memory."""

    def __init__(self, segment: Segment, station: str, interface: str, receiver: IFrameReceiver) -> None:
        self.interface = interface
        self.station = station
        self.receiver = receiver
        self.failures: list[OSError] = []  # what the next frames fail with
        self._segment: Segment | None = segment

    def send(self, frame: bytes) -> None:
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
