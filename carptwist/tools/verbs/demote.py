"""``carpctl demote``: one entry of the demotion ledger per owner."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient
from carptwist.tools.terminal import Terminal

SUMMARY = "make or replace an entry of the demotion ledger"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("value", type=int, metavar="VALUE", help="what is added to the demotion; may be negative")
    parser.add_argument("--owner", required=True, metavar="NAME", help="whose entry it is: one for each name")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="what status and the log say")
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="taken back after that time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    total = yield client.demote(arguments.value, arguments.owner, arguments.reason, arguments.seconds)
    if arguments.json:
        out.say_json({"demotion": total}, indent=None)
    else:
        out.say(f"demotion: {total}")
