"""What a virtual host says as MASTER: advertisements, the announcements of its addresses, and the farewell.

Each of these is a job on the agenda of the virtual host; what is not so any more when its turn comes is left unsaid.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.election.effects import Advertise
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State

if TYPE_CHECKING:
    from carptwist.vhost.virtualhost import VirtualHost


class Speech:
    """Of one virtual host. ``has_been_heard``: since it became MASTER something has left this host, at least."""

    _log = Logger()

    def __init__(self, vhost: VirtualHost, clock: IReactorTime) -> None:
        self.has_been_heard = False
        self._vhost = vhost
        self._clock = clock

    def advertise(self, what: Advertise) -> None:
        """One advertisement in every family."""
        vhost = self._vhost
        if vhost.state is not State.MASTER and not is_farewell(what):
            return  # whoever observed that it became MASTER has already asked for something else
        if vhost.state is State.MASTER and vhost.custody.tenure.is_lapsed:
            # It waited for too long behind a plane at work.
            vhost.lose("was held up")
            return
        failure: OSError | None = None
        has_left = False
        for family in vhost.machine.settings.families:
            try:
                if vhost.connection.voice is None:
                    raise OSError(f"nothing can be sent on {vhost.config.interface}")
                vhost.connection.voice.advertise(vhost, family, what)
                vhost.sending.sent += 1
                self.has_been_heard = has_left = True
            except OSError as error:
                failure = error
        if vhost.state is State.MASTER and failure is not None and failure.errno == errno.ETIME:
            # It was stopped while it spoke. What has left before says nothing of what is now.
            vhost.lose("was held up")
            return
        if vhost.state is State.MASTER:
            vhost.custody.renew(has_left)
        if failure is None:
            vhost.sending.succeeded()
        else:
            vhost.sending.failed(failure)

    def bow_out(self, farewell: Advertise, until: float) -> None:
        """:param until: when the others count on no master any more."""
        if self.has_been_heard and self._clock.seconds() < until:
            self.advertise(farewell)
        # Else nobody takes us for the master, or nobody any more: a farewell would dethrone the one that there is.

    def announce(self) -> None:
        """Tell the neighbours where the addresses are."""
        vhost = self._vhost
        if not vhost.holding or vhost.connection.voice is None:
            return
        try:
            vhost.connection.voice.announce(vhost)
        except OSError as error:
            self._log.warn("carp: {name}: announcing the addresses: {error}", name=vhost.name, error=error)


def is_farewell(what: Advertise) -> bool:
    """Whether it is the last one of a MASTER."""
    return is_bow_out(what.advbase, what.advskew)
