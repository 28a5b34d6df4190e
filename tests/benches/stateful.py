"""Ten runs of ``carptwist lab demo --stateful``: a TCP transfer through two routers, one of which loses its power.

Run as ``python -m tests.benches.stateful [--runs N]``; it needs conntrackd and nft, and 30 s a run. Each run is a lab
of its own. Exit code 0 only if every transfer was complete and in order, and each master that came back in sync first.
"""

from __future__ import annotations

import argparse
import io
import sys

from carptwist.lab.namespaces import LabError, enclosed
from carptwist.lab.stateful import demonstrate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    return enclosed(lambda: repeat(parser.parse_args().runs))


def repeat(runs: int) -> int:
    good = 0
    print("run  power lost: address silent, transfer stood  daemon killed: transfer stood      octets")
    for number in range(1, runs + 1):
        story = io.StringIO()
        try:
            report = demonstrate(story)
        except LabError as error:
            print(f"{number:3}  FAILED: {error}\n{story.getvalue()}")
            continue
        good += report.good
        death, _, killed, _ = report.steps
        verdict = "" if report.good else f"  FAILED: {report.as_json()}\n{story.getvalue()}"
        print(
            f"{number:3}  {death.outage:24.3f} s  {death.pause:14.3f} s  {killed.pause:28.3f} s  "
            f"{report.outcome.received:10,}{verdict}",
            flush=True,
        )
    print(f"{good} of {runs}")
    return 0 if good == runs else 1


if __name__ == "__main__":
    sys.exit(main())
