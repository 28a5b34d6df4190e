"""Two real daemons, and everything that CARP is for: what a client notices of it, next to what the protocol promises.

Host a is the preferred one. Its link is cut and healed, it is stopped and started, the other one is killed, and at
last a itself, with its link cut at once. The bounds:

- a master that is gone without a word: the other one is silent for 3 x advbase + advskew/256 s after the last
  advertisement, to the tick, and the addresses answer at most 50 ms later;
- a master that bows out, or that is relieved by the preferred one: no more than 50 ms without an answer;
- a backup that is gone: the same, since nobody but the master should matter.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from carptwist.config.schema import VirtualHostConfig
from carptwist.configuration import load
from carptwist.election.precedence import master_down_seconds
from carptwist.lab.narrator import Narrator
from carptwist.lab.scene import Scene

#: What a takeover may cost beyond the timeout that the protocol has for it.
ALLOWED_SECONDS = 0.05


class UnfitError(Exception):
    """The configurations are good, but the demo cannot show anything with them. The text says why."""


@dataclass(frozen=True)
class Measurement:
    """What a client noticed of one event at one address.

    ``seconds`` is counted from the last advertisement of a master that was gone, otherwise from the last reply before
    the outage; None if no reply ever came. ``late`` says by how much this machine may have delayed all that meanwhile.
    """

    address: str
    seconds: float | None
    lost: int
    late: float


@dataclass(frozen=True)
class Outcome:
    """One event: who had to serve after it, between which bounds (in seconds), and what was measured."""

    event: str
    master: str
    at_least: float
    at_most: float
    measurements: tuple[Measurement, ...]

    @property
    def good(self) -> bool:
        return all(
            each.seconds is not None and self.at_least <= each.seconds <= self.at_most + each.late
            for each in self.measurements
        )

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


@dataclass(frozen=True)
class Report:
    """All of it. ``offences`` is what was on the wire or is left behind that must never be, as text."""

    outcomes: tuple[Outcome, ...]
    offences: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return not self.offences and all(outcome.good for outcome in self.outcomes)

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good,
            "seconds": round(self.seconds, 3),
            "events": [outcome.as_json() for outcome in self.outcomes],
            "offences": list(self.offences),
        }


class Part(NamedTuple):
    """What one of the two hosts plays: the text of its configuration, and the one virtual host in it."""

    text: str
    vhid: VirtualHostConfig


def configurations(directory: Path | None = None) -> dict[str, Part]:
    """a.ini and b.ini of a directory, by default the ones that carptwist comes with.

    :raises carptwist.configuration.ConfigurationError: one of them cannot be read or is wrong.
    :raises UnfitError: they are not what the demo can show something with.
    """
    parts = {}
    with contextlib.ExitStack() as opened:
        for name in "ab":
            packaged = resources.files("carptwist.lab").joinpath(f"{name}.ini")
            path = directory / f"{name}.ini" if directory else opened.enter_context(resources.as_file(packaged))
            configuration = load(str(path)).configuration
            if [each.interface for each in configuration.vhids] != ["em0"]:
                raise UnfitError(f"{path}: the demo shows one virtual host, on em0")
            if not configuration.knobs.preempt:
                raise UnfitError(f"{path}: the demo shows a preferred host: preempt = yes")
            parts[name] = Part(path.read_text(), configuration.vhids[0])
    a, b = parts["a"].vhid, parts["b"].vhid
    if (a.vhid, a.addresses) != (b.vhid, b.addresses):
        raise UnfitError("the demo shows two hosts with the same vhid and addresses: a.ini and b.ini differ in them")
    if 256 * a.advbase + a.advskew >= 256 * b.advbase + b.advskew:
        raise UnfitError("the demo shows a preferred host: a.ini must have a smaller advbase or advskew than b.ini")
    return parts


def demonstrate(parts: Mapping[str, Part], output: TextIO, *, pcap: Path | None = None) -> Report:
    """Show everything, telling it on ``output`` as it happens.

    :raises LabError: something did not happen at all; the text has the ends of the daemons' logs.
    """
    began = time.monotonic()
    vhid = parts["a"].vhid
    with Scene(shared={str(address.ip): vhid.vhid for address in vhid.addresses}, pcap=pcap) as scene:
        demo = _Demo(scene, parts, Narrator(scene, output))
        demo.perform()
        return Report(tuple(demo.outcomes), tuple(demo.offences), time.monotonic() - began)


def print_report(report: Report, output: TextIO = sys.stdout) -> None:
    """One line for each event, and one for each offence."""
    addresses = [each.address for each in report.outcomes[0].measurements] if report.outcomes else []
    widest = max(len(outcome.event) for outcome in report.outcomes)
    columns = [max(9, len(address)) for address in addresses]
    heads = "  ".join(f"{address:>{width}}" for address, width in zip(addresses, columns, strict=True))
    print(f"\n{'':{widest}}  outage at\n{'event':{widest}}  {heads}  bound", file=output)
    for outcome in report.outcomes:
        cells = "  ".join(
            f"{_amount(each):>{width}}" for each, width in zip(outcome.measurements, columns, strict=True)
        )
        verdict = "ok" if outcome.good else "FAILED"
        print(f"{outcome.event:{widest}}  {cells}  {_bound(outcome):<46}  {verdict}", file=output)
        late = max(each.late for each in outcome.measurements)
        if late > 0.01:
            print(f"{'':{widest}}  this machine was busy: uncertain by {late:.3f} s", file=output)
    for offence in report.offences:
        print(f"FAILED: {offence}", file=output)
    if not report.offences:
        print(
            "No frame tied a shared address to another MAC than the virtual one, none left with it from a host that "
            "was not\nmaster, the client's ARP and ND caches held it all the time, and nothing is left behind.",
            file=output,
        )
    print(
        f"{'All went as it should' if report.good else 'NOT all went as it should'}, in {report.seconds:.0f} s.",
        file=output,
    )


class _Demo:
    def __init__(self, scene: Scene, parts: Mapping[str, Part], narrator: Narrator) -> None:
        self.outcomes: list[Outcome] = []
        self.offences: list[str] = []
        self._scene = scene
        self._parts = parts
        self._narrator = narrator
        b = parts["b"].vhid
        self._vhid = b.vhid
        self._timeout = master_down_seconds(b.advbase, b.advskew)
        self._patience = 20.0 + 10.0 * b.advbase
        scene.tick = narrator.tick

    def perform(self) -> None:
        scene, say = self._scene, self._narrator.say
        a = scene.hosts["a"]
        say("demo", f"two hosts, a client that asks {' and '.join(scene.shared)} every 10 ms, and a switch")
        for name, part in self._parts.items():
            scene.daemon(name, part.text)
        self._await_master("a", 0.0)
        self._await_backup("b")

        self._event("the link of a is cut", "b", lambda: scene.lan.cut(a), gone="a")
        self._event("the link of a is healed", "a", lambda: scene.lan.heal(a))
        self._await_backup("b")
        self._event("a is stopped in good order", "b", scene.daemons["a"].stop)
        self._event("a is started again", "a", scene.daemons["a"].start)
        self._await_backup("b")
        self._event("b, the backup, is killed and cut off", "a", lambda: self._kill("b"))
        self._narrator.say("demo", "b is healed and started again")
        self._come_back("b")
        self._await_backup("b")
        self._event("a, the master, is killed and cut off", "b", lambda: self._kill("a"), gone="a")
        self._event("a is started again and healed", "a", lambda: self._come_back("a"))

        say("demo", "both are stopped")
        for name in ("b", "a"):
            scene.daemons[name].stop()
        scene.tick()
        self.offences += [*scene.offences(), *scene.leftovers()]

    def _event(self, event: str, successor: str, act: Callable[[], object], *, gone: str | None = None) -> None:
        """Do something, wait until ``successor`` serves, and measure. ``gone`` went without a word."""
        self._narrator.say("demo", event)
        began = time.time()
        act()
        self._await_master(successor, began)
        measurements = tuple(self._measure(address, began, gone) for address in self._scene.shared)
        least = self._timeout if gone else 0.0
        self.outcomes.append(Outcome(event, successor, least, least + ALLOWED_SECONDS, measurements))
        self.offences += [f"after {event!r}: {wrong}" for wrong in self._scene.wrong_caches()]

    def _measure(self, address: str, began: float, gone: str | None) -> Measurement:
        outage = self._scene.outage(address, began)
        if outage is None:
            return Measurement(address, 0.0, 0, 0.0)
        if outage.first_reply is None:
            return Measurement(address, None, outage.lost, 0.0)
        late = self._scene.uncertainty(outage.first_reply)
        if gone is None:
            return Measurement(address, outage.seconds, outage.lost, late)
        # Either family's silence makes a backup take over.
        last = [
            each.at
            for family in (4, 6)
            if (each := self._scene.watcher.last(gone, self._vhid, family=family)) is not None
        ]
        return Measurement(address, outage.first_reply - min(last), outage.lost, late)

    def _kill(self, name: str) -> None:
        self._scene.daemons[name].kill_with_guard()
        self._scene.lan.cut(self._scene.hosts[name])

    def _come_back(self, name: str) -> None:
        scene = self._scene
        scene.daemons[name].start()
        # The kernel still has what the killed daemon has left, and would answer for the addresses.
        scene.wait(
            lambda: scene.hosts[name].interfaces(only_up=True) == ["lo", "em0"],
            f"{name} has cleaned up after its predecessor",
            self._patience,
        )
        scene.lan.heal(scene.hosts[name])

    def _await_master(self, name: str, since: float) -> None:
        self._scene.await_master(name, self._vhid, since=since, limit=self._patience)

    def _await_backup(self, name: str) -> None:
        self._scene.await_backup(name, self._vhid, limit=self._patience)


def _amount(measurement: Measurement) -> str:
    if measurement.seconds is None:
        return "for ever"
    return f"{measurement.seconds:.3f} s" if measurement.lost else "none"


def _bound(outcome: Outcome) -> str:
    if outcome.at_least:
        return f"{outcome.at_least:.3f} to {outcome.at_most:.3f} s after the last advertisement"
    return f"under {outcome.at_most:.3f} s"
