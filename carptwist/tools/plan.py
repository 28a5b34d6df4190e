"""``carptwist plan OLD NEW``: what a daemon that runs with OLD would do when it is told to run with NEW.

First the steps, in their order; then, for each vhid, who would be MASTER. That depends on the other hosts: with
``--peer FILE``, as often as there are other hosts, the election is run ahead by its own rules, from a start of all
hosts together with OLD. Without any, what can be said is against which hosts the decision would be another one.

``carpctl plan`` asks a running daemon, which knows more: its state, and whom it has heard.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from carptwist.config.reload import described, steps
from carptwist.config.schema import Configuration
from carptwist.configuration import ConfigurationError, load
from carptwist.tools.revision_verbs import plan_text
from carptwist.vhost.forecast import THIS_HOST, contender, foresee, interval_change, precedence_change, same

SUMMARY = "tell what a changed configuration would do, and who would be MASTER after it"

DONE, BAD = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="the configuration file that runs")
    parser.add_argument("new", metavar="NEW", help="the configuration file that is to run")
    parser.add_argument(
        "--peer", metavar="FILE", action="append", default=[], help="another host's configuration file; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object: steps, forecast")


def run(arguments: argparse.Namespace) -> int:
    files = dict.fromkeys([arguments.old, arguments.new, *arguments.peer])
    read: dict[str, Configuration] = {}
    for file in files:
        try:
            read[file] = load(file).configuration
        except ConfigurationError as refused:
            print(refused, file=sys.stderr)
    if len(read) < len(files):
        return BAD
    answer = plan(read[arguments.old], read[arguments.new], {file: read[file] for file in arguments.peer})
    print(json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else plan_text(answer))
    return DONE


def plan(old: Configuration, new: Configuration, peers: Mapping[str, Configuration]) -> dict[str, Any]:
    """The steps and the forecasts, as JSON-able values. ``peers``: what the other hosts run with, by name."""
    return {
        "steps": [described(step) for step in steps(old, new)],
        "forecast": list(_forecasts(old, new, peers)),
    }


def _forecasts(old: Configuration, new: Configuration, peers: Mapping[str, Configuration]) -> Iterable[dict[str, Any]]:
    now = {config.name: config for config in old.vhids}
    then = {config.name: config for config in new.vhids}
    for name in dict.fromkeys([*now, *then]):
        before, after = contender(THIS_HOST, old, now.get(name)), contender(THIS_HOST, new, then.get(name))
        known = now.get(name) or then[name]
        others = [contender(peer, theirs, same(known, theirs)) for peer, theirs in peers.items()]
        if not any(other.settings for other in others):
            text = precedence_change(before, after)
            yield {"name": name, "master_before": None, "master_after": None, "text": text}
            continue
        foreseen = foresee(before, after, others)
        text = "; ".join(filter(None, (foreseen.text, interval_change(before, after))))
        yield {"name": name, "master_before": foreseen.before, "master_after": foreseen.after, "text": text}
