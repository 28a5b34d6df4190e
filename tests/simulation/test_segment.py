"""The Ethernet in memory: who hears what, and what the network may do to it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from carptwist.interfaces import IFramePort, IFrameReceiver
from carptwist.simulation.clock import Timeline
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.segment import QUEUE_LENGTH, MemoryPort, Segment
from tests.wire.test_filters import FRAMES, PROGRAMS, passes


@implementer(IFrameReceiver)
class Ear:
    """Writes down what it hears, and when."""

    def __init__(self, timeline: Timeline) -> None:
        self.heard: list[tuple[float, bytes]] = []
        self.deaf = False
        self._timeline = timeline

    def connected(self, port: IFramePort) -> None:
        pass

    def frame_received(self, frame: bytes) -> None:
        self.heard.append((self._timeline.seconds(), frame))

    def disconnected(self) -> None:
        self.deaf = True

    @property
    def frames(self) -> list[bytes]:
        return [frame for _, frame in self.heard]


class SegmentTests(SynchronousTestCase):
    """Stations a, b, c, each with a port that hears everything."""

    def setUp(self) -> None:
        self.timeline = Timeline()
        self.segment = Segment(self.timeline, random=Random(1))
        self.ears = {name: Ear(self.timeline) for name in "abc"}
        self.ports = {name: self.segment.open(name, "em0", ear) for name, ear in self.ears.items()}

    def heard(self, sender: str = "a", frame: bytes = b"\xff" * 60) -> str:
        """The stations that hear a frame, in order."""
        for ear in self.ears.values():
            ear.heard.clear()
        self.ports[sender].send(frame)
        self.timeline.run_until(self.timeline.seconds() + 10)
        return "".join(name for name, ear in self.ears.items() for _ in ear.frames)

    def test_ports(self) -> None:
        """Are frame ports; a closed one neither sends nor hears, and can be closed again."""
        port = self.ports["a"]
        self.assertTrue(verifyObject(IFramePort, port))
        port.close()
        port.close()
        self.assertTrue(self.ears["a"].deaf)
        self.assertRaises(OSError, port.send, b"\xff" * 60)
        self.assertEqual(self.heard("b"), "c")

    def test_filters(self) -> None:
        """A port hears what its program lets through, as an interpreter of BPF has it."""
        for program in PROGRAMS.values():
            ear = Ear(self.timeline)
            port = self.segment.open("d", "em0", ear, program)
            for _, frame in FRAMES:
                self.ports["a"].send(frame)
            self.timeline.run_until(self.timeline.seconds() + 1)
            self.assertEqual(ear.frames, [frame for _, frame in FRAMES if passes(program, frame)])
            port.close()
        self.assertRaises(ValueError, self.segment.open, "d", "em0", Ear(self.timeline), b"something else")

    def test_unicast(self) -> None:
        """A frame to one MAC is heard by the station that owns it."""
        mine = bytes.fromhex("020000000001")
        ear = Ear(self.timeline)
        self.segment.open("d", "em0", ear, owns=lambda mac: mac == mine)
        for destination in (mine, bytes.fromhex("020000000002"), b"\xff" * 6, bytes.fromhex("01005e000012")):
            self.ports["a"].send(destination + bytes(54))
        self.timeline.run_until(1)
        self.assertEqual([frame[0] for frame in ear.frames], [2, 255, 1])

    def test_cables(self) -> None:
        """Who is cut off neither sends nor hears, not even what is on its way."""
        self.ports["a"].send(b"\xff" * 60)
        self.segment.cut.add("b")
        self.timeline.run_until(1)
        self.assertEqual(self.ears["b"].frames, [])
        self.assertEqual(self.heard("b"), "")
        self.assertEqual(self.heard("a"), "c")

    def test_partition(self) -> None:
        """Islands hear themselves alone; whoever is on none is on one more; healing undoes it."""
        self.segment.partition([["a", "b"]])
        self.assertEqual([self.heard(sender) for sender in "abc"], ["b", "a", ""])
        self.segment.heal()
        self.assertEqual(self.heard("c"), "ab")

    def test_one_way(self) -> None:
        """b does not hear a, and a hears b."""
        self.segment.blocked.add(("a", "b"))
        self.assertEqual([self.heard(sender) for sender in "ab"], ["c", "ac"])
        self.assertTrue(self.segment.divided)

    def test_loss(self) -> None:
        """About as many frames are lost as the conditions say; with a chance of 1 all are."""
        self.segment.conditions = Conditions(loss=0.25)
        heard = sum(len(self.heard()) for _ in range(500))
        self.assertLess(abs(heard / 1000 - 0.75), 0.05)
        self.segment.conditions = Conditions(loss=1.0)
        self.assertEqual(self.heard(), "")

    def test_duplicates(self) -> None:
        """A frame that is doubled is heard twice."""
        self.segment.conditions = Conditions(duplicate=1.0)
        self.assertEqual(self.heard(), "bbcc")

    def test_delay_and_overtaking(self) -> None:
        """Frames take the delay and up to the jitter, and may overtake one another only then."""
        frames = [b"\xff" + bytes((number,)) * 59 for number in range(30)]

        def orders(conditions: Conditions) -> tuple[list[bytes], list[float]]:
            self.segment.conditions = conditions
            self.ears["b"].heard.clear()
            began = self.timeline.seconds()
            for frame in frames:
                self.ports["a"].send(frame)
            self.timeline.run_until(began + 10)
            return self.ears["b"].frames, [at - began for at, _ in self.ears["b"].heard]

        heard, took = orders(Conditions(delay=0.5))
        self.assertEqual(heard, frames)
        self.assertTrue(all(abs(each - 0.5) < 1e-9 for each in took))
        heard, took = orders(Conditions(delay=0.5, jitter=0.1))
        self.assertNotEqual(heard, frames)
        self.assertEqual(sorted(heard), frames)
        self.assertTrue(all(0.5 <= each <= 0.6 + 1e-9 for each in took))
        heard, took = orders(Conditions(reorder=0.3, reorder_by=1.0))
        self.assertNotEqual(heard, frames)
        self.assertEqual(sorted(heard), frames)

    def test_conditions_of_one_station(self) -> None:
        """How one station is reached says nothing of the others."""
        self.segment.hearing["b"] = Conditions(loss=1.0)
        self.assertEqual([self.heard(sender) for sender in "abc"], ["c", "ac", "a"])

    def test_a_station_that_stands_still(self) -> None:
        """What it was sent waits in its socket, as much as there is room for, and is read in order."""
        port: MemoryPort = self.ports["b"]
        port.hold_back()
        frames = [b"\xff" + number.to_bytes(2, "big") * 20 for number in range(QUEUE_LENGTH + 10)]
        for frame in frames:
            self.ports["a"].send(frame)
        self.timeline.run_until(1)
        self.assertEqual(self.ears["b"].frames, [])
        port.read_on()
        self.assertEqual(self.ears["b"].frames, frames[:QUEUE_LENGTH])
        self.assertEqual(port.overrun, 10)
        self.assertEqual(self.heard("c"), "ab")

    def test_conditions_are_checked(self) -> None:
        """Chances from 0 to 1, times that are times; and they are told in words."""
        self.assertRaises(ValueError, Conditions, loss=1.5)
        self.assertRaises(ValueError, Conditions, delay=-1.0)
        self.assertEqual(str(Conditions(loss=0.2, jitter=0.01)), "jitter 0.01 s, loss 0.2")
        self.assertEqual(str(Conditions()), "a good network")
