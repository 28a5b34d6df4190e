"""The watcher in the switch, and the rules: a planted offender is found, and nobody else is called one."""

from __future__ import annotations

import socket
import time
from ipaddress import ip_address

from carptwist.lab.host import Host
from carptwist.lab.rules import GRACE_SECONDS, leaks, strays, usurpers
from carptwist.lab.scene import SHARED4, SHARED6, virtual_mac
from carptwist.wire import arp, neighbor
from carptwist.wire.advertisement import frame4, frame6
from carptwist.wire.carp import Advertisement
from carptwist.wire.ethernet import BROADCAST, parse_mac
from carptwist.wire.internet import header4, header6
from tests.lab.support import SceneTestCase

VIRTUAL = parse_mac(virtual_mac(1))
REAL = parse_mac("02:00:00:00:01:01")
CLIENT = parse_mac("02:00:00:00:03:01")
IP4, IP6 = ip_address(SHARED4).packed, ip_address(SHARED6).packed
OWN4, OWN6 = ip_address("192.0.2.2").packed, ip_address("2001:db8::2").packed
CLIENT4, CLIENT6 = ip_address("192.0.2.254").packed, ip_address("2001:db8::fe").packed

#: A moment that is longer than what a host has to react in.
LATER = GRACE_SECONDS + 0.2


def speech(advskew: int = 0, advbase: int = 1, vhid: int = 1) -> bytes:
    said = Advertisement(vhid, advskew, advbase, 0, 4711, bytes(20))
    return frame4(said, source_mac=parse_mac(virtual_mac(vhid)), source=OWN4)


BOW_OUT = speech(255, 255)

#: Any frame that the kernel of a host sends from the virtual MAC: here an echo reply's beginning.
DATA = CLIENT + VIRTUAL + b"\x08\x00" + header4(IP4, CLIENT4, 1, 8) + bytes(8)


class WatcherTests(SceneTestCase):
    def setUp(self) -> None:
        self.s = self.scene(judged=False, pinged=[])
        self.taps: dict[str, socket.socket] = {}
        # Who has just been connected need not have heard anything yet.
        time.sleep(GRACE_SECONDS + 0.1)

    def send(self, host: str, *frames: bytes) -> None:
        """Put frames on the wire of a host, one after the other, and wait until they have been seen."""
        if host not in self.taps:
            there: Host = {**self.s.hosts, "client": self.s.client}[host]
            tap = self.taps[host] = there.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.addCleanup(tap.close)
            with there.namespace:
                tap.bind(("em0", 0))
        seen = self.s.watcher.frames
        for frame in frames:
            self.taps[host].send(frame)
        self.s.wait(lambda: self.s.watcher.frames >= seen + len(frames), "the frames are seen")
        time.sleep(0.05)

    def leaks(self) -> list[str]:
        return leaks(self.s.watcher, {SHARED4: virtual_mac(1), SHARED6: virtual_mac(1)})

    def test_who_said_what(self) -> None:
        """An advertisement is kept with the host that sent it, its time and its words."""
        before = time.time()
        self.send("a", speech(advskew=100, vhid=7))
        said = frame6(Advertisement(9, 1, 2, 3, 42, bytes(20)), source_mac=parse_mac(virtual_mac(9)), source=OWN6)
        self.send("b", said)
        one, other = self.s.watcher.advertisements
        self.assertEqual((one.host, one.vhid, one.family, one.advskew, one.source), ("a", 7, 4, 100, ip_address(OWN4)))
        self.assertEqual((other.host, other.vhid, other.family), ("b", 9, 6))
        self.assertEqual((other.advbase, other.advskew, other.demote, other.counter), (2, 1, 3, 42))
        self.assertTrue(before <= one.at <= other.at <= time.time())
        self.assertEqual(self.s.watcher.heard("a"), [one])
        self.assertEqual(self.s.watcher.last("b"), other)
        self.assertEqual((self.s.watcher.master(7), self.s.watcher.master(9)), ("a", "b"))

    def test_master_ends(self) -> None:
        """A host is master no more once it has bowed out, or been silent for three of its intervals."""
        self.send("a", speech())
        self.assertEqual(self.s.watcher.master(1), "a")
        self.send("a", BOW_OUT)
        self.assertIsNone(self.s.watcher.master(1))
        last = self.s.watcher.last("a")
        assert last is not None
        self.assertFalse(last.bows_out)
        self.send("b", speech(advbase=0, advskew=20))
        self.assertEqual(self.s.watcher.master(1), "b")
        self.s.wait(lambda: self.s.watcher.master(1) is None, "the master is forgotten")

    def test_right_claims(self) -> None:
        """What ties a shared address to the virtual MAC is no leak, and neither is what others say about theirs,
        or ask."""
        self.send(
            "a",
            arp.gratuitous(IP4, VIRTUAL),
            arp.request(CLIENT4, VIRTUAL, sender=IP4),
            neighbor.advertisement(IP6, VIRTUAL, source=IP6, source_mac=VIRTUAL),
            DATA,
            arp.gratuitous(OWN4, REAL),
            arp.request(IP4, REAL, sender=OWN4),
            neighbor.solicitation(IP6, source=OWN6, source_mac=REAL, link_address=REAL),
        )
        self.assertGreaterEqual(len(self.s.watcher.claims), 5)
        self.assertEqual(self.leaks(), [])

    def test_leaks(self) -> None:
        """Whatever field it is that ties a shared address to another MAC, the frame is found."""
        half = arp.pack(arp.Arp(arp.REQUEST, REAL, IP4, bytes(6), CLIENT4, BROADCAST, VIRTUAL))
        target = arp.pack(arp.Arp(arp.REPLY, VIRTUAL, IP4, REAL, IP4, BROADCAST, VIRTUAL))
        plain6 = CLIENT + REAL + b"\x86\xdd" + header6(IP6, CLIENT6, 58, 8) + bytes(8)
        for frame, words in (
            (half, "sender of an ARP packet"),
            (
                arp.request(CLIENT4, VIRTUAL, sender=IP4)[:6] + REAL + half[12:22] + VIRTUAL + half[28:],
                "Ethernet source",
            ),
            (target, "target of an ARP announcement"),
            (neighbor.advertisement(IP6, REAL, source=OWN6, source_mac=VIRTUAL), "target link-layer option"),
            (neighbor.advertisement(IP6, VIRTUAL, source=OWN6, source_mac=REAL), "Ethernet source of a neighbour"),
            (
                neighbor.solicitation(CLIENT6, source=IP6, source_mac=VIRTUAL, link_address=REAL),
                "source link-layer option",
            ),
            (CLIENT + REAL + DATA[12:], "Ethernet source of an IPv4 packet"),
            (plain6, "Ethernet source of an IPv6 packet"),
        ):
            with self.subTest(words):
                before = len(self.leaks())
                self.send("a", frame)
                found = self.leaks()[before:]
                self.assertEqual(len(found), 1, found)
                self.assertIn(words, found[0])
                self.assertIn("a tied", found[0])

    def test_unwatched(self) -> None:
        """An address that was not watched cannot be judged: asking for it is a mistake."""
        with self.assertRaises(ValueError):
            leaks(self.s.watcher, {"192.0.2.77": virtual_mac(1)})

    def test_master_may_speak(self) -> None:
        """A host that advertises may use the virtual MAC, a moment before its first advertisement too."""
        self.send("a", DATA, speech(), DATA, BOW_OUT)
        self.send("b", DATA, speech(), DATA)
        self.assertEqual(len(self.s.watcher.sightings), 7)
        self.assertEqual(strays(self.s.watcher), [])

    def test_never_advertised(self) -> None:
        """A host that has never advertised may not use the virtual MAC."""
        self.send("b", DATA)
        (found,) = strays(self.s.watcher)
        self.assertIn("b sent a frame of type 0800 with the virtual MAC of vhid 1, and had never advertised", found)

    def test_after_bowing_out(self) -> None:
        """A host that has bowed out may not use the virtual MAC, at once."""
        self.send("a", speech(), DATA, BOW_OUT, DATA)
        (found,) = strays(self.s.watcher)
        self.assertIn("after it bowed out", found)

    def test_overtaken_at_once(self) -> None:
        """Where another host leaves or comes, a third one may have taken over, and been overtaken before its first
        word: for as long as that may take, and not in the steady state."""
        self.send("b", speech(), DATA)
        time.sleep(LATER)
        self.send("b", speech())
        self.send("a", DATA)
        (found,) = strays(self.s.watcher)
        self.assertIn("a sent a frame of type 0800 with the virtual MAC of vhid 1, and had never advertised", found)
        self.send("b", BOW_OUT)
        self.send("a", DATA)
        self.assertEqual(strays(self.s.watcher), [found])
        time.sleep(LATER)
        self.send("a", DATA)
        self.assertEqual(len(strays(self.s.watcher)), 2)

    def test_after_a_better_one(self) -> None:
        """A host that has heard a better master may use the virtual MAC until it has had time to react, and not
        later."""
        self.send("a", speech(advskew=100), DATA)
        self.send("b", speech(advskew=0))
        self.send("a", DATA)
        self.assertEqual(strays(self.s.watcher), [])
        time.sleep(LATER)
        self.send("a", DATA)
        (found,) = strays(self.s.watcher)
        self.assertIn("after b had advertised every 1.00 s", found)
        # A worse one changes nothing for b.
        self.send("b", DATA)
        self.assertEqual(len(strays(self.s.watcher)), 1)

    def test_silent_for_long(self) -> None:
        """A host that has not advertised for three of its intervals is no master."""
        self.send("a", speech(advbase=0, advskew=10), DATA)
        time.sleep(30 / 256 + LATER)
        self.send("a", DATA)
        (found,) = strays(self.s.watcher)
        self.assertIn("after its last advertisement", found)

    def test_cut_off(self) -> None:
        """A host that is isolated hears no better master, and may go on; once it is back it has to hear."""
        self.send("a", speech(advskew=100))
        self.s.lan.isolate(self.s.hosts["a"])
        self.send("b", speech())
        time.sleep(LATER)
        self.send("a", DATA, speech(advskew=100))
        self.assertEqual((strays(self.s.watcher), usurpers(self.s.watcher)), ([], []))
        self.s.lan.heal(self.s.hosts["a"])
        time.sleep(GRACE_SECONDS + 0.1)
        self.send("b", speech())
        time.sleep(LATER)
        self.send("a", DATA, speech(advskew=100))
        (found,) = usurpers(self.s.watcher)
        self.assertIn("a advertised vhid 1 every 1.39 s", found)
        # Its advertisement makes it look like a master again: that it should not be one is the other rule's matter.
        self.assertEqual(strays(self.s.watcher), [])

    def test_usurpers(self) -> None:
        """Who advertises although a better one is heard is found; a better one, one that reacts, and one whose master
        has bowed out are not."""
        self.send("b", speech(advskew=100))
        self.send("a", speech())
        self.send("b", speech(advskew=100))
        time.sleep(LATER)
        self.send("a", speech())
        self.assertEqual(usurpers(self.s.watcher), [])
        self.send("a", BOW_OUT)
        self.send("b", speech(advskew=100))
        self.assertEqual(usurpers(self.s.watcher), [])
        self.send("a", speech())
        time.sleep(LATER)
        self.send("b", speech(advskew=100))
        (found,) = usurpers(self.s.watcher)
        self.assertIn("b advertised vhid 1 every 1.39 s", found)

    def test_the_last_word_in_either_family(self) -> None:
        """Who hears by IPv4 that a master is slower now may be MASTER before that one has said so by IPv6."""
        mac = parse_mac(virtual_mac(1))
        by_ipv6 = {
            advskew: frame6(Advertisement(1, advskew, 1, 0, 4711, bytes(20)), source_mac=mac, source=OWN6)
            for advskew in (0, 100)
        }
        self.send("a", speech(), by_ipv6[0])
        time.sleep(LATER)
        self.send("a", speech(advskew=200))
        self.send("b", by_ipv6[100])
        self.assertEqual(usurpers(self.s.watcher), [])
        self.send("a", speech(), by_ipv6[0])
        time.sleep(LATER)
        self.send("b", by_ipv6[100])
        self.assertEqual(len(usurpers(self.s.watcher)), 1)

    def test_other_vhids(self) -> None:
        """What is said about one vhid is nothing to another."""
        self.send("a", speech(advskew=100, vhid=1))
        self.send("b", speech(vhid=2))
        time.sleep(LATER)
        self.send("a", speech(advskew=100, vhid=1), DATA)
        self.assertEqual((strays(self.s.watcher), usurpers(self.s.watcher)), ([], []))

    def test_nothing_is_missed(self) -> None:
        """Of a burst as it never happens in a test every frame is seen, or the watcher says that it has missed some."""
        before = self.s.watcher.frames
        frames = [speech(vhid=1 + number % 255) for number in range(2000)]
        self.send("a", frames[0])
        for frame in frames[1:]:
            self.taps["a"].send(frame)
        self.s.wait(
            lambda: self.s.watcher.frames - before + self.s.watcher.dropped >= len(frames), "all are seen or missed"
        )
        if self.s.watcher.dropped:
            self.assertIn("the watcher has missed", self.s.offences()[0])
