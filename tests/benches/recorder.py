"""What the flight recorder costs: time for each advertisement, and how many hours its file holds.

Run it with ``python -m tests.benches.recorder``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_interface
from random import Random
from typing import Any

from twisted.internet.task import Clock

from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.election.state import State
from carptwist.node import Node
from carptwist.protocols.authority import Authority
from carptwist.recorder.flight import FlightRecorder
from carptwist.recorder.replayer import Replayer
from carptwist.recorder.ring import Writer, blocks, parts
from carptwist.simulation.host import Nature
from carptwist.simulation.segment import Segment
from carptwist.simulation.system import MemorySystem
from carptwist.simulation.world import World
from carptwist.wire.advertisement import frame4
from carptwist.wire.carp import Advertisement, virtual_mac
from tests.protocols.support import LINK, OTHER4

VHIDS = 10
ROUNDS = 2_000
HOURS = 1.0
MIB = 1 << 20


def configs(vhids: int, advskew: int = 100) -> tuple[VirtualHostConfig, ...]:
    return tuple(
        VirtualHostConfig(
            number, "em0", (ip_interface(f"192.0.2.{number}/24"),), (Phrase(b"mekmitasdigoat"),), advskew=advskew
        )
        for number in range(1, vhids + 1)
    )


def heard(make: Callable[[Any, MemorySystem], Node], take: Callable[[], object]) -> float:
    """Microseconds for each advertisement that a BACKUP hears."""
    clock = Clock()
    segment = Segment(clock)
    system = MemorySystem("node", clock=clock, segments={"em0": segment}, links={"em0": LINK}, random=Random(1))
    node = make(clock, system)
    node.start(configs(VHIDS))
    clock.pump([0.01] * 5)
    assert all(vhost.state is State.BACKUP for vhost in node.roster.all())
    authority, port = Authority(), system.ports[0]
    rounds = [[] for _ in range(ROUNDS)]  # type: list[list[bytes]]
    for counter, frames in enumerate(rounds):
        for vhost in node.roster.all():
            vhid = vhost.config.vhid
            digest = authority.sign(vhost.config, counter)
            advertisement = Advertisement(vhid, 0, 1, 0, counter, digest)
            frames.append(frame4(advertisement, source_mac=virtual_mac(vhid), source=OTHER4))
    taken = 0.0
    for frames in rounds:
        began = time.perf_counter()
        for frame in frames:
            port.receiver.frame_received(frame)
        taken += time.perf_counter() - began
        take()
        clock.advance(0.5)
    assert sum(vhost.received for vhost in node.roster.all()) == ROUNDS * VHIDS
    return taken / ROUNDS / VHIDS * 1e6


def plainly() -> float:
    return heard(lambda clock, system: Node(Knobs(), reactor=clock, system=system), lambda: None)


def recorded() -> tuple[float, float]:
    """The same with a recorder; and what writing takes beside it."""
    recorders: list[FlightRecorder] = []
    records: list[Any] = []

    def make(clock: Any, system: MemorySystem) -> Node:
        recorders.append(FlightRecorder(clock, system, octets=16 * MIB, host="node"))
        # Nothing is written under way: on another thread it would be.
        recorders[0]._write = lambda: None  # type: ignore[method-assign]
        return recorders[0].node(Knobs())

    taken = heard(make, lambda: records.append(recorders[0].tape.take()))
    writer = Writer(16 * MIB)
    began = time.perf_counter()
    for each in records:
        writer.pieces(each)
    return taken, (time.perf_counter() - began) / ROUNDS / VHIDS * 1e6


def room(vhids: int, *, master: bool) -> float:
    """Octets an hour of a host that is MASTER, or BACKUP, of so many vhids, beside one other."""
    with World(recorded=16 * MIB) as world:
        for name, advskew in (("a", 0), ("b", 100)):
            configuration = Configuration(Knobs(preempt=True), configs(vhids, advskew))
            world.add(name, configuration, {"em0": "lan"}, Nature(jitter=0.001)).start()
        world.run(HOURS * 3600)
        host = world.hosts["a" if master else "b"]
    began = time.perf_counter()
    found = parts(host.recording)
    outcome = Replayer().run(found)
    taken = time.perf_counter() - began
    assert outcome.difference is None
    octets = max(block.end for block in blocks(host.recording))
    print(f"  ({outcome.inputs} inputs and {outcome.decisions} decisions, replayed in {taken:.1f} s)")
    return octets / HOURS


def main() -> None:
    without = min(plainly() for _ in range(3))
    both = [recorded() for _ in range(3)]
    with_it, writing = min(each[0] for each in both), min(each[1] for each in both)
    print(f"hearing an advertisement as BACKUP: {without:.2f} us; recorded: {with_it:.2f} us")
    print(f"writing it, on the other thread: {writing:.2f} us")
    for vhids in (1, VHIDS):
        for master in (True, False):
            octets = room(vhids, master=master)
            what = "MASTER" if master else "BACKUP"
            hours = 14 * MIB / octets  # an eighth is being written over
            print(f"{what} of {vhids} vhids: {octets / 1024:.0f} KiB an hour: 16 MiB hold {hours:.0f} hours at least")


if __name__ == "__main__":
    main()
