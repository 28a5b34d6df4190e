"""``carptwist replay FILE...``: run what a daemon has recorded through the same code, and tell where it differs.

Exit code 0: no difference; 1: a difference, which is told; 2: a file cannot be read, or nothing in it can be replayed.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from carptwist.pcap import Capture
from carptwist.recorder.replayer import Outcome, Replayer, UnreplayableError
from carptwist.recorder.ring import Part, parts
from carptwist.tools import flight
from carptwist.tools.flight import Moment
from carptwist.tools.holding import Overlap, Span, overlaps, spans

SUMMARY = "run what a daemon has recorded again, and tell where it would decide otherwise"

SAME, DIFFERENT, UNREADABLE = 0, 1, 2

_EPILOG = """\
FILE is the flight recorder of a daemon: recorder/flight in its state_dir, /var/lib/carptwist unless configured
otherwise. Told are, in the order of time: changes of state and why, whom the host heard as MASTER, links, commands, and
whether the replay came to the same. No pass phrase is in the file, and nothing that one could be guessed from.
Times are UTC, by the clock of each host.
"""


class Flight(NamedTuple):
    """One file and what came of it."""

    file: str
    parts: list[Part]
    outcome: Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("files", metavar="FILE", nargs="+", help="what a flight recorder has written")
    parser.add_argument("--quiet", "-q", action="store_true", help="tell the outcome alone, and not what happened")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pcap", metavar="CAPTURE", type=Path, help="write the recorded frames, for Wireshark")


def run(arguments: argparse.Namespace) -> int:
    flights = []
    for file in arguments.files:
        try:
            found = parts(Path(file).read_bytes())
        except OSError as error:
            print(f"carptwist replay: {file}: {error.strerror or error}", file=sys.stderr)
            return UNREADABLE
        if not found:
            print(f"carptwist replay: {file}: there is no record of a flight in it", file=sys.stderr)
            return UNREADABLE
        try:
            flights.append(Flight(file, found, Replayer().run(found)))
        except UnreplayableError as error:
            print(f"carptwist replay: {file}: {error}", file=sys.stderr)
            return UNREADABLE
    if arguments.pcap is not None:
        try:
            _export(flights, arguments.pcap)
        except OSError as error:
            print(f"carptwist replay: {arguments.pcap}: {error.strerror or error}", file=sys.stderr)
            return UNREADABLE
    # Those of one host stay in their order.
    moments = sorted((each for one in flights for each in flight.story(one.parts)), key=lambda moment: moment.wall)
    held = sorted(each for one in flights for each in spans(one.parts))
    if arguments.json:
        print(json.dumps(_as_json(flights, [] if arguments.quiet else moments, held), indent=2))
    else:
        if not arguments.quiet:
            _tell(moments)
            _tell_holding(held, len(flights))
        for each in flights:
            _conclude(each)
    return DIFFERENT if any(each.outcome.difference is not None for each in flights) else SAME


def span(seconds: float) -> str:
    """``3 h 12 min``."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _export(flights: list[Flight], path: Path) -> None:
    capture = Capture(path)
    try:
        every = [each for one in flights for each in flight.frames(one.parts)]
        for wall, frame in sorted(every, key=lambda each: each[0]):
            capture.write(wall, frame)
    finally:
        capture.close()


def _tell(moments: list[Moment]) -> None:
    width = max((len(moment.host) for moment in moments), default=0)
    day = ""
    for moment in moments:
        when = datetime.fromtimestamp(moment.wall, UTC)
        if f"{when:%F}" != day:
            day = f"{when:%F}"
            print(day)
        print(f"{when:%T}.{when.microsecond // 1000:03}  {moment.host:{width}}  {moment.text}")
    if moments:
        print()


def _tell_holding(held: list[Span], hosts: int) -> None:
    """Who had each address when, and whether that was ever more than one."""
    for address in sorted({span.address for span in held}):
        print(f"{address} was reachable")
        for each in (span for span in held if span.address == address):
            end = _time(each.end) if each.ended else f"{_time(each.end)} at least, where the record ends,"
            print(f"  from {_time(each.begin)} to {end} at {each.host} ({each.vhid})")
        found = [overlap for overlap in overlaps(held) if overlap.address == address]
        for overlap in found:
            print(f"  {_both(overlap)}")
        if hosts > 1 and not found:
            print("  never at two of these hosts at once, by their clocks")
    if held:
        print()


def _both(overlap: Overlap) -> str:
    one, other = overlap.hosts
    begin, lasted = _time(overlap.begin), overlap.end - overlap.begin
    return f"AT BOTH {one} AND {other} from {begin} on for {lasted:.3f} s, by their clocks"


def _time(wall: float) -> str:
    when = datetime.fromtimestamp(wall, UTC)
    return f"{when:%F %T}.{when.microsecond // 1000:03}"


def _conclude(each: Flight) -> None:
    outcome = each.outcome
    scope = f"{outcome.inputs} inputs and {outcome.decisions} decisions over {span(outcome.seconds)}"
    if outcome.missing:
        scope += f", with {outcome.missing} {'gap' if outcome.missing == 1 else 'gaps'}"
    if outcome.difference is None:
        print(f"{each.file}: no difference in {scope}")
        return
    when = datetime.fromtimestamp(outcome.difference_at, UTC)
    print(f"{each.file}: the first difference, after {scope}, at {when:%F %T}.{when.microsecond:06} UTC:")
    for line in flight.difference(outcome.difference):
        print(line)


def _as_json(flights: list[Flight], moments: list[Moment], held: list[Span]) -> dict[str, Any]:
    return {
        "files": [
            {
                "file": each.file,
                "same": each.outcome.difference is None,
                "inputs": each.outcome.inputs,
                "decisions": each.outcome.decisions,
                "seconds": each.outcome.seconds,
                "gaps": each.outcome.missing,
                "stretches": [stretch._asdict() for stretch in each.outcome.stretches],
                "difference": None
                if each.outcome.difference is None
                else {
                    "at": each.outcome.difference_at,
                    "words": list(flight.difference(each.outcome.difference)),
                },
            }
            for each in flights
        ],
        "held": [each._asdict() for each in held],
        "overlaps": [each._asdict() for each in overlaps(held)],
        "moments": [moment._asdict() for moment in moments],
    }
