"""``carpctl events``: what has happened, and why."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Generator
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from carptwist.control import grammar
from carptwist.control.client import ControlClient
from carptwist.control.grammar import GrammarError
from carptwist.tools.terminal import Terminal, UsageError

SUMMARY = "state changes, demotions, refusals, conflicts and changes, with reasons"
COLUMNS = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vhid", nargs="?", metavar="VHID@IF", help="of this virtual host and the host alone")
    parser.add_argument("--follow", action="store_true", help="go on with what happens, until interrupted")
    parser.add_argument("--json", action="store_true", help="print one JSON object on each line")
    parser.add_argument("-n", dest="most", type=int, default=50, metavar="NUMBER", help="the newest so many (50)")


def check(arguments: argparse.Namespace) -> None:
    if arguments.most < 0:
        raise UsageError("events: -n: must not be negative")
    if arguments.vhid is not None:
        try:
            grammar.virtual_host_name(arguments.vhid)
        except GrammarError as error:
            raise UsageError(f"events: {error}") from None


def lasts(arguments: argparse.Namespace) -> bool:
    return bool(arguments.follow)


@inlineCallbacks
def ask(client: ControlClient, arguments: argparse.Namespace, out: Terminal) -> Generator[Deferred[Any], Any, None]:
    def tell(event: dict[str, Any]) -> None:
        if arguments.json:
            out.say_json(event, indent=None)
        else:
            out.say(line(event))

    pushed: list[dict[str, Any]] = []
    if arguments.follow:
        # First: nothing may happen between the past and the present.
        yield client.subscribe(pushed.append, arguments.vhid)
    told = 0
    for event in (yield client.events(most=arguments.most, vhid=arguments.vhid)):
        tell(event)
        told = event["number"]
    if not arguments.follow:
        return
    for event in pushed:
        if event["number"] > told:
            tell(event)
    over: Deferred[None] = Deferred()

    def go_on(event: dict[str, Any]) -> None:
        try:
            tell(event)
        except OSError:  # nobody reads any more; here it would be taken for an answer to the daemon
            _end(over, Failure())

    client.listen(go_on)
    client.ended.addCallback(lambda _: _end(over, Failure(ConnectionDone("the daemon hung up"))))
    yield over


def _end(over: Deferred[None], why: Failure) -> None:
    if not over.called:
        over.errback(why)


def line(event: dict[str, Any]) -> str:
    """One event for people, in at most 80 columns."""
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%m-%d %H:%M:%S.%f")[:-3]
    text = event["text"] if event["vhid"] is None else f"{event['vhid']}: {event['text']}"
    if event.get("who"):
        text += f" [{event['who']}]"
    heard = event.get("heard")
    if event["kind"] == "state" and heard:
        text += (
            f"; last heard {heard['seconds_ago']:g} s before: {heard['source']} every {heard['interval']:.3f} s, "
            f"own {event['own_interval']:.3f} s"
        )
    if event.get("unsaid"):
        text += f" ({event['unsaid']} more unsaid)"
    return textwrap.fill(f"{when} {text}", COLUMNS, subsequent_indent=" " * 19, break_on_hyphens=False)
