"""A link that carries the frames of an interface to one other host over UDP, where no common LAN does:

    [link em0]
    plugin = tunnel
    argument = 198.51.100.1:8112 203.0.113.7:8112

The first is this host's own address and port, the second the other one's, which has them the other way round. There
is no protection but CARP's own.
"""

import errno
from math import inf
from typing import Any

from twisted.internet.interfaces import IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from carptwist.api import LinkConfig, accepts
from carptwist.interfaces import IFramePort, IFrameReceiver, ILink


@implementer(IFramePort)
class TunnelPort:
    """Hears the frames that its program accepts."""

    def __init__(self, tunnel: "Tunnel", program: bytes, receiver: IFrameReceiver) -> None:
        self.interface = tunnel.interface
        self.program = program
        self.receiver = receiver
        self._tunnel = tunnel

    def send(self, frame: bytes, until: float = inf) -> None:
        self._tunnel.send(frame, until)

    def close(self) -> None:
        self._tunnel.closed(self)


@implementer(ILink)
class Tunnel(DatagramProtocol):
    """One UDP port for all ports of the interface."""

    transport: IUDPTransport

    def __init__(self, config: LinkConfig, reactor: Any) -> None:
        self.interface = config.name
        own, other = config.argument[0].split()
        self._own, self._other = _address(own), _address(other)
        self._reactor = reactor
        self._ports: list[TunnelPort] = []

    def open_port(self, program: bytes, receiver: IFrameReceiver) -> IFramePort:
        if not self._ports:
            host, number = self._own
            self._reactor.listenUDP(number, self, interface=host)
        port = TunnelPort(self, program, receiver)
        self._ports.append(port)
        receiver.connected(port)
        return port

    def send(self, frame: bytes, until: float) -> None:
        if self._reactor.seconds() >= until:
            raise OSError(errno.ETIME, "it is too late to say that")
        self.transport.write(frame, self._other)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if addr != self._other:
            return
        for port in tuple(self._ports):
            if accepts(port.program, datagram):
                port.receiver.frame_received(datagram)

    def closed(self, port: TunnelPort) -> None:
        if port in self._ports:
            self._ports.remove(port)
            port.receiver.disconnected()
            if not self._ports:
                self.transport.stopListening()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
