"""``carptwist check FILE...``: read configuration files as the daemon would, and touch nothing else.

Errors and warnings go to stderr as ``FILE:LINE: text`` and ``FILE:LINE: warning: text``, in the order
of the lines; a file without errors gets one line on stdout. Exit code 2 if any file has an error,
else 0: a warning is no reason to refuse. With ``--peer`` it is judged whether the checks of a file can move an address
to that host. ``--json`` prints one object on stdout instead.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from carptwist.config.schema import Configuration
from carptwist.configuration import ConfigurationError, Problem, Reading, load
from carptwist.tools.influence import futile_checks

SUMMARY = "read configuration files and tell everything that is wrong with them"

GOOD, BAD = 0, 2


class Verdict(NamedTuple):
    """What is to be said of one file. ``hosts`` has the interface of each virtual host, by name."""

    file: str
    hosts: Mapping[str, str]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def summary(self) -> str:
        """``conf/carp.ini: 2 vhids on em0, em1: no error, 1 warning``."""
        interfaces = ", ".join(sorted(set(self.hosts.values())))
        found = ", ".join((_count(self.errors, "error"), _count(self.warnings, "warning")))
        if not self.hosts:
            return f"{self.file}: {found}"
        return f"{self.file}: {_count(self.hosts, 'vhid')} on {interfaces}: {found}"

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "ok": not self.errors,
            "vhids": list(self.hosts),
            "errors": [problem._asdict() for problem in self.errors],
            "warnings": [problem._asdict() for problem in self.warnings],
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="a configuration file")
    parser.add_argument(
        "--peer",
        metavar="FILE",
        action="append",
        default=[],
        help="another host's configuration file, to judge checks against; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object: files, each with errors, warnings")


def run(arguments: argparse.Namespace) -> int:
    interfaces = [name for _, name in socket.if_nameindex()] if sys.platform == "linux" else None
    peers: dict[str, Configuration] = {}
    for file in arguments.peer:
        try:
            peers[file] = load(file).configuration
        except ConfigurationError as refused:
            print(refused, file=sys.stderr)
            return BAD
    verdicts = [judge(file, interfaces, peers) for file in arguments.files]
    if arguments.json:
        print(json.dumps({"files": [verdict.as_json() for verdict in verdicts]}, indent=2))
    else:
        for verdict in verdicts:
            _tell(verdict)
    return BAD if any(verdict.errors for verdict in verdicts) else GOOD


def judge(
    file: str, interfaces: Collection[str] | None = None, peers: Mapping[str, Configuration] = MappingProxyType({})
) -> Verdict:
    """Read one file. ``interfaces``: those that the host has, None if nobody knows. ``peers``: the configurations of
    the other hosts, by name."""
    try:
        reading = load(file)
    except ConfigurationError as refused:
        return Verdict(file, {}, refused.errors, refused.warnings)
    hosts = {host.name: host.interface for host in reading.configuration.vhids}
    warnings = [
        *reading.warnings,
        *_missing_interfaces(file, reading, interfaces),
        *futile_checks(file, reading, peers),
    ]
    return Verdict(file, hosts, (), tuple(sorted(warnings, key=lambda problem: problem.line)))


def _missing_interfaces(file: str, reading: Reading, interfaces: Collection[str] | None) -> list[Problem]:
    """A warning for each virtual host on an interface that this host does not have: one will be waited for."""
    if interfaces is None:
        return []
    there_are = ", ".join(interfaces)
    return [
        Problem(
            file,
            reading.vhid_lines[host.name],
            f"[vhid {host.name}] this host has no interface {host.interface} now: there are {there_are}",
        )
        for host in reading.configuration.vhids
        if host.interface not in interfaces
    ]


def _tell(verdict: Verdict) -> None:
    told = [(problem.line, str(problem)) for problem in verdict.errors]
    told += [(problem.line, f"{problem.place}: warning: {problem.text}") for problem in verdict.warnings]
    for _, line in sorted(told, key=lambda each: each[0]):
        print(line, file=sys.stderr)
    print(verdict.summary, file=sys.stderr if verdict.errors else sys.stdout)


def _count(things: Collection[object], name: str) -> str:
    if not things:
        return f"no {name}"
    return f"{len(things)} {name}" if len(things) == 1 else f"{len(things)} {name}s"
