"""The capture that a watcher writes."""

from __future__ import annotations

import tempfile
import time
import unittest
from decimal import Decimal
from pathlib import Path

from scapy.layers.inet import ICMP, IP  # type: ignore[import-untyped]
from scapy.utils import rdpcap  # type: ignore[import-untyped]

from carptwist.pcap import Capture
from tests.lab.support import SceneTestCase


class CaptureTests(unittest.TestCase):
    def test_written_and_read(self) -> None:
        """Another reader finds the same frames, with the same times, as exactly as a float tells them."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "x.pcap"
            capture = Capture(path)
            capture.write(1.25, bytes(60))
            capture.write(1700000000.75, b"\xff" * 14)
            capture.close()
            packets = rdpcap(str(path))
        self.assertEqual([bytes(packet) for packet in packets], [bytes(60), b"\xff" * 14])
        self.assertEqual([Decimal(packet.time) for packet in packets], [Decimal("1.25"), Decimal("1700000000.75")])


class WatcherTests(SceneTestCase):
    def test_of_a_scene(self) -> None:
        """The capture of a scene has what went over its wire, in the order of the times."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "x.pcap"
            scene = self.scene(1, shared={}, pinged=["192.0.2.2"], pcap=path)
            began = time.time()
            scene.wait(lambda: scene.prober.flowing("192.0.2.2"), "the client is answered")
            scene.watcher.__exit__()
            packets = rdpcap(str(path))
        times = [float(packet.time) for packet in packets]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[-1], began)
        kinds = {packet[ICMP].type for packet in packets if ICMP in packet and packet[IP].src.startswith("192.0.2.")}
        self.assertEqual(kinds, {0, 8})
