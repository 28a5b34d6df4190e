"""``carpctl sync``: tells of a bulk update of state tables, for scripts."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient
from carptwist.tools.terminal import Terminal

SUMMARY = "tell of a bulk update of the state tables of [sync NAME]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", metavar="begin|done|fail", choices=("begin", "done", "fail"), help="what has happened")
    parser.add_argument("name", metavar="NAME", help="the name of the section")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    total = yield client.sync(arguments.word, arguments.name)
    if arguments.json:
        out.say_json({"demotion": total}, indent=None)
    else:
        out.say(f"demotion: {total}")
