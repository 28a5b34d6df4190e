"""A world of hosts and segments on virtual time, from one seed.

::

    World --+-- Timeline            one heap of calls
            +-- Segment lan, dmz    what is sent on them is heard on them
            +-- SimulatedHost a, b  each with a Node of the daemon's own code
            +-- Ownership           of each vhid of each segment, noted at every change

The same seed and the same orders give the same history, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from types import TracebackType
from typing import Any

from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from carptwist.config.schema import Configuration, VirtualHostConfig
from carptwist.simulation.attacker import Attacker
from carptwist.simulation.clock import Timeline
from carptwist.simulation.conditions import GOOD
from carptwist.simulation.history import History, Kind
from carptwist.simulation.host import ORDINARY, Nature, SimulatedHost
from carptwist.simulation.ownership import Look, Ownership, Service
from carptwist.simulation.segment import Segment
from carptwist.simulation.understanding import Understanding


class World:
    """Used as a context, within which it listens to what the hosts log.

    :param recorded: how many octets the flight recorder of each host may fill; 0: they have none.
    """

    def __init__(self, seed: int = 1, *, keep_frames: bool = False, recorded: int = 0) -> None:
        self.seed = seed
        self.timeline = Timeline()
        self.history = History()
        self.segments: dict[str, Segment] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        self.ownerships: dict[tuple[str, int], Ownership] = {}
        self.attackers: dict[str, Attacker] = {}  # by their segments; none where nothing is replayed
        self._keep_frames = keep_frames
        self._recorded = recorded
        self._observer: Any = self._logged
        self._understanding = Understanding()

    def __enter__(self) -> World:
        globalLogPublisher.addObserver(self._observer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        globalLogPublisher.removeObserver(self._observer)

    # Making it

    def segment(self, name: str) -> Segment:
        """The segment of this name, made when it is first asked for."""
        if name not in self.segments:
            self.segments[name] = Segment(
                self.timeline,
                name=name,
                random=self._random("segment", name),
                keep=self._keep_frames,
                running=self.timeline.running,
            )
        return self.segments[name]

    def add(
        self, name: str, configuration: Configuration, wiring: Mapping[str, str], nature: Nature = ORDINARY
    ) -> SimulatedHost:
        """One more host, off. ``wiring``: interface -> segment."""
        host = self.hosts[name] = SimulatedHost(
            name,
            len(self.hosts) + 1,
            configuration,
            wiring={interface: self.segment(segment) for interface, segment in wiring.items()},
            timeline=self.timeline,
            history=self.history,
            random=self._random("host", name),
            moved=self._moved,
            read=self._understanding.read,
            prepare=self._understanding.prepare,
            nature=nature,
            recorded=self._recorded,
        )
        for config in configuration.vhids:
            segment = host.wiring[config.interface].name
            service = Service(segment, config.vhid, tuple(map(str, config.addresses)))
            self.ownerships.setdefault((segment, config.vhid), Ownership(service))
        return host

    # Running it

    @property
    def now(self) -> float:
        return self.timeline.now

    def run(self, seconds: float, watch: Callable[[], object] | None = None) -> None:
        """Let time pass. ``watch`` is called after everything that happens."""
        self.timeline.run_until(self.timeline.now + seconds, watch)

    def finish(self) -> None:
        """No more will happen: all records are complete."""
        for ownership in self.ownerships.values():
            ownership.close(self.now)

    def script(self, text: str, act: Callable[[], object], host: str = "") -> None:
        """Do something from outside, and write down what it was."""
        self.history.add(self.now, Kind.SCRIPT, text, host=host)
        act()

    def network_changed(self, what: str) -> None:
        """Who reaches whom has changed."""
        self._moved(None, what)

    # Looking at it

    def look(self, segment: Segment, vhid: int) -> Look:
        """Who has a vhid of a segment, and who could have it, island by island."""
        members = []
        for host in self.hosts.values():
            for config in host.configuration.vhids:
                if config.vhid == vhid and host.wiring[config.interface] is segment:
                    members.append((host, config))
        found = []
        for island in _islands(segment, [host.name for host, _ in members]):
            there = [(host, config) for host, config in members if host.name in island]
            owners = tuple(host.name for host, config in there if host.holds(config.name))
            able = tuple(host.name for host, config in there if host.could_hold(config))
            found.append((owners, able))
        return Look(found)

    def circumstances(self, segment: Segment) -> str:
        """What is out of the ordinary on a segment now; empty if nothing is."""
        said = []
        if segment.divided:
            said.append(f"{segment.name} is divided: {_division(segment, self.hosts)}")
        if segment.conditions != GOOD:
            said.append(f"{segment.name} has {segment.conditions}")
        said += [f"{station} hears with {conditions}" for station, conditions in sorted(segment.hearing.items())]
        for host in self.hosts.values():
            if segment in host.wiring.values():
                if host.frozen:
                    said.append(f"{host.name} is frozen")
                elif host.stalled:
                    said.append(f"{host.name} stands still")
                elif host.system is not None and host.node is None:
                    said.append(f"{host.name} has no daemon")
        return "; ".join(said)

    def _moved(self, config: VirtualHostConfig | None, cause: str) -> None:
        for (name, vhid), ownership in self.ownerships.items():
            if config is None or config.vhid == vhid:
                segment = self.segments[name]
                ownership.note(self.now, self.look(segment, vhid), cause, self.circumstances(segment))

    # How

    def _random(self, *what: str) -> Random:
        """A stream of its own for each, so that one more host does not change what the others draw."""
        return Random("/".join((str(self.seed), *what)))

    def _logged(self, event: Mapping[str, object]) -> None:
        level = event.get("log_level")
        host = self.timeline.running.station
        if "log_failure" in event or level is LogLevel.critical or level is LogLevel.error:
            failure = event.get("log_failure")
            trace = failure.getTraceback() if failure is not None else ""  # type: ignore[attr-defined]
            self.history.add(self.now, Kind.BUG, f"{formatEvent(dict(event))}\n{trace}".strip(), host=host)
        elif level is LogLevel.warn:
            self.history.add(self.now, Kind.WARNING, _without_prefix(formatEvent(dict(event))), host=host)
        elif level is LogLevel.info and "by" in event and "to" in event:
            self.history.add(self.now, Kind.DEMOTION, _without_prefix(formatEvent(dict(event))), host=host)


def _without_prefix(text: str) -> str:
    return text.removeprefix("carp: ")


def _islands(segment: Segment, stations: list[str]) -> Iterable[set[str]]:
    """Stations that somebody could mistake for one another: connected by any path of frames, in any direction."""
    left = list(stations)
    while left:
        island = {left.pop(0)}
        growing = True
        while growing:
            joined = [
                station
                for station in left
                if any(segment.connects(station, there) or segment.connects(there, station) for there in island)
            ]
            island.update(joined)
            left = [station for station in left if station not in island]
            growing = bool(joined)
        yield island


def _division(segment: Segment, stations: Iterable[str]) -> str:
    """``a, b | c``; or, where only one way is closed, ``a is not heard by b``."""
    groups: dict[int, list[str]] = {}
    for station in stations:
        groups.setdefault(segment.island_of(station), []).append(station)
    said = [" | ".join(", ".join(group) for group in groups.values())] if len(groups) > 1 else []
    said += [f"{sender} is not heard by {receiver}" for sender, receiver in sorted(segment.blocked)]
    return ", ".join(said)
