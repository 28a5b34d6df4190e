"""``carptwist what-if --config FILE --peer FILE ... --fail em1 ...``: who would be MASTER, after how long, and why.

The daemon's own code answers, on virtual time: nothing is touched on any host. Interfaces of the same name are on the
same LAN. Exit code 0: every address has exactly one owner afterwards; 1: not so; 2: bad usage or configuration.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from carptwist.config.problems import ConfigurationError
from carptwist.config.schema import Configuration
from carptwist.configuration import load
from carptwist.simulation.host import Nature
from carptwist.simulation.question import Answer, Change, answer
from carptwist.simulation.scenario import Cable, CableEvent, Demote, Event, HostEvent, Order, Part

SUMMARY = "tell who would be MASTER if something failed, after how long, and why"

GOOD, BAD, MISUSED = 0, 1, 2

_EPILOG = """\
A host is called as its file is, without .ini. WHAT is an interface of this host (em1), an interface of another one
(b:em1), or a whole host (b, or the name of this one).

    carptwist what-if --config a.ini --peer b.ini --fail em1
    carptwist what-if --config a.ini --peer b.ini --peer c.ini --fail a --fail b:em0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration of this host")
    parser.add_argument("--peer", metavar="FILE", type=Path, action="append", default=[], help="that of another one")
    parser.add_argument("--fail", metavar="WHAT", action="append", default=[], help="a link or a host is lost")
    parser.add_argument("--stop", metavar="HOST", action="append", default=[], help="a daemon is stopped in good order")
    parser.add_argument("--demote", metavar="HOST=N", action="append", default=[], help="a host is demoted by N")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


class UsageError(Exception):
    """A failure that cannot be."""


def run(arguments: argparse.Namespace) -> int:
    try:
        configurations = _configurations([arguments.config, *arguments.peer])
        failures = _failures(configurations, arguments)
    except (ConfigurationError, UsageError) as error:
        print(error, file=sys.stderr)
        return MISUSED
    parts = [
        Part(name, configuration, _wiring(configuration), Nature(observes=False))
        for name, configuration in configurations.items()
    ]
    found = answer(parts, failures)
    if arguments.json:
        print(json.dumps(_as_json(found), indent=2))
    else:
        _tell(found)
    return GOOD if all(len(change.after) == 1 for change in found.changes) else BAD


def _configurations(paths: Sequence[Path]) -> dict[str, Configuration]:
    """By name; files of the same name in several directories are told apart by a number."""
    found: dict[str, Configuration] = {}
    for path in paths:
        name, number = path.stem, 1
        while name in found:
            number += 1
            name = f"{path.stem}{number}"
        found[name] = load(str(path)).configuration
    return found


def _wiring(configuration: Configuration) -> dict[str, str]:
    return {vhid.interface: vhid.interface for vhid in configuration.vhids}


def _failures(configurations: Mapping[str, Configuration], arguments: argparse.Namespace) -> list[Event]:
    here = next(iter(configurations))
    events: list[Event] = [_failure(configurations, here, what) for what in arguments.fail]
    events += [HostEvent(Order.STOP, _host(configurations, name)) for name in arguments.stop]
    for text in arguments.demote:
        name, equals, value = text.partition("=")
        if not equals or not value.lstrip("-").isdecimal():
            raise UsageError(f"--demote {text}: must be HOST=N, such as {here}=100")
        events.append(Demote(_host(configurations, name), int(value), "sysctl", "net.inet.carp.demotion"))
    if not events:
        raise UsageError("nothing happens: give --fail, --stop or --demote")
    return events


def _failure(configurations: Mapping[str, Configuration], here: str, what: str) -> Event:
    if what in configurations:
        return HostEvent(Order.CRASH, what)
    name, colon, interface = what.rpartition(":")
    host = _host(configurations, name) if colon else here
    there = sorted(_wiring(configurations[host]))
    if interface not in there:
        raise UsageError(
            f"--fail {what}: {host} has no vhid on {interface}: it has {', '.join(there)}; "
            f"the hosts are {', '.join(configurations)}"
        )
    return CableEvent(Cable.UNPLUG, host, interface)


def _host(configurations: Mapping[str, Configuration], name: str) -> str:
    if name not in configurations:
        raise UsageError(f"there is no host {name}: there are {', '.join(configurations)}")
    return name


# Telling


def _tell(found: Answer) -> None:
    print(f"If {' and '.join(found.failures)}:")
    for change in found.changes:
        print()
        print(f"  {change.service.name} ({', '.join(change.service.addresses) or 'no address'})")
        print(f"      {_verdict(change)}")
        for reason in change.why:
            print(f"      | {reason}")


def _verdict(change: Change) -> str:
    """One line: from whom to whom, and what it costs."""
    before, after = (_owners(owners) for owners in (change.before, change.after))
    if change.before == change.after:
        said = f"{after} stays"
    else:
        said = f"from {before} to {after}"
    if not change.after:
        return f"{said}: nobody is left"
    if change.outage[1] > 0:
        low, high = (_seconds(each) for each in change.outage)
        span = low if low == high else f"{low} to {high}"
        said += f", without owner for {span}, depending on the moment"
    elif change.before != change.after:
        said += f", without a gap, within {_seconds(change.latest)}"
    if len(change.after) > 1:
        said += ": several own it"
    return said


def _owners(owners: tuple[str, ...]) -> str:
    return " and ".join(owners) or "nobody"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{max(1, round(seconds * 1000))} ms"


def _as_json(found: Answer) -> dict[str, Any]:
    return {
        "failures": list(found.failures),
        "vhids": [
            {
                "segment": change.service.segment,
                "vhid": change.service.vhid,
                "addresses": list(change.service.addresses),
                "before": list(change.before),
                "after": list(change.after),
                "settled_after": {"soonest": change.soonest, "latest": change.latest},
                "outage": {"shortest": change.outage[0], "longest": change.outage[1]},
                "double_ownership": change.double,
                "why": list(change.why),
            }
            for change in found.changes
        ],
    }
