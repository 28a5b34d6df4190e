"""``carptwist lab``: a LAN of network namespaces, with hosts to run things in.

::

    carptwist lab [--hosts N] [--pcap FILE] COMMAND ...    run COMMAND in each host, until all have ended
    carptwist lab [--hosts N] [--pcap FILE]                a prompt: run things, cut cables, heal them
    carptwist lab demo [--json] [--conf DIR]               two daemons, and what a client notices of their deaths
    carptwist lab demo --stateful [--json]                 two routers, and a TCP connection that outlives one of them

The hosts are a, b, c ..., with addresses 192.0.2.2 and 2001:db8::2 and so on, on an interface em0; the client is
192.0.2.254 and 2001:db8::fe. It needs root, or the right to make user namespaces. Whatever happens, nothing is left.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from ipaddress import ip_interface
from pathlib import Path

from carptwist.configuration import ConfigurationError
from carptwist.lab import stateful
from carptwist.lab.demo import UnfitError, configurations, demonstrate, print_report
from carptwist.lab.host import Host
from carptwist.lab.namespaces import LabError, enclosed
from carptwist.lab.relay import Relay
from carptwist.lab.scene import HOST_NAMES, Scene, addresses_of
from carptwist.lab.shell import Shell

SUMMARY = "make a LAN of network namespaces and run hosts in it"

GOOD, BAD, MISUSED, INTERRUPTED = 0, 1, 2, 130

_EPILOG = """\
COMMAND is run in each host at once; in its words {host}, {n}, {address} and {address6} are replaced, and LAB_HOST,
LAB_N, LAB_ADDRESS and LAB_ADDRESS6 say the same in its environment. Each line that it prints begins with the
name of the host. Interrupt to end it. Exit code 0 if each of them ended with 0, else 1.

Without COMMAND there is a prompt; `help` tells what it knows. It also reads commands from a pipe.

`carptwist lab demo` shows two daemons share addresses while one of them is cut off, stopped or killed;
see `carptwist lab demo --help`. With --stateful they are routers, and a TCP connection through them survives.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--hosts", metavar="N", type=_host_count, default=2, help="how many hosts, 1 to 26 (default: 2)"
    )
    parser.add_argument("--pcap", metavar="FILE", type=Path, help="write all frames to this file, for Wireshark")
    parser.add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER, help="demo, or what to run in each host"
    )


def run(arguments: argparse.Namespace) -> int:
    command = list(arguments.command)
    if command[:1] == ["demo"]:
        return _demo(_demo_parser().parse_args(command[1:]), arguments.pcap)
    if command[:1] == ["--"]:
        del command[0]
    body = (lambda scene: _run_in_each(scene, command)) if command else _prompt
    return _enclosed(lambda: _in_scene(arguments.hosts, arguments.pcap, body))


def _demo_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carptwist lab demo",
        description="Show two daemons share addresses while one of them is cut off, stopped or killed, and measure "
        "what a client notices of it. Exit code 0 only if all of it was as the protocol promises.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--conf", metavar="DIR", type=Path, help="where a.ini and b.ini are (default: carptwist's own)")
    which.add_argument(
        "--stateful",
        action="store_true",
        help="two routers with NAT and conntrackd, and a TCP transfer through them that goes on when one of them dies; "
        "it needs conntrackd and nft",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object; what happens is told on stderr")
    parser.add_argument("--pcap", metavar="FILE", type=Path, help="write all frames to this file, for Wireshark")
    return parser


def _demo(arguments: argparse.Namespace, pcap: Path | None) -> int:
    if arguments.stateful:
        return _stateful_demo(arguments.json, arguments.pcap or pcap)
    try:
        parts = configurations(arguments.conf)
    except (ConfigurationError, UnfitError) as error:
        print(error, file=sys.stderr)
        return MISUSED

    def body() -> int:
        told = sys.stderr if arguments.json else sys.stdout
        report = demonstrate(parts, told, pcap=arguments.pcap or pcap)
        if arguments.json:
            print(json.dumps(report.as_json(), indent=2))
        else:
            print_report(report)
        return GOOD if report.good else BAD

    return _enclosed(body)


def _stateful_demo(as_json: bool, pcap: Path | None) -> int:
    def body() -> int:
        report = stateful.demonstrate(sys.stderr if as_json else sys.stdout, pcap=pcap)
        if as_json:
            print(json.dumps(report.as_json(), indent=2))
        else:
            stateful.print_report(report)
        return GOOD if report.good else BAD

    return _enclosed(body)


def _enclosed(body: Callable[[], int]) -> int:
    def guarded() -> int:
        try:
            return body()
        except (LabError, OSError) as error:
            print(f"carptwist lab: {error}", file=sys.stderr)
            return BAD
        except KeyboardInterrupt:
            return INTERRUPTED

    try:
        return enclosed(guarded)
    except LabError as error:
        print(f"carptwist lab: {error}", file=sys.stderr)
        return BAD


def _in_scene(hosts: int, pcap: Path | None, body: Callable[[Scene], int]) -> int:
    with Scene(hosts, shared={}, pcap=pcap) as scene:
        return body(scene)


def _prompt(scene: Scene) -> int:
    return Shell(scene).talk()


def _run_in_each(scene: Scene, command: list[str]) -> int:
    with Relay(sys.stdout) as relay:
        for host in scene.hosts.values():
            words = {"{host}": host.name, "{n}": str(host.number), **_addresses(host)}
            environment = {f"LAB_{word[1:-1].upper()}": value for word, value in words.items()}
            relay.start(host, [_substituted(word, words) for word in command], env=environment, directory=Path.cwd())
        return GOOD if all(code == 0 for code in relay.wait()) else BAD


def _addresses(host: Host) -> dict[str, str]:
    own4, own6 = (str(ip_interface(each).ip) for each in addresses_of(host))
    return {"{address}": own4, "{address6}": own6}


def _substituted(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _host_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= len(HOST_NAMES):
        raise argparse.ArgumentTypeError(f"{text}: must be 1 to {len(HOST_NAMES)}")
    return int(text)
