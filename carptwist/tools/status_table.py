"""``carpctl status`` for people: what is true now, in at most 80 columns.

::

    VHID  INTERFACE  STATE   SINCE           SKEW  MASTER     ADDRESSES
    1     em0        BACKUP  11-21 05:30:01  100   192.0.2.2  192.0.2.1/24
                                                              2001:db8::1/64

What does not fit that wide goes on lines of its own below: the addresses first, then the master.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

#: What the status calls a peer whose counter never changes.
UNPROTECTED = "cannot be protected"

COLUMNS = 80
_HEADS = ("VHID", "INTERFACE", "STATE", "SINCE", "SKEW", "MASTER", "ADDRESSES")
_STATE = _HEADS.index("STATE")
_INDENT = 6


def render(status: dict[str, Any], *, paint: Callable[[str], str] = str) -> str:
    """The status object of the control protocol as text, without a newline at its end.

    :param paint: gives a cell with a state its colour.
    """
    parts = ["\n".join(_wrapped(_headline(status)))]
    parts.append("\n".join(line for entry in status["ledger"] for line in _wrapped(_entry(entry))))
    parts.append(_table(status["vhids"], paint))
    stuck = [
        f"{vhid['vhid']}@{vhid['interface']}: {vhid['reason']}" for vhid in status["vhids"] if vhid["state"] == "INIT"
    ]
    parts.append("\n".join(line for text in stuck for line in _wrapped(text)))
    parts.append("\n".join(line for text in _held_back(status["vhids"]) for line in _wrapped(text)))
    counts = {name: count for name, count in status["stats"].items() if count and not name.endswith(("packets", "6"))}
    refused, believed = _without_believed(counts, status["vhids"])
    if refused:
        shown = ", ".join(f"{name} {count}" for name, count in refused.items())
        parts.append("\n".join(_wrapped(f"refused: {shown}{_of_whom(status['vhids'])}")))
    if believed:
        parts.append("\n".join(_wrapped(f"heard before, and believed all the same (replay = observe): {believed}")))
    parts.append("\n".join(line for text in _claimed(status["vhids"]) for line in _wrapped(text)))
    parts.append("\n".join(line for text in _unprotected(status["vhids"]) for line in _wrapped(text)))
    unsaved = status.get("unsaved") or []
    if unsaved:
        lines = [line for text in unsaved for line in _wrapped(f"  {text}")]
        parts.append("\n".join(["until the next start:", *lines]))
    return "\n\n".join(part for part in parts if part)


def _of_whom(vhids: Sequence[dict[str, Any]]) -> str:
    """Where to ask about refusals: at the virtual host that has most of them, if they are of any."""
    most = max(vhids, key=lambda vhid: sum(vhid.get("refused", {}).values()), default=None)
    if most is None or not most.get("refused"):
        return ""
    return f" (carpctl explain {most['vhid']}@{most['interface']} tells whose, and what that means)"


def _without_believed(counts: dict[str, int], vhids: Sequence[dict[str, Any]]) -> tuple[dict[str, int], int]:
    """What was refused by cause, and how many replays were counted without being refused."""
    refused = sum(vhid.get("refused", {}).get("replay", 0) for vhid in vhids)
    others = {name: count for name, count in counts.items() if name != "replay"}
    return {**others, **({"replay": refused} if refused else {})}, max(0, counts.get("replay", 0) - refused)


def _unprotected(vhids: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{vhid['vhid']}@{vhid['interface']}: {peer['source']} {peer['replay_protection']} from replays"
        for vhid in vhids
        for peer in vhid.get("peers", [])
        if peer.get("replay_protection") == UNPROTECTED
    ]


def _claimed(vhids: Sequence[dict[str, Any]]) -> list[str]:
    told = []
    for vhid in vhids:
        if vhid.get("conflicts"):
            name = f"{vhid['vhid']}@{vhid['interface']}"
            times = "once" if vhid["conflicts"] == 1 else f"{vhid['conflicts']} times"
            told.append(f"{name}: claimed by others {times} (carpctl events {name} tells by whom)")
    return told


def _held_back(vhids: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{vhid['vhid']}@{vhid['interface']}: held back: group {vhid['group']}: {vhid['held_back']}"
        for vhid in vhids
        if vhid.get("held_back") and vhid["state"] != "INIT"
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, subsequent_indent="    ", break_on_hyphens=False)


def _headline(status: dict[str, Any]) -> str:
    preempt = "preempt" if status["preempt"] else "no preempt"
    maintenance = ", maintenance" if status.get("maintenance") else ""
    return f"{status['host']}: carptwist {status['version']}, {preempt}, demotion {status['demotion']}{maintenance}"


def _entry(entry: dict[str, Any]) -> str:
    until = f", until {_time(entry['expires'])}" if entry["expires"] else ""
    return f"demoted by {entry['value']} since {_time(entry['since'])}{until}: {entry['reason']} ({entry['owner']})"


def _table(vhids: Sequence[dict[str, Any]], paint: Callable[[str], str]) -> str:
    for columns in (7, 6, 5):
        rows = [row for vhid in vhids for row in _rows(vhid, columns)]
        widths = [
            max(len(_HEADS[column]), *(len(row[column]) for row in rows if len(row) > 1)) if rows else 0
            for column in range(columns)
        ]
        if sum(widths) + 2 * (columns - 1) <= COLUMNS or columns == 5:
            break
    lines = [_line(_HEADS[:columns], widths, str)] if rows else []
    return "\n".join([*lines, *(_line(row, widths, paint) for row in rows)])


def _rows(vhid: dict[str, Any], columns: int) -> Iterator[tuple[str, ...]]:
    """The cells of a vhid's rows; a row of one cell is a line by itself."""
    addresses = vhid["addresses"] or ["none"]
    whole = (
        str(vhid["vhid"]),
        vhid["interface"],
        vhid["state"],
        _time(vhid["since"]),
        _skew(vhid),
        _master(vhid),
        addresses[0],
    )
    yield whole[:columns]
    if columns == 7:
        for address in addresses[1:]:
            yield (*[""] * 6, address)
        return
    if columns == 5:
        yield (" " * _INDENT + f"master {_master(vhid)}",)
    for address in addresses:
        yield (" " * _INDENT + address,)


def _line(row: Sequence[str], widths: Sequence[int], paint: Callable[[str], str]) -> str:
    if len(row) == 1:
        return row[0]
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
    cells[-1] = cells[-1].rstrip()
    # After the width is known: what gives a colour has none.
    cells[_STATE] = paint(row[_STATE]) + " " * (widths[_STATE] - len(row[_STATE]))
    return "  ".join(cells).rstrip()


def _skew(vhid: dict[str, Any]) -> str:
    configured, effective = vhid["advskew"], vhid["effective_advskew"]
    return str(configured) if configured == effective else f"{configured}>{effective}"


def _master(vhid: dict[str, Any]) -> str:
    if vhid["state"] == "MASTER":
        return "this host"
    return vhid["master"]["source"] if vhid["master"] else "-"


def _time(text: str) -> str:
    """In the reader's own time zone."""
    return datetime.fromisoformat(text).astimezone().strftime("%m-%d %H:%M:%S")
