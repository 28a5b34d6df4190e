"""A million wrong frames: nothing is raised, no timer and no state is touched, each is counted under one cause."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from carptwist.election.state import State
from carptwist.wire import arp, neighbor
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator
from carptwist.wire.carp import Advertisement, virtual_mac
from carptwist.wire.ethernet import multicast_mac
from carptwist.wire.internet import solicited_node
from carptwist.wire.refusal import Refusal
from tests.protocols.support import OTHER4, OTHER6, OTHER_MAC, PHRASE, NodeCase

FRAMES = 1_000_000
ADDRESSES = "192.0.2.1/24", "2001:db8::1/64"


def seeds() -> list[bytes]:
    """One right frame of each kind that the node would take notice of, all signed with another phrase."""
    shared = [address.ip for address in NodeCase.interfaces(ADDRESSES)]
    digest = Authenticator(b"x" + PHRASE, 1, shared).sign(9)
    said = Advertisement(vhid=1, advskew=0, advbase=1, demote=0, counter=9, digest=digest)
    target = shared[1].packed
    group = solicited_node(target)
    return [
        frame4(said, source_mac=virtual_mac(1), source=OTHER4),
        frame6(said, source_mac=virtual_mac(1), source=OTHER6),
        frame4(said._replace(vhid=2), source_mac=virtual_mac(2), source=OTHER4),
        arp.request(shared[0].packed, OTHER_MAC, OTHER4),
        neighbor.solicitation(
            target, source=OTHER6, source_mac=OTHER_MAC, destination=group, destination_mac=multicast_mac(group)
        ),
    ]


def wrong_frames(number: int, chance: random.Random) -> Iterator[bytes]:
    """Mutated, truncated, lengthened and random ones."""
    right = seeds()
    for _ in range(number):
        kind = chance.random()
        if kind < 0.05:
            yield chance.randbytes(chance.randrange(120))
            continue
        frame = bytearray(chance.choice(right))
        if kind < 0.25:
            del frame[chance.randrange(len(frame)) :]
        elif kind < 0.35:
            frame += chance.randbytes(chance.randrange(1, 60))
        for _ in range(chance.randrange(4) if frame else 0):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        yield bytes(frame)


class MillionFramesTests(NodeCase):
    """On a node with a BACKUP and, on the same interface, a MASTER."""

    def test_a_million_wrong_frames(self) -> None:
        """The seed is fixed: a failure can be had again."""
        backup = self.vhid(1, *ADDRESSES)
        master = self.vhid(3, "198.51.100.33/24")
        master.asked(State.MASTER)
        before = [(vhost.state, vhost.machine.deadline, vhost.transitions) for vhost in (backup, master)]
        lines = len(self.logged)
        expected: Counter[str] = Counter()
        for frame in wrong_frames(FRAMES, random.Random(112)):
            for protocol in (self.advertisements, self.arp, self.neighbor):
                protocol.frame_received(frame)
            verdict = read(frame)
            if isinstance(verdict, Refusal):
                expected[verdict.cause.value] += 1
            elif isinstance(verdict, Heard):
                expected["badauth" if verdict.advertisement.vhid in (1, 3) else "badvhid"] += 1
        self.assertEqual(
            [(vhost.state, vhost.machine.deadline, vhost.transitions) for vhost in (backup, master)], before
        )
        self.assertEqual((backup.received, master.received), (0, 0))
        counted = {cause: count for cause, count in self.roster.counters.refused.items() if count}
        self.assertEqual(counted, dict(expected))
        self.assertGreaterEqual(set(counted), {"hdrops", "badttl", "badsum", "badlen", "badauth", "badvhid"})
        self.assertEqual(len(self.logged), lines)
