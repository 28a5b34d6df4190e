"""``carpctl maintenance``: a host gives everything away in good order, and stays away until it is called back.

While it is on, each vhid of the host is the *last resort* (:meth:`carptwist.election.machine.Machine.resort`): it
says goodbye as MASTER, preempts nobody, and becomes MASTER only where nobody else does. The entry ``maintenance`` of
the ledger says so to everybody who looks. It survives a restart of the daemon, and of the host.

It is refused where nobody else would take over: a vhid that is MASTER here and has heard no other node since the
daemon started, or none whose last words were not a farewell: such a node was stopped, or is in maintenance itself. (A
node that is BACKUP says nothing in CARP: what was heard is all that can be known.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from carptwist.control.commands import NobodyElseError, RefusedError
from carptwist.election.precedence import BOW_OUT, MAX_SKEW
from carptwist.election.state import State
from carptwist.interfaces import INotebook
from carptwist.vhost.peers import Peer
from carptwist.vhost.roster import Roster

OWNER = "maintenance"


def _has_left(peer: Peer) -> bool:
    """Its last words were a farewell, or that it wants to be relieved, as in maintenance."""
    return peer.hearing.advbase == BOW_OUT and peer.hearing.advskew >= BOW_OUT - 1


class Maintenance:
    """The switch, and the notebook that remembers it.

    :param since: when this daemon has started, for people.
    """

    _log = Logger()

    def __init__(self, roster: Roster, notebook: INotebook, *, wall: Callable[[], float], since: str) -> None:
        self._roster = roster
        self._notebook = notebook
        self._wall = wall
        self._since = since

    def recall(self) -> Deferred[None]:
        """Be in maintenance if the former daemon was. Fires when that is known; before, no vhid should take part."""
        return self._notebook.read().addCallbacks(self._recalled, lambda _: None)

    def on(self, reason: str, *, force: bool) -> str:
        """Give everything away; gives a sentence about it.

        :raises NobodyElseError: nobody else would take over, and it is not forced.
        """
        if self._roster.last_resort:
            return "maintenance is on already"
        masters = [vhost for vhost in self._roster.all() if vhost.state is State.MASTER]
        alone = [vhost.name for vhost in masters if not vhost.peers.all()]
        left = [vhost.name for vhost in masters if vhost.peers.all() and all(map(_has_left, vhost.peers.all()))]
        if (alone or left) and not force:
            why = [f"no other node was heard at {', '.join(alone)} since this daemon started ({self._since})"]
            whys = [
                *(why if alone else []),
                *([f"whoever was heard at {', '.join(left)} said goodbye"] if left else []),
            ]
            raise NobodyElseError(
                f"nobody else would take over: {', and '.join(whys)}. --force does it all the same, and this host "
                "takes over again after some seconds if nobody else does"
            )
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="seconds")
        written = json.dumps({"since": now, "reason": reason}).encode()
        self._notebook.replace(lambda: written).addErrback(self._unsafe)
        # The farewells first: a demotion alone would have every MASTER advertise once more.
        self._roster.set_last_resort(True)
        self._roster.demote(OWNER, MAX_SKEW, reason)
        given = ", ".join(vhost.name for vhost in masters) or "nothing, for it was MASTER of nothing"
        return f"maintenance is on: this host has given away {given}"

    def off(self) -> str:
        """Take part as before."""
        if not self._roster.last_resort:
            raise RefusedError("maintenance is not on")
        self._notebook.replace(bytes).addErrback(self._unsafe)
        self._roster.set_last_resort(False)
        self._roster.undemote(OWNER, "maintenance is over")
        return "maintenance is off"

    def _recalled(self, octets: bytes) -> None:
        if not octets:
            return
        try:
            written = json.loads(octets)
            reason, since = str(written["reason"]), str(written["since"])
        except (ValueError, KeyError, TypeError):
            # It was switched on, whatever else there was to say.
            reason, since = "unknown", "unknown"
        self._roster.set_last_resort(True)
        self._roster.demote(OWNER, MAX_SKEW, reason)
        self._log.warn(
            "carp: in maintenance since {since} ({reason}): carpctl maintenance off ends it", since=since, reason=reason
        )

    def _unsafe(self, _: object) -> None:
        self._log.warn("carp: maintenance cannot be written down: a restart will forget it")
