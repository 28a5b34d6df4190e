"""``carptwist simulate SCENARIO``: play a scenario on virtual time, and tell who owned what, and why not.

The report goes to stdout. Exit code 0: as the scenario expects; 1: not so, or something went wrong in a daemon; 2: the
scenario, a configuration or the usage is bad.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from carptwist.config.problems import ConfigurationError
from carptwist.simulation import drawing, library, report
from carptwist.simulation.stage import play

SUMMARY = "play a scenario of hosts and failures on virtual time, and tell who owned what"

GOOD, BAD, MISUSED = 0, 1, 2

_EPILOG = """\
SCENARIO is a TOML file: hosts with their configurations, what happens to them and when, and what is expected. Those
that carptwist brings with it are in conf/scenarios; docs/simulation.md explains each word.

The daemon's own code runs in the simulation: its protocols, its elections, its responders. Time is virtual, and all
chance comes from the seed: the same seed gives the same run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("scenario", metavar="SCENARIO", type=Path, help="a scenario file")
    parser.add_argument("--seed", metavar="N", type=int, help="another seed than the scenario's")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="draw who owned what")
    parser.add_argument("--pcap", metavar="FILE", type=Path, help="write all frames, for Wireshark; one file a segment")
    parser.add_argument("--inspect", action="store_true", help="look all the time whether what must always hold does")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    try:
        scenario = library.load_scenario(arguments.scenario)
    except ConfigurationError as refused:
        print(refused, file=sys.stderr)
        return MISUSED
    try:
        outcome = play(scenario, seed=arguments.seed, pcap=arguments.pcap, inspect=arguments.inspect)
        if arguments.svg is not None:
            arguments.svg.write_text(drawing.draw(outcome))
    except OSError as error:
        print(f"carptwist simulate: {error.filename}: {error.strerror}", file=sys.stderr)
        return MISUSED
    if arguments.json:
        print(json.dumps(report.as_json(outcome), indent=2))
    else:
        for line in report.lines(outcome):
            print(line)
    return GOOD if outcome.good else BAD
