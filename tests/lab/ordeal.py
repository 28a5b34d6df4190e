"""A drawn schedule of failures, performed on real daemons.

::

    Schedule --> a Scene with its hosts --> each failure --> all healed --> one owner? --> all stopped --> nothing left?
                                                  |
                       every few milliseconds: who has the addresses, and who hears whom

What must hold:

- of hosts that hear one another two have the addresses no longer than ``HANDOVER_SECONDS``; where a cable or a LAN was
  just mended, no longer than ``MEETING_SECONDS``;
- once all is healed, and all daemons run, exactly one of them has the addresses after ``HEALING_SECONDS``, the client
  is answered, and both stay so;
- daemons that have stopped leave nothing behind, and no guard;
- and what :mod:`carptwist.lab.rules` says of every frame.

Each is allowed what this machine was late by.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

from carptwist.lab.lan import Partition
from carptwist.lab.namespaces import LabError
from carptwist.lab.rules import GRACE_SECONDS
from carptwist.lab.scene import SHARED4, SHARED6, Scene
from carptwist.simulation.breaker import Schedule
from carptwist.simulation.scenario import Cable, CableEvent, Demote, Divide, Event, Heal, HostEvent, Order
from carptwist.simulation.writing import configuration_text

#: What two hosts may have them together for while one hands them to the other.
HANDOVER_SECONDS = 0.3
#: Two that were MASTER on their own sides hear of one another so much later at most; or one of them was killed there,
#: and its addresses expire.
MEETING_SECONDS = 2.6
#: Two timeouts: the second one where what the other one says was heard before; and the intervals of both.
HEALING_SECONDS = 2 * (3 + 180 / 256) + 2 * (1 + 180 / 256)
#: Then it stays so.
STAYING_SECONDS = 2.0
ENDING_SECONDS = 10.0


class Together(NamedTuple):
    """Two hosts that heard one another had the addresses both, for certain from ``first`` to ``last``; ``met`` is when
    the network was mended before."""

    hosts: tuple[str, str]
    met: float
    first: float
    last: float


class Ordeal:
    """One schedule. :meth:`perform` says what was wrong; :attr:`healed_after` is what the one owner took."""

    def __init__(self, schedule: Schedule) -> None:
        self.offences: list[str] = []
        self.healed_after = float("nan")
        self.longest_together = 0.0
        self._schedule = schedule
        self._together: dict[tuple[str, str], Together] = {}
        self._began = time.time()
        self._met = 0.0  # when a cable or the LAN was mended
        self._apart: set[str] = set()
        self._crashed: set[str] = set()
        self._stopped: dict[str, float] = {}  # when
        self._stalls: list[tuple[float, float]] = []  # from, until
        self._asking: list[threading.Thread] = []
        self._acts: dict[Order, Callable[[str], object]] = {
            Order.START: self._start,
            Order.STOP: self._stop,
            Order.KILL: lambda name: self._scene.daemons[name].kill(),
            Order.KILL_BOTH: lambda name: self._scene.daemons[name].kill_with_guard(),
            Order.CRASH: self._crash,
            Order.STALL: lambda name: self._signal(name, signal.SIGSTOP),
            Order.RESUME: lambda name: self._signal(name, signal.SIGCONT),
        }

    def perform(self) -> list[str]:
        """To the end; what was wrong, as text.

        :raises LabError: something else went wrong.
        """
        parts = self._schedule.parts
        with Scene(len(parts)) as self._scene:
            for part in parts:
                self._scene.daemon(part.name, configuration_text(part.configuration))
            if not self._until(lambda: len(self.owners()) == 1, 60.0):
                raise LabError("\n".join(["nobody has the addresses", *self._tails()]))
            began = time.monotonic()
            self._began = time.time()
            for scheduled in self._schedule.failures:
                self._until(lambda at=began + scheduled.at: time.monotonic() >= at, 60.0)  # type: ignore[misc]
                self._happen(scheduled.event)
            self._heal()
            self._end()
            self.offences += self._scene.offences(self._stood_still)
            if self.offences:
                self.offences += self._tails()
        return self.offences

    def owners(self) -> list[str]:
        """The hosts on which the shared addresses are, on a device that is up."""
        return [name for name in self._scene.hosts if self._holds(name)]

    # What happens

    def _happen(self, event: Event) -> None:
        if isinstance(event, HostEvent):
            self._acts[event.order](event.host)
        elif isinstance(event, CableEvent):
            self._plug(event.host, plugged=event.what is Cable.PLUG)
        elif isinstance(event, Divide):
            self._divide({event.islands[0][0]})
        elif isinstance(event, Heal):
            self._divide(set())
        elif isinstance(event, Demote):
            lasting = [] if event.seconds is None else ["--for", f"{event.seconds:g}"]
            words = ["demote", str(event.by), "--owner", event.owner, "--reason", event.reason, *lasting]
            self._ask(event.host, *words)
        else:
            raise ValueError(f"not in a lab: {event}")

    def _signal(self, name: str, number: signal.Signals) -> None:
        now = time.time()
        if number is signal.SIGSTOP:
            self._stopped.setdefault(name, now)
        elif number is signal.SIGCONT and name in self._stopped:
            self._stalls.append((self._stopped.pop(name), now))
        child = self._scene.daemons[name].child
        if child is not None and child.running:
            child.signal(number)

    def _stop(self, name: str) -> None:
        self._signal(name, signal.SIGTERM)

    def _start(self, name: str) -> None:
        daemon = self._scene.daemons[name]
        if daemon.running:
            return
        daemon.start()
        if name in self._crashed:
            # Nothing that a host without power has left is there when it is back.
            daemon.expect("INIT -> ", 60.0) if self._has_link(name) else daemon.expect("carp: ", 60.0)
            self._crashed.discard(name)
            self._plug(name, plugged=True)

    def _crash(self, name: str) -> None:
        self._scene.daemons[name].kill_with_guard()
        self._crashed.add(name)
        self._scene.lan.cut(self._scene.hosts[name])

    def _has_link(self, name: str) -> bool:
        return not self._scene.lan.ports[name].is_cut

    def _plug(self, name: str, *, plugged: bool) -> None:
        lan, host = self._scene.lan, self._scene.hosts[name]
        if not plugged:
            lan.cut(host)
        elif name not in self._crashed:
            lan.heal(host)
            if name in self._apart:
                lan.isolate(host)
            self._met = time.time()

    def _divide(self, apart: set[str]) -> None:
        self._apart = apart
        for name, host in self._scene.hosts.items():
            self._scene.lan.isolate(host, Partition.BOTH if name in apart else Partition.NOTHING)
        self._met = time.time()

    def _ask(self, name: str, *words: str) -> None:
        """By carpctl, which takes longer than others may be left out of sight; and may find nobody there."""

        def ask() -> None:
            with contextlib.suppress(LabError):
                self._scene.daemons[name].carpctl(*words)

        self._asking.append(threading.Thread(target=ask))
        self._asking[-1].start()

    # What must hold

    def _heal(self) -> None:
        for name, daemon in self._scene.daemons.items():
            self._signal(name, signal.SIGCONT)
            self._until(lambda daemon=daemon: not daemon.running, 1.0)  # type: ignore[misc]  # one that was stopping
            self._start(name)
        self._divide(set())
        for name in self._scene.daemons:
            self._plug(name, plugged=True)
        for asking in self._asking:
            asking.join()
        ready = all(
            self._until(lambda name=name: self._scene.logged_state(name) in ("BACKUP", "MASTER"), 60.0)  # type: ignore[misc]
            for name in self._scene.daemons
        )
        began = time.monotonic()
        limit = HEALING_SECONDS + STAYING_SECONDS + self._scene.uncertainty(time.time())
        settled = began

        def one_for_a_while() -> bool:
            nonlocal settled
            if len(self.owners()) != 1 or not all(map(self._scene.prober.flowing, self._scene.prober.addresses)):
                settled = time.monotonic()
            return time.monotonic() - settled >= STAYING_SECONDS

        if not ready or not self._until(one_for_a_while, limit):
            self.offences.append(f"all is healed, and the owners are {self.owners()} after {limit:.1f} s")
        self.healed_after = settled - began

    def _end(self) -> None:
        for name in self._scene.daemons:
            self._stop(name)
        if not self._until(lambda: not self._left(), ENDING_SECONDS):
            self.offences += self._left()

    def _left(self) -> list[str]:
        guards = [name for name, daemon in self._scene.daemons.items() if daemon.guards()]
        return [*self._scene.leftovers(), *(f"the guard of {name} still runs" for name in guards)]

    def _tails(self) -> list[str]:
        return [daemon.tail() for daemon in self._scene.daemons.values()]

    def _until(self, condition: Callable[[], bool], limit: float) -> bool:
        """Look after it all until a condition holds; whether it does."""
        deadline = time.monotonic() + limit
        while not condition():
            if time.monotonic() >= deadline:
                return False
            self._look()
            time.sleep(0.01)
        return True

    def _look(self) -> None:
        """Hosts are looked at one after the other: two have them at a moment if each has them before and after it."""
        before = self.owners()
        at = time.time()
        certain = [name for name in before if self._holds(name)] if len(before) > 1 else []
        pairs = {pair for pair in combinations(certain, 2) if all(map(self._is_heard, pair))}
        for pair in [pair for pair in self._together if pair not in pairs]:
            self._judge(self._together.pop(pair))
        for pair in pairs:
            began = self._together.get(pair, Together(pair, self._met, at, at))
            self._together[pair] = began._replace(last=at)

    def _judge(self, together: Together) -> None:
        seconds = together.last - together.first
        self.longest_together = max(self.longest_together, seconds)
        allowed = MEETING_SECONDS if together.first - together.met < MEETING_SECONDS else HANDOVER_SECONDS
        late = self._scene.uncertainty(together.first) + self._scene.uncertainty(together.last)
        if seconds > allowed + late:
            who, since = " and ".join(together.hosts), together.first - self._began
            self.offences.append(f"{who} had the addresses together for {seconds:.3f} s, from {since:.3f} s on")

    def _stood_still(self, at: float) -> float:
        return max((end - begin for begin, end in self._stalls if end <= at <= end + GRACE_SECONDS), default=0.0)

    def _is_heard(self, name: str) -> bool:
        return self._has_link(name) and name not in self._apart

    def _holds(self, name: str) -> bool:
        route = self._scene.hosts[name].namespace.route
        there = [entry for entry in route.get_addr() if entry.get("address") in (SHARED4, SHARED6)]
        if not there:
            return False
        up = {link["index"] for link in route.get_links() if link.get("state") == "up"}
        return any(entry["index"] in up for entry in there)
