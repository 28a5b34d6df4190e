"""A pause that ends early when there is no reason to go on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater


def pause(reactor: Any, seconds: float, ended: Deferred[None]) -> Deferred[None]:
    """Fires after so many seconds; fails with ConnectionDone once ``ended`` has fired."""
    waiting: Deferred[None] = deferLater(reactor, seconds)

    def check(_: object) -> None:
        if ended.called:
            raise ConnectionDone("the daemon hung up")

    return waiting.addCallback(check)
