"""Replays are refused, and honest hosts lose nothing by it.

Ten thousand cold starts, restarts, crashes, partitions and heals in groups of FreeBSD-like kernels and of nodes with
``replay = enforce``. Two rules are held after each of them:

- *in time*: wherever a host is without a master, one of those that are there takes over within its own timeout, counted
  from the moment of the trouble: not one takeover is lost, and none is late;
- *one master*: at most ``ONE_MASTER_SECONDS`` later there is exactly one on each side, and it stays so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from carptwist.election.state import State
from tests.properties.group import Host, Kernel, Lan, Ours, both_families, run

DISTURBANCES = 10_000
IN_A_GROUP = 8
SKEWS = (0, 20, 60, 100, 160, 230)
#: A timeout of 3.9 s, for a host that refuses what a kernel has gone back to; then the interval of each of two hosts.
ONE_MASTER_SECONDS = 3.9 + 2 * 1.9
WATCHED_SECONDS = 3.0
#: What a frame takes, and the clock's rounding.
GRACE_SECONDS = 0.01


class Group:
    """Some hosts, and what happens to them."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        self.clock = Clock()
        self.lan = Lan(self.clock, chance)
        addresses = both_families(chance.random() < 0.4)
        kinds = chance.choice(([Kernel, Ours], [Kernel, Kernel, Ours], [Kernel, Ours, Ours], [Ours, Ours]))
        skews = chance.sample(SKEWS, len(kinds))
        self.preempt = chance.random() < 0.7
        self.hosts = [
            kind(name, self.lan, number, addresses, skew)
            for number, (name, kind, skew) in enumerate(zip("abc", kinds, skews, strict=False), 2)
        ]
        self.story: list[str] = []

    def __repr__(self) -> str:
        return "; ".join(self.story)

    @property
    def refused(self) -> int:
        for host in self.hosts:
            if host.alive:
                host.crash()
        return sum(host.refused for host in self.hosts if isinstance(host, Ours))

    def sides(self) -> Iterator[list[Host]]:
        """The hosts that are alive, by who hears whom."""
        for apart in (False, True):
            side = [host for host in self.hosts if host.alive and (host.name in self.lan.apart) is apart]
            if side:
                yield side

    # What may happen

    def cold_start(self) -> None:
        """All of them, within a few seconds; some have been here before."""
        for host in self.hosts:
            if host.alive:
                host.crash()
        for host in self.chance.sample(self.hosts, len(self.hosts)):
            self._start(host)
            run(self.clock, self.chance.choice((0.0, 0.0, 0.3, 1.0, 4.0)))

    def restart(self) -> None:
        """One ends, in good order or not, and comes back at once or after a while."""
        alive = [host for host in self.hosts if host.alive]
        host = self.chance.choice(alive)
        if isinstance(host, Ours) and self.chance.random() < 0.5:
            host.stop()
        else:
            host.crash()
        run(self.clock, self.chance.choice((0.0, 0.5, 2.0, 6.0)))
        self._start(host)

    def crash(self) -> None:
        """One that is alive dies, most often the master; and there is another one left."""
        alive = [host for host in self.hosts if host.alive]
        if len(alive) < 2:
            return self.revive()
        masters = [host for host in alive if host.state is State.MASTER]
        return self.chance.choice(masters if masters and self.chance.random() < 0.8 else alive).crash()

    def revive(self) -> None:
        """All that are dead come back."""
        for host in self.hosts:
            if not host.alive:
                self._start(host)

    def part(self) -> None:
        """Some no longer hear the others; often for so long that both sides use the same counters."""
        names = [host.name for host in self.hosts]
        self.lan.apart = set(self.chance.sample(names, self.chance.randrange(1, len(names))))
        if self.chance.random() < 0.3:
            run(self.clock, self.chance.uniform(5.0, 30.0))

    def heal(self) -> None:
        self.lan.apart = set()

    def lose(self) -> None:
        """Frames are lost for a while, and some then hear of what others have missed."""
        self.lan.loss = self.chance.choice((0.1, 0.3, 0.6))
        run(self.clock, self.chance.uniform(2.0, 10.0))
        self.lan.loss = 0.0

    def _start(self, host: Host) -> None:
        if isinstance(host, Ours) and self.chance.random() < 0.2:
            host.notebooks.clear()
        host.start(self.preempt)

    def disturb(self) -> None:
        """One of them, and no longer a settled group when this returns."""
        happening = self.chance.choice(
            (self.cold_start, self.restart, self.crash, self.crash, self.revive, self.part, self.heal, self.lose)
        )
        self.story.append(f"{self.clock.seconds():.2f} {happening.__name__}")
        happening()

    # What must hold

    def check_in_time(self) -> None:
        """Every side has a master when the most patient of its hosts has lost its patience; time passes meanwhile."""
        began = self.clock.seconds()
        waiting = [side for side in self.sides() if not any(host.state is State.MASTER for host in side)]
        for side in sorted(waiting, key=_patience):
            due = began + _patience(side) + GRACE_SECONDS
            run(self.clock, max(0.0, due - self.clock.seconds()))
            states = {host.name: host.state.value for host in side}
            assert "MASTER" in states.values(), f"{self!r}: nobody has taken over: {states}"

    def check_one_master(self) -> None:
        """From the bound on, on each side; time passes meanwhile."""
        until = self.clock.seconds() + WATCHED_SECONDS
        while self.clock.seconds() < until:
            for side in self.sides():
                masters = [host.name for host in side if host.state is State.MASTER]
                assert len(masters) == 1, f"{self!r}: at {self.clock.seconds():.2f} masters are {masters}"
            run(self.clock, 0.2)


def _patience(side: list[Host]) -> float:
    """The shortest timeout of some hosts: each had heard the last master by the moment at which it was gone."""
    return min(3 + host.skew / 256 for host in side)


@pytest.mark.parametrize("part", range(10))
def test_honest_hosts_lose_no_takeover(part: int) -> None:
    """Not one of a thousand disturbances, a tenth of all."""
    refused = 0
    groups = DISTURBANCES // 10 // IN_A_GROUP
    for number in range(groups):
        group = Group(part * groups + number)
        group.story.append("0.00 cold_start")
        group.cold_start()
        for _ in range(IN_A_GROUP):
            began = group.clock.seconds()
            group.check_in_time()
            run(group.clock, max(0.0, began + ONE_MASTER_SECONDS - group.clock.seconds()))
            group.check_one_master()
            group.disturb()
        refused += group.refused
    # What was held was held against refusals: the kernels' counters do repeat.
    assert refused > 10


def test_a_restart_does_not_forget() -> None:
    """What was heard a second before the end is known in the next life: its replays hold nobody down."""
    clock = Clock()
    lan = Lan(clock, random.Random(1))
    kernel = Kernel("k", lan, 2, both_families(True), 0)
    ours = Ours("o", lan, 3, both_families(True), 100)
    kernel.start(True)
    ours.start(True)
    run(clock, 100)
    assert (kernel.state, ours.state) == (State.MASTER, State.BACKUP)
    kernel.crash()
    last_words = [frame for sender, frame in lan.record if sender == "k"]
    run(clock, 1.5)
    ours.crash()
    ours.start(True)
    assert len(last_words) > 150
    for count, frame in enumerate(last_words):
        lan.send("attacker", frame)
        run(clock, 0.5)
        assert (ours.state is State.MASTER) == (count >= 6), count
    assert ours.vhost.refusals == {"replay": len(last_words)}


def test_a_restart_without_its_notebook_does() -> None:
    """The same attack, the memory lost: it shows what the notebook is for."""
    clock = Clock()
    lan = Lan(clock, random.Random(1))
    kernel = Kernel("k", lan, 2, both_families(True), 0)
    ours = Ours("o", lan, 3, both_families(True), 100)
    kernel.start(True)
    ours.start(True)
    run(clock, 100)
    kernel.crash()
    ours.crash()
    ours.notebooks.clear()
    ours.start(True)
    for sender, frame in list(lan.record):
        if sender == "k":
            lan.send("attacker", frame)
            run(clock, 0.5)
            assert ours.state is State.BACKUP


def test_a_vhid_that_is_removed_and_added_again_does_not_forget() -> None:
    """A change of the plane does that; and nothing that was heard until the last moment is lost."""
    clock = Clock()
    lan = Lan(clock, random.Random(1))
    kernel, ours = Kernel("k", lan, 2, both_families(False), 0), Ours("o", lan, 3, both_families(False), 100)
    kernel.start(True)
    ours.start(True)
    run(clock, 20.5)
    kernel.crash()
    config = ours.vhost.config
    removing = ours.node.remove(config.name)
    run(clock, 0.01)
    assert removing.called
    ours.node.add(config)
    said = [frame for sender, frame in lan.record if sender == "k"]
    for frame in said:
        lan.send("attacker", frame)
    run(clock, 1)
    assert ours.vhost.refusals == {"replay": len(said)}
    assert ours.vhost.obstacles == ()


def test_masters_that_refuse_one_another() -> None:
    """Each is about to say what the other one has heard long ago, for minutes: one refusal, and they understand one
    another."""
    clock = Clock()
    lan = Lan(clock, random.Random(1))
    one, other = Ours("a", lan, 2, both_families(False), 0), Ours("b", lan, 3, both_families(False), 100)
    lan.apart = {"a"}
    for host in (one, other):
        host.start(True)
    run(clock, 10)
    assert (one.state, other.state) == (State.MASTER, State.MASTER)
    for host, known, following in ((one, 5000, 9000), (other, 9000, 5000)):
        for counter in range(known, known + 500):
            host.vhost.replay.judge(b"\xc0\0\2\7", counter, True)
        host.vhost.counter.heard(following - 1)
    lan.apart = set()
    run(clock, 3.5)
    assert (one.state, other.state) == (State.MASTER, State.BACKUP)
    assert one.vhost.refusals.keys() | other.vhost.refusals.keys() == {"replay"}
