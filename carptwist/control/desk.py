"""Carries out what is asked over the control protocol, on a running node.

Every change is written into the log and the history with who made it: that line has the words of the request, but never
a pass phrase. What is refused changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.logger import Logger

from carptwist.config.rules import knob_of, why_not_balanced
from carptwist.config.schema import PlaneKind, VirtualHostConfig
from carptwist.control import grammar
from carptwist.control.commands import BadRequestError, BusyError, NotFoundError, RefusedError
from carptwist.control.explanation import explain
from carptwist.control.grammar import GrammarError, IfconfigChange
from carptwist.control.history import MOST_KEPT, History
from carptwist.control.maintenance import Maintenance
from carptwist.control.snapshot import Snapshot
from carptwist.control.status import StatusReport
from carptwist.control.turnstile import Turnstile
from carptwist.election.state import State
from carptwist.interfaces import LinkState
from carptwist.node import Node
from carptwist.vhost.sysctl import PREFIX, SysctlError, Sysctls
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.ethernet import format_mac

#: A snapshot is given to everybody who asks for it within so many seconds ...
FRESH_SECONDS = 0.02
#: ... or within so many times what taking it has cost.
FRESH_COSTS = 10
MOST_ENTRIES = 64
LONGEST_TEXT = 200
LARGEST_DEMOTION = 2**31 - 1
LONGEST_DEMOTION_SECONDS = 366 * 86400.0
#: What an operator may not call an entry: these belong to the daemon.
RESERVED_OWNERS = ("ifdown", "senderr", "sync", "sysctl", "maintenance", "check", "guard")


def _no_sync(verb: str, name: str) -> None:
    raise ValueError("there is no [sync NAME] here")


class Desk:
    """What programs may ask of a node.

    :param seconds: a clock that runs while work is done.
    :param sync: does what is said of a ``[sync NAME]``, or raises ValueError.
    :param in_turn: does a change that takes time, one after the other: each is decided by what the former one has left.
    """

    _log = Logger()

    def __init__(
        self,
        node: Node,
        report: StatusReport,
        history: History,
        maintenance: Maintenance,
        *,
        seconds: Callable[[], float],
        in_turn: Callable[..., Deferred[Any]] = maybeDeferred,
        sync: Callable[[str, str], object] = _no_sync,
    ) -> None:
        self._node = node
        self._report = report
        self.history = history
        self._maintenance = maintenance
        self._seconds = seconds
        self._status = b""
        self._taking: Snapshot | None = None
        self._fresh_until = float("-inf")
        self._in_turn = in_turn
        self._sync = sync

    # Questions

    def status(self, turnstile: Turnstile) -> Deferred[bytes]:
        """The status, deflated. It is taken in turn with what others ask for."""
        if self._seconds() < self._fresh_until:
            return succeed(self._status)
        taking = self._taking
        if taking is None:
            taking = self._taking = Snapshot(self._report.pieces(), self._seconds)
            taking.wait().addCallbacks(self._taken, self._cannot_take, (taking,), errbackArgs=(taking,))
            turnstile.enter(taking)
        return taking.wait()

    def _taken(self, status: bytes, snapshot: Snapshot) -> None:
        if snapshot is self._taking:
            self._taking = None
            self._status = status
            self._fresh_until = self._seconds() + max(FRESH_SECONDS, FRESH_COSTS * snapshot.cost)

    def _cannot_take(self, _: object, snapshot: Snapshot) -> None:
        if snapshot is self._taking:
            self._taking = None  # whoever waits for it is told as well

    def interfaces(self, name: str | None) -> str:
        """The interfaces as a JSON list."""
        monitor = self._node.monitor
        names = monitor.names() if name is None else [name]
        return json.dumps([_interface(monitor.state(each)) for each in names])

    def explain(self, name: str) -> dict[str, Any]:
        """Why a vhid is in its state."""
        return explain(self.find(name), self._node.roster, now=self._node.seconds(), time=self._report.time)

    def events(self, after: int, most: int, name: str | None) -> list[dict[str, Any]]:
        """The newest events after a number."""
        if name is not None and not self.history.knows(name):
            self.find(name)  # of one that was removed there may be some
        return self.history.after(after, min(most, MOST_KEPT), name)

    # Changes

    def maintenance(self, who: str, on: bool, force: bool, reason: str) -> str:
        """Give everything away and stay away, or come back."""
        done = self._maintenance.on(_line("reason", reason), force=force) if on else self._maintenance.off()
        self.audit(who, done)
        return done

    def ifconfig(self, who: str, interface: str, words: Sequence[str]) -> Deferred[str]:
        """Do what the words say; fires with a sentence about it."""
        try:
            change = grammar.ifconfig(interface, words)
        except GrammarError as error:
            raise BadRequestError(str(error)) from None
        return self._in_turn(self._ifconfig, who, interface, change)

    def sysctl(self, who: str, name: str, value: str) -> tuple[int, int]:
        """Write a short name."""
        self._still_balanced(name, value)
        try:
            before, after = Sysctls(self._node.roster).write(name, value)
        except SysctlError as error:
            raise _refusal_of(error) from None
        self.audit(who, f"sysctl {PREFIX}{name}: {before} -> {after}")
        return before, after

    def demote(self, who: str, value: int, owner: str, reason: str, seconds: float | None) -> int:
        """Make or replace the entry of ``owner``; gives the sum."""
        owner, reason = _line("owner", owner), _line("reason", reason)
        ledger = self._node.roster.ledger
        if owner.split()[0] in RESERVED_OWNERS:
            raise BadRequestError(f"owner {owner}: that name is the daemon's own")
        if abs(value) > LARGEST_DEMOTION:
            raise BadRequestError(f"{value}: too large")
        if seconds is not None and not 0 < seconds <= LONGEST_DEMOTION_SECONDS:
            raise BadRequestError("seconds: must be more than 0, and a year at most")
        if len(ledger.entries) >= MOST_ENTRIES and all(entry.owner != owner for entry in ledger.entries):
            raise BusyError(f"the ledger has {MOST_ENTRIES} entries")
        self._node.roster.demote(owner, value, reason, seconds)
        until = "" if seconds is None else f" for {seconds:g} s"
        self.audit(who, f"demote {value} --owner {owner} --reason {reason}{until}")
        return ledger.sum

    def sync(self, who: str, verb: str, name: str) -> int:
        """Tell of a bulk update of a ``[sync NAME]``; gives the sum."""
        name = _line("name", name)
        try:
            self._sync(verb, name)
        except ValueError as error:
            raise BadRequestError(str(error)) from None
        self.audit(who, f"sync {verb} {name}")
        return self._node.roster.ledger.sum

    def undemote(self, who: str, owner: str) -> int:
        """Take the entry of ``owner`` back; gives the sum."""
        ledger = self._node.roster.ledger
        entries = [entry.owner for entry in ledger.entries]
        if owner not in entries:
            there = f"there are those of {', '.join(entries)}" if entries else "there is none at all"
            raise NotFoundError(f"the ledger has no entry of {_line('owner', owner)}: {there}")
        if owner.split()[0] in RESERVED_OWNERS and owner != "sysctl":
            raise RefusedError(f"{owner} is the daemon's own entry: it goes when its cause is gone")
        self._node.roster.undemote(owner, f"undemote {owner}")
        self.audit(who, f"undemote {owner}")
        return ledger.sum

    def expire(self, owner: str) -> None:
        """Whoever held the entry of ``owner`` has gone."""
        if any(entry.owner == owner for entry in self._node.roster.ledger.entries):
            self._node.roster.undemote(owner, f"{owner} is gone")
            self.audit(owner, "its connection has ended, and its demotion with it")

    def state(self, who: str, name: str, wanted: str) -> str:
        """Make a vhid MASTER or BACKUP."""
        if wanted not in (State.MASTER.value, State.BACKUP.value):
            raise BadRequestError(f"state {wanted[:40]}: must be master or backup")
        vhost = self.find(name)
        if vhost.state is State.INIT:
            raise RefusedError(f"{vhost.name} does not take part: {'; '.join(vhost.obstacles)}")
        vhost.asked(State(wanted))
        self.audit(who, f"state {vhost.name} {wanted.lower()}")
        return str(vhost.state.value)

    def find(self, name: str) -> VirtualHost:
        """The virtual host of that name.

        :raises NotFoundError: there is none.
        """
        try:
            number, interface = grammar.virtual_host_name(name)
        except GrammarError as error:
            raise BadRequestError(str(error)) from None
        vhost = self._node.find(f"{number}@{interface}")
        if vhost is None:
            names = ", ".join(each.name for each in self._node.roster.all()[:8]) or "none"
            raise NotFoundError(f"there is no virtual host {number}@{interface} here: there are {names}")
        return vhost

    def audit(self, who: str, what: str) -> None:
        """A change was made: into the log and the history with it. The next status shows it."""
        self.asked(who, what)
        self.history.note("change", "", what, who=who)

    def asked(self, who: str, what: str) -> None:
        """Something is to be done that tells the history itself what it changes: into the log with it."""
        self._log.info("carp: control: {who}: {what}", who=who, what=what)
        self.changed()

    def changed(self) -> None:
        """The next status shows it."""
        self._fresh_until = float("-inf")
        self._taking = None  # one that is under way is for those who have asked before

    @inlineCallbacks
    def _ifconfig(self, who: str, interface: str, change: IfconfigChange) -> Generator[Deferred[Any], Any, str]:
        if change.removed:
            done = yield self._remove_addresses(interface, change)
        elif change.remove:
            vhost = self.find(f"{change.vhid}@{interface}")
            yield self._node.remove(vhost.name)
            done = f"{vhost.name} removed"
        elif change.state is not None:
            self.state(who, f"{change.vhid}@{interface}", change.state.value)
            return f"{change.vhid}@{interface}: {change.state.value!s}"
        else:
            done = yield self._add_or_change(interface, change)
        self.audit(who, f"ifconfig: {done}")
        return str(done)

    @inlineCallbacks
    def _add_or_change(self, interface: str, change: IfconfigChange) -> Generator[Deferred[Any], Any, str]:
        assert change.vhid is not None
        vhost = self._node.find(f"{change.vhid}@{interface}")
        former = VirtualHostConfig(change.vhid, interface, ()) if vhost is None else vhost.config
        config = self._changed(former, change)
        for address in config.addresses:
            self._nobody_elses(address.ip, config)
        if vhost is None:
            added = self._node.add(config)
            yield added.settled()
            if added.plane_trouble is not None:
                why = added.plane_trouble
                yield self._node.remove(config.name)
                raise RefusedError(f"{config.name}: {why}")
            return f"{config.name} added: {_told(former, config)}"
        if config == former:
            return f"{config.name} is so already"
        yield self._change(config)
        return f"{config.name} changed: {_told(former, config)}"

    @inlineCallbacks
    def _remove_addresses(self, interface: str, change: IfconfigChange) -> Generator[Deferred[Any], Any, str]:
        done = []
        for ip in change.removed:
            owners = [
                vhost
                for vhost in self._node.roster.on(interface).values()
                if change.vhid in (None, vhost.config.vhid) and ip in (each.ip for each in vhost.config.addresses)
            ]
            if not owners:
                raise NotFoundError(f"no virtual host of {interface} shares {ip}")
            for vhost in owners:
                kept = tuple(each for each in vhost.config.addresses if each.ip != ip)
                yield self._change(_replaced(vhost.config, addresses=kept))
                done.append(f"{vhost.name} without {ip}")
        return ", ".join(done)

    @inlineCallbacks
    def _change(self, config: VirtualHostConfig) -> Generator[Deferred[Any], Any, None]:
        try:
            yield self._node.change(config)
        except KeyError:
            raise NotFoundError(f"{config.name} was removed meanwhile") from None
        except Exception as error:
            # A plane says what this host cannot do; the former settings hold.
            raise RefusedError(str(error)) from None

    def _changed(self, config: VirtualHostConfig, change: IfconfigChange) -> VirtualHostConfig:
        settings: dict[str, Any] = change.settings()
        if change.phrase is not None:
            settings["phrases"] = (change.phrase,)
        if change.addresses:
            by_ip = {address.ip: address for address in (*config.addresses, *change.addresses)}
            settings["addresses"] = tuple(by_ip.values())
        return _replaced(config, **settings)

    def _nobody_elses(self, ip: IPv4Address | IPv6Address, config: VirtualHostConfig) -> None:
        for vhost in self._node.roster.all():
            elsewhere = ip.is_link_local and ip.version == 6 and vhost.config.interface != config.interface
            if vhost.name == config.name or elsewhere or ip.packed not in vhost.shared:
                continue
            remedy = why_not_balanced(ip, vhost.config.interface, config.interface, self._node.roster.knobs)
            if remedy is not None:
                raise RefusedError(f"{ip} belongs to {vhost.name} already: an address has one virtual host{remedy}")
            for each in (vhost.config, config):
                if each.plane in (PlaneKind.INTERFACE, PlaneKind.PLUGIN):
                    raise RefusedError(
                        f"{ip} belongs to {vhost.name} already, and {knob_of(ip)} divides clients among virtual MACs: "
                        f"plane = {each.plane.value} of {each.name} has none"
                    )

    def _still_balanced(self, name: str, value: str) -> None:
        """Balancing is not switched off under addresses that would be left to several virtual hosts."""
        if value.strip().strip("+-0"):
            return  # not off
        roster = self._node.roster
        for vhost in roster.all():
            for address in vhost.config.addresses:
                if knob_of(address.ip) == name and roster.balances(vhost.config.interface, address.ip.packed):
                    where = vhost.config.interface
                    raise RefusedError(
                        f"{address.ip} has several virtual hosts on {where}: leave it to one of them first"
                    )


def _replaced(config: VirtualHostConfig, **settings: Any) -> VirtualHostConfig:
    try:
        return replace(config, **settings)
    except (ValueError, TypeError) as error:
        raise BadRequestError(str(error)) from None


def _told(before: VirtualHostConfig, after: VirtualHostConfig) -> str:
    """What differs, without the phrase."""
    parts = [
        f"{name} {getattr(after, name)}"
        for name in ("advbase", "advskew")
        if getattr(before, name) != getattr(after, name)
    ]
    for family, word in ((4, "peer"), (6, "peer6")):
        if before.peers_of(family) != after.peers_of(family):
            parts.append(" ".join([word, *map(str, after.peers_of(family) or ["multicast"])]))
    if before.phrases != after.phrases:
        parts.append("pass (not shown)")
    parts += [str(address) for address in after.addresses if address not in before.addresses]
    return " ".join(parts) or "defaults"


def _line(what: str, text: str) -> str:
    """A text for logs: printable, of one line, not empty, not long."""
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_TEXT:
        raise BadRequestError(f"{what}: must be one printable line of 1 to {LONGEST_TEXT} characters")
    return text.strip()


def _refusal_of(error: SysctlError) -> RefusedError:
    return (NotFoundError if "unknown oid" in str(error) else BadRequestError)(str(error))


def _interface(link: LinkState) -> dict[str, Any]:
    return {
        "name": link.name,
        "exists": link.exists,
        "up": link.up,
        "carrier": link.carrier,
        "mac": format_mac(link.mac) if link.mac else "",
        "mtu": link.mtu,
        "addresses": [str(address) for address in (*link.own4, *link.own6)],
    }
