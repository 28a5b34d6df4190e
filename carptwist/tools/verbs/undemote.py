"""``carpctl undemote``: takes an entry of the demotion ledger back."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient
from carptwist.tools.terminal import Terminal

SUMMARY = "take an entry of the demotion ledger back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("owner", metavar="NAME", help="whose entry")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    total = yield client.undemote(arguments.owner)
    if arguments.json:
        out.say_json({"demotion": total}, indent=None)
    else:
        out.say(f"demotion: {total}")
