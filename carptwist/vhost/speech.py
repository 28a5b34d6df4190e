"""What a virtual host says as MASTER: advertisements, the announcements of its addresses, and the farewell.

Each of these is a job on the agenda of the virtual host; what is not so any more when its turn comes is left unsaid.
"""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.election.effects import Advertise
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State
from carptwist.vhost.alarm import Alarm

if TYPE_CHECKING:
    from carptwist.vhost.virtualhost import VirtualHost

_MASTER = State.MASTER  # in Python 3.11 an attribute of an Enum costs as much as a call

#: Before the end of a lease in which nothing could be sent it is tried once more.
LAST_TRY_SECONDS = 0.15


class Speech:
    """Of one virtual host."""

    _log = Logger()

    def __init__(self, vhost: VirtualHost, clock: IReactorTime) -> None:
        self._left: dict[int, float] = {}  # of the families that did since it became MASTER, when the last one was sent
        self._unsaid: Advertise | None = None
        self._again = Alarm(clock, self._try_again)
        self.until = inf  # of a farewell, while it is said: its tenure has ended by then
        self._vhost = vhost
        self._clock = clock

    @property
    def has_been_heard(self) -> bool:
        """Whether anything has left this host since it became MASTER."""
        return bool(self._left)

    @property
    def is_mute(self) -> bool:
        """Whether others miss the last advertisement, in a family that they have heard, or in all."""
        return self._unsaid is not None

    def begin(self) -> None:
        """It has just become MASTER."""
        self._left.clear()

    def end(self) -> None:
        """It is MASTER no more: nothing is missed of what it has not said, but for a farewell."""
        self._unsaid = None
        self._again.set(None)

    def close(self) -> None:
        """Leave nothing on the clock."""
        self._again.cancel()

    def advertise(self, what: Advertise) -> None:
        """One advertisement in every family."""
        vhost = self._vhost
        if vhost.machine.state is not _MASTER and not is_farewell(what):
            return  # whoever observed that it became MASTER has already asked for something else
        if vhost.machine.state is _MASTER and vhost.custody.tenure.is_lapsed:
            # It waited for too long behind a plane at work; or nothing has left this host since.
            vhost.lose("could send nothing" if self.is_mute else "was held up")
            return
        # Before the first word: whoever is stopped after the last one has said nothing new when it goes on.
        now = self._clock.seconds()
        failure: OSError | None = None
        families = vhost.machine.settings.families
        for family in families:
            try:
                if vhost.connection.voice is None:
                    raise OSError(f"nothing can be sent on {vhost.config.interface}")
                vhost.connection.voice.advertise(vhost, family, what)
                vhost.sending.sent += 1
                self._left[family] = now
            except OSError as error:
                failure = error
        if failure is not None and vhost.state is _MASTER and failure.errno == errno.ETIME:
            # It was stopped while it spoke. What has left before says nothing of what is now.
            vhost.lose("was held up")
            return
        if vhost.state is _MASTER:
            self._account(now, what)
        if failure is None:
            vhost.sending.succeeded()
        else:
            vhost.sending.failed(failure)

    def _account(self, now: float, what: Advertise) -> None:
        """What the others hear is a lease. Each family has a timeout of its own, and any of them makes a MASTER."""
        vhost = self._vhost
        if vhost.config.peers or vhost.config.peers6:
            vhost.custody.changed()  # more of them may be known by now
        # One that could never be sent promises nothing: the log says that the others will not have it so.
        heard = [self._left[family] for family in vhost.machine.settings.families if family in self._left]
        oldest = min(heard, default=None)
        vhost.custody.renew(oldest)
        self._unsaid = None if oldest == now else what
        self._again.set(None if oldest == now else self._next_try())

    def _next_try(self) -> float:
        """When nothing could be sent: once more shortly before the lease ends, and then to find that it has ended."""
        until = self._vhost.custody.tenure.until
        last = until - LAST_TRY_SECONDS
        return last if self._clock.seconds() < last else until

    def _try_again(self) -> None:
        vhost, what = self._vhost, self._unsaid
        if what is not None and vhost.state is _MASTER:
            vhost.agenda.add("speech", lambda: self.advertise(what))
            vhost.agenda.work()

    def bow_out(self, farewell: Advertise, until: float) -> None:
        """:param until: when the others count on no master any more."""
        if self.has_been_heard and self._clock.seconds() < until:
            self.until = until
            self.advertise(farewell)
            self.until = inf
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
