"""Peers: who is sent to, from which address, and who is believed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

from carptwist.config.schema import Knobs
from carptwist.election.effects import Advertise
from carptwist.election.state import State
from carptwist.interfaces import LinkState
from carptwist.protocols.resolution import ASK_SECONDS
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import arp, carp, neighbor
from carptwist.wire.advertisement import GROUP4_MAC, GROUP6_MAC, Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator
from tests.protocols.support import LINK, OWN4, OWN6, PHRASE, NodeCase

SHARED = [ip_address("192.0.2.1"), ip_address("2001:db8::1")]
GLOBAL6 = ip_address("2001:db8::2")
PEERS = (ip_address("192.0.2.3"), ip_address("192.0.2.4"))
PEERS6 = (ip_address("2001:db8::3"), ip_address("2001:db8::4"))
STRANGER4, STRANGER6 = ip_address("192.0.2.66"), ip_address("2001:db8::66")
NETWORKS = tuple(map(ip_interface, ("192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")))
ON_LINK = replace(LINK, networks=NETWORKS)


def mac_of(address: object) -> bytes:
    """Each station's own: 02:00:00:00:00:LAST OCTET."""
    return bytes((2, 0, 0, 0, 0, ip_address(str(address)).packed[-1]))


def advertised(source: object, *, group: bool = False, ttl: int = 255, counter: int = 9) -> bytes:
    """A right advertisement of another station, better than ours, to us or to the group."""
    address = ip_address(str(source))
    digest = Authenticator(PHRASE, 1, SHARED).sign(counter)
    said = carp.Advertisement(vhid=1, advskew=0, advbase=1, demote=0, counter=counter, digest=digest)
    frame, own = (frame4, OWN4) if address.version == 4 else (frame6, GLOBAL6)
    target = {} if group else {"destination": own.packed, "destination_mac": LINK.mac}
    made = bytearray(frame(said, source_mac=carp.virtual_mac(1), source=address.packed, **target))
    if ttl != 255:
        assert address.version == 6  # no checksum to mend
        made[21] = ttl
    return bytes(made)


class UnicastCase(NodeCase):
    """em0 with two peers of each family. Whoever is in ``awake`` answers questions for its MAC."""

    unicast = {"peers": PEERS, "peers6": PEERS6}
    link = ON_LINK

    def setUp(self) -> None:
        super().setUp()
        self.awake = {each: mac_of(each) for each in (*PEERS, *PEERS6)}
        self.asked: list[tuple[object, bytes, bytes]] = []
        self.segment.open("stations", "em0", self)  # type: ignore[arg-type]

    def connected(self, port: object) -> None:
        pass

    def frame_received(self, frame: bytes) -> None:
        """What the kernels of the other stations do."""
        asked = arp.read(frame)
        if isinstance(asked, arp.Arp) and not asked.is_announcement and asked.operation == arp.REQUEST:
            who = ip_address(asked.target)
            self.asked.append((who, asked.sender, asked.source_mac))
            if who in self.awake:
                self.segment.send("stations", arp.reply(asked, self.awake[who], asked.target))
        solicited = neighbor.read(frame)
        if isinstance(solicited, neighbor.Solicitation):
            who = ip_address(solicited.target)
            self.asked.append((who, solicited.source, solicited.source_mac))
            if who in self.awake:
                self.segment.send("stations", self.answer6(solicited, self.awake[who]))

    def answer6(self, asked: neighbor.Solicitation, mac: bytes) -> bytes:
        return neighbor.advertisement(
            asked.target,
            mac,
            source=asked.target,
            source_mac=mac,
            destination=asked.source,
            destination_mac=asked.source_mac,
            solicited=True,
        )

    def said(self) -> list[tuple[str, str, bytes]]:
        """The advertisements that the node has sent since the last call: source, destination, destination MAC."""
        said = [
            (str(ip_address(heard.source)), str(ip_address(heard.destination)), frame[:6])
            for frame in self.frames()
            if isinstance(heard := read(frame), Heard)
        ]
        self.segment.passed.clear()
        return said

    def become_master(self) -> VirtualHost:
        vhost = self.vhid()
        vhost.counter.heard(100)  # from then on it counts up
        self.pass_time(3.5)
        self.assertTrue(vhost.holding)
        return vhost

    def pass_time(self, seconds: float) -> None:
        """Call by call, as it passes for a real reactor."""
        end = self.clock.seconds() + seconds
        while (calls := self.clock.getDelayedCalls()) and calls[0].getTime() <= end:
            self.clock.advance(calls[0].getTime() - self.clock.seconds())
        self.clock.advance(end - self.clock.seconds())


class SendingTests(UnicastCase):
    """What leaves, and for whom."""

    def test_each_peer_gets_the_same_advertisement(self) -> None:
        """One of each family, to its address and its MAC, from the virtual MAC, with TTL 255; none goes to a group."""
        self.become_master()
        found = [(frame, heard) for frame in self.frames() if isinstance(heard := read(frame), Heard)]
        for family, peers, own in ((4, PEERS, OWN4), (6, PEERS6, GLOBAL6)):
            of_family = [(frame, heard) for frame, heard in found if heard.family == family]
            self.assertEqual([ip_address(heard.destination) for _, heard in of_family], list(peers))
            self.assertEqual([frame[:6] for frame, _ in of_family], [mac_of(peer) for peer in peers])
            self.assertEqual({ip_address(heard.source) for _, heard in of_family}, {own})
            self.assertEqual({heard.source_mac for _, heard in of_family}, {carp.virtual_mac(1)})
            self.assertEqual(len({heard.advertisement for _, heard in of_family}), 1)
        counters = {heard.family: heard.advertisement.counter for _, heard in found}
        self.assertEqual(counters[6], counters[4] + 1)

    def test_every_advertisement_takes_one_counter(self) -> None:
        """However many peers there are."""
        vhost = self.become_master()
        before = vhost.counter.next()
        self.voice.advertise(vhost, 4, Advertise(1, 0))
        self.assertEqual(vhost.counter.next(), before + 2)

    def test_peers_are_asked_for_at_the_start(self) -> None:
        """Long before there is anything to send; from our own MAC and an own address, and not again at the takeover."""
        self.vhid()
        self.pass_time(0.01)
        asked = [(PEERS, OWN4), (PEERS6, GLOBAL6)]
        expected = {(peer, own.packed, LINK.mac) for peers, own in asked for peer in peers}
        self.assertEqual(set(self.asked), expected)
        self.asked.clear()
        self.pass_time(3.5)
        self.assertEqual(self.asked, [])
        self.assertEqual(len(self.said()), 4)

    def test_a_family_without_peers_stays_with_the_group(self) -> None:
        """From the link-local address, as ever."""
        self.unicast = {"peers": PEERS[:1]}
        self.become_master()
        self.assertEqual(
            self.said(),
            [("192.0.2.2", "192.0.2.3", mac_of(PEERS[0])), ("fe80::2", "ff02::12", GROUP6_MAC)],
        )

    def test_a_list_with_oneself_in_it(self) -> None:
        """All hosts of a group can have the same one."""
        self.unicast = {"peers": (OWN4, *PEERS), "peers6": (*PEERS6, GLOBAL6)}
        self.become_master()
        self.assertEqual({to for _, to, _ in self.said()}, {str(peer) for peer in (*PEERS, *PEERS6)})
        self.assertNotIn(OWN4, [who for who, _, _ in self.asked])

    def test_peers_that_change_while_it_runs(self) -> None:
        """The next advertisement goes to the new ones."""
        vhost = self.become_master()
        self.said()
        vhost.config = replace(vhost.config, peers=PEERS[1:], peers6=())
        self.pass_time(1.5)
        self.assertEqual(
            self.said(), [("192.0.2.2", "192.0.2.4", mac_of(PEERS[1])), ("fe80::2", "ff02::12", GROUP6_MAC)]
        )
        self.hear(advertised(PEERS[0]))
        self.assertEqual(vhost.refusals, {"badif": 1})

    def test_closing_ends_the_questions(self) -> None:
        """Nothing is left on the clock."""
        self.awake.clear()
        self.vhid()
        self.voice.close()
        self.pass_time(0.01)
        self.asked.clear()
        self.pass_time(2)
        self.assertEqual(self.asked, [])


class UnknownPeerTests(UnicastCase):
    """A peer whose MAC is not known."""

    def test_it_is_no_send_error(self) -> None:
        """The others are sent to, and it is asked for again and again."""
        del self.awake[PEERS[0]]
        vhost = self.become_master()
        self.pass_time(5)
        self.assertEqual(vhost.sending.errors, 0)
        self.assertEqual(self.roster.ledger.sum, 0)
        self.assertNotIn("192.0.2.3", {to for _, to, _ in self.said()})
        self.assertGreaterEqual([who for who, _, _ in self.asked].count(PEERS[0]), 5)

    def test_it_gets_the_newest_advertisement_as_soon_as_it_answers(self) -> None:
        """Once, between two intervals."""
        del self.awake[PEERS[0]]
        del self.awake[PEERS6[0]]
        vhost = self.become_master()
        self.pass_time(2)
        newest = [heard.advertisement for heard in map(read, self.frames()) if isinstance(heard, Heard)][-4:]
        self.segment.passed.clear()
        self.awake |= {PEERS[0]: mac_of(PEERS[0]), PEERS6[0]: mac_of(PEERS6[0])}
        sent = vhost.counter.next()
        self.pass_time(ASK_SECONDS)
        found = {
            ip_address(heard.destination): heard.advertisement
            for heard in map(read, self.frames())
            if isinstance(heard, Heard) and heard.advertisement.counter < sent
        }
        self.assertEqual(set(found), {PEERS[0], PEERS6[0]})
        self.assertLessEqual(set(found.values()), set(newest))

    def test_it_gets_nothing_of_a_master_that_is_none_any_more(self) -> None:
        """A farewell is for those who are known; who wakes up afterwards hears nothing."""
        del self.awake[PEERS[0]]
        vhost = self.become_master()
        self.said()
        vhost.obstruct("test", "for the test")
        self.assertEqual([to for _, to, _ in self.said()], [str(peer) for peer in (PEERS[1], *PEERS6)])
        self.awake[PEERS[0]] = mac_of(PEERS[0])
        self.pass_time(2 * ASK_SECONDS)
        self.assertEqual(self.said(), [])

    def test_a_peer_that_asks_for_us_is_asked_at_once(self) -> None:
        """It has just come up: its own question is the first that is heard of it, but not believed."""
        del self.awake[PEERS[0]]
        self.vhid()
        self.pass_time(1.5)
        self.awake[PEERS[0]] = mac_of(PEERS[0])
        self.asked.clear()
        self.hear(arp.request(OWN4.packed, mac_of(STRANGER4), PEERS[0].packed))
        self.pass_time(0.6)
        self.assertEqual(self.advertisements.destinations.resolution.mac_of(PEERS[0].packed), mac_of(PEERS[0]))

    def test_a_forged_reply_diverts_nothing(self) -> None:
        """Advertisements go on to the MAC that answered when it was asked."""
        self.become_master()
        self.said()
        evil = bytes.fromhex("0200000000ee")
        self.hear(arp.pack(arp.Arp(arp.REPLY, evil, PEERS[0].packed, LINK.mac, OWN4.packed, LINK.mac, evil)))
        self.hear(arp.gratuitous(PEERS[0].packed, evil))
        asked = neighbor.Solicitation(GLOBAL6.packed, b"", PEERS6[0].packed, LINK.mac, b"")
        self.hear(self.answer6(asked, evil))
        self.pass_time(2)
        self.assertNotIn(evil, {mac for _, _, mac in self.said()})


class FailingTests(UnicastCase):
    """Frames that the kernel does not take."""

    def test_one_that_fails_keeps_no_other_from_hearing(self) -> None:
        """It is logged, and is no send error."""
        vhost = self.become_master()
        self.said()
        self.ports[0].failures.append(OSError(105, "No buffer space available"))
        self.voice.advertise(vhost, 4, Advertise(1, 0))
        self.assertEqual([to for _, to, _ in self.said()], ["192.0.2.4"])
        self.assertIn("carp: 1@em0: an advertisement to 192.0.2.3 did not leave: ", self.logged[-1])

    def test_when_all_fail_it_is_a_send_error(self) -> None:
        """Also with a peer that could not be sent to anyway."""
        vhost = self.become_master()
        self.ports[0].failures += [OSError(105, "No buffer space available") for _ in PEERS]
        self.assertRaises(OSError, self.voice.advertise, vhost, 4, Advertise(1, 0))
        self.awake.clear()
        vhost.config = replace(vhost.config, peers=(*PEERS, STRANGER4))  # type: ignore[arg-type]
        self.ports[0].failures += [OSError(105, "No buffer space available") for _ in PEERS]
        self.assertRaises(OSError, self.voice.advertise, vhost, 4, Advertise(1, 0))

    def test_a_late_one_that_fails_is_left(self) -> None:
        """The next interval has another."""
        self.unicast = {"peers": PEERS[:1], "peers6": PEERS6[:1]}
        awake, self.awake = self.awake, {}
        vhost = self.become_master()
        self.awake = awake
        self.ports[0].failures += [OSError(105, "No buffer space available")] * 2
        while self.ports[0].failures:
            self.pass_time(0.1)
        self.assertEqual(vhost.sending.errors, 0)


class BelievingTests(UnicastCase):
    """Whose advertisements count."""

    def test_a_peer_is_heard_by_unicast_and_by_the_group(self) -> None:
        """Of either family."""
        vhost = self.vhid()
        for number, peer in enumerate((PEERS[0], PEERS6[1])):
            self.hear(advertised(peer, counter=10 * number))
            self.hear(advertised(peer, group=True, counter=10 * number + 1))
        self.assertEqual(vhost.received, 4)
        self.assertEqual(self.roster.counters.refused["badif"], 0)

    def test_a_stranger_is_refused_however_right_it_is(self) -> None:
        """Before its digest is looked at; no timer is touched."""
        vhost = self.vhid()
        deadline = vhost.machine.deadline
        for stranger in (STRANGER4, STRANGER6, ip_address("fe80::3")):
            for group in (False, True):
                self.hear(advertised(stranger, group=group))
        self.assertEqual(self.roster.counters.refused["badif"], 6)
        self.assertEqual(vhost.refusals, {"badif": 6})
        self.assertEqual(vhost.received, 0)
        self.assertEqual(vhost.machine.deadline, deadline)

    def test_our_own_address_is_no_peer_to_hear(self) -> None:
        """Even if the list has it: what comes from it is a loop, or a lie."""
        self.unicast = {"peers": (OWN4, *PEERS)}
        vhost = self.vhid()
        self.hear(advertised(OWN4))
        self.assertEqual(vhost.refusals, {"badif": 1})

    def test_a_family_without_peers_hears_everybody(self) -> None:
        """As without unicast."""
        self.unicast = {"peers": PEERS}
        vhost = self.vhid()
        self.hear(advertised(STRANGER6, group=True))
        self.assertEqual(vhost.received, 1)

    def test_a_peer_behind_a_router_is_refused(self) -> None:
        """TTL 255, or nothing."""
        vhost = self.vhid()
        self.hear(advertised(PEERS6[0], ttl=254))
        self.assertEqual(vhost.received, 0)
        self.assertEqual(self.roster.counters.refused["badttl"], 1)


class TalkativeTests(UnicastCase):
    """log = 2."""

    knobs = Knobs(log=2)

    def test_a_stranger_is_named(self) -> None:
        """With what to look at."""
        self.vhid()
        self.hear(advertised(STRANGER4))
        self.assertEqual(self.logged[-1], "carp: 1@em0: advertisement from 192.0.2.66: it is none of this vhid's peers")


class SourceTests(UnicastCase):
    """What advertisements leave from."""

    def test_the_one_that_is_asked_for(self) -> None:
        """To peers and to groups."""
        own4, own6 = ip_address("192.0.2.22"), ip_address("2001:db8::22")
        self.link = replace(ON_LINK, own4=(OWN4, own4), own6=(GLOBAL6, OWN6, own6))
        self.unicast = {"peers6": PEERS6[:1], "sources": (own6, own4)}
        self.become_master()
        self.assertEqual(
            self.said(),
            [("192.0.2.22", "224.0.0.18", GROUP4_MAC), ("2001:db8::22", "2001:db8::3", mac_of(PEERS6[0]))],
        )
        self.assertEqual({sender for _, sender, _ in self.asked}, {own6.packed})

    def test_the_nearest_of_several(self) -> None:
        """The one on whose network the peer is; link-local to link-local."""
        self.link = replace(
            ON_LINK,
            own4=(OWN4, ip_address("198.51.100.2")),
            networks=(*NETWORKS, ip_interface("198.51.100.2/25")),
        )
        peers = (ip_address("198.51.100.3"), ip_address("192.0.2.3"))
        self.unicast = {"peers": peers, "peers6": (ip_address("fe80::3"), ip_address("2001:db8::3"))}
        self.awake |= {each: mac_of(each) for each in (peers[0], ip_address("fe80::3"))}
        self.become_master()
        self.assertEqual(
            [(source, to) for source, to, _ in self.said()],
            [
                ("198.51.100.2", "198.51.100.3"),
                ("192.0.2.2", "192.0.2.3"),
                ("fe80::2", "fe80::3"),
                ("2001:db8::2", "2001:db8::3"),
            ],
        )

    def test_a_source_that_is_not_there_keeps_the_vhid_from_taking_part(self) -> None:
        """No other address takes its place. It is told once, and the vhid goes on when the address is there."""
        source = ip_address("192.0.2.22")
        self.unicast = {"peers": PEERS, "sources": (source,)}
        vhost = self.vhid()
        self.pass_time(10)
        self.assertIs(vhost.state, State.INIT)
        self.assertEqual(vhost.obstacles, ("no source address 192.0.2.22 on em0",))
        self.change_link(vhost, ON_LINK)
        self.assertEqual(self.logged, ["carp: 1@em0: no source address 192.0.2.22 on em0: waiting for it"])
        self.assertEqual(self.said(), [])
        self.change_link(vhost, replace(ON_LINK, own4=(OWN4, source)))
        self.assertIs(vhost.state, State.BACKUP)
        self.pass_time(3.5)
        self.assertEqual({source for source, _, _ in self.said()}, {"192.0.2.22", "fe80::2"})
        self.change_link(vhost, ON_LINK)
        self.assertIs(vhost.state, State.INIT)

    def test_a_source_that_is_configured_while_it_runs(self) -> None:
        """One that is not there ends the reign, and the former configuration brings the vhid back."""
        vhost = self.become_master()
        former = vhost.config
        vhost.reconfigure(replace(former, sources=(ip_address("192.0.2.22"),)))
        self.assertIs(vhost.state, State.INIT)
        self.assertEqual(self.roster.ledger.sum, self.knobs.ifdown_demotion_factor)
        vhost.reconfigure(former)
        self.assertIs(vhost.state, State.BACKUP)
        self.assertEqual(self.roster.ledger.sum, 0)

    def test_peers_and_no_own_address(self) -> None:
        """A shared one is never the source, even where it is all that there is."""
        self.link = replace(ON_LINK, own4=(ip_address("192.0.2.1"),))
        vhost = self.vhid()
        self.assertEqual(vhost.obstacles, ("no own IPv4 address on em0",))
        self.assertRaises(OSError, self.voice.advertise, vhost, 4, Advertise(1, 0))
        self.unicast = {"sources": (OWN4,)}
        vhost.config = replace(vhost.config, peers=(), sources=(OWN4,))
        self.assertRaises(OSError, self.voice.advertise, vhost, 4, Advertise(1, 0))

    def change_link(self, vhost: VirtualHost, link: LinkState) -> None:
        self.voice.link_changed(link)
        vhost.link_changed(link, self.voice)

    def test_a_peer_behind_a_router_is_warned_about(self) -> None:
        """Once, when the interface's networks are known."""
        self.unicast = {"peers": (PEERS[0], ip_address("198.51.100.9")), "peers6": (ip_address("fe80::3"),)}
        vhost = self.vhid()
        self.change_link(vhost, ON_LINK)
        warned = [line for line in self.logged if "peer" in line]
        self.assertEqual(
            warned,
            ["carp: 1@em0: the peer 198.51.100.9 is on no network of em0: advertisements pass no router"],
        )
