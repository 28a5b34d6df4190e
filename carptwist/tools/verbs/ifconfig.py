"""``carpctl ifconfig``: virtual hosts in the words of ifconfig(8)."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control import grammar, printing
from carptwist.control.client import ControlClient
from carptwist.control.commands import NotFoundError
from carptwist.control.grammar import GrammarError
from carptwist.tools import revision_verbs
from carptwist.tools.terminal import Terminal, UsageError

SUMMARY = "show and change virtual hosts, in the words of ifconfig(8)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("-a", dest="all", action="store_true", help="show all interfaces")
    parser.add_argument("--save", action="store_true", help="write what differs from the configuration file into it")
    # One argument for all: -vhid and -alias are words of ifconfig(8), and no options.
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="IF [add] [vhid N] [WORD ...]",
        help="as in: em0 vhid 1 advskew 100 pass PHRASE 192.168.1.1/24; without words it shows the interface",
    )


def check(arguments: argparse.Namespace) -> None:
    words = arguments.words
    for option in ("--json", "--save"):
        if option in words:
            words.remove(option)
            setattr(arguments, option.removeprefix("--"), True)
    if arguments.all and words:
        raise UsageError("ifconfig: -a shows all interfaces, and takes no words")
    if arguments.save and len(words) < 2:
        raise UsageError("ifconfig: --save goes with a change; carpctl save writes those that were made before")
    if len(words) > 1:
        try:
            grammar.ifconfig(words[0], words[1:])
        except GrammarError as error:
            raise UsageError(f"ifconfig: {error}") from None


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    interface, *words = arguments.words or [None]
    if words:
        done = yield client.ifconfig(interface, words)
        if not arguments.json:
            out.say(done)
        saved = yield revision_verbs.save_too(client, arguments, out)
        if arguments.json:
            out.say_json({"done": done, **saved})
        return
    interfaces = yield client.interfaces(interface)
    status = yield client.status()
    for each in interfaces:
        each["vhids"] = [vhid for vhid in status["vhids"] if vhid["interface"] == each["name"]]
    if interface is not None and not interfaces[0]["exists"] and not interfaces[0]["vhids"]:
        raise NotFoundError(f"interface {interface} does not exist")
    if arguments.json:
        out.say_json(interfaces)
    else:
        out.say("\n".join(printing.ifconfig(each, each["vhids"]) for each in interfaces))
