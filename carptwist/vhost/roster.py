"""All virtual hosts of this host, and what they share: the knobs, the demotion ledger, the counters."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.config.schema import Knobs
from carptwist.election.demotion import Change, Ledger
from carptwist.election.effects import Became
from carptwist.election.memory import Room, fair_share
from carptwist.interfaces import ISurroundings
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.counters import Counters
from carptwist.vhost.surroundings import ORDINARY, commanded
from carptwist.vhost.tenants import Tenants

if TYPE_CHECKING:
    from carptwist.vhost.virtualhost import VirtualHost

#: The owner of the entry that ``sysctl net.inet.carp.demotion`` writes.
OPERATOR = "sysctl"
#: The first words of the owners of entries that nobody has to make: interfaces down, sends that fail, tables that are
#: being synchronised, checks that fail.
AUTOMATIC = ("ifdown", "senderr", "sync", "check")

Observer = Callable[["VirtualHost", Became], object]


class Occurrence(NamedTuple):
    """What an operator may want to read of later: ``demotion``, ``refusal`` or ``conflict``. ``vhid`` is
    ``VHID@INTERFACE``, empty where it is about the host."""

    kind: str
    vhid: str
    text: str


Witness = Callable[[Occurrence], object]


class Roster:
    """The vhids by interface and number."""

    _log = Logger()

    def __init__(self, knobs: Knobs, clock: IReactorTime, surroundings: ISurroundings = ORDINARY) -> None:
        self.knobs = knobs
        self.surroundings = surroundings
        self.ledger = Ledger()
        self.counters = Counters()
        self._clock = clock
        self._expiry = Alarm(clock, self._expire)
        self._by_interface: dict[str, dict[int, VirtualHost]] = {}
        self._observers: list[Observer] = []
        self._heeding: list[Callable[[Change], object]] = []
        self._witnesses: list[Witness] = []
        self._tenants: dict[str, Tenants] = {}
        self.last_resort = False
        #: For the memory of each vhid.
        self.room = Room()

    def add(self, vhost: VirtualHost) -> None:
        """Take a virtual host in.

        :raises ValueError: its interface has that vhid already.
        """
        there = self.on(vhost.config.interface)
        if vhost.config.vhid in there:
            raise ValueError(f"{vhost.name} is there already")
        there[vhost.config.vhid] = vhost
        self._divide()
        self.sharing_changed(vhost, vhost.shared)

    def remove(self, vhost: VirtualHost) -> None:
        """Forget a virtual host that has stopped."""
        del self._by_interface[vhost.config.interface][vhost.config.vhid]
        self._divide()
        self.sharing_changed(vhost, vhost.shared)

    def on(self, interface: str) -> dict[int, VirtualHost]:
        """The live mapping of the vhids on one interface."""
        return self._by_interface.setdefault(interface, {})

    def _divide(self) -> None:
        self.room.cells = fair_share(sum(map(len, self._by_interface.values())))

    def all(self) -> list[VirtualHost]:
        """Every virtual host, by interface and vhid in the order of the configuration."""
        return [vhost for there in self._by_interface.values() for vhost in there.values()]

    def balances(self, interface: str, address: bytes, vhid: int | None = None) -> bool:
        """Whether several vhids of an interface divide the clients of a packed address among themselves.

        All vhids that there are count, in whatever state. One that is in INIT comes back, and what is made for an
        address that has one vhid only, such as an announcement to everybody, would have taken its clients meanwhile.

        :param vhid: one that has the address, or is about to get it.
        """
        if not (self.knobs.arpbalance if len(address) == 4 else self.knobs.ndbalance):
            return False
        carriers = {number for number, vhost in self.on(interface).items() if address in vhost.shared}
        return len(carriers | ({vhid} if vhid is not None else set())) > 1

    def tenants(self, name: str) -> Tenants:
        """Those who serve at the addresses of ``VHID@INTERFACE``. When it is removed they stay: it may come back."""
        return self._tenants.setdefault(name, Tenants(name, self.surroundings.aside(self._clock)))

    def sharing_changed(self, vhost: VirtualHost, addresses: Collection[bytes]) -> None:
        """A virtual host has got some of these packed addresses, or has them no longer: to those that have them too
        that may be the beginning or the end of balancing."""
        for sibling in self.on(vhost.config.interface).values():
            if sibling is not vhost and not sibling.shared.isdisjoint(addresses):
                sibling.balance_changed()

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call ``observer(vhost, became)`` at each change of state; the value stops that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def changed(self, vhost: VirtualHost, change: Became) -> None:
        """A virtual host tells that its state changed. An observer's failure is logged and stops nobody."""
        for observer in tuple(self._observers):
            try:
                observer(vhost, change)
            except Exception:
                self._log.failure("carp: an observer of state changes failed")

    def heed(self, observer: Callable[[Change], object]) -> None:
        """Call ``observer(change)`` at each change of the demotion."""
        self._heeding.append(observer)

    def witness(self, witness: Witness) -> Callable[[], None]:
        """Call ``witness(occurrence)`` for all that is not a change of state; the value stops that."""
        self._witnesses.append(witness)
        return lambda: self._witnesses.remove(witness)

    def occurred(self, kind: str, vhid: str, text: str) -> None:
        """Somebody tells of an occurrence. A witness's failure is logged and stops nobody."""
        occurrence = Occurrence(kind, vhid, text)
        for witness in tuple(self._witnesses):
            try:
                witness(occurrence)
            except Exception:
                self._log.failure("carp: a witness of occurrences failed")

    @commanded
    def set_last_resort(self, last: bool) -> None:
        """Make every vhid of this host, now and later, the last resort, or what it was before."""
        self.last_resort = last
        for vhost in self.all():
            vhost.resort(last)

    @commanded
    def set_knobs(self, knobs: Knobs) -> None:
        """Run with these host-wide settings from now on."""
        before, self.knobs = self.knobs, knobs
        for vhost in self.all():
            vhost.knobs_changed()
        if (before.arpbalance, before.ndbalance) != (knobs.arpbalance, knobs.ndbalance):
            for vhost in self.all():
                others = (each for each in self.on(vhost.config.interface).values() if each is not vhost)
                if any(not vhost.shared.isdisjoint(other.shared) for other in others):
                    vhost.balance_changed()

    # Demotion

    @property
    def problems(self) -> int:
        """``net.inet.carp.suppress_preempt``: how many troubles demote this host of themselves now."""
        return sum(entry.value > 0 and entry.owner.partition(" ")[0] in AUTOMATIC for entry in self.ledger.entries)

    @commanded
    def add_demotion(self, value: int) -> None:
        """``net.inet.carp.demotion = value``: add a signed number to what the operator has added before."""
        so_far = next((entry.value for entry in self.ledger.entries if entry.owner == OPERATOR), 0)
        if so_far + value:
            self.demote(OPERATOR, so_far + value, "sysctl")
        else:
            self.undemote(OPERATOR, "sysctl")

    @commanded
    def demote(self, owner: str, value: int, reason: str, seconds: float | None = None) -> None:
        """Make or replace the ledger entry of ``owner``, for so many seconds or until it is taken back."""
        now = self._clock.seconds()
        expires = None if seconds is None else now + seconds
        self._demotion_changed(self.ledger.put(now, owner, value, reason, expires))

    @commanded
    def revalue(self, owner: str, value: int) -> None:
        """Change the value of the entry of ``owner``, if there is one; reason and end stay."""
        entry = next((entry for entry in self.ledger.entries if entry.owner == owner), None)
        if entry is not None:
            self._demotion_changed(self.ledger.put(self._clock.seconds(), owner, value, entry.reason, entry.expires))

    @commanded
    def undemote(self, owner: str, reason: str) -> None:
        """Take the entry of ``owner`` back, if there is one."""
        self._demotion_changed(self.ledger.remove(owner, reason))

    def close(self) -> None:
        """Leave no timer behind."""
        self._expiry.cancel()

    def _expire(self) -> None:
        for change in self.ledger.expire(self._clock.seconds()):
            self._demotion_changed(change)
        self._expiry.set(self.ledger.deadline)  # what has run out may have changed nothing

    def _demotion_changed(self, change: Change | None) -> None:
        self._expiry.set(self.ledger.deadline)
        if change is None:
            return
        if self.knobs.log >= 1:
            self._log.info("carp: demoted by {by} to {to} ({reason})", by=change.by, to=change.to, reason=change.reason)
        self.occurred("demotion", "", f"demoted by {change.by} to {change.to} ({change.reason})")
        for observer in self._heeding:
            try:
                observer(change)
            except Exception:
                self._log.failure("carp: an observer of the demotion failed")
        for vhost in self.all():
            # Not change.to: what one of them does in answer may already have changed it again.
            vhost.demoted(self.ledger.sum)
