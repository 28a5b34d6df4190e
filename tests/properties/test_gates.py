"""Programs behind gates on hosts that are killed, stopped, stalled, cut off and healed: no two of them run at a time.

::

    world: daemons of the real code, one segment            each host: a Gate of the real code, told of leases
      start, stop, kill, crash, stall, resume,      ----->  some milliseconds later, as over a socket; what it
      partition, deafen one way, heal,                      gates takes its time to stop
      at random moments

The one exception is the split: hosts that live and do not hear one another, or one the other, are MASTER each, and so
for a moment after the healing: until an advertisement has come through, or, where the daemon of one stands still, until
its lease has run out. In a split of three a host that hears both masters, and would rather have the slower one's place,
takes it, and yields to the faster one's next advertisement. A gate that opens at once is open for so long on two hosts
that hear one another, while the third is apart; one that settles for longer than an interval is not.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from random import Random

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.config.values import address
from carptwist.integration import endpoint, gated
from carptwist.integration.client import CarpClient
from carptwist.integration.gate import Gate
from carptwist.node import Node
from carptwist.simulation.host import Nature, SimulatedHost
from carptwist.simulation.segment import Segment
from carptwist.simulation.world import World
from carptwist.vhost.tenants import Lease

BATCHES = 5
SCHEDULES = 150
SECONDS = 40.0
MOST_EVENTS = 12
#: Between two advertisements of the slowest host that there is here.
INTERVAL_SECONDS = 1 + 220 / 256
#: Until an advertisement has come through, or, where daemons stand still, until a lease has run out; and word of it.
HEALING_SECONDS = {False: INTERVAL_SECONDS + 0.05, True: 2.8}
#: A socket and two reactors.
WORD_SECONDS = (0.0005, 0.01)


def no_client() -> CarpClient:
    """The gate is told of leases by the test."""
    raise AssertionError


class Program:
    """A program on one host, which lives as long as the host has power. ``runs`` is what must be so on one host
    alone."""

    patience_seconds = 2.0

    def __init__(self, world: World, host: SimulatedHost, random: Random, *, settle: float, stopping: float) -> None:
        self.host = host
        self.runs = False
        self.starts = 0
        self._timeline = world.timeline
        self._random = random
        self._stopping = stopping
        self._node: Node | None = None
        self._gate = self._a_gate(settle)
        self._settle = settle

    def _a_gate(self, settle: float) -> Gate:
        return Gate(
            "1@em0",
            self,
            client=no_client,
            clock=self._timeline,
            settle_seconds=settle,
            patience_seconds=self.patience_seconds,
            boottime=self._timeline.seconds,
        )

    # What is gated

    def opened(self) -> None:
        self.runs = True
        self.starts += 1

    def closed(self) -> Deferred[None]:
        return deferLater(self._timeline, self._random.uniform(0, self._stopping), self._stopped, self._gate)

    def _stopped(self, gate: Gate) -> None:
        if gate is self._gate:
            self.runs = False

    # The daemon, at the other end of a socket

    def look(self) -> None:
        """A daemon that was there is gone, or another one is there."""
        if self.host.node is self._node:
            return
        self._node = self.host.node
        self._pass_on(self._gate, None)
        if self._node is not None:
            self._node.roster.tenants("1@em0").attend(self)

    def told(self, lease: Lease | None) -> Deferred[None]:
        if lease is not None:
            assert self.host.clock is not None
            shift = self._timeline.now - self.host.clock.seconds()
            lease = Lease(lease.since + shift, lease.until + shift)
        return self._pass_on(self._gate, lease)

    def _pass_on(self, gate: Gate, lease: Lease | None) -> Deferred[None]:
        def arrive() -> Deferred[None]:
            return gate.told(lease) if gate is self._gate else succeed(None)

        # One socket: what is said later does not arrive earlier.
        word = max(self._random.uniform(*WORD_SECONDS), self._arrives - self._timeline.now)
        self._arrives = self._timeline.now + word
        return deferLater(self._timeline, word, arrive)

    _arrives = 0.0

    def lose_power(self) -> None:
        """All is gone, and begins anew with the host."""
        former, self._gate = self._gate, self._a_gate(self._settle)
        former.told(None)
        self.runs = False
        self._node = None


class Schedule:
    """One seed: two or three hosts, and what happens to them."""

    def __init__(self, seed: int, *, settle: float, stopping: float, stalls: bool) -> None:
        self.at_once = settle < 1
        self.grace = HEALING_SECONDS[stalls] + stopping
        self.random = Random(seed)
        self.world = World(seed)
        self.happened: list[str] = []
        self.orders: Counter[str] = Counter()
        names = "abc"[: self.random.randint(2, 3)]
        skews = self.random.sample(range(0, 240, 20), len(names))
        knobs = Knobs(preempt=self.random.random() < 0.7)
        for name, skew in zip(names, skews, strict=True):
            vhid = VirtualHostConfig(1, "em0", (address("192.0.2.1/24"),), (Phrase(b"secret"),), advskew=skew)
            self.world.add(
                name, Configuration(knobs, (vhid,)), {"em0": "lan"}, Nature(offset=self.random.uniform(0, 9))
            )
        self.lan: Segment = self.world.segment("lan")
        self.programs = [
            Program(self.world, host, self.random, settle=settle, stopping=stopping)
            for host in self.world.hosts.values()
        ]
        self.healed = dict.fromkeys(combinations(names, 2), -self.grace)
        self.began: dict[tuple[str, ...], float] = {}  # when pairs that hear one another began to run both
        self.trouble: str | None = None
        kinds = ["start", "start", "stop", "kill", "crash", "divide", "deafen", "heal"] + ["stall", "resume"] * stalls
        for host in self.world.hosts.values():
            self.world.timeline.callLater(self.random.uniform(0, 4), host.start)
        for _ in range(self.random.randint(2, MOST_EVENTS)):
            moment = self.random.uniform(5, SECONDS - 5)
            self.world.timeline.callLater(moment, self.happen, self.random.choice(kinds))

    def happen(self, kind: str) -> None:
        """Something, to somebody."""
        program = self.random.choice(self.programs)
        host = program.host
        self.orders[kind] += 1
        self.happened.append(f"{self.world.now:.3f} {kind} {host.name}")
        if kind == "divide":
            away = host.name
            self.lan.partition([[away], [name for name in self.world.hosts if name != away]])
            self.world.network_changed("divided")
        elif kind == "deafen":
            other = self.random.choice([name for name in self.world.hosts if name != host.name])
            self.lan.blocked.add((other, host.name))
            self.happened[-1] += f" to {other}"
            self.world.network_changed("divided")
        elif kind == "heal":
            self.lan.heal()
            self.world.network_changed("healed")
        elif kind == "crash":
            host.crash()
            program.lose_power()
        else:
            getattr(host, kind)()

    def watch(self) -> None:
        """After each event."""
        now = self.world.now
        for program in self.programs:
            program.look()
        for pair in self.healed:
            if not (self.lan.connects(*pair) and self.lan.connects(*reversed(pair))):
                self.healed[pair] = now
        running = [program.host.name for program in self.programs if program.runs]
        both = [pair for pair in combinations(running, 2) if now - self.healed[pair] >= self.grace]
        self.began = {pair: self.began.get(pair, now) for pair in both}
        for pair, began in self.began.items():
            # A third one is apart, and a gate that opens at once is open until the next advertisement of the faster.
            is_excused = self.at_once and now - max(self.healed.values()) < self.grace and now - began < self.grace
            if not is_excused and self.trouble is None:
                self.trouble = f"{now:.3f} {' and '.join(pair)} both run, since {began:.3f}"

    def play(self) -> None:
        """To the end."""
        with self.world:
            self.world.run(SECONDS, self.watch)


def play(seeds: range, *, settle: float, stopping: float, stalls: bool) -> None:
    orders: Counter[str] = Counter()
    starts = 0
    for seed in seeds:
        schedule = Schedule(seed, settle=settle, stopping=stopping, stalls=stalls)
        schedule.play()
        assert schedule.trouble is None, "\n".join([f"seed {seed}: {schedule.trouble}", *schedule.happened])
        orders += schedule.orders
        starts += sum(program.starts for program in schedule.programs)
    # Whether anything was tried at all.
    assert min(orders.values()) > 10
    assert starts > len(seeds)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_gated_services_run_on_one_host(batch: int) -> None:
    """With the settling that CarpGatedService has by default, and children that take up to a second to stop; daemons
    hang as well."""
    seeds = range(batch * SCHEDULES, (batch + 1) * SCHEDULES)
    play(seeds, settle=gated.SETTLE_SECONDS, stopping=1.0, stalls=True)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_servers_listen_on_one_host(batch: int) -> None:
    """With the settling that the endpoint has by default; a port is closed at once. Daemons hang in every other batch:
    where none does, a split ends with the next advertisement."""
    seeds = range(batch * SCHEDULES, (batch + 1) * SCHEDULES)
    play(seeds, settle=endpoint.SETTLE_SECONDS, stopping=0.0, stalls=batch % 2 == 1)


def test_without_settling_there_would_be_two() -> None:
    """The schedules would show it."""
    with pytest.raises(AssertionError, match="both run"):
        play(range(SCHEDULES), settle=0.0, stopping=1.0, stalls=True)
