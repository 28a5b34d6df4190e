"""``carpctl status`` for people: what is true now, in at most 80 columns.

::

    VHID  INTERFACE  STATE   SINCE                SKEW  MASTER           ADDRESSES
    1     em0        BACKUP  2026-11-21 05:30:01  100   192.0.2.2        192.0.2.1/24
                                                                         2001:db8::1/64
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

_COLUMNS = ("VHID", "INTERFACE", "STATE", "SINCE", "SKEW", "MASTER", "ADDRESSES")


def render(status: dict[str, Any]) -> str:
    """The status object of the control protocol as text, without a newline at its end."""
    parts = [_headline(status)]
    if status["ledger"]:
        parts.append("\n".join(_entry(entry) for entry in status["ledger"]))
    parts.append(_table(status["vhids"]))
    stuck = [
        f"{vhid['vhid']}@{vhid['interface']}: {vhid['reason']}" for vhid in status["vhids"] if vhid["state"] == "INIT"
    ]
    if stuck:
        parts.append("\n".join(stuck))
    refused = {name: count for name, count in status["stats"].items() if count and not name.endswith(("packets", "6"))}
    if refused:
        parts.append("refused: " + ", ".join(f"{name} {count}" for name, count in refused.items()))
    return "\n\n".join(parts)


def _headline(status: dict[str, Any]) -> str:
    preempt = "preempt" if status["preempt"] else "no preempt"
    return f"{status['host']}: carptwist {status['version']}, {preempt}, demotion {status['demotion']}"


def _entry(entry: dict[str, Any]) -> str:
    until = f", until {_time(entry['expires'])}" if entry["expires"] else ""
    return f"demoted by {entry['value']} since {_time(entry['since'])}{until}: {entry['reason']} ({entry['owner']})"


def _table(vhids: Sequence[dict[str, Any]]) -> str:
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for vhid in vhids:
        addresses = vhid["addresses"] or ["none"]
        rows.append(
            (
                str(vhid["vhid"]),
                vhid["interface"],
                vhid["state"],
                _time(vhid["since"]),
                _skew(vhid),
                _master(vhid),
                addresses[0],
            )
        )
        rows += [("", "", "", "", "", "", address) for address in addresses[1:]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


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
