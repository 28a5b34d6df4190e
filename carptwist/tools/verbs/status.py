"""``carpctl status``: every vhid at a glance."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient
from carptwist.tools.status_table import render
from carptwist.tools.terminal import Terminal
from carptwist.tools.waiting import pause

SUMMARY = "every vhid at a glance, the demotion ledger, peers"
WATCH_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object, with --watch one on each line")
    parser.add_argument("--watch", action="store_true", help="again every second, until interrupted")


def lasts(arguments: argparse.Namespace) -> bool:
    return bool(arguments.watch)


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    while True:
        asked = client.status()
        if arguments.watch:
            # A daemon that has come to a halt must not look like one where nothing happens.
            asked.addTimeout(arguments.limit, arguments.reactor)
        status = yield asked
        if arguments.json:
            out.say_json(status, indent=None if arguments.watch else 2)
        elif arguments.watch:
            now = datetime.now().strftime("%H:%M:%S")
            out.show_page(f"{now}, again every second; Ctrl-C ends it\n\n{render(status, paint=out.state)}")
        else:
            out.say(render(status, paint=out.state))
        if not arguments.watch:
            return
        yield pause(arguments.reactor, WATCH_SECONDS, client.ended)
