"""How much faster than real time the simulation runs: ``python -m tests.benches.simulate``.

Ten hosts share ten vhids on one LAN, each with an IPv4 address: 90 advertisements are heard a second. The goal is a
thousand times real time with the default settings. Replays are remembered in a simulation only with replay = enforce.
"""

from __future__ import annotations

import time
from ipaddress import ip_interface

from carptwist.config.schema import Configuration, Knobs, Phrase, ReplayMode, VirtualHostConfig
from carptwist.simulation.host import Nature
from carptwist.simulation.world import World

HOSTS = 10
VHIDS = 10
SECONDS = 1000.0
GOAL = 1000.0
#: As carptwist simulate makes them: what decides nothing is left out.
NATURE = Nature(observes=False)


def configuration(advskew: int, replay: ReplayMode) -> Configuration:
    """Every vhid with one address, the virtual MAC, and the default advbase of 1 s."""
    vhids = (
        VirtualHostConfig(
            number,
            "em0",
            (ip_interface(f"192.0.2.{number}/24"),),
            (Phrase(b"mekmitasdigoat"),),
            advskew=advskew,
            replay=replay,
        )
        for number in range(1, VHIDS + 1)
    )
    return Configuration(Knobs(preempt=True), tuple(vhids))


def measure(replay: ReplayMode) -> tuple[float, int]:
    """Simulated seconds per second of the processor, once there are masters; and how many calls were made."""
    with World(1) as world:
        for number in range(HOSTS):
            world.add(f"h{number}", configuration(20 * number, replay), {"em0": "lan"}, NATURE).start()
        world.run(10)
        made = world.timeline.made
        began = time.process_time()
        world.run(SECONDS)
        took = time.process_time() - began
        owners = {ownership.owners for ownership in world.ownerships.values()}
    if owners != {("h0",)}:
        raise SystemExit(f"there should be one master of all, and not {owners}")
    return SECONDS / took, world.timeline.made - made


def main() -> None:
    print(f"{HOSTS} hosts x {VHIDS} vhids, {SECONDS:g} s, goal: {GOAL:g} times real time (of one processor)")
    for replay in (ReplayMode.OBSERVE, ReplayMode.ENFORCE):
        speed, made = max(measure(replay) for _ in range(3))
        print(f"  replay = {replay.value:<8} {speed:6.0f} times real time, {made:,} calls")


if __name__ == "__main__":
    main()
