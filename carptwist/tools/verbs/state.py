"""``carpctl state``: makes a virtual host MASTER or BACKUP, whatever the timers say."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control import grammar
from carptwist.control.client import ControlClient
from carptwist.control.grammar import GrammarError
from carptwist.tools.terminal import Terminal, UsageError

SUMMARY = "make a virtual host MASTER or BACKUP now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vhid", metavar="VHID@IF", help="such as 1@em0")
    parser.add_argument("state", metavar="master|backup", type=str.lower, choices=("master", "backup"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def check(arguments: argparse.Namespace) -> None:
    try:
        grammar.virtual_host_name(arguments.vhid)
    except GrammarError as error:
        raise UsageError(f"state: {error}") from None


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    state = yield client.state(arguments.vhid, arguments.state.upper())
    if arguments.json:
        out.say_json({"vhid": arguments.vhid, "state": state}, indent=None)
    else:
        out.say(f"{arguments.vhid}: {out.state(state)}")
