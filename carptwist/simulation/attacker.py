"""Somebody on a segment who records advertisements and sends them again, as they were or with what no digest covers
changed.

::

    a says it ----------> said or heard by a \
    b reads it ---------> said or heard by b  > record --> Replay event --> forged? --> to each host, of its own part
                                             /

Rules that this file keeps:

- Nobody is sent what it has not heard or said before. What a host has never heard is new to it, and is believed once:
  docs/replay.md has that under what remains possible. Hosts differ in what they have heard: each is sent its own part.
- For the same reason what a daemon that died has heard in its last second is left out: it was not written down yet. Nor
  was the counter of its guard's farewell, if it became MASTER in that second.
- A replay reaches every host whose cable is in, whatever the network is like between the hosts.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from carptwist.election.state import State
from carptwist.simulation.host import SimulatedHost
from carptwist.simulation.scenario import Forgery, Replay, Selection
from carptwist.simulation.segment import Segment
from carptwist.vhost.recollection import WRITE_SECONDS
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW

if TYPE_CHECKING:
    from carptwist.simulation.world import World

#: Besides a second of the host's own clock, what the timers of its daemon may be late by.
_SPARE_SECONDS = 0.1
_ADDRESS4 = bytes((192, 0, 2, 66))
_ADDRESS6 = bytes.fromhex("fe80000000000000000000000000beef")


def _act(station: str, act: Callable[[], object]) -> None:
    act()


class Attacker:
    """Records from the moment at which it is made.

    ``witness`` is called with a host's name and with what lets a frame reach it, which it has to call.
    """

    def __init__(self, world: World, segment: Segment) -> None:
        self.sent = 0
        self.witness: Callable[[str, Callable[[], object]], object] = _act
        self._world = world
        self._segment = segment
        self._random = Random(f"{world.seed}/attacker/{segment.name}")
        self._record: dict[str, list[tuple[float, bytes]]] = {}
        self._farewells: dict[str, set[int]] = {}  # the vhids of a dead daemon whose guard's farewell is known to it
        segment.watchers.append(self._note)
        segment.readers.append(self._note)
        for host in world.hosts.values():
            host.when_lost.append(self._lost)

    def replay(self, order: Replay) -> None:
        """Begin to send what was recorded so far, and what will have been recorded by then."""
        self._go_on(order, order.frames)

    def _go_on(self, order: Replay, left: int) -> None:
        for station in list(self._record):
            frame = self._chosen(station, order, left)
            if frame is not None and station in self._world.hosts:
                self.sent += 1
                self.witness(station, lambda station=station, frame=frame: self._segment.inject(station, frame))  # type: ignore[misc]
        if left > 1:
            self._world.timeline.callLater(order.every, self._go_on, order, left - 1)

    def _chosen(self, station: str, order: Replay, left: int) -> bytes | None:
        recorded = self._record[station]
        if not recorded:
            return None
        number = order.frames - left
        if order.selection is Selection.OLDEST:
            place = number % len(recorded)
        elif order.selection is Selection.NEWEST:
            place = -1 - number % min(len(recorded), 4)
        else:
            place = self._random.randrange(len(recorded))
        return forged(recorded[place][1], order.forgery)

    def _note(self, station: str, frame: bytes) -> None:
        heard = read(frame)
        if not isinstance(heard, Heard):
            return
        host = self._world.hosts.get(station)
        dead = host is not None and host.node is None
        if not dead or heard.advertisement.vhid in self._farewells.get(station, ()):
            self._record.setdefault(station, []).append((self._world.now, frame))

    def _lost(self, host: SimulatedHost) -> None:
        """A daemon has died, and with it what it had not written down yet."""
        clock = host.clock
        if clock is None:
            return
        awake = clock.stalled_since if clock.stalled or self._world.now - clock.resumed < 0.2 else self._world.now
        limit = awake - WRITE_SECONDS / host.nature.rate - host.nature.jitter - _SPARE_SECONDS
        self._farewells[host.name] = {
            vhost.config.vhid
            for vhost in (host.node.roster.all() if host.node is not None else ())
            if vhost.state is State.MASTER and (vhost.machine.since - host.nature.offset) / host.nature.rate < limit
        }
        recorded = self._record.get(host.name)
        if recorded is not None:
            self._record[host.name] = [each for each in recorded if each[0] < limit]


def forged(frame: bytes, forgery: Forgery) -> bytes:
    """A recorded advertisement with something else in it that its digest does not cover."""
    heard = read(frame)
    if forgery is Forgery.NOTHING or not isinstance(heard, Heard):
        return frame
    said, family, source, dscp = heard.advertisement, heard.family, heard.source, heard.tos >> 2
    if forgery is Forgery.SOURCE:
        source = _ADDRESS4 if family == 4 else _ADDRESS6
    elif forgery is Forgery.FAMILY:
        family, source = (6, _ADDRESS6) if family == 4 else (4, _ADDRESS4)
    elif forgery is Forgery.ADVSKEW:
        said = said._replace(advskew=0)
    elif forgery is Forgery.FAREWELL:
        said = said._replace(advbase=BOW_OUT_ADVBASE, advskew=BOW_OUT_ADVSKEW)
    else:
        dscp = 0
    make = frame4 if family == 4 else frame6
    return make(said, source_mac=heard.source_mac, source=source, dscp=dscp)
