"""What must hold at every moment of a simulated world, looked at after everything that happens in it.

- **one owner**: where the network of a segment has been quiet for as long as an election can take, each of its islands
  has exactly one owner of each vhid that somebody there could own;
- **in time**: and where nobody owns one, somebody does as soon as the most impatient host there may have to wait;
- **farewells are heeded**: a BACKUP that a bow-out has reached over a good network has the addresses at once, unless
  two that are alike are the best there: both take over, and yield to one another, as kernels do;
- **the guard bows out**: a daemon that dies as MASTER is bowed out for, at once;
- **late is lost**: a MASTER that has said nothing for longer than its lease says nothing more before it is MASTER anew;
- **replays change nothing**: what a host with ``replay = enforce`` has heard before changes no state and no timer;
- **no voice but a MASTER's**: no frame has a vhid's virtual MAC as its source that comes from anybody who is not MASTER
  of it, but for the one farewell of a MASTER that has just stopped to be one;
- **no address without MASTER**: a running daemon has addresses of a vhid on its host only while it is MASTER of it, and
  for the moment that taking them down needs;
- **nobody left behind**: the addresses of a daemon that is dead, or stands still, are gone when its guard has had its
  time, or its lease is over, or their lifetime; whichever of these there is;
- **one sum**: every vhid of a host counts with the sum of the host's ledger, and an interface that is down is in it;
- **no lost timer**: a BACKUP and a MASTER have a deadline, and it is not over;
- **no bug**: no daemon has logged a failure;
- **everything put back**: a daemon that has stopped has left no address, no port, no group, no watcher and no timer.

Quiet is: nothing was done by the scenario, no demotion has changed, no frame is lost or late, no link works one way
only, no machine is frozen, and nobody has addresses whose daemon is dead or stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from carptwist.config.schema import Dialect, ReplayMode, VirtualHostConfig
from carptwist.election.bearing import Bearing
from carptwist.election.precedence import (
    MAX_SKEW,
    effective_advskew,
    interval_seconds,
    lease_seconds,
    lifetime_seconds,
    master_down_seconds,
)
from carptwist.election.state import State
from carptwist.simulation.conditions import GOOD
from carptwist.simulation.history import Kind
from carptwist.simulation.host import GUARD_SECONDS, SimulatedHost
from carptwist.simulation.ownership import Fault, FaultKind
from carptwist.simulation.plane import KERNEL_LATE_SECONDS, Hold
from carptwist.simulation.segment import Segment
from carptwist.simulation.world import World
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.advertisement import Heard, read
from carptwist.wire.carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW

#: What planes, timers and wires may take, on top of what the rules say, besides what the hosts' natures add.
SLACK_SECONDS = 0.05
#: How long a daemon has to end in good order.
LEAVING_SECONDS = 1.5

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
        self._bowed: dict[tuple[str, int], float] = {}  # when somebody who is BACKUP was reached by a farewell
        self._heeded: set[tuple[str, int]] = set()  # of those, which have made somebody take over
        self._bequeathed: dict[tuple[str, int, str], float] = {}  # which farewells are due, by segment, vhid and host
        self._spoken: dict[tuple[str, str], tuple[float, float, int]] = {}  # of each MASTER: see _late
        self._bounds = {key: _bound(world, *key) for key in world.ownerships}
        self._slack = SLACK_SECONDS + max(
            (4 * (host.nature.hold + host.nature.jitter) / min(1.0, host.nature.rate) for host in world.hosts.values()),
            default=0.0,
        )
        for segment in world.segments.values():
            segment.watchers.append(self._listener(segment))
        for host in world.hosts.values():
            host.when_gone.append(self._left)
            host.when_lost.append(self._died)
        for attacker in world.attackers.values():
            attacker.witness = self._replayed

    def look(self) -> None:
        """Something has happened: does everything still hold?"""
        if self.violations:
            return
        self._read_history()
        for host in self._world.hosts.values():
            node, clock = host.node, host.clock
            if node is None or clock is None or clock.stalled:
                self._left_behind(host)
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
        if self._bequeathed:
            self._bequests()
        self._owners()

    def finish(self) -> None:
        """The world is at its end: has everybody gone who was told to, long enough ago?"""
        for host in self._world.hosts.values():
            if not host.leaving or host.clock is None or host.stalled:
                continue
            if self._world.now - max(host.left_at, host.clock.resumed) >= LEAVING_SECONDS:
                self._break("everything put back", f"{host.name} did not end")

    # Rules

    def _read_history(self) -> None:
        happenings = self._world.history.happenings
        for happening in happenings[self._seen :]:
            if happening.kind in (Kind.SCRIPT, Kind.DEMOTION):
                self._disturbed = happening.at
                # Whoever has taken over, or is about to, may have lost it again by this.
                for key, bowed in list(self._bowed.items()):
                    if key in self._heeded or happening.at - bowed <= self._slack:
                        del self._bowed[key]
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

    def _left_behind(self, host: SimulatedHost) -> None:
        """Nobody looks after what this host holds, but its guard and its kernel."""
        system, clock, kernel = host.system, host.clock, host.kernel
        if system is None or clock is None or kernel is None or host.frozen:
            return
        knobs = host.configuration.knobs
        dead = host.node is None
        # From whichever was the last: that it went, or that its kernel was able to do something about it.
        gone = self._world.now - max(clock.dead_since if dead else clock.stalled_since, kernel.resumed)
        for config in host.configuration.vhids:
            if not system.holds(config.name):
                continue
            ways = []
            if system.keeper is not None:
                ways.append(GUARD_SECONDS if dead else lease_seconds(config.advbase, config.advskew, MAX_SKEW))
            if knobs.expire:
                ways.append(lifetime_seconds(config.advbase) + KERNEL_LATE_SECONDS)
            if ways and gone > min(ways) / host.nature.rate + self._slack:
                self._break(
                    "nobody left behind", f"{host.name} has those of {config.name} {gone:.3f} s after its daemon"
                )

    def _owners(self) -> None:
        now = self._world.now
        for (name, vhid), ownership in self._world.ownerships.items():
            if not any(fault.kind is FaultKind.OUTAGE for fault in ownership.open_faults):
                if self._bowed.get((name, vhid), now) < now:
                    self._heeded.add((name, vhid))
                if not any(True for _ in ownership.open_faults):
                    continue
            segment = self._world.segments[name]
            if not self._quiet(segment):
                self._disturbed = now
                continue
            for fault in ownership.open_faults:
                if fault.kind is FaultKind.OUTAGE:
                    self._in_time(fault, segment, vhid)
            if now - self._disturbed > self._bounds[name, vhid]:
                for kind, hosts in self._world.look(segment, vhid).faults.items():
                    whose = f"owned by {' and '.join(hosts)}" if kind is FaultKind.DOUBLE else "owned by nobody"
                    self._break("one owner", f"{ownership.service.name} is {whose} after {now - self._disturbed:.1f} s")

    def _in_time(self, fault: Fault, segment: Segment, vhid: int) -> None:
        now = self._world.now
        waited = now - max(fault.begin, self._disturbed)
        bowed = self._bowed.get((segment.name, vhid), float("-inf"))
        if bowed >= fault.begin - self._slack and now - max(bowed, self._disturbed, fault.begin) > self._slack:
            self._break("farewells are heeded", f"{fault.service.name} is owned by nobody after {now - bowed:.3f} s")
        for owners, able in self._world.look(segment, vhid).islands:
            patience = self._patience(able, segment, vhid)
            if not owners and able and patience is not None and waited > patience + self._slack:
                self._break("in time", f"{fault.service.name} is owned by nobody after {waited:.3f} s")

    def _patience(self, able: Sequence[str], segment: Segment, vhid: int) -> float | None:
        """The shortest timeout of these hosts, in seconds of the world; None where two are alike, and may yield to one
        another any number of times."""
        timeouts, skews = [], []
        for name in able:
            host = self._world.hosts[name]
            for vhost in host.node.roster.all() if host.node is not None else ():
                config = vhost.config
                if config.vhid == vhid and host.wiring[config.interface] is segment:
                    timeouts.append(master_down_seconds(config.advbase, config.advskew) / host.nature.rate)
                    skews.append((config.advbase, config.advskew))
        return None if len(set(skews)) < len(skews) else min(timeouts, default=None)

    def _replayed(self, station: str, reach: Callable[[], object]) -> None:
        """A frame of an attacker's is about to reach a host."""
        host = self._world.hosts[station]
        before = _standing(host)
        reach()
        after = _standing(host)
        if before != after:
            self._break("replays change nothing", f"{station} was at {before}, and is at {after}")

    def _quiet(self, segment: Segment) -> bool:
        if segment.conditions != GOOD or segment.hearing or segment.blocked:
            return False
        return not any(
            host.frozen or (host.system is not None and (host.stalled or host.node is None) and host.system.holds_any)
            for host in self._world.hosts.values()
        )

    def _listener(self, segment: Segment) -> Callable[[str, bytes], object]:
        return lambda station, frame: self._heard(segment, station, frame)

    def _heard(self, segment: Segment, station: str, frame: bytes) -> None:
        host = self._world.hosts.get(station)
        if host is None or frame[6:11] != _VIRTUAL:
            return
        heard = read(frame)
        said = heard.advertisement if isinstance(heard, Heard) else None
        if said is not None and (said.advbase, said.advskew) == (BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW):
            self._bowed_out(segment, station, said.vhid)
            return
        for interface, there in host.wiring.items():
            vhost = host.find(f"{frame[11]}@{interface}") if there is segment else None
            if vhost is not None and vhost.state is State.MASTER:
                if said is not None:
                    self._late(host, vhost)
                return
        self._break("no voice but a MASTER's", f"{station} has sent {frame.hex()}")

    def _bowed_out(self, segment: Segment, station: str, vhid: int) -> None:
        self._bequeathed.pop((segment.name, vhid, station), None)
        if segment.conditions != GOOD or segment.hearing or segment.divided:
            return
        heirs = []
        for host in self._world.hosts.values():
            for interface, there in host.wiring.items():
                if there is not segment or host.name == station or host.stalled or host.frozen:
                    continue
                vhost = host.find(f"{vhid}@{interface}")
                if vhost is not None and self._would_take_over(host, vhost):
                    heirs.append((vhost.machine.demote, vhost.machine.own_interval))
        if heirs:
            self._heeded.discard((segment.name, vhid))
            self._bowed[segment.name, vhid] = self._world.now
            # Nothing in CARP tells two apart that are alike: equal ones yield both, and the next timeout decides.
            if heirs.count(min(heirs)) > 1:
                del self._bowed[segment.name, vhid]

    def _would_take_over(self, host: SimulatedHost, vhost: VirtualHost) -> bool:
        """Whether a farewell that is sent now makes this one MASTER."""
        if vhost.machine.bearing is Bearing.YIELDING:
            return False  # its group is elsewhere, and so it gives others the time to be first
        if vhost.state is not State.BACKUP or not host.could_hold(vhost.config) or host.clock is None:
            return False
        return self._long_since(host.clock.resumed) and not vhost.machine.is_listening(host.clock.seconds())

    def _late(self, host: SimulatedHost, vhost: VirtualHost) -> None:
        """A MASTER advertises."""
        if host.clock is None:
            return
        now, config = host.clock.seconds(), vhost.config
        since, before, errors = self._spoken.get((host.name, vhost.name), (now, now, 0))
        lease = lease_seconds(config.advbase, config.advskew, MAX_SKEW)
        if since == vhost.machine.since and errors == vhost.sending.errors and now - before > lease + self._slack:
            self._break("late is lost", f"{host.name} goes on as MASTER of {vhost.name} after {now - before:.3f} s")
        self._spoken[host.name, vhost.name] = (vhost.machine.since, now, vhost.sending.errors)

    def _died(self, host: SimulatedHost) -> None:
        """A daemon is about to die: its guard, if it has one, is about to bow out for it."""
        if host.system is None or host.system.keeper is None or host.node is None or host.frozen or host.stalled:
            return
        due = self._world.now + GUARD_SECONDS / host.nature.rate + self._slack
        for vhost in host.node.roster.all():
            config = vhost.config
            # It may be MASTER without ever having had the addresses, or a word; and may have become it just now.
            spoken = self._spoken.get((host.name, vhost.name))
            if vhost.state is State.MASTER and host.holds(vhost.name) and spoken and spoken[0] == vhost.machine.since:
                self._bequeathed[host.wiring[config.interface].name, config.vhid, host.name] = due

    def _bequests(self) -> None:
        """Is every farewell of a guard's said in time?"""
        for (segment, vhid, name), due in list(self._bequeathed.items()):
            host = self._world.hosts[name]
            unable = any(not host.link(interface).usable for interface in host.wiring)
            if unable or host.node is not None or host.system is None or host.system.keeper is None or host.frozen:
                # It has gone otherwise.
                del self._bequeathed[segment, vhid, name]
            elif self._world.now > due:
                self._break("the guard bows out", f"nobody has bowed out for {name}, which was MASTER of vhid {vhid}")

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


def _standing(host: SimulatedHost) -> list[tuple[str, State, float, object]]:
    """The states and timers of the vhids of a host that refuse replays."""
    return [
        (vhost.name, vhost.state, vhost.machine.since, (vhost.machine.advertise_at, vhost.machine.master_down_at))
        for vhost in (host.node.roster.all() if host.node is not None else ())
        if vhost.config.replay is ReplayMode.ENFORCE
    ]


def _longest_timeout(config: VirtualHostConfig) -> float:
    # advskew may be changed while it runs.
    return master_down_seconds(config.advbase, 254)
