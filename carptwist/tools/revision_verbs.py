"""``carpctl reload`` and ``carpctl plan``: the configuration of a running daemon is exchanged, or would be.

Both print one line per step, in the order in which it is done. Exit code 1 if a step of a reload has failed; what was
done by then is printed all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.control.client import ControlClient

FAILED = 1
#: A reload waits for the kernel, vhid by vhid.
RELOAD_SECONDS = 300.0


def add(verbs: Any) -> None:
    """Add both verbs to carpctl's."""
    reload = verbs.add_parser("reload", help="read the configuration again; unchanged vhids notice nothing")
    reload.add_argument("--json", action="store_true", help="print one JSON object")
    reload.set_defaults(ask=_reload, limit=RELOAD_SECONDS)
    plan = verbs.add_parser("plan", help="what a reload would do, and who would be MASTER after it")
    plan.add_argument(
        "file", metavar="FILE", nargs="?", help="a file of the daemon's host (default: its configuration)"
    )
    plan.add_argument("--json", action="store_true", help="print one JSON object")
    plan.set_defaults(ask=_plan)


@inlineCallbacks
def _reload(client: ControlClient, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, str]:
    answer = yield client.reload()
    text = json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else reload_text(answer)
    failed = sum(step["trouble"] is not None for step in answer["steps"])
    if failed:
        print(text)
        print(f"carpctl: {failed} of {len(answer['steps'])} steps failed", file=sys.stderr)
        raise SystemExit(FAILED)
    return text


@inlineCallbacks
def _plan(client: ControlClient, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, str]:
    answer = yield client.plan(os.path.abspath(arguments.file) if arguments.file else "")
    return json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else plan_text(answer)


def reload_text(answer: dict[str, Any]) -> str:
    """What a reload did, for people."""
    lines = []
    for step in answer["steps"]:
        trouble = "" if step["trouble"] is None else f": failed: {step['trouble']}"
        lines.append(f"{_line(step)}{trouble}")
    return "\n".join(lines)


def plan_text(answer: dict[str, Any]) -> str:
    """A plan, for people: the steps, and below them what is to be expected of each vhid."""
    told = [_line(step) for step in answer["steps"]]
    forecast = [f"{each['name']}: {each['text']}" for each in answer["forecast"]]
    return "\n".join([*told, "", "afterwards:", *forecast])


def _line(step: dict[str, Any]) -> str:
    undone = " (a change made at run time is undone)" if step["undoes"] else ""
    return f"{step['subject']}: {step['text']}{undone}"
