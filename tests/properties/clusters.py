"""Clusters of simulated hosts, drawn at random, and what the protocol promises about each of them.

The bound that is promised here follows from the configuration alone, with the numbers of one vhid on one LAN:

- ``T``, the longest master-down timeout of its nodes: 3 x advbase + advskew/256 s;
- ``I``, the longest advertisement interval: advbase + effective advskew/256 s, of which at most ``k`` in a row are lost
  between two nodes. ``k`` is such that no timeout is shorter than ``k + 1`` intervals.

From the moment on at which all nodes reach one another, a master is there after ``T`` at the latest. Any two masters
hear one another within ``(k + 1) I``, and one of them yields; a preempting backup hears a slower master within
the same time, and takes over; whoever is slower than that one yields in turn. So ``T + 3 (k + 1) I`` is enough,
unless two nodes advertise equally often: such a pair yields both when both are MASTER, and has to wait for its
timeouts. Where these differ that is one more round of ``T + (k + 1) I``. Where they do not, chance decides, as among
kernels: two nodes collide again only if their timers fire within the time that a frame takes (0.1 ms here, while timers
are late by up to 5 ms), and each further round has the same small chance. ``TIE_ROUNDS`` of them are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_interface
from random import Random

from carptwist.config.schema import Configuration, Dialect, Knobs, Phrase, VirtualHostConfig
from carptwist.election.precedence import effective_advskew, interval_seconds, master_down_seconds
from carptwist.simulation.segment import Segment
from carptwist.wire.advertisement import Heard, read

#: How long two nodes that are set up alike in every respect may go on yielding to one another.
TIE_ROUNDS = 12
#: What timers, planes and wires take, on top of what the configuration says.
SLACK_SECONDS = 0.1

#: How late timers are at most. Two nodes that are alike have to differ by more than a frame takes to agree at all.
JITTER_SECONDS = 0.005
HOST_NAMES = "abcdefgh"

PHRASE = (Phrase(b"mekmitasdigoat"),)


@dataclass(frozen=True)
class Member:
    """One host of a cluster."""

    name: str
    configuration: Configuration
    demotion: int
    starts: float


@dataclass(frozen=True)
class Cluster:
    """Hosts that share vhids on one LAN. ``losses``: how many advertisements in a row may be lost, by vhid."""

    members: tuple[Member, ...]
    losses: dict[int, int]

    def configs(self, vhid: int) -> list[tuple[Member, VirtualHostConfig]]:
        return [
            (member, config) for member in self.members for config in member.configuration.vhids if config.vhid == vhid
        ]

    @property
    def vhids(self) -> list[int]:
        return sorted({config.vhid for member in self.members for config in member.configuration.vhids})

    def bound(self, vhid: int) -> float:
        """Seconds until there is exactly one MASTER, from when all nodes run and reach one another."""
        there = self.configs(vhid)
        timeouts = [timeout(config) for _, config in there]
        intervals = [interval(member, config) for member, config in there]
        if any(config.advbase == 0 for _, config in there):
            # Whoever is slower has three of its own intervals.
            timeouts += [3 * each for each in intervals]
        hearing = (self.losses[vhid] + 1) * max(intervals)
        rounds = 0
        for at, (member, config) in enumerate(there):
            for other, other_config in there[:at]:
                if ranks(member, config) == ranks(other, other_config):
                    alike = abs(timeout(config) - timeout(other_config)) < SLACK_SECONDS
                    rounds = max(rounds, TIE_ROUNDS if alike else 1)
        return max(timeouts) + 3 * hearing + rounds * (max(timeouts) + hearing) + SLACK_SECONDS


def timeout(config: VirtualHostConfig) -> float:
    """The master-down timeout by a node's own settings, undemoted."""
    return master_down_seconds(config.advbase, config.advskew)


def interval(member: Member, config: VirtualHostConfig) -> float:
    if config.dialect is Dialect.OPENBSD:
        return interval_seconds(config.advbase, config.advskew)
    return interval_seconds(config.advbase, effective_advskew(config.advskew, member.demotion))


def ranks(member: Member, config: VirtualHostConfig) -> tuple[int, float]:
    counts = config.dialect is Dialect.OPENBSD
    return max(0, min(255, member.demotion)) if counts else 0, interval(member, config)


def draw(random: Random) -> Cluster:
    """A cluster: 1 to 8 hosts, 1 to 3 vhids, any advskew, preempt, demotion, families, dialects and times of starting.

    What is alike in all hosts, as the protocol wants it: advbase, addresses, pass phrase. advbase 0 goes with the
    dialect freebsd (OpenBSD's own rules do not converge with it), and an advskew of at least 8, which is an interval of
    31 ms, six times the lateness of timers.
    """
    flavour = random.choice(("freebsd", "freebsd", "openbsd", "ucarp", "mixed"))
    vhids = [_a_vhid(random, number, flavour) for number in range(1, random.randint(1, 3) + 1)]
    alike = random.random() < 0.5
    members = tuple(
        Member(
            name,
            Configuration(
                Knobs(preempt=random.random() < 0.5),
                tuple(_as_host_has_it(random, shared, flavour, alike) for shared in vhids),
            ),
            random.choice((0, 0, -1, 1, 240, -300, random.randint(-300, 300))),
            random.choice((0.0, 0.0, random.uniform(0, 5))),
        )
        for name in HOST_NAMES[: random.randint(1, len(HOST_NAMES))]
    )
    losses: dict[int, int] = {}
    cluster = Cluster(members, losses)
    for vhid in cluster.vhids:
        losses[vhid] = random.randint(0, _most_losses(cluster, vhid))
    return cluster


def _a_vhid(random: Random, number: int, flavour: str) -> VirtualHostConfig:
    families = "4" if flavour == "ucarp" else random.choice(("4", "6", "46"))
    addresses = [f"192.0.2.{number}/24"] * ("4" in families) + [f"2001:db8::{number}/64"] * ("6" in families)
    advbase = random.choice((0, 1, 1, 1, 2, 3) if flavour == "freebsd" else (1, 1, 1, 2, 3))
    return VirtualHostConfig(number, "em0", tuple(map(ip_interface, addresses)), PHRASE, advbase=advbase)


def _as_host_has_it(random: Random, shared: VirtualHostConfig, flavour: str, alike: bool) -> VirtualHostConfig:
    least = 0 if shared.advbase else 8
    dialects = {"mixed": (Dialect.FREEBSD, Dialect.OPENBSD), "ucarp": (Dialect.FREEBSD, Dialect.UCARP)}
    return replace(
        shared,
        advskew=random.choice((least, 100)) if alike else random.randint(least, 254),
        dialect=random.choice(dialects.get(flavour) or (Dialect(flavour),)),
    )


def _most_losses(cluster: Cluster, vhid: int) -> int:
    """How many advertisements in a row may be lost, so that no timeout fires beside a living master."""
    there = cluster.configs(vhid)
    longest = max(interval(member, config) for member, config in there)
    shortest = min(3 * longest if config.advbase == 0 else timeout(config) for _, config in there)
    most = 0
    while (most + 2) * longest + SLACK_SECONDS < shortest:
        most += 1
    return most


def lose(segment: Segment, cluster: Cluster, random: Random) -> None:
    """From now on most advertisements are lost, but between two stations never more in a row than the cluster bears."""
    lost: dict[tuple[str, str, int, int], int] = {}

    def swallows(sender: str, receiver: str, frame: bytes) -> bool:
        heard = read(frame)
        if not isinstance(heard, Heard):
            return False
        vhid = heard.advertisement.vhid
        path = (sender, receiver, vhid, heard.family)
        if lost.get(path, 0) < cluster.losses[vhid] and random.random() < 0.6:
            lost[path] = lost.get(path, 0) + 1
            return True
        lost[path] = 0
        return False

    segment.swallows = swallows
