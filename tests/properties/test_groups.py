"""Groups: whatever has happened, their members end up together where some host can carry them all, and then stay.

Two or three hosts share a group of two or three vhids, each on a LAN of its own. For a while cables are pulled and put
back, LANs are divided, hosts crash, stop and start; the last disturbance leaves some hosts without some of their links,
but no LAN divided. What is promised from then on follows from the configuration:

- ``T``, the longest master-down timeout, and ``I``, the longest interval of an advertisement (advbase + 240/256 s).
- An election of one vhid is over after ``E = T + 3 I``.
- A group that is not together then has its deciding member offered or claimed after at most ``3 T``, and then the
  others after ``2 T`` more; and that may happen once for each host, for each may have to do so in its turn.
- A host that was not able to carry the group several times lately does not preempt for up to 60 s: then there is one
  more such round, from together on one host to together on another, apart for no longer than an election takes.

So members are together after ``BOUND = hosts x (E + 5 T)``, and nothing changes any more after ``60 s + 2 BOUND``.
"""

from __future__ import annotations

from ipaddress import ip_interface
from itertools import pairwise
from random import Random
from typing import NamedTuple

import pytest

from carptwist.config.schema import Configuration, Dialect, Knobs, Phrase, VirtualHostConfig
from carptwist.election.group import LONGEST_HOLD_SECONDS
from carptwist.election.precedence import MAX_SKEW, interval_seconds, master_down_seconds
from carptwist.simulation.history import Kind
from carptwist.simulation.host import Nature
from carptwist.simulation.ownership import FaultKind
from carptwist.simulation.world import World

BATCHES = 6
CLUSTERS = 25
#: How long it is watched that nothing changes any more.
WATCHED_SECONDS = 60.0
#: What timers, planes and wires take.
SLACK_SECONDS = 0.5
#: Of each member on each host: to be born, to win, to yield, and back again.
MOST_CHANGES = 4
NATURE = Nature(jitter=0.005)


class Drawn(NamedTuple):
    """A cluster: the configuration of each host, by name."""

    hosts: dict[str, Configuration]

    @property
    def vhids(self) -> list[VirtualHostConfig]:
        return [vhid for configuration in self.hosts.values() for vhid in configuration.vhids]

    @property
    def timeout(self) -> float:
        return max(master_down_seconds(vhid.advbase, vhid.advskew) for vhid in self.vhids)

    @property
    def election(self) -> float:
        return self.timeout + 3 * self.interval + SLACK_SECONDS

    @property
    def interval(self) -> float:
        return max(interval_seconds(vhid.advbase, MAX_SKEW) for vhid in self.vhids)

    @property
    def bound(self) -> float:
        return len(self.hosts) * (self.election + 5 * self.timeout)


def draw(random: Random) -> Drawn:
    """Any advskew for each member, any preempt for each host. Of two hosts one may know nothing of groups."""
    names = "abc"[: random.choice((2, 2, 3))]
    members = random.choice((2, 2, 3))
    ignorant = random.choice(names) if len(names) == 2 and random.random() < 0.5 else ""
    dialect = random.choice((Dialect.FREEBSD, Dialect.FREEBSD, Dialect.OPENBSD))
    advbase = random.choice((1, 1, 2))
    uniform = random.random() < 0.5
    hosts = {}
    for name in names:
        advskew = random.randint(0, 200)
        vhids = tuple(
            VirtualHostConfig(
                number,
                f"em{number}",
                (ip_interface(f"192.168.{number}.1/24"),),
                (Phrase(b"mekmitasdigoat"),),
                advbase=advbase,
                advskew=advskew if uniform else random.randint(0, 200),
                dialect=dialect,
                group=None if name == ignorant else "edge",
            )
            for number in range(1, members + 1)
        )
        hosts[name] = Configuration(Knobs(preempt=random.random() < 0.5), vhids)
    return Drawn(hosts)


def disturb(world: World, random: Random) -> None:
    """One thing happens."""
    host = random.choice(list(world.hosts.values()))
    interface = random.choice(list(host.wiring))
    segment = host.wiring[interface]
    match random.choice(("link", "link", "link", "divide", "crash", "restart")):
        case "link":
            carrier = host.link(interface).carrier
            host.set_carrier(interface, not carrier)
        case "divide":
            if segment.divided:
                segment.heal()
            else:
                segment.partition([[host.name]])
            world.network_changed("divided or healed")
        case "crash":
            host.crash()
        case "restart":
            host.stop() if host.running else host.start()


def run(seed: int) -> tuple[World, Drawn, float]:
    """A cluster's life. The value has the moment of the last disturbance."""
    random = Random(seed)
    drawn = draw(random)
    with World(seed) as world:
        for name, configuration in drawn.hosts.items():
            wiring = {vhid.interface: f"lan{vhid.vhid}" for vhid in configuration.vhids}
            world.add(name, configuration, wiring, NATURE)
            world.hosts[name].start()
        for _ in range(random.randint(1, 12)):
            world.run(random.choice((0.5, 3.0, 20.0)) * random.random())
            disturb(world, random)
        for host in world.hosts.values():
            host.start()
            for interface in host.wiring:
                if random.random() < 0.5:
                    host.set_carrier(interface, True)
        for segment in world.segments.values():
            segment.heal()
        world.network_changed("healed")
        last = world.now
        world.run(LONGEST_HOLD_SECONDS + 2 * drawn.bound + WATCHED_SECONDS)
        world.finish()
    return world, drawn, last


def able(world: World) -> list[str]:
    """The hosts that can carry the whole group."""
    return [name for name, host in world.hosts.items() if all(map(host.could_hold, host.configuration.vhids))]


def owners_after(world: World, moment: float) -> list[set[tuple[str, ...]]]:
    """Who owned each member, from a moment on, and longer than a handover takes."""
    return [
        {span.owners for span in record.spans if span.end > moment and span.end - span.begin > SLACK_SECONDS}
        for record in world.ownerships.values()
    ]


@pytest.mark.parametrize("batch", range(BATCHES))
def test_members_end_up_together_and_stay(batch: int) -> None:
    """Where a host can carry them all, one host does after the bound; no member is without an owner for longer than a
    timeout while somebody could serve it, or with two for longer than they take to hear one another; and there
    is an end to all changes, of which there are few."""
    for seed in range(batch * CLUSTERS, (batch + 1) * CLUSTERS):
        world, drawn, last = run(seed)
        assert world.history.of(Kind.BUG) == [], f"seed {seed}"
        changes = [each for each in world.history.of(Kind.STATE) if each.at > last]
        assert len(changes) <= MOST_CHANGES * len(drawn.vhids), f"seed {seed}: {len(changes)} changes"
        end = last + LONGEST_HOLD_SECONDS + 2 * drawn.bound
        assert [each for each in changes if each.at > end] == [], f"seed {seed}"
        for record in world.ownerships.values():
            for fault in record.faults:
                seconds = fault.end - max(fault.begin, last)
                limit = (
                    drawn.timeout + SLACK_SECONDS if fault.kind is FaultKind.OUTAGE else drawn.interval + SLACK_SECONDS
                )
                assert seconds <= limit, f"seed {seed}: {fault}"
        if able(world):
            assert all(len(each) == 1 for each in owners_after(world, end)), f"seed {seed}"
            assert len(set.union(*owners_after(world, end))) == 1, f"seed {seed}: {owners_after(world, end)}"
            split = split_after(world, last + drawn.bound)
            assert split <= drawn.election, f"seed {seed}: split for {split:.3f} s"


def split_after(world: World, moment: float) -> float:
    """For how many seconds members were on different hosts, from a moment on."""
    records = list(world.ownerships.values())
    moments = sorted({moment, *(span.begin for record in records for span in record.spans if span.begin > moment)})
    split = 0.0
    for begin, end in pairwise([*moments, world.now]):
        there = {span.owners for record in records for span in record.spans if span.begin <= begin < span.end}
        split += end - begin if len(there) > 1 else 0.0
    return split


def test_the_clusters_are_of_every_sort() -> None:
    """Hosts that know of groups and others, hosts that cannot carry it all, members that prefer different hosts."""
    lives = [run(seed) for seed in range(CLUSTERS)]
    drawn = [draw(Random(seed)) for seed in range(BATCHES * CLUSTERS)]
    assert {len(world.hosts) for world, _, _ in lives} == {2, 3}
    assert {bool(able(world)) for world, _, _ in lives} == {True, False}
    assert {vhid.group for each in drawn for vhid in each.vhids} == {None, "edge"}
    assert {configuration.knobs.preempt for each in drawn for configuration in each.hosts.values()} == {True, False}
    assert any({len(owners) for owners in owners_after(world, last)} != {1} for world, _, last in lives)
