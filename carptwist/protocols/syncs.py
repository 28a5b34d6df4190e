"""All ``[sync NAME]`` of a configuration, and the sockets on which they are spoken of.

::

    [sync states]  unix = /run/a.sock --\\
    [sync leases]  unix = /run/a.sock ---+-> /run/a.sock: SyncFactory of states and leases
    [sync tables]  unix = /run/b.sock -----> /run/b.sock: SyncFactory of tables

One that stays as it is across a reload notices nothing, whoever holds it included. One that a reload adds does not
demote this host by itself: its tables were in sync, or not, before that.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from carptwist.config.health import SyncConfig
from carptwist.listening import Door, Doors
from carptwist.protocols.sync import StateSync, SyncFactory, tell
from carptwist.vhost.roster import Roster

#: Of a socket: who may speak there decides over this host's demotion.
MODE = 0o600


class Syncs:
    """Between :meth:`start` and :meth:`close`."""

    _log = Logger()

    def __init__(self, configs: Iterable[SyncConfig], roster: Roster, doors: Doors) -> None:
        self._roster = roster
        self._doors = doors
        self._syncs = {config.name: StateSync(config, roster) for config in configs}
        self._factories: dict[str, SyncFactory] = {}
        self._factories = self._factories_of(sync.config for sync in self._syncs.values())
        self._introduce()

    def start(self) -> None:
        """The host has just come up; before any vhid takes part."""
        for sync in self._syncs.values():
            sync.start()

    @inlineCallbacks
    def open(self) -> Generator[Deferred[Any], Any, None]:
        """Listen. What cannot be listened on is told in the log: the addresses matter more."""
        for path, factory in self._factories.items():
            try:
                yield self._doors.open(path, Door(MODE, factory))
            except Exception as error:
                self._log.error("carp: cannot listen on the sync socket {path}: {error}", path=path, error=error)

    @inlineCallbacks
    def replace(self, configs: Iterable[SyncConfig]) -> Generator[Deferred[Any], Any, None]:
        """From now on these. Fails with OSError if a socket cannot be listened on: then they are as before."""
        wanted = {config.name: config for config in configs}
        before, factories = self._factories, self._factories_of(wanted.values())
        yield self._doors.exchange({path: Door(MODE, factory) for path, factory in factories.items()})
        for name, sync in tuple(self._syncs.items()):
            if name not in wanted:
                sync.leave()
                del self._syncs[name]
            else:
                sync.reconfigure(wanted[name])
        for name, config in wanted.items():
            if name not in self._syncs:
                self._syncs[name] = StateSync(config, self._roster)
        self._factories = factories
        self._introduce()
        for path, factory in before.items():
            if path not in factories:
                factory.dismiss()

    def tell(self, verb: str, name: str) -> None:
        """Do what somebody says who does not stay.

        :raises ValueError: it cannot be understood; the text is for people.
        """
        holder = object()
        tell(self._syncs, verb, name, holder).lost(holder)

    def close(self) -> Deferred[None]:
        """Listen no more."""
        return self._doors.close()

    def _factories_of(self, configs: Iterable[SyncConfig]) -> dict[str, SyncFactory]:
        paths = {config.unix: None for config in configs}
        return {path: self._factories.get(path) or SyncFactory({}, self._roster) for path in paths}

    def _introduce(self) -> None:
        """Tell each socket of which of them is spoken there."""
        for path, factory in self._factories.items():
            factory.syncs = {name: sync for name, sync in self._syncs.items() if sync.config.unix == path}
