"""``carpctl maintenance``: gives everything away in good order, and stays away until switched off."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient
from carptwist.tools.terminal import Terminal

SUMMARY = "give everything away and stay away, across restarts, until switched off"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("switch", metavar="on|off", choices=("on", "off"))
    parser.add_argument("--force", action="store_true", help="even if nobody else would take over")
    parser.add_argument("--reason", default="maintenance", metavar="TEXT", help="what status and the log say")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    on = arguments.switch == "on"
    done = yield client.maintenance(on, force=arguments.force, reason=arguments.reason)
    if arguments.json:
        out.say_json({"maintenance": on, "done": done}, indent=None)
    else:
        out.say(done)
