"""An endpoint that tries until it can connect: soon after the daemon is there, its companions are connected to it.

A host that comes back may preempt the present master a moment after its daemon was started; what serves there is to
know by then. One attempt at the socket of a daemon that is away takes a fraction of a millisecond; it is not logged."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.control.unreachable import why_unreachable

KNOCK_SECONDS = 0.1


@implementer(IStreamClientEndpoint)
class Knocking:
    """Connects to an endpoint, however long that takes; each trouble is told once.

    :param where: what it is for people.
    """

    _log = Logger()

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime, where: str) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self.where = where
        self._trouble = ""

    def __repr__(self) -> str:
        return f"<the daemon at {self.where}>"

    @inlineCallbacks
    def connect(self, protocolFactory: IProtocolFactory) -> Generator[Deferred[Any], Any, IProtocol]:
        """Fires when it is connected. May be cancelled; does not fail otherwise."""
        while True:
            try:
                protocol: IProtocol = yield self._endpoint.connect(protocolFactory)
            except (CancelledError, ConnectingCancelledError):
                raise
            except Exception as error:
                self._tell(why_unreachable(error))
            else:
                self._trouble = ""
                return protocol
            yield deferLater(self._clock, KNOCK_SECONDS)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warn("carp: no daemon answers at {where} yet: {why}", where=self.where, why=trouble)
