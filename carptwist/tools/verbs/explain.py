"""``carpctl explain``: why a virtual host is in its state."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control import grammar
from carptwist.control.client import ControlClient
from carptwist.control.grammar import GrammarError
from carptwist.tools.terminal import Terminal, UsageError

SUMMARY = "why a virtual host is in its state, and what would change it"
COLUMNS = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vhid", metavar="VHID@IF", help="such as 1@em0")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def check(arguments: argparse.Namespace) -> None:
    try:
        grammar.virtual_host_name(arguments.vhid)
    except GrammarError as error:
        raise UsageError(f"explain: {error}") from None


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    explained = yield client.explain(arguments.vhid)
    if arguments.json:
        out.say_json(explained)
        return
    for part in explained["parts"]:
        out.say(out.paint(part["title"], "bold"))
        for sentence in part["sentences"]:
            out.say(textwrap.fill(sentence, COLUMNS, initial_indent="  ", subsequent_indent="    "))
