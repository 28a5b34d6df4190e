"""``carpctl version``: of client and daemon."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist import __version__
from carptwist.control.client import ControlClient
from carptwist.tools.terminal import Terminal

SUMMARY = "the versions of this program and of the daemon"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    yield client.status()  # that it answers is part of the news
    if arguments.json:
        out.say_json({"carpctl": __version__, "daemon": client.daemon_version}, indent=None)
    else:
        out.say(f"carpctl {__version__}\ndaemon  {client.daemon_version}")
