"""A LAN with daemons, a client that pings the shared addresses all the time, and a watcher in the switch.

::

    a 192.0.2.2 ----+
    b 192.0.2.3 ----[ switch, watched ]---- client 192.0.2.254, asks for 192.0.2.1 and 2001:db8::1
                    +

Hosts that share addresses are named a, b, c ... and numbered from 2. The daemons, and whatever else is to run in the
hosts, are started by whoever uses it.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from carptwist.lab.daemon import Daemon
from carptwist.lab.host import Host
from carptwist.lab.laboratory import Lab
from carptwist.lab.metronome import Metronome
from carptwist.lab.namespaces import LabError
from carptwist.lab.prober import Outage, Prober
from carptwist.lab.rules import leaks, strays, usurpers
from carptwist.lab.watcher import Watcher

SHARED4, SHARED6 = "192.0.2.1", "2001:db8::1"

#: What hosts are called, in this order.
HOST_NAMES = "abcdefghijklmnopqrstuvwxyz"


def virtual_mac(vhid: int) -> str:
    """``00:00:5e:00:01:VHID``."""
    return f"00:00:5e:00:01:{vhid:02x}"


class Scene:
    """``hosts`` hosts and a client on one LAN, within a ``with`` block, with :attr:`prober` and :attr:`watcher` at
    work. ``shared`` says which addresses are shared, and by which vhid."""

    def __init__(
        self,
        hosts: int = 2,
        *,
        shared: Mapping[str, int] | None = None,
        pinged: Iterable[str] | None = None,
        pcap: Path | str | None = None,
    ) -> None:
        self.shared = dict(shared) if shared is not None else {SHARED4: 1, SHARED6: 1}
        self.daemons: dict[str, Daemon] = {}
        self.tick: Callable[[], object] = lambda: None
        self._pinged = list(self.shared if pinged is None else pinged)
        self._pcap = pcap
        self._names = HOST_NAMES[:hosts]
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Scene:
        with contextlib.ExitStack() as opened:
            self.lab = opened.enter_context(Lab())
            self.lan = self.lab.lan()
            self.hosts = {name: self.lab.host(name) for name in self._names}
            self.client = self.lab.host("client")
            for host in self.hosts.values():
                self.lan.connect(host, "em0", addresses_of(host))
            self.lan.connect(self.client, "em0", ["192.0.2.254/24", "2001:db8::fe/64"])
            self.watcher = opened.enter_context(Watcher(self.lan, self.shared, pcap=self._pcap))
            self._metronome = opened.enter_context(Metronome(self._daemons_at_work))
            self.prober = opened.enter_context(Prober(self.client, self._pinged))
            self._open = opened.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def daemon(self, name: str, configuration: str) -> Daemon:
        """Start a daemon in a host; wait for what you need of it."""
        daemon = self.daemons[name] = Daemon(self.hosts[name], configuration)
        daemon.start()
        return daemon

    def wait(self, condition: Callable[[], bool], what: str, limit: float = 30.0) -> None:
        """Wait for a condition, asking every 10 ms.

        :raises LabError: if it does not hold after ``limit`` seconds, or a daemon has ended meanwhile that ran before;
            with the ends of the daemons' logs.
        """
        deadline = time.monotonic() + limit
        running = [daemon for daemon in self.daemons.values() if daemon.running]
        while not condition():
            self.tick()
            ended = [daemon.host.name for daemon in running if not daemon.running]
            if ended or time.monotonic() > deadline:
                why = f"the daemon of {ended[0]} ended before: {what}" if ended else f"not within {limit:g} s: {what}"
                raise LabError("\n".join([why, *self._circumstances()]))
            time.sleep(0.01)
        self.tick()

    def await_master(self, name: str, vhid: int = 1, *, since: float = 0.0, limit: float = 30.0) -> None:
        """Wait until a host has advertised from ``since`` on and is the last that did, and all pinged addresses
        answer."""
        what = f"{name} is MASTER of vhid {vhid} on the wire and its addresses answer"
        self.wait(lambda: self._serves(name, vhid, since), what, limit)

    def await_backup(self, name: str, vhid: int = 1, *, limit: float = 30.0) -> None:
        """Wait until the daemon of a host has become BACKUP of a vhid, and then until somebody has advertised that."""
        self.wait(lambda: self.logged_state(name, vhid) == "BACKUP", f"{name} is BACKUP of vhid {vhid}", limit)
        now = time.time()
        what = f"a master of vhid {vhid} has advertised while {name} is BACKUP"
        self.wait(lambda: bool(self.watcher.heard(vhid=vhid, since=now)), what, limit)

    def logged_state(self, name: str, vhid: int = 1) -> str | None:
        """The state of a vhid by the last line about it in a daemon's log; None before the first one."""
        changes = re.findall(rf"carp: {vhid}@\S+: \w+ -> (\w+)", self.daemons[name].text())
        return changes[-1] if changes else None

    def _serves(self, name: str, vhid: int, since: float) -> bool:
        last = self.watcher.last(name, vhid)
        return (
            last is not None
            and last.at >= since
            and self.watcher.master(vhid) == name
            and all(self.prober.flowing(address) for address in self._pinged)
        )

    def outage(self, address: str, since: float, until: float = float("inf")) -> Outage | None:
        """The longest outage of a pinged address that began since then; None without one."""
        # A request that left just before may be lost as well.
        found = self.prober.outages(address, since - 2 * self.prober.interval_seconds, until)
        return max(found, key=lambda outage: outage.seconds, default=None)

    def uncertainty(self, at: float, due: float = math.inf) -> float:
        """By how many seconds what happened around a moment may have been delayed by what else this machine did: the
        daemons, the client, or all of them, one after the other; from when it was ``due`` on, if that is earlier."""
        window = (min(at, due) - 0.3, at + 0.1)
        return self._metronome.late(*window) + self._metronome.waited(*window) + self.prober.late(*window)

    def _daemons_at_work(self) -> list[int]:
        # A copy: another thread adds to them.
        children = [daemon.child for daemon in list(self.daemons.values())]
        return [child.process.pid for child in children if child is not None and child.process.returncode is None]

    def _circumstances(self) -> list[str]:
        """What somebody who has to find out why something did not happen would like to know."""
        now = time.time()
        lines = [
            f"wire: {each.host} advertised vhid {each.vhid} over IPv{each.family}, interval {each.interval:.2f} s, "
            f"{now - each.at:.2f} s ago"
            for each in self.watcher.advertisements[-6:]
        ]
        for address in self.prober.addresses:
            last = self.prober.last_reply(address)
            lines.append(
                f"client: {address} " + ("has never answered" if last is None else f"answered {now - last:.2f} s ago")
            )
        lines += [f"client: {address} is at {mac}" for address, mac in self.client.neighbors().items()]
        return [*lines, *(daemon.tail() for daemon in self.daemons.values())]

    def offences(self, stood_still: Callable[[float], float] = lambda at: 0.0) -> list[str]:
        """What was seen so far that must never be: see :mod:`carptwist.lab.rules`; and what was not seen at all.

        :param stood_still: for how many seconds a host has not heard what is heard at a moment, as it was stopped.
        """
        macs = {address: virtual_mac(vhid) for address, vhid in self.shared.items()}
        unseen = [f"the watcher has missed {self.watcher.dropped} frames"] if self.watcher.dropped else []
        return [*unseen, *leaks(self.watcher, macs), *self._strays(stood_still), *usurpers(self.watcher)]

    def _strays(self, stood_still: Callable[[float], float]) -> list[str]:
        return strays(self.watcher, lambda at: self.uncertainty(at) + stood_still(at))

    def wrong_caches(self) -> list[str]:
        """The shared addresses that the client has another MAC for than the virtual one, as text."""
        known = {str(address): mac for address, mac in self.client.neighbors().items()}
        return [
            f"the client has {known.get(address)} for {address}"
            for address in self._pinged
            if known.get(address) != virtual_mac(self.shared[address])
        ]

    def leftovers(self) -> list[str]:
        """What is on the hosts besides what the lab gave them, and what runs there, as text."""
        found = [f"{survivor} still runs" for survivor in self.lab.survivors()]
        for host in self.hosts.values():
            found += [f"{host.name} has {name}" for name in host.interfaces() if name not in ("lo", "em0")]
            found += [f"{host.name} has {each}" for each in host.addresses() if str(each) in self.shared]
        return found


def addresses_of(host: Host) -> list[str]:
    """The own addresses of a host of the scene, from its number."""
    return [f"192.0.2.{host.number + 1}/24", f"2001:db8::{host.number + 1:x}/64"]
