"""Drawn schedules on real daemons: ``make soak LAB=1``, or ``python -m tests.lab.soak``.

Twenty seconds each. It runs until it is interrupted, or has performed or taken as much as it was told to. Exit code 0:
nothing was broken.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence

from carptwist.simulation.breaker import draw_tangible, trial
from tests.lab.ordeal import Ordeal


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, help="the first one; a random one unless given")
    parser.add_argument("--schedules", type=int, metavar="N", help="no end unless given")
    parser.add_argument("--minutes", type=float, metavar="N", default=float("inf"))
    options = parser.parse_args(argv)
    seed = options.seed if options.seed is not None else secrets.randbelow(10**9)
    began = time.monotonic()
    performed, broken = 0, []
    try:
        while performed != options.schedules and time.monotonic() - began < options.minutes * 60:
            schedule = draw_tangible(seed)
            ordeal = Ordeal(schedule)
            offences = ordeal.perform()
            performed += 1
            happened = "; ".join(f"{each.at:.1f} s: {each.text}" for each in schedule.failures)
            print(
                f"seed {seed}, {len(schedule.parts)} hosts: {happened}; together for {ordeal.longest_together:.3f} s "
                f"at most, one owner {ordeal.healed_after:.1f} s after the healing",
                flush=True,
            )
            if offences:
                broken.append(seed)
                print("\n".join(["BROKEN", *offences]), flush=True)
                print(f"in the simulation: {trial(schedule) or 'nothing is broken'}", flush=True)
            seed += 1
    except KeyboardInterrupt:
        print()
    print(f"{performed} schedules performed; broken: {', '.join(map(str, broken)) or 'nothing'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
