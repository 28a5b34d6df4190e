"""A host in a simulated world: its cables, its clock, and one daemon after the other.

::

               start                     stop (bows out), kill (addresses stay up), crash (all is gone)
      OFF ---------------> RUNNING ---------------------------------------------------------------------> OFF
                            |   ^
      stall, freeze         v   | resume
                           STANDING STILL    stalled: the daemon alone (SIGSTOP); the kernel still has the addresses
                                             frozen: the whole machine; nobody can reach it meanwhile

A daemon that was killed leaves its addresses reachable until the next one starts, as the real one does. Unicast peers
and sources are left out: all advertisements go to the groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from random import Random

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from carptwist.config.schema import Configuration, ReplayMode, VirtualHostConfig
from carptwist.election.effects import Became
from carptwist.election.state import State
from carptwist.hooks.script import Change, command
from carptwist.interfaces import LinkState
from carptwist.node import Node, Read
from carptwist.protocols.authority import Prepare, authenticators
from carptwist.recorder.flight import FlightRecorder
from carptwist.simulation.clock import HostClock, Timeline
from carptwist.simulation.history import History, Kind
from carptwist.simulation.notebook import MemoryNotebook
from carptwist.simulation.segment import Segment
from carptwist.simulation.system import MemorySystem
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.advertisement import read

#: How long the news of a link takes from the driver to the daemon.
LINK_NEWS_SECONDS = 0.001
#: How long a guard takes to notice that its daemon has died, and to do something about it.
GUARD_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Nature:
    """What a host is like.

    ``rate``: seconds of its clock per second of the world. ``jitter``: how late its timers fire at most, which is what
    breaks ties between hosts that are set up alike. ``hold``: what each step of a plane takes.
    ``observes``: whether replay = observe is done; it decides nothing, and costs as much as the elections.
    """

    rate: float = 1.0
    offset: float = 0.0
    jitter: float = 0.001
    hold: float = 0.002
    forwards: bool = True
    observes: bool = True


#: A host as most are.
ORDINARY = Nature()


class SimulatedHost:
    """One host.

    :param number: 1 and up, for its MACs and its own addresses.
    :param wiring: where each of its interfaces leads to.
    :param read: understands advertisements, and ``prepare`` keys.
    :param moved: called with a vhid's configuration, or None for all of them, and with what has happened, whenever
        somebody else may now have an address.
    :param recorded: how many octets its flight recorder may fill; 0: it has none.
    """

    def __init__(
        self,
        name: str,
        number: int,
        configuration: Configuration,
        *,
        wiring: Mapping[str, Segment],
        timeline: Timeline,
        history: History,
        random: Random,
        moved: Callable[[VirtualHostConfig | None, str], object],
        read: Read = read,
        prepare: Prepare = authenticators,
        nature: Nature = ORDINARY,
        recorded: int = 0,
    ) -> None:
        self.name = name
        self.configuration = _as_simulated(configuration, observes=nature.observes)
        self.wiring = wiring
        self.nature = nature
        self.node: Node | None = None
        self.clock: HostClock | None = None
        self.kernel: HostClock | None = None  # what goes on while the daemon stands still
        self.system: MemorySystem | None = None
        self.frozen = False
        self.leaving = False
        self.left_at = 0.0  # when that began
        self.when_gone: list[Callable[[SimulatedHost], object]] = []  # told when a daemon has stopped in good order
        self.when_lost: list[Callable[[SimulatedHost], object]] = []  # told before a daemon dies otherwise
        self._links = {
            interface: _a_link(interface, index, number, configuration)
            for index, interface in enumerate(wiring, start=2)
        }
        self._notebooks: dict[str, MemoryNotebook] = {}
        self._timeline = timeline
        self._history = history
        self._random = random
        self._moved = moved
        self._read = read
        self._prepare = prepare
        self._recorded = recorded

    # What others may ask

    @property
    def running(self) -> bool:
        """Whether there is a daemon that is not on its way out."""
        return self.node is not None and not self.leaving

    @property
    def stalled(self) -> bool:
        return self.clock is not None and self.clock.stalled

    def link(self, interface: str) -> LinkState:
        """What the interface is really like, whatever the daemon has heard of it."""
        return self._links[interface]

    def holds(self, name: str) -> bool:
        """Whether somebody on the same wire could reach the addresses of ``VHID@INTERFACE`` here."""
        interface = name.partition("@")[2]
        return self.system is not None and not self.frozen and self._links[interface].usable and self.system.holds(name)

    def could_hold(self, config: VirtualHostConfig) -> bool:
        """Whether nothing but the election keeps this host from holding the addresses."""
        return (
            self.running
            and not self.frozen
            and not self.stalled
            and self.configuration.knobs.allow
            and bool(config.addresses)
            and self._links[config.interface].usable
        )

    def state(self, name: str) -> State | None:
        """The state of ``VHID@INTERFACE``; None while no daemon runs."""
        vhost = self.find(name)
        return None if vhost is None else vhost.state

    @property
    def recording(self) -> bytes:
        """What its flight recorder has written."""
        return self._notebooks["flight"].octets if "flight" in self._notebooks else b""

    def find(self, name: str) -> VirtualHost | None:
        """The virtual host ``VHID@INTERFACE``, while a daemon runs."""
        if self.node is None:
            return None
        return next((vhost for vhost in self.node.roster.all() if vhost.name == name), None)

    # What happens to it

    def start(self) -> None:
        """A daemon starts, unless one runs."""
        if self.node is not None or self.frozen:
            return
        if self.system is not None:
            # What a daemon that was killed has left behind is removed first.
            self._clear()
        self.leaving = False
        clock = self.clock = HostClock(
            self._timeline,
            rate=self.nature.rate,
            offset=self.nature.offset,
            jitter=self.nature.jitter,
            random=self._random,
            station=self.name,
        )
        kernel = self.kernel = HostClock(
            self._timeline, rate=self.nature.rate, offset=self.nature.offset, station=self.name
        )
        self.system = MemorySystem(
            self.name,
            clock=clock,
            segments=self.wiring,
            links=self._links,
            random=self._random,
            notebooks=self._notebooks,
            hold_seconds=self.nature.hold,
            forwards=self.nature.forwards,
            plane_changed=lambda config: self._moved(config, self._why(config)),
            kernel=kernel,
        )
        self._timeline.running.station = self.name
        node = self.node = self._a_node(clock, self.system)
        node.roster.observe(self._became)
        node.start(self.configuration.vhids).addErrback(self._failed)
        self._moved(None, f"{self.name} started")

    def stop(self) -> None:
        """The daemon leaves in good order (SIGTERM)."""
        self.ask(self._leave)

    def ask(self, request: Callable[[Node], object]) -> None:
        """Ask the daemon for something, if there is one: now, or when it goes on."""
        if self.node is None or self.clock is None:
            return
        if self.stalled:
            self.clock.callLater(0.0, self.ask, request)
            return
        self._timeline.running.station = self.name
        request(self.node)

    def kill(self, *, guard: bool = False) -> None:
        """The daemon is gone at once (SIGKILL), and with ``guard`` its guard as well: what it had set up on the host
        stays, until its guard has ended it or it has expired."""
        if self.node is None:
            return
        keeper = self.system.keeper if self.system is not None else None
        self._lose()
        if keeper is not None and self.kernel is not None:
            if guard and self.system is not None:
                keeper.stop()
                self.system.keeper = None
            else:
                self.kernel.callLater(GUARD_SECONDS, keeper.daemon_died)
        self._moved(None, f"the daemon of {self.name} was killed")

    def crash(self) -> None:
        """The host loses its power."""
        if self.system is None:
            return
        self._lose()
        self._thaw()
        self._clear()
        self._moved(None, f"{self.name} crashed")

    def stall(self) -> None:
        """The daemon stands still (SIGSTOP). Its kernel does not."""
        if self.clock is None or self.node is None or self.system is None:
            return
        self.clock.stall()
        for port in self.system.ports:
            port.hold_back()
        self._moved(None, f"{self.name} stands still")

    def freeze(self) -> None:
        """The whole machine stands still, as a virtual one that is being moved: what is sent to it is lost."""
        if self.clock is None or self.node is None:
            return
        self.clock.stall()
        if self.kernel is not None:
            self.kernel.stall()
        self.frozen = True
        for interface, segment in self.wiring.items():
            if self._links[interface].carrier:
                segment.cut.add(self.name)
        self._moved(None, f"{self.name} is frozen")

    def resume(self) -> None:
        """What stood still goes on: first the timers that are due, then the frames that have waited."""
        if self.clock is None or self.system is None or not self.clock.stalled:
            return
        self._thaw()
        if self.kernel is not None and self.kernel.stalled:
            self.kernel.resume()
        self.clock.resume()
        for port in self.system.ports:
            if port.queue is not None:
                self._timeline.callLater(0.0, port.read_on)
        self._moved(None, f"{self.name} goes on")

    def set_carrier(self, interface: str, carrier: bool) -> None:
        """A cable is pulled, or put back."""
        self._change_link(interface, replace(self._links[interface], carrier=carrier))

    def set_up(self, interface: str, up: bool) -> None:
        """``ip link set IF up`` or ``down``."""
        self._change_link(interface, replace(self._links[interface], up=up))

    def fail_sending(self, interface: str, errors: list[OSError]) -> None:
        """What is sent on this interface next fails, one frame for each error."""
        if self.system is not None:
            for port in self.system.ports:
                if port.interface == interface:
                    port.failures += errors

    # How

    def _a_node(self, clock: HostClock, system: MemorySystem) -> Node:
        if not self._recorded:
            knobs, read, prepare = self.configuration.knobs, self._read, self._prepare
            return Node(knobs, reactor=clock, system=system, read=read, prepare=prepare)
        recorder = FlightRecorder(clock, system, octets=self._recorded, host=self.name, wall=lambda: self._timeline.now)
        return recorder.node(self.configuration.knobs, self._read)

    def _leave(self, node: Node) -> None:
        if self.leaving:
            return
        self.leaving = True
        self.left_at = self._timeline.now
        leaving: Deferred[None] = node.stop()
        leaving.addErrback(self._failed)
        leaving.addCallback(lambda _: self._gone(node))

    def _change_link(self, interface: str, link: LinkState) -> None:
        if link == self._links[interface]:
            return
        self._links[interface] = link
        segment = self.wiring[interface]
        if link.usable and not self.frozen:
            segment.cut.discard(self.name)
        else:
            segment.cut.add(self.name)
        if self.clock is not None and self.system is not None:
            # A call of the world's, which a daemon that has stopped need not have cancelled.
            self._timeline.callLater(LINK_NEWS_SECONDS, self._tell_of_link, self.clock, self.system, interface)
        what = "is up" if link.usable else "is down" if not link.up else "has lost its link"
        self._moved(None, f"{interface} of {self.name} {what}")

    def _tell_of_link(self, clock: HostClock, system: MemorySystem, interface: str) -> None:
        if clock.stalled:
            # It waits in the netlink socket.
            clock.callLater(0.0, self._tell_of_link, clock, system, interface)
        elif not clock.dead and self.node is not None:
            self._timeline.running.station = self.name
            system.monitor.change(self._links[interface])

    def _thaw(self) -> None:
        if not self.frozen:
            return
        self.frozen = False
        for interface, segment in self.wiring.items():
            if self._links[interface].usable:
                segment.cut.discard(self.name)

    def _lose(self) -> None:
        for told in self.when_lost:
            told(self)
        self._vanish()

    def _vanish(self) -> None:
        node, self.node = self.node, None
        if self.clock is not None:
            self.clock.kill()
        if self.system is not None:
            self.system.detach()
        self.leaving = False
        for vhost in node.roster.all() if node is not None else ():
            self._tell(vhost.name, vhost.state.value, "", "gone")

    def _clear(self) -> None:
        """Nothing that a daemon has set up is left on the host, and no guard."""
        if self.kernel is not None:
            self.kernel.kill()
        if self.system is not None:
            self.system.power_off()
        self.system = None

    def _gone(self, node: Node) -> None:
        if self.node is not node:
            return
        for told in self.when_gone:
            told(self)
        self._vanish()
        self._clear()
        self._moved(None, f"{self.name} has stopped")

    def _became(self, vhost: VirtualHost, change: Became) -> None:
        self._tell(vhost.name, change.previous.value, change.state.value, change.reason)
        self._run_hooks(vhost.config, change)

    def _tell(self, name: str, previous: str, state: str, reason: str) -> None:
        text = f"{previous} -> {state} ({reason})" if state else reason
        self._history.add(self._timeline.now, Kind.STATE, text, host=self.name, subject=name, states=(previous, state))

    def _run_hooks(self, config: VirtualHostConfig, became: Became) -> None:
        """Hooks are written down, and not run."""
        change = Change(str(config.vhid), config.interface, became.previous.value, became.state.value, became.reason)
        for hook in self.configuration.hooks:
            if re.fullmatch(hook.match, config.name) and re.fullmatch(hook.type, change.state):
                words = " ".join(command(hook, change))
                self._history.add(
                    self._timeline.now, Kind.HOOK, f"[hook {hook.name}] {words}", host=self.name, subject=config.name
                )

    def _why(self, config: VirtualHostConfig) -> str:
        """Why a plane of this host has moved: the vhid's last change of state."""
        vhost = self.find(config.name)
        if self.node is None or self.stalled:
            return f"what {self.name} has of {config.name} was ended without it"
        if vhost is None:
            return f"{self.name} has stopped"
        machine = vhost.machine
        return f"{self.name} became {machine.state.value} of {config.name} ({machine.reason})"

    def _failed(self, failure: Failure) -> None:
        self._history.add(self._timeline.now, Kind.BUG, failure.getTraceback(), host=self.name)


def _as_simulated(configuration: Configuration, *, observes: bool) -> Configuration:
    """The same without unicast: own addresses are made up here, so that nobody has those that the peers and sources
    name, and the network of a simulation takes multicast everywhere."""
    vhids = tuple(
        replace(
            vhid,
            peers=(),
            peers6=(),
            sources=(),
            replay=ReplayMode.OFF if vhid.replay is ReplayMode.OBSERVE and not observes else vhid.replay,
        )
        for vhid in configuration.vhids
    )
    return replace(configuration, vhids=vhids)


def _a_link(interface: str, index: int, number: int, configuration: Configuration) -> LinkState:
    """An interface with a MAC and addresses of its own, in the networks of what is shared on it."""
    shared = [address for vhid in configuration.vhids if vhid.interface == interface for address in vhid.addresses]
    taken = {address.ip for address in shared}
    own4: list[IPv4Address] = []
    for address in shared:
        network = address.network
        own = IPv4Address(int(network.network_address) + 100 + number) if address.version == 4 else None
        if not own4 and own is not None and own in network and own not in taken:
            own4.append(own)
    return LinkState(
        interface,
        index=index,
        up=True,
        carrier=True,
        mac=bytes((2, 0, 0, index, number >> 8, number & 0xFF)),
        mtu=1500,
        hardware=1,
        own4=tuple(own4) or (IPv4Address(0xA9FE0000 + 256 * index + number),),
        own6=(IPv6Address(f"fe80::{index:x}:{number:x}"),),
    )
