"""Who owns what, judged from outside: which hosts answer for the addresses of a vhid, and who could.

A **service** is one vhid on one segment, with all its addresses. At each moment it has owners: the hosts that hold the
addresses where somebody on the segment reaches them. On each island of a divided segment there should be exactly one
owner, as long as a host is there that could be one. What else there is is a fault:

- an **outage**: nobody owns it, while somebody could;
- a **double ownership**: several hosts that frames can reach from one another, or from one place, own it.

Each has a cause: what had just happened when it began, with what is out of the ordinary in the network, and what ended
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple


class Service(NamedTuple):
    """A vhid of a segment. ``addresses`` are texts, for people."""

    segment: str
    vhid: int
    addresses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``vhid 1 of lan``."""
        return f"vhid {self.vhid} of {self.segment}"


class FaultKind(Enum):
    """What is wrong."""

    OUTAGE = "outage"
    DOUBLE = "double ownership"


class Span(NamedTuple):
    """The owners did not change from ``begin`` to ``end``."""

    begin: float
    end: float
    owners: tuple[str, ...]


class Fault(NamedTuple):
    """Something was wrong from ``begin`` to ``end``; ``ended`` is empty where it lasted to the end of the run."""

    service: Service
    kind: FaultKind
    begin: float
    end: float
    owners: tuple[str, ...]
    cause: str
    circumstances: str
    ended: str

    @property
    def seconds(self) -> float:
        return self.end - self.begin


class Look(NamedTuple):
    """What somebody who sees everything sees of a service now.

    ``owners`` and ``able`` by island: the hosts that hold it, and those that could.
    """

    islands: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(sorted({host for owners, _ in self.islands for host in owners}))

    @property
    def faults(self) -> dict[FaultKind, tuple[str, ...]]:
        """What is wrong, with the owners or the hosts that it is about."""
        found: dict[FaultKind, tuple[str, ...]] = {}
        for owners, able in self.islands:
            if not owners and able:
                found[FaultKind.OUTAGE] = (*found.get(FaultKind.OUTAGE, ()), *able)
            elif len(owners) > 1:
                found[FaultKind.DOUBLE] = (*found.get(FaultKind.DOUBLE, ()), *owners)
        return found


class Ownership:
    """The record of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.spans: list[Span] = []
        self.faults: list[Fault] = []
        self._owners: tuple[str, ...] = ()
        self._since = 0.0
        self._open: dict[FaultKind, Fault] = {}

    @property
    def owners(self) -> tuple[str, ...]:
        """Who owns it now."""
        return self._owners

    @property
    def open_faults(self) -> Iterable[Fault]:
        """What is wrong now; their ends are not known yet."""
        return self._open.values()

    def note(self, now: float, look: Look, cause: str, circumstances: str) -> None:
        """This is what it looks like from now on."""
        if look.owners != self._owners:
            self._end_span(now)
            self._owners = look.owners
        faults = look.faults
        for kind in [kind for kind in self._open if kind not in faults]:
            self._end_fault(self._open.pop(kind), now, cause)
        for kind, hosts in faults.items():
            known = self._open.get(kind)
            if known is None:
                self._open[kind] = Fault(self.service, kind, now, now, hosts, cause, circumstances, "")
            elif kind is FaultKind.DOUBLE and hosts != known.owners:
                self._open[kind] = known._replace(owners=tuple(dict.fromkeys((*known.owners, *hosts))))

    def close(self, now: float) -> None:
        """The run is over."""
        self._end_span(now)
        for fault in self._open.values():
            self._end_fault(fault, now, "")
        self._open.clear()

    def _end_span(self, now: float) -> None:
        if now > self._since:
            self.spans.append(Span(self._since, now, self._owners))
        self._since = now

    def _end_fault(self, fault: Fault, now: float, ended: str) -> None:
        # What began and ended at one moment was never there.
        if now > fault.begin:
            self.faults.append(fault._replace(end=now, ended=ended))
