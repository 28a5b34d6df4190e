"""Where programs come in: it makes their connections, and bounds them.

How many there are, how many are subscribed, how long one says nothing, and what is logged of them: one line per
:data:`BURST_SECONDS` and kind. What one connection may cost is in :mod:`carptwist.control.connection`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, ILoggingContext, IReactorTime
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.amp import Command
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.control.access import Caller
from carptwist.control.commands import BusyError
from carptwist.control.connection import ControlProtocol
from carptwist.control.desk import Desk
from carptwist.control.revising import Revising
from carptwist.control.turnstile import Turnstile
from carptwist.moderation import Moderation

#: Beyond this many the one that was silent longest makes room: nobody can lock the operator out.
MOST_CONNECTIONS = 200
MOST_SUBSCRIBERS = 32
SWEEP_SECONDS = 5.0
#: Of lines in the log that say the same.
BURST_SECONDS = 10.0


@implementer(ILoggingContext)
class ControlFactory(ServerFactory):
    """Builds the connections, and bounds them.

    :param desk: carries the requests out.
    :param revising: exchanges the configuration.
    :param clock: for timeouts.
    :param seconds: a clock that runs while work is done.
    :param identify: says who is at the other end of a transport.
    :param boottime: the clock that leases are told in.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        desk: Desk,
        revising: Revising,
        *,
        clock: IReactorTime,
        seconds: Callable[[], float],
        identify: Callable[[Any], Caller],
        boottime: Callable[[], float],
    ) -> None:
        self._boottime = boottime
        self._holders: dict[str, ControlProtocol] = {}
        self.desk = desk
        self.revising = revising
        self.identify = identify
        self.turnstile = Turnstile(clock, seconds)
        self._clock = clock
        self._connections: dict[ControlProtocol, None] = {}
        self._sweep: IDelayedCall | None = None
        self._subscribers = 0
        self._moderation = Moderation(clock, BURST_SECONDS)

    def logPrefix(self) -> str:
        """What Twisted calls it in the log: ``carp: control starting on '/run/carptwist/control.sock'``."""
        return "carp: control"

    def seconds(self) -> float:
        """The clock of timeouts."""
        return float(self._clock.seconds())

    def __len__(self) -> int:
        return len(self._connections)

    def buildProtocol(self, addr: object) -> ControlProtocol | None:
        if len(self._connections) >= MOST_CONNECTIONS:
            eldest = min(self._connections, key=lambda each: (each.idle_limit, each.last_active))
            eldest.drop(f"there are more than {MOST_CONNECTIONS} connections, and it was silent longest")
            self.forget(eldest)
        connection = ControlProtocol(self)
        self._connections[connection] = None
        if self._sweep is None:
            self._sweep = self._clock.callLater(SWEEP_SECONDS, self._look_for_idle_ones)
        return connection

    def stopFactory(self) -> None:
        """The port is closed: so is every connection."""
        for connection in tuple(self._connections):
            connection.transport.abortConnection()
        self._connections.clear()
        self.turnstile.close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def forget(self, connection: ControlProtocol) -> None:
        """It is over."""
        self._connections.pop(connection, None)

    def subscribe(self, desk: Desk, push: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Push events to one more connection.

        :raises BusyError: there are too many.
        """
        if self._subscribers >= MOST_SUBSCRIBERS:
            raise BusyError(f"{MOST_SUBSCRIBERS} programs are subscribed already")
        self._subscribers += 1
        stop = desk.history.subscribe(push)

        def unsubscribe() -> None:
            self._subscribers -= 1
            stop()

        return unsubscribe

    def to_boottime(self, moment: float) -> float:
        """A moment of the reactor's clock, for programs of this host."""
        return self._boottime() + moment - self.seconds()

    def hold(self, holder: ControlProtocol | None, owner: str) -> None:
        """An entry of the ledger was made, which ends with a connection, or with none."""
        former = self._holders.pop(owner, None)
        if former is not None:
            former.holds.discard(owner)
        if holder is not None:
            self._holders[owner] = holder
            holder.holds.add(owner)

    def let_go(self, holder: ControlProtocol) -> None:
        """A connection is over, and its entries with it."""
        for owner in sorted(holder.holds):
            self._holders.pop(owner, None)
            self.desk.expire(owner)
        holder.holds.clear()

    def tell(self, kind: str, text: str) -> None:
        """Log a line, unless one of its kind was logged a moment ago."""
        unsaid = self._moderation.admit(kind)
        if unsaid is not None:
            more = f" ({unsaid} more like it unsaid)" if unsaid else ""
            self.log.warn("carp: control: {text}{more}", text=text, more=more)

    def tell_bug(self, command: type[Command], failure: Failure) -> None:
        """Log how a request failed that should not have, once in a while for each command."""
        if self._moderation.admit(("bug", command)) is not None:
            self.log.failure("carp: control: a request failed", failure)

    def _look_for_idle_ones(self) -> None:
        self._sweep = None
        now = self.seconds()
        for connection in tuple(self._connections):
            if now - connection.last_active > connection.idle_limit:
                connection.drop("it was silent for too long")
                self.forget(connection)
        if self._connections:
            self._sweep = self._clock.callLater(SWEEP_SECONDS, self._look_for_idle_ones)
