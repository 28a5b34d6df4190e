"""What must hold at every moment of a simulated world, looked at after everything that happens in it.

- **one owner**: where the network of a segment has been quiet for as long as an election can take, each of its islands
  has exactly one owner of each vhid that somebody there could own;
- **no voice but a MASTER's**: no frame has a vhid's virtual MAC as its source that comes from anybody who is not MASTER
  of it, but for the one farewell of a MASTER that has just stopped to be one;
- **no address without MASTER**: a running daemon has addresses of a vhid on its host only while it is MASTER of it, and
  for the moment that taking them down needs;
- **one sum**: every vhid of a host counts with the sum of the host's ledger, and an interface that is down is in it;
- **no lost timer**: a BACKUP and a MASTER have a deadline, and it is not over;
- **no bug**: no daemon has logged a failure;
- **everything put back**: a daemon that has stopped has left no address, no port, no group, no watcher and no timer.

Quiet is: nothing was done by the scenario, no demotion has changed, no frame is lost or late, no link works one way
only, nobody stands still, and nobody was killed and not started again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from carptwist.config.schema import Dialect, VirtualHostConfig
from carptwist.election.precedence import effective_advskew, interval_seconds, master_down_seconds
from carptwist.election.state import State
from carptwist.simulation.conditions import GOOD
from carptwist.simulation.history import Kind
from carptwist.simulation.host import SimulatedHost
from carptwist.simulation.ownership import FaultKind
from carptwist.simulation.plane import Hold
from carptwist.simulation.segment import Segment
from carptwist.simulation.world import World
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.advertisement import Heard, read
from carptwist.wire.carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW

#: What planes, timers and wires may take, on top of what the rules say, besides what the hosts' natures add.
SLACK_SECONDS = 0.05

_VIRTUAL = b"\x00\x00\x5e\x00\x01"


class Violation(NamedTuple):
    """A rule was broken."""

    at: float
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.at:.3f} s: {self.rule}: {self.text}"


class Inspector:
    """Looks at one world. :meth:`look` is to be called after every event; it stops looking at the first violation."""

    def __init__(self, world: World) -> None:
        self.violations: list[Violation] = []
        self._world = world
        self._seen = 0  # happenings
        self._disturbed = 0.0
        self._homeless: dict[tuple[str, str], float] = {}  # held without being MASTER, since
        self._bounds = {key: _bound(world, *key) for key in world.ownerships}
        self._slack = SLACK_SECONDS + max(
            (4 * (host.nature.hold + host.nature.jitter) / min(1.0, host.nature.rate) for host in world.hosts.values()),
            default=0.0,
        )
        for segment in world.segments.values():
            segment.watchers.append(self._listener(segment))
        for host in world.hosts.values():
            host.when_gone.append(self._left)

    def look(self) -> None:
        """Something has happened: does everything still hold?"""
        if self.violations:
            return
        self._read_history()
        for host in self._world.hosts.values():
            node, clock = host.node, host.clock
            if node is None or clock is None or clock.stalled:
                continue
            entries = node.roster.ledger.entries
            total = sum(entry.value for entry in entries)
            owners = {entry.owner for entry in entries} if entries else ()
            now = clock.seconds()
            for vhost in node.roster.all():
                self._timers(host, vhost, now)
                self._addresses(host, vhost)
                config, machine = vhost.config, vhost.machine
                counts = config.dialect is Dialect.OPENBSD
                expected = config.advskew if counts else effective_advskew(config.advskew, total)
                if machine.effective_advskew != expected:
                    self._break("one sum", f"{host.name} {vhost.name} counts otherwise than with {total}")
                if owners and f"ifdown {vhost.name}" in owners and self._usable(host, vhost):
                    self._break("one sum", f"{host.name} is demoted for {config.interface}, which is up")
        self._owners()

    # Rules

    def _read_history(self) -> None:
        happenings = self._world.history.happenings
        for happening in happenings[self._seen :]:
            if happening.kind in (Kind.SCRIPT, Kind.DEMOTION):
                self._disturbed = happening.at
            elif happening.kind is Kind.BUG:
                self._break("no bug", f"{happening.host}: {happening.text}")
        self._seen = len(happenings)

    def _usable(self, host: SimulatedHost, vhost: VirtualHost) -> bool:
        """Whether the daemon knows its interface to be up."""
        return host.system is not None and host.system.monitor.state(vhost.config.interface).usable

    def _timers(self, host: SimulatedHost, vhost: VirtualHost, now: float) -> None:
        state, deadline = vhost.state, vhost.machine.deadline
        if state is State.INIT:
            if deadline is not None:
                self._break("no lost timer", f"{host.name} {vhost.name} is INIT, and has one")
        elif deadline is None:
            self._break("no lost timer", f"{host.name} {vhost.name} is {state.value} without one")
        elif deadline >= now - self._slack or host.clock is None:
            return
        elif self._long_since(host.clock.resumed) and self._long_since(self._disturbed):
            # Not just now: another advskew can put a deadline into the past, where it is met at once.
            self._break("no lost timer", f"{host.name} {vhost.name}: due {now - deadline:.3f} s ago")

    def _long_since(self, moment: float) -> bool:
        return self._world.now - moment > self._slack

    def _addresses(self, host: SimulatedHost, vhost: VirtualHost) -> None:
        key = (host.name, vhost.name)
        if vhost.state is State.MASTER or host.system is None or not host.system.holds(vhost.name):
            self._homeless.pop(key, None)
            return
        since = self._homeless.setdefault(key, self._world.now)
        if self._long_since(since) and host.clock is not None and self._long_since(host.clock.resumed):
            self._break(
                "no address without MASTER", f"{host.name} has those of {vhost.name}, and is {vhost.state.value}"
            )

    def _owners(self) -> None:
        now = self._world.now
        for (name, vhid), ownership in self._world.ownerships.items():
            if not any(True for _ in ownership.open_faults):
                continue
            segment = self._world.segments[name]
            if not self._quiet(segment):
                self._disturbed = now
            elif now - self._disturbed > self._bounds[name, vhid]:
                for kind, hosts in self._world.look(segment, vhid).faults.items():
                    whose = f"owned by {' and '.join(hosts)}" if kind is FaultKind.DOUBLE else "owned by nobody"
                    self._break("one owner", f"{ownership.service.name} is {whose} after {now - self._disturbed:.1f} s")

    def _quiet(self, segment: Segment) -> bool:
        if segment.conditions != GOOD or segment.hearing or segment.blocked:
            return False
        return not any(
            host.stalled or host.frozen or (host.system is not None and host.node is None)
            for host in self._world.hosts.values()
        )

    def _listener(self, segment: Segment) -> Callable[[str, bytes], object]:
        return lambda station, frame: self._heard(segment, station, frame)

    def _heard(self, segment: Segment, station: str, frame: bytes) -> None:
        host = self._world.hosts.get(station)
        if host is None or frame[6:11] != _VIRTUAL:
            return
        for interface, there in host.wiring.items():
            if there is segment and host.state(f"{frame[11]}@{interface}") is State.MASTER:
                return
        heard = read(frame)
        if isinstance(heard, Heard):
            said = (heard.advertisement.advbase, heard.advertisement.advskew)
            if said == (BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW):
                return
        self._break("no voice but a MASTER's", f"{station} has sent {frame.hex()}")

    def _left(self, host: SimulatedHost) -> None:
        """A daemon has stopped in good order."""
        system, clock = host.system, host.clock
        if system is None or clock is None:
            return
        for name, plane in system.planes.items():
            if plane.stands is not Hold.NOTHING:
                self._break("everything put back", f"{host.name}: the plane of {name} is {plane.stands.value}")
        if any(port.plugged_in for port in system.ports):
            self._break("everything put back", f"{host.name}: a port is open")
        if system.members:
            self._break("everything put back", f"{host.name}: groups are joined on {', '.join(system.members)}")
        if system.monitor.watched:
            self._break("everything put back", f"{host.name}: {', '.join(system.monitor.watched)} is watched")
        pending = clock.getDelayedCalls()
        if pending:
            self._break("everything put back", f"{host.name}: {len(pending)} timers run: {pending[0].call}")

    def _break(self, rule: str, text: str) -> None:
        self.violations.append(Violation(self._world.now, rule, text))


def _bound(world: World, segment: str, vhid: int) -> float:
    """How long an election of a vhid can take at most, whatever state the hosts begin in, in seconds of the world.

    A timeout until there is a MASTER, three advertisement intervals until it is the best one, and for a tie two more
    rounds of both. Nodes that are alike in every respect may need more, with a chance that is as small as the time of
    a frame is against the lateness of their timers.
    """
    timeouts, intervals, rate = [0.0], [0.0], 1.0
    for host in world.hosts.values():
        for config in host.configuration.vhids:
            if config.vhid == vhid and host.wiring[config.interface].name == segment:
                timeouts.append(_longest_timeout(config))
                intervals.append(interval_seconds(config.advbase, 254))
                rate = min(rate, host.nature.rate)
    return (3 * max(timeouts) + 5 * max(intervals)) / rate + 1.0


def _longest_timeout(config: VirtualHostConfig) -> float:
    # advskew may be changed while it runs.
    return master_down_seconds(config.advbase, 254)
