r"""A virtual host gets other settings while it runs.

::

    asked for --agenda--> plane: adopt, prepare --> in force
                                         \--> failed: plane: adopt the former ones, prepare; nothing has changed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from carptwist.config.schema import Dialect, VirtualHostConfig
from carptwist.election.effects import Announce, Hold
from carptwist.election.machine import Settings
from carptwist.election.state import State

if TYPE_CHECKING:
    from carptwist.vhost.roster import Roster
    from carptwist.vhost.virtualhost import VirtualHost


class Reconfiguration:
    """One change. ``done`` fires when the settings are in force, and fails if they are not going to be."""

    def __init__(self, vhost: VirtualHost, config: VirtualHostConfig, roster: Roster, clock: IReactorTime) -> None:
        self.done: Deferred[None] = Deferred()
        self._roster = roster
        self._clock = clock
        self._vhost = vhost
        self._config = config

    def begin(self) -> Deferred[None] | None:
        """Fires when it is over, one way or the other; None if it is already."""
        vhost, config = self._vhost, self._config
        if vhost.is_leaving:
            self.done.errback(ValueError(f"{vhost.name} is being removed"))
            return None
        vhost.plane.adopt(config)
        there = vhost.connection.link.exists
        if config.addresses == vhost.config.addresses or not there or vhost.plane_trouble is not None:
            # Nothing to prepare; or it could not be prepared so far, and maybe now it can.
            self._adopt()
            self.done.callback(None)
            if there and vhost.plane_trouble is not None:
                vhost.custody.prepare()
            return None
        preparing = maybeDeferred(vhost.plane.prepare)
        preparing.addCallback(lambda _: self._adopt())
        return preparing.addCallbacks(self.done.callback, self._undo)

    def _adopt(self) -> None:
        vhost, config = self._vhost, self._config
        others = config.addresses != vhost.config.addresses
        vhost.config = config
        before, vhost.shared = vhost.shared, packed(config)
        effects = vhost.machine.reconfigured(self._clock.seconds(), settings(config))
        if others and vhost.state is State.MASTER:
            effects = [Hold(), *effects, Announce()]
        else:
            vhost.custody.changed()
        vhost.perform(effects)
        if config.addresses:
            vhost.clear("addresses")
        self._roster.sharing_changed(vhost, before ^ vhost.shared)
        # What the peers can be sent from is another question now.
        vhost.link_changed(vhost.connection.link, vhost.connection.voice)
        vhost.account_for_link()

    def _undo(self, why: Failure) -> Deferred[None]:
        vhost = self._vhost
        vhost.plane.adopt(vhost.config)
        again = maybeDeferred(vhost.plane.prepare).addErrback(vhost.custody.failed)
        if vhost.config.addresses:
            again.addCallback(lambda _: vhost.clear("addresses"))  # it has them still
        return again.addCallback(lambda _: self.done.errback(why))


def packed(config: VirtualHostConfig) -> frozenset[bytes]:
    """The addresses, as they are on the wire."""
    return frozenset(address.ip.packed for address in config.addresses)


def settings(config: VirtualHostConfig) -> Settings:
    """What the rules want to know of a configuration."""
    families = tuple(sorted({address.version for address in config.addresses}))
    return Settings(config.advbase, config.advskew, families, config.dialect is Dialect.OPENBSD)
