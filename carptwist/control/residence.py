"""A program at the other end of a control connection, as a tenant of a vhid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.protocols.amp import Command

from carptwist.control.lease_commands import TellLease
from carptwist.vhost.tenants import Lease, Tenants


class _Tell(Protocol):
    def __call__(self, command: type[Command], **arguments: Any) -> Deferred[Any] | None: ...


class Residence:
    """Implements :class:`carptwist.vhost.tenants.Tenant`.

    :param tell: sends a command, and gives what fires when it is answered; None if it cannot.
    :param to_boottime: a moment of the reactor's clock as the program knows it.
    """

    def __init__(
        self, name: str, patience_seconds: float, tell: _Tell, *, to_boottime: Callable[[float], float]
    ) -> None:
        self.patience_seconds = patience_seconds
        self._name = name
        self._tell = tell
        self._to_boottime = to_boottime
        self._leave: Callable[[], None] = lambda: None

    def begin(self, tenants: Tenants) -> None:
        """Move in: the program is told at once."""
        self._leave = tenants.attend(self)

    def end(self) -> None:
        """The connection is over."""
        self._leave()

    def told(self, lease: Lease | None) -> Deferred[Any] | None:
        since, until = (0.0, 0.0) if lease is None else map(self._to_boottime, lease)
        return self._tell(TellLease, vhid=self._name, held=lease is not None, since=since, until=until)
