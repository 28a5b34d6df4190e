"""The ARP and neighbour discovery responders."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from math import inf

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.config.schema import Knobs
from carptwist.election.state import State
from carptwist.interfaces import IFramePort
from carptwist.protocols.responder import CONFLICT_SECONDS
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import arp, neighbor
from carptwist.wire.carp import virtual_mac
from carptwist.wire.ethernet import multicast_mac
from carptwist.wire.internet import ALL_NODES, solicited_node
from tests.protocols.support import OTHER4, OTHER6, OTHER_MAC, NodeCase

SHARED4 = ip_address("192.0.2.1").packed
SHARED6 = ip_address("2001:db8::1").packed
MAC = virtual_mac(1)
NOBODY = bytes(6)


def request(target: bytes = SHARED4, sender: bytes = OTHER4) -> bytes:
    """Who has ``target``? Tell ``sender``."""
    return arp.request(target, OTHER_MAC, sender)


def solicitation(target: bytes = SHARED6, source: bytes = OTHER6) -> bytes:
    """Who has ``target``? From :: it is duplicate address detection."""
    group = solicited_node(target)
    return neighbor.solicitation(
        target=target,
        source=source,
        source_mac=OTHER_MAC,
        destination=group,
        destination_mac=multicast_mac(group),
        link_address=OTHER_MAC if any(source) else b"",
    )


@implementer(IFramePort)
class StoppedPort:
    """Whoever sends is stopped for some seconds, between deciding to and the system call."""

    def __init__(self, port: IFramePort, clock: IReactorTime, seconds: float) -> None:
        self.interface: str = port.interface
        self._port = port
        self._clock = clock
        self._seconds = seconds

    def send(self, frame: bytes, until: float = inf) -> None:
        if self._clock.seconds() + self._seconds >= until:
            raise OSError(errno.ETIME, "it is too late to say that")
        self._port.send(frame)

    def close(self) -> None:
        self._port.close()


class StoppedTests(NodeCase):
    """A MASTER that is stopped just before it says something, and goes on when others have taken over."""

    def stopped(self, seconds: float) -> VirtualHost:
        vhost = self.master()
        for protocol, port in zip((self.advertisements, self.arp, self.neighbor), self.ports, strict=True):
            protocol.connected(StoppedPort(port, self.clock, seconds))
        return vhost

    def test_it_does_not_say_it(self) -> None:
        """Neither answers nor defends nor announces; nor does it advertise: it was replaced, and knows."""
        vhost = self.stopped(30.0)
        self.hear(request())
        self.hear(solicitation())
        self.hear(arp.gratuitous(SHARED4, OTHER_MAC))
        for protocol in (self.arp, self.neighbor):
            self.assertRaises(OSError, protocol.announce, vhost)
        self.assertEqual(self.frames(), [])
        self.assertIs(vhost.state, State.MASTER)
        self.clock.advance(1.5)
        self.assertIs(vhost.state, State.BACKUP)
        self.assertEqual(self.frames(), [])
        self.assertEqual(vhost.sending.errors, 0)

    def test_a_moment_is_nothing(self) -> None:
        """It says what it has to."""
        vhost = self.stopped(0.5)
        self.hear(request())
        self.hear(solicitation())
        self.assertEqual(len(self.frames()), 2)
        self.clock.advance(1.5)
        self.assertIs(vhost.state, State.MASTER)
        self.assertEqual(len(self.frames()), 4)


class ArpTests(NodeCase):
    """On behalf of the shared IPv4 addresses."""

    def test_a_master_answers_with_the_virtual_mac(self) -> None:
        """Unicast to the asker."""
        self.master()
        self.hear(request())
        (frame,) = self.frames()
        self.assertEqual(frame[:12], OTHER_MAC + MAC)
        answer = arp.read(frame)
        assert isinstance(answer, arp.Arp)
        self.assertEqual((answer.operation, answer.sender, answer.sender_mac), (arp.REPLY, SHARED4, MAC))
        self.assertEqual((answer.target, answer.target_mac), (OTHER4, OTHER_MAC))

    def test_a_backup_is_silent(self) -> None:
        """It answers nobody and defends nothing."""
        self.vhid()
        self.hear(request())
        self.hear(request(sender=SHARED4))
        self.hear(solicitation())
        self.assertEqual(self.frames(), [])

    def test_a_probe_is_answered(self) -> None:
        """A host that wants the address for itself must learn that it is taken (RFC 5227)."""
        self.master()
        self.hear(request(sender=bytes(4)))
        self.assertEqual(len(self.frames()), 1)

    def test_other_addresses_are_none_of_ours(self) -> None:
        """Requests for them, and answers of others."""
        self.master()
        self.hear(request(target=ip_address("192.0.2.77").packed))
        self.hear(arp.pack(arp.Arp(arp.REPLY, OTHER_MAC, OTHER4, NOBODY, SHARED4, MAC, OTHER_MAC)))
        self.assertEqual(self.frames(), [])

    def test_where_the_kernel_answers_we_do_not(self) -> None:
        """The interface plane's addresses are the kernel's business."""
        self.master(answers=False)
        self.hear(request())
        self.hear(solicitation())
        self.assertEqual(self.frames(), [])

    def test_a_claim_by_somebody_else_is_a_conflict(self) -> None:
        """Counted, logged with both addresses, answered by announcing again at most once a second."""
        vhost = self.master()
        for _ in range(3):
            self.hear(arp.gratuitous(SHARED4, OTHER_MAC))
        self.assertEqual(vhost.conflicts, 3)
        self.assertEqual(self.frames(), [arp.gratuitous(SHARED4, MAC)])
        self.assertEqual(
            self.logged[-1],
            "carp: 1@em0: 192.0.2.1 is claimed by 02:00:00:00:03:03, while it is ours at 00:00:5e:00:01:01",
        )
        self.segment.passed.clear()
        self.clock.advance(CONFLICT_SECONDS)
        self.segment.passed.clear()
        self.hear(arp.gratuitous(SHARED4, OTHER_MAC))
        self.assertEqual(self.frames(), [arp.gratuitous(SHARED4, MAC)])

    def test_malformed_packets_are_counted(self) -> None:
        """And that is all."""
        self.master()
        broken = bytearray(request())
        broken[18] = 8  # a hardware address of eight octets
        self.hear(bytes(broken))
        self.assertEqual(self.arp.malformed, 1)
        self.assertEqual(self.frames(), [])


class NeighborTests(NodeCase):
    """On behalf of the shared IPv6 addresses."""

    def answer(self) -> neighbor.NeighborAdvertisement:
        (frame,) = self.frames()
        message = neighbor.read(frame)
        assert isinstance(message, neighbor.NeighborAdvertisement)
        self.assertEqual(message.link_address, MAC)
        self.assertEqual(message.source_mac, MAC)
        return message

    def test_a_master_answers_with_the_virtual_mac(self) -> None:
        """Unicast to the asker: solicited, override."""
        self.master()
        self.hear(solicitation())
        answer = self.answer()
        self.assertEqual((answer.destination, answer.target), (OTHER6, SHARED6))
        self.assertEqual((answer.solicited, answer.override, answer.router), (True, True, False))
        self.assertEqual(self.frames()[0][:6], OTHER_MAC)

    def test_duplicate_address_detection_is_answered_to_all_nodes(self) -> None:
        """There is nobody to answer to; it is not a solicited answer."""
        self.master()
        self.hear(solicitation(source=bytes(16)))
        answer = self.answer()
        self.assertEqual((answer.destination, answer.solicited, answer.override), (ALL_NODES, False, True))

    def test_a_claim_by_somebody_else_is_a_conflict(self) -> None:
        """An override advertisement for an address that we hold."""
        vhost = self.master()
        claim = neighbor.advertisement(
            target=SHARED6,
            link_address=OTHER_MAC,
            source=OTHER6,
            source_mac=OTHER_MAC,
            destination=ALL_NODES,
            destination_mac=multicast_mac(ALL_NODES),
            router=False,
            solicited=False,
            override=True,
        )
        self.hear(claim)
        self.assertEqual(vhost.conflicts, 1)
        self.assertEqual(self.answer().target, SHARED6)

    def test_malformed_messages_are_counted(self) -> None:
        """A hop limit of 254 has crossed a router: it is not a neighbour's."""
        self.master()
        broken = bytearray(solicitation())
        broken[21] = 254
        self.hear(bytes(broken))
        self.assertEqual(self.neighbor.malformed, 1)
        self.assertEqual(self.frames(), [])


class RouterTests(NodeCase):
    """A host that forwards IPv6."""

    forwards = True

    def test_the_router_flag_is_set(self) -> None:
        """Otherwise its neighbours would drop it from their default routers."""
        self.master()
        self.hear(solicitation())
        message = neighbor.read(self.frames()[0])
        assert isinstance(message, neighbor.NeighborAdvertisement)
        self.assertTrue(message.router)


class AnnouncementTests(NodeCase):
    """Becoming MASTER."""

    def test_one_that_cannot_be_sent_does_not_keep_back_the_others(self) -> None:
        """Each address that is announced is one that is found."""
        vhost = self.master(1, "192.0.2.1/24", "192.0.2.10/24", "2001:db8::1/64")
        self.ports[1].failures.append(OSError(105, "No buffer space available"))
        self.assertRaises(OSError, self.voice.announce, vhost)
        claimed = [packet.sender for packet in map(arp.read, self.frames()) if isinstance(packet, arp.Arp)]
        self.assertEqual(claimed, [ip_address("192.0.2.10").packed])
        self.assertEqual(len(self.frames()), 2)  # and the IPv6 one

    def test_every_address_is_announced(self) -> None:
        """A gratuitous request for IPv4, an unsolicited override advertisement to all nodes for IPv6."""
        self.vhid(1, "192.0.2.1/24", "192.0.2.10/24", "2001:db8::1/64")
        self.clock.advance(3.5)
        read = [message for frame in self.frames() for message in (arp.read(frame), neighbor.read(frame)) if message]
        claims = [(message.sender, message.target) for message in read if isinstance(message, arp.Arp)]
        self.assertEqual(claims, [(SHARED4, SHARED4), (ip_address("192.0.2.10").packed,) * 2])
        (advertised,) = [message for message in read if isinstance(message, neighbor.NeighborAdvertisement)]
        self.assertEqual(
            (advertised.target, advertised.destination, advertised.override, advertised.solicited),
            (SHARED6, ALL_NODES, True, False),
        )
        self.assertEqual({frame[6:12] for frame in self.frames()}, {MAC})


class BalancingTests(NodeCase):
    """One address that several vhids of the interface have: the asker's address chooses who answers."""

    knobs = Knobs(arpbalance=True, ndbalance=True)
    asker1, asker2 = ip_address("192.0.2.20").packed, ip_address("192.0.2.21").packed  # even: vhid 1, odd: vhid 2
    asker1_6, asker2_6 = ip_address("2001:db8::20").packed, ip_address("2001:db8::21").packed

    def answers(self) -> list[tuple[bytes, bytes]]:
        """To whom an answer went, and the MAC that it told; everything that was sent must be one."""
        found = []
        for frame in self.frames():
            message = arp.read(frame) or neighbor.read(frame)
            if isinstance(message, arp.Arp):
                self.assertEqual((message.operation, message.sender_mac), (arp.REPLY, frame[6:12]))
                found.append((message.target, message.sender_mac))
            else:
                assert isinstance(message, neighbor.NeighborAdvertisement)
                self.assertEqual(message.link_address, frame[6:12])
                found.append((message.destination, message.link_address))
        self.segment.passed.clear()
        return found

    def yielded(self, vhost: VirtualHost) -> None:
        """The vhid has become BACKUP."""
        vhost.asked(State.BACKUP)
        self.segment.passed.clear()

    def test_who_is_asked_for_is_chosen_by_the_asker(self) -> None:
        """A node that is MASTER of all vhids answers everybody, each in the name of the chosen one."""
        self.master(1)
        self.master(2)
        for asker in (self.asker1, self.asker2, self.asker1):
            self.hear(request(sender=asker))
        self.assertEqual(
            self.answers(),
            [(self.asker1, virtual_mac(1)), (self.asker2, virtual_mac(2)), (self.asker1, virtual_mac(1))],
        )
        for asker in (self.asker1_6, self.asker2_6):
            self.hear(solicitation(source=asker))
        self.assertEqual(self.answers(), [(self.asker1_6, virtual_mac(1)), (self.asker2_6, virtual_mac(2))])

    def test_the_part_of_another_master_is_none_of_ours(self) -> None:
        """Its clients are answered by it, and by nobody else."""
        first = self.master(1)
        self.master(2)
        self.yielded(first)
        for frame in (request(sender=self.asker1), solicitation(source=self.asker1_6)):
            self.hear(frame)
            self.assertEqual(self.answers(), [])
        for frame in (request(sender=self.asker2), solicitation(source=self.asker2_6)):
            self.hear(frame)
            self.assertEqual(len(self.answers()), 1)

    def test_only_those_that_run_are_chosen_among(self) -> None:
        """A vhid in INIT gets no clients; when it runs again it does, in ascending order of the numbers."""
        third, first = self.master(7), self.master(2)
        second = self.master(5)
        askers = [ip_address(f"192.0.2.{n}").packed for n in range(30, 36)]  # 192.0.2.30 is 2 modulo 3
        for asker in askers:
            self.hear(request(sender=asker))
        self.assertEqual([mac[-1] for _, mac in self.answers()], [7, 2, 5, 7, 2, 5])
        second.obstruct("test", "for a test")
        self.segment.passed.clear()
        for asker in askers:
            self.hear(request(sender=asker))
        self.assertEqual([mac[-1] for _, mac in self.answers()], [2, 7, 2, 7, 2, 7])
        for vhost in (first, third):
            vhost.obstruct("test", "for a test")
        self.segment.passed.clear()
        self.hear(request(sender=askers[0]))
        self.assertEqual(self.answers(), [])

    def test_a_backup_runs(self) -> None:
        """It counts among those that are chosen from, whoever is its MASTER."""
        first, second = self.master(1), self.master(2)
        self.master(3)
        self.yielded(first)
        self.yielded(second)
        for number in range(30, 36):
            self.hear(request(sender=ip_address(f"192.0.2.{number}").packed))
        self.assertEqual([asker[-1] for asker, _ in self.answers()], [30, 33])

    def test_probes_choose_the_first(self) -> None:
        """They are answered in its name; by an advertisement to all nodes that does not override what they know."""
        first = self.master(1)
        self.master(2)
        self.hear(request(sender=bytes(4)))
        self.assertEqual(self.answers(), [(bytes(4), virtual_mac(1))])
        self.hear(solicitation(source=bytes(16)))
        message = neighbor.read(self.frames()[0])
        assert isinstance(message, neighbor.NeighborAdvertisement)
        self.assertEqual((message.link_address, message.override), (virtual_mac(1), False))
        self.yielded(first)
        self.hear(request(sender=bytes(4)))
        self.hear(solicitation(source=bytes(16)))
        self.assertEqual(self.answers(), [])

    def test_whoever_asks_a_virtual_mac_alone_is_answered_by_it(self) -> None:
        """Linux wants to know from its link-local address whether the neighbour is there that it found from another."""
        self.master(1)
        self.master(2)
        for vhid in (1, 2):
            for source in (self.asker1_6, self.asker2_6):
                self.hear(
                    neighbor.solicitation(
                        SHARED6,
                        source=source,
                        source_mac=OTHER_MAC,
                        destination=SHARED6,
                        destination_mac=virtual_mac(vhid),
                    )
                )
                self.assertEqual(self.answers(), [(source, virtual_mac(vhid))])

    def test_nothing_is_announced(self) -> None:
        """Not at a takeover, and not later: everybody would go by it. Other addresses of the vhid are announced."""
        self.vhid(1, "192.0.2.1/24", "192.0.2.31/24", "2001:db8::1/64", "2001:db8::31/64")
        self.vhid(2, "192.0.2.1/24", "2001:db8::1/64")
        self.clock.advance(3.5)
        self.clock.pump([0.5] * 10)
        claims = set()
        for frame in self.frames():
            message = arp.read(frame) or neighbor.read(frame)
            if message is not None:
                claims.add(ip_address(message.target))
        self.assertEqual(claims, {ip_address("192.0.2.31"), ip_address("2001:db8::31")})

    def test_a_siblings_virtual_mac_is_no_conflict(self) -> None:
        """The answers of another MASTER of the same address are as they should be."""
        vhost = self.master(1)
        self.vhid(2)
        answer = arp.Arp(arp.REPLY, virtual_mac(2), SHARED4, OTHER_MAC, self.asker2, OTHER_MAC, virtual_mac(2))
        self.hear(arp.pack(answer))
        self.hear(arp.gratuitous(SHARED4, virtual_mac(2)))
        self.hear(self.advertisement(virtual_mac(2)))
        self.assertEqual(vhost.conflicts, 0)
        self.assertEqual(self.frames(), [])

    def test_a_stranger_is_a_conflict_and_fought_by_nothing(self) -> None:
        """It is counted and logged; an announcement would do the split more harm than the stranger."""
        vhost = self.master(1)
        self.vhid(2)
        self.hear(arp.gratuitous(SHARED4, OTHER_MAC))
        self.hear(self.advertisement(OTHER_MAC))
        self.assertEqual(vhost.conflicts, 2)
        self.assertIn("192.0.2.1 is claimed by 02:00:00:00:03:03", " ".join(self.logged))
        self.assertEqual(self.frames(), [])

    def advertisement(self, mac: bytes) -> bytes:
        return neighbor.advertisement(SHARED6, mac, source=SHARED6, source_mac=mac)

    def test_the_knobs_are_read_when_they_are_needed(self) -> None:
        """Whoever turns one off has an address like any other, which the first MASTER answers for and announces."""
        first = self.master(1)
        self.master(2)
        self.roster.knobs = Knobs(arpbalance=False, ndbalance=True)
        self.hear(request(sender=self.asker2))
        self.hear(solicitation(source=self.asker2_6))
        self.assertEqual(self.answers(), [(self.asker2, virtual_mac(1)), (self.asker2_6, virtual_mac(2))])
        self.voice.announce(first)
        self.assertEqual(self.frames(), [arp.gratuitous(SHARED4, virtual_mac(1))])

    def test_an_address_of_one_vhid_is_not_balanced(self) -> None:
        """The knob alone changes nothing."""
        self.master(1)
        self.master(2, "192.0.2.2/24")
        for asker in (self.asker1, self.asker2):
            self.hear(request(sender=asker))
        self.assertEqual([mac for _, mac in self.answers()], [virtual_mac(1)] * 2)
        self.hear(arp.gratuitous(SHARED4, OTHER_MAC))
        self.assertEqual(self.frames(), [arp.gratuitous(SHARED4, MAC)])
