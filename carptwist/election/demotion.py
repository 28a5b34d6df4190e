"""The demotion ledger: why this host is worse than it could be, entry by entry.

Demotion is one host-wide signed number that is added to the advskew of every vhid. Here it is never
a bare number: it is the sum of entries, each with an owner who alone changes it and takes it back.
The kernels' automatic causes are entries as well (``ifdown 1@em0``, ``senderr 1@em0``).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One reason to be demoted. ``since`` and ``expires`` are seconds of the caller's clock."""

    owner: str
    value: int
    reason: str
    since: float
    expires: float | None


class Change(NamedTuple):
    """What an input did to the sum: ``demoted by BY to TO (REASON)``."""

    by: int
    to: int
    reason: str


class Ledger:
    """Entries by owner. Every method that may change the sum returns the change, or None."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    @property
    def sum(self) -> int:
        """The demotion of this host."""
        return sum(entry.value for entry in self._entries.values())

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest owner first."""
        return tuple(self._entries.values())

    @property
    def deadline(self) -> float | None:
        """When the next entry expires."""
        return min((entry.expires for entry in self._entries.values() if entry.expires is not None), default=None)

    def put(self, now: float, owner: str, value: int, reason: str, expires: float | None = None) -> Change | None:
        """Make or replace the entry of ``owner``. An entry keeps its ``since`` while its value stays."""
        before = self._entries.get(owner)
        since = before.since if before is not None and before.value == value else now
        self._entries[owner] = Entry(owner, value, reason, since, expires)
        return self._change(value - (before.value if before is not None else 0), reason)

    def remove(self, owner: str, reason: str) -> Change | None:
        """Take the entry of ``owner`` back; None also where there is none."""
        entry = self._entries.pop(owner, None)
        return None if entry is None else self._change(-entry.value, reason)

    def expire(self, now: float) -> list[Change]:
        """Remove what has run out by ``now``."""
        due = [entry for entry in self._entries.values() if entry.expires is not None and entry.expires <= now]
        changes = [self.remove(entry.owner, f"{entry.reason}: expired") for entry in due]
        return [change for change in changes if change is not None]

    def _change(self, by: int, reason: str) -> Change | None:
        return Change(by, self.sum, reason) if by else None
