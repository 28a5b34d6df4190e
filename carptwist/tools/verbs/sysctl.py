"""``carpctl sysctl``: the host-wide settings, as sysctl(8) reads, writes and prints them."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control import grammar, printing
from carptwist.control.client import ControlClient
from carptwist.control.commands import NotFoundError
from carptwist.control.grammar import PREFIX, Assignment, GrammarError
from carptwist.tools import revision_verbs
from carptwist.tools.terminal import Terminal, UsageError

SUMMARY = "read and write net.inet.carp.*, as sysctl(8)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", dest="all", action="store_true", help="all of them")
    parser.add_argument("-n", dest="bare", action="store_true", help="the values without the names")
    parser.add_argument("-w", action="store_true", help="ignored, as sysctl(8) does")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--save", action="store_true", help="write what differs from the configuration file into it")
    parser.add_argument("name", nargs="*", metavar="NAME[=VALUE]", help="such as net.inet.carp.preempt=1")


def check(arguments: argparse.Namespace) -> None:
    if arguments.all == bool(arguments.name):
        raise UsageError("sysctl: either -a or names")
    try:
        # As in sysctl(8), the name of the whole tree means everything in it.
        arguments.wanted = [
            Assignment("", None) if word == PREFIX.rstrip(".") else grammar.sysctl(word)
            for word in arguments.name or [PREFIX.rstrip(".")]
        ]
    except GrammarError as error:
        raise UsageError(f"sysctl: {error}") from None
    if arguments.save and all(value is None for _, value in arguments.wanted):
        raise UsageError("sysctl: --save goes with a change; carpctl save writes those that were made before")


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    printed: dict[str, Any] = {}
    for name, value in arguments.wanted:
        if value is not None:
            before, after = yield client.sysctl(name, value)
            printed[name] = {"before": before, "after": after}
            if not arguments.json:
                out.say(printing.sysctl_change(name, before, after, bare=arguments.bare))
            continue
        status = yield client.status()
        known = {**status["sysctl"], "stats": status["stats"]}
        for each in sorted(known) if not name else [name]:
            if each not in known:
                raise NotFoundError(f"unknown oid '{PREFIX}{each}'")
            printed[each] = known[each]
            if not arguments.json:
                out.say(printing.sysctl(each, known[each], bare=arguments.bare))
    printed.update((yield revision_verbs.save_too(client, arguments, out)))
    if arguments.json:
        out.say_json(printed)
