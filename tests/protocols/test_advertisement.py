"""Advertisements: what is heard, what is refused, what is sent."""

from __future__ import annotations

import random
from ipaddress import ip_address

from carptwist.config.schema import Knobs
from carptwist.election.effects import Advertise
from carptwist.election.state import State
from carptwist.protocols.advertisement import REFUSAL_LOG_SECONDS
from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator
from tests.protocols.support import OTHER4, OTHER6, OWN4, OWN6, PHRASE, NodeCase

SHARED = [ip_address("192.0.2.1"), ip_address("2001:db8::1")]


def signed(
    advskew: int, *, vhid: int = 1, family: int = 4, phrase: bytes = PHRASE, counter: int = 9, advbase: int = 1
) -> bytes:
    """A frame of another node."""
    digest = Authenticator(phrase, vhid, SHARED).sign(counter)
    said = carp.Advertisement(vhid=vhid, advskew=advskew, advbase=advbase, demote=0, counter=counter, digest=digest)
    if family == 4:
        return frame4(said, source_mac=carp.virtual_mac(vhid), source=OTHER4)
    return frame6(said, source_mac=carp.virtual_mac(vhid), source=OTHER6)


class HearingTests(NodeCase):
    """Valid advertisements reach their vhid."""

    def test_a_valid_advertisement_restarts_the_timeout(self) -> None:
        """And is counted, by family."""
        vhost = self.vhid()
        self.clock.advance(2)
        self.hear(signed(0))
        self.hear(signed(0, family=6, counter=10))
        self.clock.advance(3)
        self.assertIs(vhost.state, State.BACKUP)
        self.assertEqual((self.roster.counters.ipackets, self.roster.counters.ipackets6), (1, 1))
        self.assertEqual(vhost.received, 2)

    def test_the_peer_is_remembered(self) -> None:
        """By its source, with what it said and what it was recognised as."""
        vhost = self.vhid()
        self.hear(signed(7))
        (peer,) = vhost.peers.all()
        self.assertEqual(peer.hearing.source, OTHER4)
        self.assertEqual(peer.hearing.advskew, 7)
        self.assertEqual(peer.hearing.implementation, "freebsd or carptwist")

    def test_the_counter_is_adopted(self) -> None:
        """A master goes on from what it hears of others; but its first one is not what others who take over from the
        same master send."""
        self.vhid()
        self.hear(signed(0, counter=500))
        self.clock.advance(3.5)
        self.hear(signed(200, counter=700))
        self.clock.advance(1.5)
        counters = [heard.advertisement.counter for heard in map(read, self.frames()) if isinstance(heard, Heard)]
        self.assertEqual(counters[1], counters[0] + 1)
        self.assertNotIn(counters[0], range(500, 800))
        self.assertEqual(counters[2:], [701, 702])

    def test_vhids_of_one_interface_are_apart(self) -> None:
        """An advertisement reaches the vhid that it names."""
        first, second = self.vhid(1), self.vhid(2, "192.0.2.9/24")
        self.hear(signed(0, vhid=1))
        self.assertEqual((first.received, second.received), (1, 0))


class SendingTests(NodeCase):
    """What leaves is what the kernels would send."""

    def test_both_families_leave_signed(self) -> None:
        """From the interface's own addresses, a link-local one over IPv6, with the virtual MAC and dscp 56."""
        self.vhid()
        self.clock.advance(3.5)
        heard = [said for said in map(read, self.frames()) if isinstance(said, Heard)]
        self.assertEqual([said.family for said in heard], [4, 6])
        self.assertEqual([said.source for said in heard], [OWN4.packed, OWN6.packed])
        self.assertEqual({said.source_mac for said in heard}, {carp.virtual_mac(1)})
        self.assertEqual({said.tos for said in heard}, {56 << 2})
        authenticator = Authenticator(PHRASE, 1, SHARED)
        for said in heard:
            self.assertTrue(authenticator.verify(said.advertisement.counter, said.advertisement.digest))
        self.assertEqual((self.roster.counters.opackets, self.roster.counters.opackets6), (1, 1))

    def test_a_shared_address_is_never_the_source(self) -> None:
        """Even where the interface plane has put it on the interface, in front."""
        self.vhid(1, f"{OWN4}/24")
        self.clock.advance(3.5)
        (said,) = [said for said in map(read, self.frames()) if isinstance(said, Heard)]
        self.assertEqual(said.source, bytes(4))

    def test_closing_is_silence(self) -> None:
        """The groups are left, and nothing can be sent any more."""
        vhost = self.vhid()
        self.voice.close()
        self.assertEqual(self.hushed, [True])
        self.assertRaises(OSError, self.voice.advertise, vhost, 4, Advertise(1, 0))
        self.assertRaises(OSError, self.voice.announce, vhost)


class RefusalTests(NodeCase):
    """A refused frame is counted under its cause and touches nothing else."""

    def refused(self) -> dict[str, int]:
        return {cause: count for cause, count in self.roster.counters.refused.items() if count}

    def test_causes(self) -> None:
        """One frame of each kind."""
        good = signed(0)
        ttl = bytearray(good)
        ttl[22], ttl[24:26] = 254, ((int.from_bytes(good[24:26], "big") + 0x100) & 0xFFFF).to_bytes(2, "big")
        checksum = bytearray(good)
        checksum[40] ^= 1
        self.vhid()
        for cause, frame in (
            ("badauth", signed(0, phrase=b"wrong")),
            ("badvhid", signed(0, vhid=2)),
            ("badttl", bytes(ttl)),
            ("badsum", bytes(checksum)),
        ):
            self.hear(frame)
            self.assertEqual(self.refused().pop(cause, 0), 1, cause)
        self.assertEqual(sum(self.refused().values()), 4)

    def test_no_timer_and_no_state_is_touched(self) -> None:
        """A master-down timeout runs on while thousands of wrong frames arrive, and no line is logged for them."""
        vhost = self.vhid()
        deadline = vhost.machine.deadline
        chance = random.Random(1)
        good = signed(0)
        covered = range(42, len(good))  # counter and digest: nothing else of an advertisement is authenticated
        for _ in range(3000):
            frame = bytearray(good)
            frame[chance.choice(covered)] ^= 1 << chance.randrange(8)
            frame[chance.randrange(14, 42)] ^= 1 << chance.randrange(8)
            self.advertisements.frame_received(bytes(frame))
        self.assertEqual(vhost.machine.deadline, deadline)
        self.assertEqual(vhost.received, 0)
        self.assertEqual(len(self.logged), 1)  # INIT -> BACKUP
        self.assertGreater(sum(self.refused().values()), 2500)

    def test_a_vhid_knows_its_own_refusals(self) -> None:
        """For explaining: whose packets are wrong, and how."""
        vhost = self.vhid()
        self.hear(signed(0, phrase=b"wrong"))
        self.assertEqual(vhost.refusals, {"badauth": 1})

    def test_neither_refusals_nor_their_causes_are_logged_at_log_1(self) -> None:
        """As the kernels: state changes only."""
        self.vhid()
        self.hear(signed(0, phrase=b"wrong"))
        self.assertEqual(len(self.logged), 1)


class TalkativeTests(NodeCase):
    """log = 2."""

    knobs = Knobs(log=2)

    def test_a_bad_digest_names_its_likeliest_cause(self) -> None:
        """With the sender, and never a phrase."""
        self.vhid()
        self.hear(signed(0, phrase=b"wrong"))
        (line,) = self.logged[1:]
        self.assertTrue(line.startswith("carp: 1@em0: bad digest from 192.0.2.3: "), line)
        self.assertIn("pass phrase", line)
        self.assertNotIn("wrong", line)
        self.assertNotIn(PHRASE.decode(), line)

    def test_a_missing_address_is_named(self) -> None:
        """The commonest mistake of all."""
        self.vhid(1, "192.0.2.1/24", "192.0.2.10/24", "2001:db8::1/64")
        self.hear(signed(0))
        self.assertIn("192.0.2.10", self.logged[-1])

    def test_the_same_refusal_is_logged_once_in_a_while(self) -> None:
        """With the number of those that were left unsaid."""
        self.vhid()
        for _ in range(5):
            self.hear(signed(0, phrase=b"wrong"))
        self.assertEqual(len(self.logged), 2)
        self.clock.advance(REFUSAL_LOG_SECONDS)
        self.hear(signed(0, phrase=b"wrong"))
        self.assertIn("4 more", self.logged[-1])


class ForbiddenTests(NodeCase):
    """allow = 0."""

    knobs = Knobs(allow=False)

    def test_nothing_is_heard(self) -> None:
        """Not even counted."""
        vhost = self.vhid()
        self.hear(signed(0))
        self.assertEqual(vhost.received, 0)
        self.assertEqual(self.roster.counters.ipackets, 0)
