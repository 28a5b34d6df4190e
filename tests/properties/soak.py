"""The breaker without an end: ``make soak``, or ``python -m tests.properties.soak``.

::

    seed, seed + 1, ... --> a schedule of failures, a schedule with an attacker --> broken?
                                                                                      |
                             tests/data/scenarios/RULE-SEED.toml <--- shrunk <--------+
                                         |
                                         +--> test_kept.py fails until it is mended, and holds it ever after

It runs until it is interrupted, or has played or taken as much as it was told to. One scenario is kept of each rule
that is broken; more of the same are counted. Exit code 0: nothing was broken.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from carptwist.simulation.breaker import Breakage, Schedule, complete, draw, draw_assault, shrink, trial
from carptwist.simulation.library import load_scenario
from carptwist.simulation.stage import play
from carptwist.simulation.writing import written

#: Where test_kept.py looks for them.
KEPT = Path(__file__).parents[1] / "data" / "scenarios"
PROGRESS_SECONDS = 30.0

SORTS: dict[str, Callable[[int], Schedule]] = {"failures": draw, "assaults": draw_assault}


class Soak:
    """Plays schedules, and keeps what breaks.

    :param kept: the directory for the scenario files.
    :param say: is given each line that there is to tell.
    """

    def __init__(
        self, kept: Path, say: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.played: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self._kept = kept
        self._say = say
        self._clock = clock

    def run(self, schedules: Iterator[tuple[str, int]], limit: float = float("inf")) -> None:
        """Play them all, or for ``limit`` seconds."""
        began = told = self._clock()
        for sort, seed in schedules:
            schedule = SORTS[sort](seed)
            violation = trial(schedule)
            self.played[sort] += 1
            if violation is not None:
                self._found(sort, Breakage(schedule, violation))
            now = self._clock()
            if now - began >= limit:
                return
            if now - told >= PROGRESS_SECONDS:
                told = now
                self._say(f"{self}, up to seed {seed}, in {now - began:.0f} s")

    def __str__(self) -> str:
        played = ", ".join(f"{number} schedules of {sort}" for sort, number in sorted(self.played.items()))
        broken = ", ".join(f"{rule} ({number})" for rule, number in self.broken.items())
        return f"{played or 'nothing'} played; broken: {broken or 'nothing'}"

    def _found(self, sort: str, breakage: Breakage) -> None:
        rule = breakage.violation.rule
        self.broken[rule] += 1
        if self.broken[rule] > 1:
            return
        seed = breakage.schedule.seed
        self._say(f"broken by seed {seed} of {sort}: {breakage.violation}; shrinking")
        small = shrink(breakage)
        self._kept.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^a-z]+", "-", rule.lower()).strip("-")
        path = self._kept / f"{name}-{sort}-{seed}.toml"
        path.write_text(written(complete(small.schedule), f"{small.violation}\nFrom seed {seed} of {sort}."))
        for each in small.schedule.failures:
            self._say(f"    {each.at:.3f} s: {each.text}")
        shown = [violation.rule for violation in play(load_scenario(path), inspect=True).violations]
        self._say(f"  kept as {path}")
        if shown != [rule]:
            self._say(f"  but the file itself shows {shown or 'nothing'}: look at the seed instead")
        self._say(f"  look at it:  carptwist simulate --inspect {path}")
        self._say("  it fails:    python -m pytest tests/properties/test_kept.py, until it is mended")
        self._say("  then say in its first line what it was, and commit it with the mend")


def endless(sorts: Sequence[str], seed: int, schedules: int | None) -> Iterator[tuple[str, int]]:
    """One seed after the other, each for every sort; ``schedules`` of each sort at most."""
    last = None if schedules is None else seed + schedules
    while seed != last:
        yield from ((sort, seed) for sort in sorts)
        seed += 1


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.properties.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="the first one; a random one unless given")
    parser.add_argument("--schedules", type=int, metavar="N", help="of each sort; no end unless given")
    parser.add_argument("--minutes", type=float, metavar="N", default=float("inf"))
    parser.add_argument("--sort", choices=tuple(SORTS), action="append", help="both unless given")
    options = parser.parse_args(argv)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**9)
    print(f"from seed {seed} on", flush=True)
    soak = Soak(KEPT, lambda line: print(line, flush=True))
    try:
        soak.run(endless(options.sort or list(SORTS), seed, options.schedules), options.minutes * 60)
    except KeyboardInterrupt:
        print()
    print(soak)
    return 1 if soak.broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
