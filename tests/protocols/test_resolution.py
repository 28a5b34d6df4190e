"""The MACs of peers: asked for, believed, refreshed, and never taken from somebody who was not asked."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.protocols.resolution import ASK_SECONDS, REFRESH_SECONDS, Resolution
from carptwist.wire import arp, carp, neighbor
from carptwist.wire.ethernet import BROADCAST
from carptwist.wire.internet import ALL_NODES, solicited_node
from carptwist.wire.neighbor import NeighborAdvertisement, Solicitation

OWN_MAC = bytes.fromhex("020000000101")
PEER_MAC = bytes.fromhex("020000000303")
NEW_MAC = bytes.fromhex("020000000404")
OWN4, PEER4, OTHER4 = (ip_address(f"192.0.2.{host}").packed for host in (2, 3, 4))
OWN6, PEER6 = (ip_address(f"2001:db8::{host}").packed for host in (2, 3))


def reply(mac: bytes, sender: bytes = PEER4, *, to: bytes = OWN4, to_mac: bytes = OWN_MAC) -> arp.Arp:
    return arp.Arp(arp.REPLY, mac, sender, to_mac, to, to_mac, mac)


def advert(
    mac: bytes, target: bytes = PEER6, *, to: bytes = OWN6, solicited: bool = True, link_address: bytes | None = None
) -> NeighborAdvertisement:
    said = mac if link_address is None else link_address
    return NeighborAdvertisement(target, to, target, False, solicited, True, said, mac)


class ResolutionCase(SynchronousTestCase):
    """One interface that wants 192.0.2.3 and 2001:db8::3. ``asked`` has the questions, ``resolved`` who is known."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[int, bytes]] = []
        self.resolved: list[bytes] = []
        self.resolution = Resolution("em0", self.clock, resolved=self.resolved.append)
        self.resolution.ask = lambda family, question: self.asked.append((family, question))
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))
        self.addCleanup(self.resolution.close)

    def want(self) -> None:
        wanted = {PEER4: OWN4, PEER6: OWN6}
        self.resolution.want(wanted, own_mac=OWN_MAC, virtual=frozenset([carp.virtual_mac(1)]))

    def questions(self) -> list[arp.Arp | Solicitation]:
        """What was asked since the last call."""
        asked, self.asked = self.asked, []
        read = [arp.read(frame) if family == 4 else neighbor.read(frame) for family, frame in asked]
        assert all(isinstance(each, arp.Arp | Solicitation) for each in read)
        return read  # type: ignore[return-value]

    def know(self) -> None:
        """Both peers have answered."""
        self.want()
        self.resolution.arp_heard(reply(PEER_MAC))
        self.resolution.neighbor_heard(advert(PEER_MAC))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])
        self.asked.clear()

    def macs(self) -> list[bytes]:
        return [self.resolution.mac_of(PEER4), self.resolution.mac_of(PEER6)]

    def pass_time(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while (calls := self.clock.getDelayedCalls()) and calls[0].getTime() <= end:
            self.clock.advance(calls[0].getTime() - self.clock.seconds())
        self.clock.advance(end - self.clock.seconds())


class AskingTests(ResolutionCase):
    """When and how it asks."""

    def test_everybody_is_asked_at_once_from_our_own_addresses(self) -> None:
        """A broadcast, and a solicitation to the solicited-node group; the virtual MAC is in neither."""
        self.want()
        four, six = self.questions()
        self.assertEqual(four, arp.Arp(arp.REQUEST, OWN_MAC, OWN4, bytes(6), PEER4, BROADCAST, OWN_MAC))
        self.assertEqual(six, Solicitation(OWN6, solicited_node(PEER6), PEER6, OWN_MAC, OWN_MAC))

    def test_the_silent_are_asked_every_second(self) -> None:
        """For as long as they are wanted."""
        self.want()
        self.questions()
        self.pass_time(5 * ASK_SECONDS + 0.05)
        self.assertEqual(len(self.questions()), 10)

    def test_a_known_mac_is_confirmed_by_asking_it_alone(self) -> None:
        """After a while, and again after the answer to that."""
        self.know()
        for _ in range(2):
            self.pass_time(REFRESH_SECONDS + 0.05)
            four, six = self.questions()
            self.assertEqual(four, arp.Arp(arp.REQUEST, OWN_MAC, OWN4, bytes(6), PEER4, PEER_MAC, OWN_MAC))
            self.assertEqual(six, Solicitation(OWN6, PEER6, PEER6, OWN_MAC, OWN_MAC))
            self.resolution.arp_heard(reply(PEER_MAC))
            self.resolution.neighbor_heard(advert(PEER_MAC))
        self.assertEqual(self.resolved, [PEER4, PEER6])

    def test_who_falls_silent_is_asked_of_all_and_not_forgotten(self) -> None:
        """A host that restarts is reached at once when it is back."""
        self.know()
        self.pass_time(REFRESH_SECONDS + ASK_SECONDS + 0.15)
        poll4, _, again4, again6 = self.questions()
        assert isinstance(poll4, arp.Arp)
        assert isinstance(again4, arp.Arp)
        assert isinstance(again6, Solicitation)
        self.assertEqual((poll4.destination_mac, again4.destination_mac), (PEER_MAC, BROADCAST))
        self.assertEqual(again6.destination, solicited_node(PEER6))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])

    def test_nothing_is_asked_while_nothing_can_be(self) -> None:
        """Without a link there is silence; when it is back everybody is asked anew."""
        self.know()
        self.resolution.want({PEER4: OWN4, PEER6: OWN6}, own_mac=b"", virtual=frozenset())
        self.pass_time(2 * REFRESH_SECONDS)
        self.assertEqual(self.questions(), [])
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])
        self.want()
        self.assertEqual(len(self.questions()), 2)

    def test_who_is_not_wanted_any_more_is_forgotten(self) -> None:
        """There is no entry, and no question."""
        self.know()
        self.resolution.want({PEER6: OWN6}, own_mac=OWN_MAC, virtual=frozenset())
        self.assertEqual(self.macs(), [b"", PEER_MAC])
        self.questions()
        self.pass_time(2 * REFRESH_SECONDS)
        self.assertTrue(all(isinstance(each, Solicitation) for each in self.questions()))

    def test_a_question_that_does_not_leave_is_asked_again(self) -> None:
        """A full queue ends nothing."""
        attempts: list[int] = []

        def fail(family: int, question: bytes) -> None:
            attempts.append(family)
            raise OSError(105, "No buffer space available")

        self.resolution.ask = fail
        self.want()
        self.pass_time(ASK_SECONDS + 0.05)
        self.assertEqual(attempts, [4, 6, 4, 6])

    def test_who_is_known_is_not_asked_for_more_often_than_once_a_second(self) -> None:
        """However often the interface changes."""
        self.know()
        for _ in range(20):
            self.want()
            self.clock.advance(0.05)
        self.assertEqual(len(self.questions()), 2)


class TellingTests(ResolutionCase):
    """What the log has."""

    def setUp(self) -> None:
        super().setUp()
        self.logged: list[str] = []

        def observe(event: dict[str, object]) -> None:
            text = str(event.get("log_format", "")).format(**event)
            if text.startswith("carp: "):
                self.logged.append(text)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def test_a_peer_that_does_not_answer_is_told_of_once(self) -> None:
        """And again when it does: whoever has mistyped an address finds it in the log."""
        self.want()
        self.resolution.neighbor_heard(advert(PEER_MAC))
        self.pass_time(20)
        silent = "carp: em0: nobody answers for the peer 192.0.2.3: advertisements cannot be sent to it"
        self.assertEqual(self.logged, [silent])
        self.resolution.arp_heard(reply(PEER_MAC))
        self.assertEqual(self.logged, [silent, "carp: em0: the peer 192.0.2.3 answers, at 02:00:00:00:03:03"])

    def test_a_peer_that_has_fallen_silent(self) -> None:
        """Is still sent to."""
        self.know()
        self.pass_time(REFRESH_SECONDS + 20)
        self.assertEqual(
            self.logged,
            [
                f"carp: em0: nobody answers for the peer {peer}: advertisements are still sent to the MAC that it had"
                for peer in ("192.0.2.3", "2001:db8::3")
            ],
        )

    def test_a_peer_that_has_moved(self) -> None:
        """With both MACs."""
        self.know()
        self.pass_time(REFRESH_SECONDS + ASK_SECONDS)
        self.resolution.arp_heard(reply(NEW_MAC))
        self.assertEqual(
            self.logged, ["carp: em0: the peer 192.0.2.3 has moved from 02:00:00:00:03:03 to 02:00:00:00:04:04"]
        )


class BelievingTests(ResolutionCase):
    """Which answers it takes."""

    def test_an_answer_is_told_once(self) -> None:
        """And the first one counts: those after it were not asked for."""
        self.want()
        for mac in (PEER_MAC, NEW_MAC):
            self.resolution.arp_heard(reply(mac))
            self.resolution.neighbor_heard(advert(mac))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])
        self.assertEqual(self.resolved, [PEER4, PEER6])

    def test_what_was_not_asked_for_is_ignored(self) -> None:
        """Of an address that nobody wants; to another host; from an announcement or a question of the peer."""
        self.want()
        for packet in (
            reply(NEW_MAC, OTHER4),
            reply(NEW_MAC, to=OTHER4),
            reply(NEW_MAC, to_mac=BROADCAST),
            reply(NEW_MAC, to=PEER4),
            arp.Arp(arp.REQUEST, NEW_MAC, PEER4, bytes(6), OWN4, BROADCAST, NEW_MAC),
            arp.Arp(arp.REQUEST, NEW_MAC, PEER4, bytes(6), PEER4, BROADCAST, NEW_MAC),
        ):
            self.resolution.arp_heard(packet)
        for message in (
            advert(NEW_MAC, OWN6),
            advert(NEW_MAC, to=ip_address("2001:db8::9").packed),
            advert(NEW_MAC, to=ALL_NODES, solicited=False),
            Solicitation(PEER6, solicited_node(OWN6), OWN6, NEW_MAC, NEW_MAC),
            Solicitation(bytes(16), solicited_node(PEER6), PEER6, NEW_MAC, b""),
        ):
            self.resolution.neighbor_heard(message)
        self.assertEqual(self.macs(), [b"", b""])
        self.assertEqual(self.resolved, [])

    def test_a_mac_that_no_host_has_is_not_believed(self) -> None:
        """A group, zero, our own, a virtual one of ours; the true answer is, afterwards."""
        self.want()
        for mac in (BROADCAST, bytes(6), OWN_MAC, carp.virtual_mac(1), bytes.fromhex("01005e000012")):
            self.resolution.arp_heard(reply(mac))
            self.resolution.neighbor_heard(advert(mac))
        self.assertEqual(self.macs(), [b"", b""])
        self.resolution.arp_heard(reply(PEER_MAC))
        self.resolution.neighbor_heard(advert(PEER_MAC))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])

    def test_only_the_known_mac_can_answer_a_poll(self) -> None:
        """A forger who waits for it changes nothing."""
        self.know()
        self.pass_time(REFRESH_SECONDS + 0.05)
        self.resolution.arp_heard(reply(NEW_MAC))
        self.resolution.neighbor_heard(advert(NEW_MAC))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])
        self.resolution.arp_heard(reply(PEER_MAC))
        self.resolution.neighbor_heard(advert(PEER_MAC))
        self.questions()
        self.pass_time(2 * ASK_SECONDS)
        self.assertEqual(self.questions(), [])

    def test_a_peer_that_has_moved_is_found(self) -> None:
        """Its announcement makes us ask: the old MAC first, then everybody; the new one is believed then."""
        self.know()
        self.pass_time(5)
        announced = arp.Arp(arp.REQUEST, NEW_MAC, PEER4, bytes(6), PEER4, BROADCAST, NEW_MAC)
        for _ in range(100):
            self.resolution.arp_heard(announced)
            self.resolution.neighbor_heard(advert(NEW_MAC, to=ALL_NODES, solicited=False))
        self.assertEqual(self.macs(), [PEER_MAC, PEER_MAC])
        self.clock.advance(0)
        self.assertEqual(len(self.questions()), 2)
        self.pass_time(ASK_SECONDS + 0.05)
        self.assertEqual(len(self.questions()), 2)
        self.resolution.arp_heard(reply(NEW_MAC))
        self.resolution.neighbor_heard(advert(NEW_MAC))
        self.assertEqual(self.macs(), [NEW_MAC, NEW_MAC])
        self.assertEqual(self.resolved, [PEER4, PEER6, PEER4, PEER6])

    def test_a_known_peer_that_asks_for_somebody_is_no_news(self) -> None:
        """Nor is its announcement, with the MAC that is known."""
        self.know()
        self.pass_time(5)
        self.resolution.arp_heard(arp.Arp(arp.REQUEST, PEER_MAC, PEER4, bytes(6), OWN4, BROADCAST, PEER_MAC))
        self.resolution.neighbor_heard(Solicitation(PEER6, solicited_node(OWN6), OWN6, PEER_MAC, PEER_MAC))
        self.pass_time(2)
        self.assertEqual(self.questions(), [])

    def test_the_option_may_be_missing_from_an_answer_by_unicast(self) -> None:
        """RFC 4861 7.2.4: then it is the Ethernet source that counts."""
        self.want()
        self.resolution.neighbor_heard(advert(PEER_MAC, link_address=b""))
        self.assertEqual(self.resolution.mac_of(PEER6), PEER_MAC)

    def test_without_a_port_nothing_is_known(self) -> None:
        """And nothing fails."""
        alone = Resolution("em0", self.clock, resolved=self.resolved.append)
        alone.want({PEER4: OWN4}, own_mac=OWN_MAC, virtual=frozenset())
        self.assertEqual(alone.mac_of(PEER4), b"")
        alone.close()
        self.assertEqual(alone.mac_of(PEER4), b"")
