"""A packet socket as a Twisted descriptor.

::

    wire --> kernel: classic BPF --> socket buffer --> PacketPort.doRead --> IFrameReceiver
             (refuses before Python    (bounded)       (<= 32 a wake-up)
              sees anything)

The socket is bound to all protocols of one interface: only there frames to the virtual MAC are seen
before a macvlan takes them. Its filter is attached while it still hears nothing, so that no frame
slips by unfiltered, and our own frames are not delivered to us (PACKET_IGNORE_OUTGOING).

At most 32 frames are read per wake-up: timers and control stay alive under a flood. See packet(7).
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from math import inf
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer

from carptwist.interfaces import IFramePort, IFrameReceiver
from carptwist.links.reader import SturdyReader

FRAMES_PER_WAKEUP = 32
#: Everything that we read is far shorter; what is longer is cut, which its readers notice.
FRAME_BUFFER = 2048

_ETH_P_ALL = 0x0003
_SO_ATTACH_FILTER = 26
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_BPF_INSTRUCTION_LENGTH = 8


def attach_filter(sock: socket.socket, program: bytes) -> None:
    """Attach a classic BPF program, an array of ``struct sock_filter``, to a socket.

    :raises OSError: the kernel refused the program.
    """
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // _BPF_INSTRUCTION_LENGTH, ctypes.addressof(instructions))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)


@implementer(IFramePort)
class PacketPort(SturdyReader):
    """An open packet socket on an interface, its frames delivered to one protocol.

    :param program: a classic BPF program from :mod:`carptwist.wire.filters`.
    :raises OSError: no such interface, or no right to open packet sockets (CAP_NET_RAW).
    """

    def __init__(self, reactor: IReactorFDSet, interface: str, program: bytes, receiver: IFrameReceiver) -> None:
        self.interface = interface
        self._receiver = receiver
        self._clock: Any = reactor
        super().__init__(reactor, _open(interface, program))
        receiver.connected(self)

    # IFramePort

    def send(self, frame: bytes, until: float = inf) -> None:
        if self._socket is None:
            raise OSError(errno.ENODEV, f"the port on {self.interface} is closed")
        send = self._socket.send
        if self._clock.seconds() >= until:
            raise OSError(errno.ETIME, "it is too late to say that")
        send(frame)

    def close(self) -> None:
        was_open = self._socket is not None
        super().close()
        if was_open:
            self._receiver.disconnected()

    # IReadDescriptor

    def doRead(self) -> None:
        for _ in range(FRAMES_PER_WAKEUP):
            sock = self._socket
            if sock is None:  # a frame made the receiver close the port
                return
            try:
                frame = sock.recv(FRAME_BUFFER)
            except BlockingIOError:
                return
            except OSError as error:
                # The interface went down or away (ENETDOWN, ENXIO). The link monitor tells what follows from it;
                # the socket itself stays good, and hears again when the interface is up again.
                self._log.debug("carp: {interface}: {error}", interface=self.interface, error=error)
                return
            self._receiver.frame_received(frame)

    def logPrefix(self) -> str:
        return f"carp packet port on {self.interface}"


def _open(interface: str, program: bytes) -> socket.socket:
    # Protocol 0 hears nothing until it is bound: the filter is in place before the first frame.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        attach_filter(sock, program)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.bind((interface, _ETH_P_ALL))
    except OSError:
        sock.close()
        raise
    return sock
