"""What it costs to remember counters: time for each advertisement, room for a million, and for 255 virtual hosts."""

from __future__ import annotations

import random
import time
from pathlib import Path

from carptwist.election import record
from carptwist.election.memory import MOST_CELLS, Room, fair_share
from carptwist.election.replay import Replay, Verdict

SOURCE = b"\xc0\x00\x02\x03"


def resident() -> float:
    """MiB of this process."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def judged(replay: Replay, counters: list[int], expected: Verdict) -> float:
    """Microseconds for each."""
    began = time.perf_counter()
    for counter in counters:
        assert replay.judge(SOURCE, counter, True) is expected
    return (time.perf_counter() - began) / len(counters) * 1e6


def main() -> None:
    chance = random.Random(1)
    replay = Replay()
    counters = [chance.getrandbits(64) for _ in range(MOST_CELLS * 7 // 8)]
    print(f"judging {len(counters)} random counters, each new: {judged(replay, counters, Verdict.NEW):.1f} us")
    chance.shuffle(counters)
    print(f"judging replays of them: {judged(replay, counters[:100_000], Verdict.REPLAYED):.1f} us")
    began = time.perf_counter()
    whole = record.snapshot(replay)
    print(f"a snapshot of them, on the reactor's thread: {(time.perf_counter() - began) * 1e3:.1f} ms")
    began = time.perf_counter()
    octets = whole()
    print(f"and on another: {(time.perf_counter() - began) * 1e3:.0f} ms, {len(octets)} octets")
    began = time.perf_counter()
    record.restore(Replay(), record.read(octets))
    print(f"reading it: {(time.perf_counter() - began) * 1e3:.0f} ms")
    del counters, octets, replay
    before = resident()
    share = fair_share(255)
    every = [Replay(Room(share)) for _ in range(255)]
    for each in every:
        for _ in range(2 * share):
            each.memory.add(chance.getrandbits(64))
    print(f"255 virtual hosts, each full with {share} cells: {resident() - before:.0f} MiB")


if __name__ == "__main__":
    main()
