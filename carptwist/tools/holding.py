"""Who had an address when, from the records of some or all hosts of a group: was there ever more than one?

::

    a   |=============?              killed: what is known of it ends here
    b                   |====|
    a                       |======  both had it here, if their clocks are right

An address counts as held from when a plane has made it reachable until it was taken away again, or the guard has ended
it. Of a daemon that was killed it is known no longer than its record goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from carptwist.recorder.records import INPUTS, Answer, Input, seconds
from carptwist.recorder.ring import Part


class Span(NamedTuple):
    """``host`` had ``address`` for ``vhid``, from ``begin`` to ``end``, in seconds since the epoch by its clock. Not
    ``ended``: the record goes no further."""

    address: str
    begin: float
    end: float
    host: str
    vhid: str
    ended: bool


class Overlap(NamedTuple):
    """Two hosts had an address at the same time."""

    address: str
    begin: float
    end: float
    hosts: tuple[str, str]


def spans(parts: Iterable[Part]) -> list[Span]:
    """What one host had, in the order of the ends."""
    host = _Host()
    for part in parts:
        if not part.follows:
            host.close_all(ended=False)
        for record in part.records:
            kind = record[0]
            if kind in (Input.BEGIN, Input.KEYFRAME):
                host.introduce(record)
            if kind in INPUTS:
                host.wall = seconds(record[1]) + host.shift
            if kind == Input.COMMAND:
                host.configured(*record[4], *record[5].values())
            elif kind == Input.PLANE and not record[4]:
                host.step(record[2], record[3])
            elif kind == Answer.DONE and not record[3]:
                host.step(record[1], record[2])
            elif kind == Input.ENDED:
                # The daemon may hear of it long after: it was away.
                host.close(record[2], ended=True, at=record[4] + host.shift)
    host.close_all(ended=False)
    return host.spans


def overlaps(every: Iterable[Span]) -> Iterator[Overlap]:
    """Where two of different hosts meet for one vhid, the earliest first for each address."""
    ordered = sorted(every)
    for number, one in enumerate(ordered):
        for other in ordered[number + 1 :]:
            if other.address != one.address or other.begin >= one.end:
                break
            # Under balancing an address has several vhids, each with a host of its own.
            if other.host != one.host and other.vhid.partition("@")[0] == one.vhid.partition("@")[0]:
                yield Overlap(one.address, other.begin, min(one.end, other.end), (one.host, other.host))


class _Host:
    """One host as far as the record goes."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.shift = 0.0
        self.wall = 0.0
        self._name = ""
        self._addresses: dict[str, list[str]] = {}
        self._open: dict[str, tuple[float, list[str]]] = {}

    def introduce(self, record: list[Any]) -> None:
        introduction = record[2]
        if record[0] == Input.BEGIN:
            self.close_all(ended=False)
        self._name = introduction["host"]
        self.shift = introduction["wall"] - introduction["clock"]
        self.wall = seconds(record[1]) + self.shift
        for vhost in introduction["state"]["vhosts"] if record[0] == Input.KEYFRAME else ():
            self.configured({"config": vhost["config"]})
            if vhost["holds"]:
                self.step(f"{vhost['config']['vhid']}@{vhost['config']['interface']}", "hold")

    def configured(self, *arguments: Any) -> None:
        """Somebody has said what addresses vhids have."""
        for each in arguments:
            if isinstance(each, dict) and "list" in each:
                self.configured(*each["list"])
            elif isinstance(each, dict) and "config" in each:
                config = each["config"]
                self._addresses[f"{config['vhid']}@{config['interface']}"] = config["addresses"]

    def step(self, vhid: str, step: str) -> None:
        """A plane has done something."""
        if step == "hold":
            addresses = self._addresses.get(vhid, [])
            if vhid in self._open and self._open[vhid][1] != addresses:
                self.close(vhid, ended=True)
            self._open.setdefault(vhid, (self.wall, addresses))
        elif step in ("release", "withdraw"):
            self.close(vhid, ended=True)

    def close(self, vhid: str, *, ended: bool, at: float | None = None) -> None:
        begin, addresses = self._open.pop(vhid, (0.0, []))
        end = self.wall if at is None else at
        self.spans += [Span(address, begin, end, self._name, vhid, ended) for address in addresses]

    def close_all(self, *, ended: bool) -> None:
        for vhid in tuple(self._open):
            self.close(vhid, ended=ended)
