"""A client that measures outages."""

from __future__ import annotations

import time
from ipaddress import ip_address

from tests.lab.support import SceneTestCase

OWN4, OWN6 = "192.0.2.2", "2001:db8::2"


class ProberTests(SceneTestCase):
    def setUp(self) -> None:
        # Nobody shares anything here: the host's own addresses are asked.
        self.s = self.scene(1, shared={}, pinged=[OWN4, OWN6])
        self.s.wait(lambda: all(map(self.s.prober.flowing, (OWN4, OWN6))), "both addresses answer")

    def test_nothing_happens(self) -> None:
        """An address that answers has no outage."""
        since = time.time()
        time.sleep(0.5)
        for address in (OWN4, OWN6):
            self.assertTrue(self.s.prober.answered(address, since))
            self.assertEqual(self.s.prober.outages(address, since), [])
            self.assertEqual(self.s.prober.lost(address, since), 0)

    def test_known_outage(self) -> None:
        """An outage of known length is measured: never shorter, and longer by as much as the machine was busy only."""
        host = self.s.hosts["a"]
        began = time.time()
        self.s.lan.cut(host)
        cut = time.time()
        time.sleep(0.3)
        healing = time.time()
        self.s.lan.heal(host)
        healed = time.time()
        self.s.wait(lambda: all(map(self.s.prober.flowing, (OWN4, OWN6))), "both addresses answer again")
        for address in (OWN4, OWN6):
            (outage,) = self.s.prober.outages(address, began - 0.2)
            assert outage.last_reply is not None
            assert outage.first_reply is not None
            self.assertEqual(outage.address, ip_address(address))
            self.assertGreaterEqual(outage.seconds, healing - cut)
            # After a cut the kernel may take up to a second to let frames out again.
            self.assertLessEqual(outage.first_reply, healed + 1.5)
            self.assertLessEqual(outage.last_reply, cut)
            self.assertGreaterEqual(outage.lost, 5)
            self.assertEqual(self.s.prober.lost(address, began - 0.2), outage.lost)
            self.assertLessEqual(outage.first_lost, outage.last_lost)

    def test_lasting_outage(self) -> None:
        """An outage that has not ended has no first reply, and lasts for ever; what may still be answered is no
        loss."""
        self.s.lan.isolate(self.s.hosts["a"])
        time.sleep(0.2)
        self.assertEqual(self.s.prober.outages(OWN4), [])
        self.s.wait(lambda: bool(self.s.prober.outages(OWN4)), "the first request is given up")
        (outage,) = self.s.prober.outages(OWN4)
        self.assertIsNone(outage.first_reply)
        self.assertEqual(outage.seconds, float("inf"))
        self.assertFalse(self.s.prober.flowing(OWN4))
