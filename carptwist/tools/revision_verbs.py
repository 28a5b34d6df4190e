"""``carpctl reload``, ``plan``, ``save``: the configuration of a running daemon is exchanged, would be, or is written.

All print one line per change, the first two in the order in which it is done. Exit code 1 if a step of a reload has
failed; what was done is printed all the same.
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
from carptwist.control.commands import RefusedError
from carptwist.tools.terminal import Terminal

FAILED = 1
#: A reload waits for the kernel, vhid by vhid.
RELOAD_SECONDS = 300.0


def add(verbs: Any) -> None:
    """Add these verbs to carpctl's."""
    reload = verbs.add_parser("reload", help="read the configuration again; unchanged vhids notice nothing")
    reload.add_argument("--json", action="store_true", help="print one JSON object")
    reload.set_defaults(ask=_reload, limit=RELOAD_SECONDS)
    plan = verbs.add_parser("plan", help="what a reload would do, and who would be MASTER after it")
    plan.add_argument(
        "file", metavar="FILE", nargs="?", help="a file of the daemon's host (default: its configuration)"
    )
    plan.add_argument("--json", action="store_true", help="print one JSON object")
    plan.set_defaults(ask=_plan)
    save = verbs.add_parser("save", help="write what was changed at run time into the configuration file")
    save.add_argument("--json", action="store_true", help="print one JSON object")
    save.set_defaults(ask=_save)


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


@inlineCallbacks
def _save(client: ControlClient, arguments: argparse.Namespace) -> Generator[Deferred[Any], Any, str]:
    answer = yield client.save()
    return json.dumps(answer, indent=2, ensure_ascii=False) if arguments.json else save_text(answer)


@inlineCallbacks
def save_too(
    client: ControlClient, arguments: argparse.Namespace, out: Terminal
) -> Generator[Deferred[Any], Any, dict[str, Any]]:
    """After a change with ``--save``: write it, and whatever else was changed before. Gives what to add to JSON."""
    if not arguments.save:
        return {}
    try:
        answer = yield client.save()
    except RefusedError as error:
        raise RefusedError(f"done, but not saved: {error}") from None
    if not arguments.json:
        out.say(save_text(answer))
    return {"saved": answer}


def save_text(answer: dict[str, Any]) -> str:
    """What was written, for people."""
    if not answer["written"]:
        return f"nothing is to be written: {answer['path']} says what runs"
    return "\n".join(f"{answer['path']}: {each}" for each in answer["written"])


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
