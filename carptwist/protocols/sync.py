"""The pfsync-style demotion hook: a program that synchronises state tables keeps this host from being MASTER meanwhile.

::

    start ------> demoted ("not in sync since the start")   with startup > 0, for so many seconds at most
    begin NAME -> demoted ("bulk update")                   for as long as the connection lasts, then for LIMIT seconds
    done NAME, fail NAME -> no longer demoted

Lines over a UNIX socket, each answered with ``ok DEMOTION`` or ``error TEXT``; DEMOTION is the host's, after the line.
A connection that is lost is not a "done": whoever died in the middle has not synchronised anything. But a host must
not stay demoted for ever either: pfsync(4) gives a bulk update that gets no answer up after a minute, and so does this.

All of it is one entry of the ledger, of owner ``sync NAME``.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from carptwist.config.health import SyncConfig
from carptwist.vhost.roster import Roster

#: pfsync(4) asks 12 times, 5 seconds apart, before it gives up.
BULK_FAIL_SECONDS = 60
#: Programs that are connected at the same time; one more is turned away.
MOST_CONNECTIONS = 64


class StateSync:
    """One ``[sync NAME]``: whether its tables are in sync, as far as anybody has told."""

    def __init__(self, config: SyncConfig, roster: Roster) -> None:
        self.config = config
        self._roster = roster
        self._owner = f"sync {config.name}"
        self._holder: object = None  # who began last, and has not ended it

    def start(self) -> None:
        """The host has just come up: its tables are empty until somebody says otherwise."""
        if self.config.startup:
            self._demote("not in sync since the start", self.config.startup)

    def reconfigure(self, config: SyncConfig) -> None:
        """Go on with other settings. What demotes now goes on to, with the new value, for as long as was said."""
        self.config = config
        self._roster.revalue(self._owner, config.demote)

    def leave(self) -> None:
        """Nobody speaks of it any more."""
        self._end("removed")

    def begin(self, holder: object) -> None:
        """A bulk update is under way; ``holder`` tells of its end, or is :meth:`lost`."""
        self._holder = holder
        self._demote("bulk update", None)

    def done(self) -> None:
        """The tables are in sync."""
        self._end("bulk update done")

    def fail(self) -> None:
        """The bulk update came to nothing: there is nothing to wait for."""
        self._end("bulk update failed")

    def lost(self, holder: object) -> None:
        """Somebody who began has gone without a word."""
        if self._holder is holder:
            self._demote("bulk update, its holder has gone", self.config.startup or BULK_FAIL_SECONDS)

    def _demote(self, why: str, seconds: int | None) -> None:
        self._roster.demote(self._owner, self.config.demote, f"{self._owner}: {why}", seconds)

    def _end(self, why: str) -> None:
        self._holder = None
        self._roster.undemote(self._owner, f"{self._owner}: {why}")


def tell(syncs: Mapping[str, StateSync], verb: str, name: str, holder: object) -> StateSync:
    """Do what somebody says: begin, done or fail.

    :raises ValueError: it cannot be understood; the text is for people.
    """
    if verb not in ("begin", "done", "fail"):
        raise ValueError(f"{verb!r}: say begin, done or fail, and a name")
    sync = syncs.get(name)
    if sync is None:
        raise ValueError(f"no [sync {name}] here: there is {', '.join(sorted(syncs)) or 'none'}")
    if verb == "begin":
        sync.begin(holder)
    elif verb == "done":
        sync.done()
    else:
        sync.fail()
    return sync


class SyncProtocol(LineOnlyReceiver):
    """One connected program."""

    delimiter = b"\n"
    MAX_LENGTH = 256

    def __init__(self, factory: SyncFactory) -> None:
        self._factory = factory
        self._held: dict[str, StateSync] = {}

    def connectionMade(self) -> None:
        self._factory.joined(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._factory.left(self)
        for sync in self._held.values():
            sync.lost(self)
        self._held.clear()

    def lineReceived(self, line: bytes) -> None:
        words = line.decode("utf-8", "replace").split(None, 1)
        if words:
            self._answer(self._obey(words[0], words[1].strip() if len(words) > 1 else ""))

    def lineLengthExceeded(self, line: bytes) -> None:
        self._answer("error the line is too long")
        if self.transport is not None:
            self.transport.loseConnection()

    def _obey(self, verb: str, name: str) -> str:
        try:
            sync = tell(self._factory.syncs, verb, name, self)
        except ValueError as error:
            return f"error {error}"
        self._held.pop(name, None)
        if verb == "begin":
            self._held[name] = sync
        return f"ok {self._factory.roster.ledger.sum}"

    def _answer(self, text: str) -> None:
        self.sendLine(text.encode())  # type: ignore[no-untyped-call]


class SyncFactory(ServerFactory):
    """Builds the connections of one socket.

    :param syncs: those that are spoken of there, by name.
    """

    noisy = False
    _log = Logger()

    def __init__(self, syncs: Mapping[str, StateSync], roster: Roster) -> None:
        self.syncs = syncs
        self.roster = roster
        self._programs: dict[SyncProtocol, None] = {}

    def dismiss(self) -> None:
        """Nothing is spoken of here any more: whoever is connected is sent away."""
        for program in self._programs:
            if program.transport is not None:
                program.transport.loseConnection()

    def joined(self, program: SyncProtocol) -> None:
        """It is connected."""
        self._programs[program] = None

    def left(self, program: SyncProtocol) -> None:
        """It is connected no more."""
        del self._programs[program]

    def buildProtocol(self, addr: IAddress | None) -> SyncProtocol | None:
        if len(self._programs) >= MOST_CONNECTIONS:
            self._log.warn("carp: sync: {most} programs are connected: one more is turned away", most=MOST_CONNECTIONS)
            return None
        return SyncProtocol(self)
