"""The daemon's events, as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed

from carptwist.control.client import Event
from carptwist.control.history import concerns

#: Events that nobody takes, after which the oldest are forgotten: the daemon itself remembers as many.
MOST_UNTAKEN = 2000


class SubscriptionClosedError(Exception):
    """There are no more events: it was closed, or its client was."""


class Subscription:
    """Made by :meth:`carptwist.api.CarpClient.events`; an asynchronous iterator."""

    def __init__(self, vhid: str | None, closed: Callable[[Subscription], object]) -> None:
        self._vhid = vhid
        self._closed = closed
        self._is_closed = False
        self._untaken: deque[Event] = deque(maxlen=MOST_UNTAKEN)
        self._waiting: deque[Deferred[Event]] = deque()

    def next(self) -> Deferred[Event]:
        """The next event; fails with SubscriptionClosedError if there will be none."""
        if self._untaken:
            return succeed(self._untaken.popleft())
        if self._is_closed:
            return fail(SubscriptionClosedError())
        waiting: Deferred[Event] = Deferred(lambda waiting: self._waiting.remove(waiting))
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """No more of them."""
        if self._is_closed:
            return
        self._is_closed = True
        self._closed(self)
        while self._waiting:
            self._waiting.popleft().errback(SubscriptionClosedError())

    def deliver(self, event: Event) -> None:
        """For the client: there is one more."""
        if not concerns(event, self._vhid):
            return
        if self._waiting:
            self._waiting.popleft().callback(event)
        else:
            self._untaken.append(event)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self.next()
        except SubscriptionClosedError:
            raise StopAsyncIteration from None
