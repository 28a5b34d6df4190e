"""Two routers with NAT whose connections survive: what a TCP transfer through them notices of the death of the master.

A transfer runs from a server to a client for as long as the demo does. Host a, the master, loses its power; b takes
over. Then a is back, with an empty table of connections: it is not preferred before conntrackd has filled that, which
shows in the order of the lines in its log. At last the daemon of a is killed alone, and started again.

The shared address must never be silent for longer than a timeout of the protocol; what may be expected of it event by
event is the matter of :mod:`carptwist.lab.demo`. How long the transfer stands is up to TCP as well:
its sender tries again after 0.2, 0.4, 0.8 ... s, and so may find out only twice as late that the way is open again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from carptwist.election.precedence import master_down_seconds
from carptwist.lab.demo import ALLOWED_SECONDS
from carptwist.lab.narrator import Narrator
from carptwist.lab.routers import INSIDE, SHARED, Routers
from carptwist.lab.scene import Scene
from carptwist.lab.transfer import Outcome, Transfer

IN_SYNC = "(sync conntrack: bulk update done)"
TAKES_OVER = "1@em0: BACKUP -> MASTER"

#: advskew of b in its configuration.
_ADVSKEW = 100
#: The shared address is silent no longer than for b's timeout and what a takeover may cost beyond that.
_AT_MOST = master_down_seconds(1, _ADVSKEW) + ALLOWED_SECONDS
#: A transfer has got on when so many octets more have come.
_PROGRESS = 2_000_000


@dataclass(frozen=True)
class Step:
    """One event. ``outage`` is how long the shared address was silent, in seconds, of at most ``at_most`` and the
    ``late`` of this machine; ``pause`` how long nothing of the transfer came; ``before`` and ``after`` the octets that
    had."""

    event: str
    master: str
    outage: float
    at_most: float
    late: float
    pause: float
    before: int
    after: int

    @property
    def good(self) -> bool:
        return self.outage <= self.at_most + self.late and self.after > self.before

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


@dataclass(frozen=True)
class Report:
    """All of it. ``offences`` is what must never be, as text; ``in_sync_first`` whether each time that a came back it
    was master only after its table was in sync."""

    steps: tuple[Step, ...]
    outcome: Outcome
    in_sync_first: bool
    offences: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return self.outcome.good and self.in_sync_first and not self.offences and all(each.good for each in self.steps)

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good,
            "seconds": round(self.seconds, 3),
            "events": [each.as_json() for each in self.steps],
            "transfer": {**asdict(self.outcome), "good": self.outcome.good},
            "in_sync_first": self.in_sync_first,
            "offences": list(self.offences),
        }


def demonstrate(output: TextIO, *, pcap: Path | None = None) -> Report:
    """Show everything, telling it on ``output`` as it happens.

    :raises LabError: something is not installed, or did not happen at all.
    """
    began = time.monotonic()
    with Scene(shared=SHARED, pcap=pcap) as scene:
        demo = _Demo(Routers(scene), Narrator(scene, output))
        return demo.perform(began)


def print_report(report: Report, output: TextIO = sys.stdout) -> None:
    """One line for each event, one for the transfer, and one for whatever is wrong."""
    widest = max(len(step.event) for step in report.steps)
    print(f"\n{'event':{widest}}  {INSIDE} silent  transfer stood  octets before ... after", file=output)
    for step in report.steps:
        silent = f"{step.outage:.3f} s" if step.outage else "no"
        stood = f"{step.pause:.3f} s" if step.pause else "no"
        octets = f"{step.before:,} ... {step.after:,}"
        verdict = "ok" if step.good else "FAILED"
        print(
            f"{step.event:{widest}}  {silent:>{len(INSIDE) + 7}}  {stood:>14}  {octets:<28}  {verdict}",
            file=output,
        )
        if step.late > 0.01:
            print(f"{'':{widest}}  this machine was busy: uncertain by {step.late:.3f} s", file=output)
    if any(step.pause - step.outage > 1 for step in report.steps):
        print("TCP finds out late that the way is open again: it tries after 0.2, 0.4, 0.8 ... seconds.", file=output)
    outcome = report.outcome
    if outcome.good:
        print(
            f"The transfer is complete and in order: {outcome.received:,} octets, SHA-256 {outcome.received_sha256}.",
            file=output,
        )
    else:
        print(f"FAILED: {outcome.received:,} octets of {outcome.sent:,} have come", file=output)
    for complaint in (*outcome.complaints, *report.offences):
        print(f"FAILED: {complaint}", file=output)
    if report.in_sync_first:
        print("Whenever a came back it was master only after its table was in sync.", file=output)
    else:
        print("FAILED: a was master before its table was in sync", file=output)
    print(
        f"{'All went as it should' if report.good else 'NOT all went as it should'}, in {report.seconds:.0f} s.",
        file=output,
    )


class _Demo:
    def __init__(self, routers: Routers, narrator: Narrator) -> None:
        self._routers = routers
        self._scene = routers.scene
        self._narrator = narrator
        self._in_sync_first = True
        self._scene.tick = narrator.tick

    def perform(self, began: float) -> Report:
        scene, say, routers = self._scene, self._narrator.say, self._routers
        say("demo", "two routers with NAT and conntrackd, a client on one LAN, a server on another")
        for name in "ab":
            routers.start(name)
        self._await_master("a", 0.0)
        transfer = routers.transfer()
        try:
            say("demo", f"a transfer from the server to the client begins; the server sees {transfer.peer}")
            self._get_on(transfer)
            steps = (
                self._step("a, the master, loses its power", "b", lambda: routers.die("a"), transfer),
                self._step("a is back, its table empty", "a", lambda: routers.boot("a"), transfer),
                self._step("the daemon of a is killed", "b", scene.daemons["a"].kill, transfer),
                self._step("the daemon of a is started again", "a", scene.daemons["a"].start, transfer),
            )
            say("demo", "the transfer is ended")
            outcome = transfer.finish()
        finally:
            transfer.close()
        self._narrator.say("demo", "both routers are stopped")
        for name in "ba":
            scene.daemons[name].stop()
        scene.tick()
        return Report(steps, outcome, self._in_sync_first, tuple(scene.offences()), time.monotonic() - began)

    def _step(
        self,
        event: str,
        successor: str,
        act: Callable[[], object],
        transfer: Transfer,
    ) -> Step:
        self._narrator.say("demo", event)
        began, before = time.time(), transfer.received
        act()
        self._await_master(successor, began)
        if successor == "a":
            self._in_sync_first &= IN_SYNC in self._scene.daemons["a"].text().partition(TAKES_OVER)[0]
        self._get_on(transfer)
        found = self._scene.outage(INSIDE, began)
        outage = found.seconds if found is not None else 0.0
        late = self._scene.uncertainty(found.last_lost) if found is not None else 0.0
        return Step(event, successor, outage, _AT_MOST, late, transfer.pause(began), before, transfer.received)

    def _await_master(self, name: str, since: float) -> None:
        self._routers.await_master(name)
        self._scene.await_master(name, since=since)

    def _get_on(self, transfer: Transfer) -> None:
        """Wait until some more of the transfer has come, or something is wrong with it."""
        before = transfer.received
        self._scene.wait(
            lambda: transfer.broken or transfer.received >= before + _PROGRESS, "the transfer gets on", 60.0
        )
