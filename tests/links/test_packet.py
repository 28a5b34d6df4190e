"""Packet sockets on real devices, in namespaces."""

from __future__ import annotations

import errno
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.interfaces import IFramePort, IFrameReceiver
from carptwist.lab.laboratory import Lab
from carptwist.lab.namespaces import why_not
from carptwist.links.packet import FRAMES_PER_WAKEUP, PacketPort
from carptwist.wire import arp, filters
from carptwist.wire.internet import ANY4

MAC = bytes.fromhex("020000000909")
TAGGED = bytes.fromhex("8100" + "0005")


@implementer(IFrameReceiver)
class Collector:
    """Keeps frames; fires ``enough`` when there are as many as it waits for."""

    def __init__(self, wanted: int) -> None:
        self.frames: list[bytes] = []
        self.enough: Deferred[None] = Deferred()
        self.closed = False
        self._wanted = wanted

    def connected(self, port: IFramePort) -> None:
        pass

    def frame_received(self, frame: bytes) -> None:
        self.frames.append(frame)
        if len(self.frames) == self._wanted:
            self.enough.callback(None)

    def disconnected(self) -> None:
        self.closed = True


class PacketPortTests(TestCase):
    """A port on em0 of one host, and a plain packet socket on em0 of another."""

    timeout = 30

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        lab = Lab()
        self.addCleanup(lab.close)
        lan = lab.lan()
        self.here, self.there = lab.host("here"), lab.host("there")
        lan.connect(self.here)
        lan.connect(self.there)
        with self.there.namespace:
            self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.sender.bind(("em0", 0))
        self.addCleanup(self.sender.close)

    def open(self, wanted: int) -> tuple[PacketPort, Collector]:
        collector = Collector(wanted)
        with self.here.namespace:
            port = PacketPort(reactor, "em0", filters.arp(), collector)
        self.addCleanup(port.close)
        return port, collector

    def request(self, number: int) -> bytes:
        """A different frame for each number."""
        return arp.request(bytes((192, 0, number >> 8, number & 0xFF)), MAC, ANY4)

    def test_promises(self) -> None:
        """The port is what the protocols expect."""
        port, collector = self.open(1)
        verifyObject(IFramePort, port)
        verifyObject(IFrameReceiver, collector)

    def test_frames_arrive_whole_and_in_order(self) -> None:
        """More of them than one wake-up reads."""
        sent = [self.request(number) for number in range(3 * FRAMES_PER_WAKEUP)]
        _, collector = self.open(len(sent))
        for frame in sent:
            self.sender.send(frame)
        collector.enough.addCallback(lambda _: self.assertEqual([frame[:42] for frame in collector.frames], sent))
        return collector.enough

    def test_what_the_filter_refuses_is_never_seen(self) -> None:
        """Neither other protocols nor, on an untagged interface, tagged frames."""
        _, collector = self.open(1)
        wanted = self.request(7)
        self.sender.send(wanted[:12] + b"\x08\x00" + bytes(46))
        self.sender.send(wanted[:12] + TAGGED + wanted[12:])
        self.sender.send(wanted)
        collector.enough.addCallback(lambda _: self.assertEqual([frame[:42] for frame in collector.frames], [wanted]))
        return collector.enough

    def test_a_wake_up_is_bounded(self) -> None:
        """At most 32 frames are read before the reactor has its turn again."""
        port, collector = self.open(1000)
        for number in range(2 * FRAMES_PER_WAKEUP):
            self.sender.send(self.request(number))
        port.doRead()
        self.assertEqual(len(collector.frames), FRAMES_PER_WAKEUP)

    def test_own_frames_are_not_heard(self) -> None:
        """What the port sends goes out, and does not come in."""
        port, collector = self.open(1)
        self.sender.settimeout(10)
        with self.there.namespace:
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self.addCleanup(listener.close)
        listener.settimeout(10)
        port.send(self.request(1))
        self.assertEqual(listener.recv(100)[:42], self.request(1))
        port.doRead()
        self.assertEqual(collector.frames, [])

    def test_too_late(self) -> None:
        """What must not be said any more is not sent; what may be said for a while is."""
        port, _ = self.open(1)
        with self.there.namespace:
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self.addCleanup(listener.close)
        listener.settimeout(10)
        now = float(reactor.seconds())  # type: ignore[attr-defined]
        refusal = self.assertRaises(OSError, port.send, self.request(1), now)
        self.assertEqual(refusal.errno, errno.ETIME)
        port.send(self.request(2), now + 60)
        self.assertEqual(listener.recv(100)[:42], self.request(2))

    def test_closing(self) -> None:
        """Nothing can be sent after it, the receiver is told once, and closing again does nothing."""
        port, collector = self.open(1)
        port.close()
        port.close()
        self.assertTrue(collector.closed)
        self.assertEqual(port.fileno(), -1)
        self.assertRaises(OSError, port.send, self.request(1))

    async def test_an_interface_that_goes_down_and_comes_back(self) -> None:
        """Costs nothing but the frames of the meantime."""
        port, collector = self.open(1)
        route = self.here.namespace.route
        index = self.here.index("em0")
        route.link("set", index=index, state="down")
        self.assertRaises(OSError, port.send, self.request(1))
        # The reactor is to see the socket's error by itself: it takes that for the end of a connection.
        await deferLater(reactor, 0.2)
        route.link("set", index=index, state="up")
        while not self.here.has_link("em0"):
            await deferLater(reactor, 0.01)
        self.assertFalse(collector.closed)
        while not collector.frames:
            self.sender.send(self.request(2))  # until the switch's port forwards again
            await deferLater(reactor, 0.05)
        self.assertEqual(collector.frames[0][:42], self.request(2))

    def test_no_such_interface(self) -> None:
        """Opening says so."""
        with self.here.namespace:
            self.assertRaises(OSError, PacketPort, reactor, "em7", filters.arp(), Collector(1))
