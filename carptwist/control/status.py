"""The status of a daemon as JSON-able values: one object, its names fixed, never a pass phrase in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from carptwist import __version__
from carptwist.config.schema import AddressWithPrefix, Configuration, ReplayMode, VirtualHostConfig
from carptwist.control.unsaved import differences
from carptwist.election.bearing import Bearing
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State
from carptwist.vhost.peers import Peer
from carptwist.vhost.roster import Roster
from carptwist.vhost.sysctl import Sysctls
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.carp import virtual_mac
from carptwist.wire.ethernet import format_mac


class StatusReport:
    """Renders a roster.

    :param seconds: the clock that the roster runs on; moments are told in wall-clock time.
    :param wall: seconds since the epoch.
    :param loaded: gives the configuration as it was read last, which may not be all that runs.
    :param checks: the checks as JSON-able values; it is given what renders a moment of the clock.
    :param plugins: how the plug-ins in use have fared, likewise.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        host: str,
        seconds: Callable[[], float],
        wall: Callable[[], float],
        loaded: Callable[[], Configuration],
        checks: Callable[[Callable[[float], str]], list[dict[str, Any]]] = lambda _: [],
        plugins: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._plugins = plugins
        self._checks = checks
        self._loaded = loaded
        self._roster = roster
        self._host = host
        self._seconds = seconds
        self._wall = wall
        self._started = seconds()

    def snapshot(self) -> dict[str, Any]:
        """The object of ``carpctl status --json``."""
        return {**self._head(), "vhids": list(self._vhids())}

    def pieces(self) -> Iterator[str]:
        """The same as JSON text: first what is not about a vhid, then each vhid, when it is asked for."""
        yield f'{json.dumps(self._head(), ensure_ascii=False)[:-1]}, "vhids": ['
        separator = ""
        for vhid in self._vhids():
            yield separator + json.dumps(vhid, ensure_ascii=False)
            separator = ", "
        yield "]}"

    def _vhids(self) -> Iterator[dict[str, Any]]:
        loaded = {config.name: config for config in self._loaded().vhids}
        for vhost in self._roster.all():
            yield self._vhid(vhost, loaded.get(vhost.name))

    def _head(self) -> dict[str, Any]:
        roster = self._roster
        sysctls = Sysctls(roster)
        return {
            "version": __version__,
            "host": self._host,
            "started": self._time(self._started),
            "preempt": roster.knobs.preempt,
            "demotion": roster.ledger.sum,
            "ledger": [
                {
                    "owner": entry.owner,
                    "value": entry.value,
                    "reason": entry.reason,
                    "since": self._time(entry.since),
                    "expires": None if entry.expires is None else self._time(entry.expires),
                }
                for entry in roster.ledger.entries
            ],
            "sysctl": {name: sysctls.read(name) for name in sysctls.names() if name != "stats"},
            "unsaved": self._unsaved(),
            "maintenance": roster.last_resort,
            "checks": self._checks(self._time),
            "plugins": self._plugins(),
            "stats": roster.counters.as_dict(),
            "lateness": {"times": roster.counters.late, "longest": round(roster.counters.most_late, 3)},
        }

    def _unsaved(self) -> list[str]:
        running = (vhost.config for vhost in self._roster.all())
        return list(differences(self._loaded(), self._roster.knobs, running))

    def _vhid(self, vhost: VirtualHost, loaded: VirtualHostConfig | None) -> dict[str, Any]:
        config = vhost.config
        machine = vhost.machine
        masters = _masters(vhost)
        return {
            "vhid": config.vhid,
            "interface": config.interface,
            "configured": _configured(config, loaded),
            "state": vhost.state.value,
            "since": self._time(machine.since),
            "reason": machine.reason,
            "advbase": config.advbase,
            "advskew": config.advskew,
            "effective_advskew": machine.effective_advskew,
            "preempt": machine.preempt,
            "dialect": config.dialect.value,
            "plane": config.plane.value,
            "unicast": [str(peer) for peer in (*config.peers, *config.peers6)],
            "group": config.group,
            "held_back": _held_back(vhost),
            "addresses": [_text(address) for address in config.addresses],
            "virtual_mac": format_mac(virtual_mac(config.vhid)),
            "master": self._master(masters),
            "peers": [self._peer(vhost, peer, peer in masters) for peer in vhost.peers.all()],
            "transitions": vhost.transitions,
            "sent": vhost.sending.sent,
            "received": vhost.received,
            "send_errors": vhost.sending.errors,
            "refused": dict(vhost.refusals),
            "replay": {
                "mode": config.replay.value,
                "heard": vhost.replays,
                "remembered_octets": vhost.replay.memory.octets,
            },
            "conflicts": vhost.conflicts,
        }

    def _master(self, masters: Sequence[Peer]) -> dict[str, Any] | None:
        """The master that a BACKUP follows; None while there is none, or it is us."""
        if not masters:
            return None
        peer = masters[0]
        return {
            "source": _source(peer.hearing.source),
            "advbase": peer.hearing.advbase,
            "advskew": peer.hearing.advskew,
            "demote": peer.hearing.demote,
            "last_heard": self._time(peer.last_heard),
            "implementation": peer.hearing.implementation,
        }

    def _peer(self, vhost: VirtualHost, peer: Peer, is_master: bool) -> dict[str, Any]:
        return {
            "source": _source(peer.hearing.source),
            "implementation": peer.hearing.implementation,
            "last_heard": self._time(peer.last_heard),
            "phrase": peer.hearing.phrase + 1,
            "replay_protection": self._protection(vhost, peer),
            # Only a MASTER speaks in CARP: a node that is silent is known from the past alone.
            "state": "MASTER" if is_master else "BACKUP",
        }

    @staticmethod
    def _protection(vhost: VirtualHost, peer: Peer) -> str:
        """What an attacker who has recorded this peer's advertisements can do with them."""
        if vhost.replay.constancy.repeats(peer.hearing.source):
            return "cannot be protected"
        return "protected" if vhost.config.replay is ReplayMode.ENFORCE else "not enforced"

    def time(self, moment: float) -> str:
        """A moment of the roster's clock, as ISO 8601 in UTC."""
        return self._time(moment)

    def _time(self, moment: float) -> str:
        wall = self._wall() - (self._seconds() - moment)
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")


def _masters(vhost: VirtualHost) -> list[Peer]:
    """Whom a BACKUP follows, IPv4 before IPv6: a node that speaks both shows as two, and each family has a timer."""
    if vhost.state is not State.BACKUP:
        return []
    newest: dict[int, Peer] = {}
    for peer in sorted(vhost.peers.all(), key=lambda peer: peer.last_heard):
        newest[peer.hearing.family] = peer
    followed = (newest[family] for family in sorted(newest))
    return [peer for peer in followed if not is_bow_out(peer.hearing.advbase, peer.hearing.advskew)]


def _held_back(vhost: VirtualHost) -> str | None:
    """Why its group keeps it from doing what it otherwise would; None where it does not."""
    bearing, why = vhost.order
    return why if bearing in (Bearing.YIELDING, Bearing.MODEST) else None


def _configured(running: VirtualHostConfig, loaded: VirtualHostConfig | None) -> str:
    """Whether the settings of a vhid are those of the configuration."""
    if loaded is None:
        return "not in the configuration"
    return "file" if loaded == running else "changed"


# Rendering an address takes 10 us, and they are the same ones all the time.


@lru_cache(maxsize=4096)
def _text(address: AddressWithPrefix) -> str:
    return str(address)


@lru_cache(maxsize=4096)
def _source(packed: bytes) -> str:
    return str(ip_address(packed))
