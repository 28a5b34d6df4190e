"""The socket of ``[devd]`` and those who read there, while what the section says may change."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from carptwist.config.reactions import DevdConfig
from carptwist.hooks.devd import EventStream
from carptwist.hooks.script import Change
from carptwist.listening import Door, Doors


class Pipe:
    """Between :meth:`open` and :meth:`finish`. With None there is no such socket."""

    _log = Logger()

    def __init__(self, config: DevdConfig | None, events: EventStream, doors: Doors) -> None:
        self._config = config
        self._events = events
        self._doors = doors

    @inlineCallbacks
    def open(self) -> Generator[Deferred[Any], Any, None]:
        """Listen. What cannot be listened on is told in the log: the addresses matter more."""
        if self._config is None:
            return
        try:
            yield self._listen(self._config)
        except OSError as error:
            path = self._config.unix
            self._log.error("carp: cannot listen on the devd socket {path}: {error}", path=path, error=error)

    @inlineCallbacks
    def replace(self, config: DevdConfig | None) -> Generator[Deferred[Any], Any, None]:
        """From now on this one; who reads goes on reading, unless there is none any more.

        Fails with OSError if it cannot be listened on: then it is as before.
        """
        yield self._listen(config)
        self._config = config
        if config is None:
            yield self._events.finish()

    def changed(self, change: Change) -> None:
        """Tell every reader."""
        self._events.changed(change)

    @inlineCallbacks
    def finish(self) -> Generator[Deferred[Any], Any, None]:
        """Let the readers take what was told, and close; soon, whatever they do."""
        yield self._doors.close()
        yield self._events.finish()

    def _listen(self, config: DevdConfig | None) -> Deferred[None]:
        return self._doors.exchange({} if config is None else {config.unix: Door(config.mode, self._events)})
