"""Changes told to a server, one POST each, in order.

::

    change --> queue (bounded; the oldest is dropped) --> POST --> 2xx: the next one
                                                            \\--> no answer, 5xx, 408, 409, 423, 425, 429: again,
                                                            |     with back-off
                                                            \\--> anything else, or GIVE_UP_SECONDS are over: dropped

Nothing waits for a server but what is to be told to it. When the daemon ends it tries for FAREWELL_SECONDS to say what
is left: that its vhids are in INIT is the news that matters most. No text has the address or a secret in it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.config.reactions import WebhookConfig
from carptwist.hooks.notice import Notice, body, signature
from carptwist.patience import within

#: Changes that wait for one server.
LONGEST_QUEUE = 1000
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
#: A change that nobody wanted for so long is history.
GIVE_UP_SECONDS = 3600.0
#: How long the end of the daemon waits.
FAREWELL_SECONDS = 3.0
_FAREWELL_PAUSE_SECONDS = 0.25
#: Statuses below 500 after which another try may succeed (RFC 9110, RFC 4918, RFC 8470, RFC 6585).
_PASSING_STATUSES = (408, 409, 423, 425, 429)

#: Sends octets with headers; fires with the status of the answer.
Post = Callable[[bytes, Mapping[str, str]], "Deferred[int]"]


class _Waiting(NamedTuple):
    octets: bytes
    text: str
    subsystem: str
    since: float


class Webhook:
    """One server.

    :param draw: a number from 0 to 1, for pauses that differ.
    :param told: how many changes one of this name was told before.
    """

    _log = Logger()

    def __init__(
        self, config: WebhookConfig, post: Post, clock: IReactorTime, draw: Callable[[], float], told: int = 0
    ) -> None:
        self.dropped = 0
        self.told = told
        self._clock = clock
        self._draw = draw
        self._adopt(config, post)
        self._queue: deque[_Waiting] = deque()
        self._sending: Deferred[Any] | None = None
        self._again: IDelayedCall | None = None
        self._tries = 0
        self._complaint = ""  # the one that was logged last, about the first that waits
        self._overtaken = False  # the first one, while it is under way
        self._full = False
        self._finished: Deferred[None] | None = None

    def tell(self, notice: Notice) -> None:
        """Put a change behind those that wait, if it is of interest."""
        if self.config.latest and notice.subsystem:
            self._overtake(notice.subsystem)
        if not self._wanted(notice):
            return
        self.told += 1
        notice = notice._replace(sequence=self.told)
        if len(self._queue) >= LONGEST_QUEUE:
            # Not the first one while it is under way: whether it has arrived nobody knows.
            del self._queue[1 if self._sending is not None else 0]
            self.dropped += 1
            if not self._full:
                self._full = True
                self._warn(f"more than {LONGEST_QUEUE} changes wait: the oldest are dropped")
        self._queue.append(
            _Waiting(body(notice, self.config.body), notice.text, notice.subsystem, self._clock.seconds())
        )
        if self._sending is None and self._again is None:
            self._send()

    def reconfigure(self, config: WebhookConfig, post: Post) -> None:
        """Go on with other settings.

        What waits goes where they say, in the words of the former ones; what is under way is not interrupted.
        """
        self._adopt(config, post)
        self._forget_failures()  # they were another server's, perhaps
        if self._again is not None:
            self._again.cancel()
            self._send()

    def finish(self) -> Deferred[None]:
        """Fires when nothing waits any more, soon whatever the server does."""
        finished: Deferred[None] = Deferred()
        self._finished = finished
        impatience = self._clock.callLater(FAREWELL_SECONDS, self._give_up)
        finished.addCallback(lambda _: impatience.cancel() if impatience.active() else None)
        if self._again is not None:
            self._again.cancel()
            self._send()
        self._tell_if_finished()
        return finished

    def _adopt(self, config: WebhookConfig, post: Post) -> None:
        self.config = config
        self._post = post
        self._match = re.compile(config.match)
        self._type = re.compile(config.type)

    def _wanted(self, notice: Notice) -> bool:
        if notice.event == "demotion":
            return self.config.demotion
        return bool(self._match.fullmatch(notice.subsystem) and self._type.fullmatch(notice.state))

    def _send(self) -> None:
        self._again = None
        octets = self._queue[0].octets
        headers = {"Content-Type": "application/json"}
        for name, value in self.config.headers:
            headers[name] = value.text
        if self.config.secret is not None:
            headers["X-Carptwist-Signature"] = signature(self.config.secret.text, octets)
        self._sending = sending = within(self.config.timeout, self._clock, self._post(octets, headers))
        sending.addCallbacks(self._answered, self._unanswered)
        sending.addErrback(lambda failure: self._log.failure("carp: webhook {name}", failure, name=self.config.name))

    def _answered(self, status: int) -> None:
        if not self._queue:
            return  # given up
        if 200 <= status <= 299:
            if self._tries:
                self._log.info("carp: webhook {name}: answers again", name=self.config.name)
            self._next()
        elif self._may_pass(status):
            self._failed(f"HTTP {status}")
        else:
            self._drop(f"refused with HTTP {status}")

    def _may_pass(self, status: int) -> bool:
        """Whether another try may succeed."""
        if status >= 500 or status in _PASSING_STATUSES:
            return True
        return any(lowest <= status <= highest for lowest, highest in self.config.retries)

    def _overtake(self, subsystem: str) -> None:
        """What waits about a virtual host is not so any more."""
        under_way = [self._queue[0]] if self._sending is not None else []
        waiting = [*self._queue][len(under_way) :]
        kept = [each for each in waiting if each.subsystem != subsystem]
        # Whether what is under way has arrived nobody knows; but it is not sent again.
        self._overtaken = self._overtaken or any(each.subsystem == subsystem for each in under_way)
        if len(kept) == len(waiting):
            return
        if self._again is not None and waiting[0].subsystem == subsystem:
            self._again.cancel()
            self._again = None
            self._forget_failures()
        self._queue = deque([*under_way, *kept])
        for each in waiting:
            if each.subsystem == subsystem:
                name, what = self.config.name, each.text
                self._log.info("carp: webhook {name}: not sent, as it is not so any more: {what}", name=name, what=what)
        if self._queue and self._sending is None and self._again is None:
            self._send()

    def _unanswered(self, failure: Failure) -> None:
        if self._queue:
            self._failed(failure.getErrorMessage())

    def _failed(self, why: str) -> None:
        self._sending = None
        if self._overtaken:
            self._drop(f"{why}, and it is not so any more")
            return
        if self._clock.seconds() - self._queue[0].since >= GIVE_UP_SECONDS:
            self._drop(f"given up: {why}")
            return
        if why != self._complaint:
            self._complaint = why
            self._warn(f"{why}: trying again")
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._tries, 10))
        pause *= 0.5 + self._draw() / 2
        self._tries += 1
        if self._finished is not None:
            pause = _FAREWELL_PAUSE_SECONDS
        self._again = self._clock.callLater(pause, self._send)

    def _forget_failures(self) -> None:
        self._tries = 0
        self._complaint = ""

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._warn(f"{why}: {self._queue[0].text}")
        self._next()

    def _next(self) -> None:
        self._sending = None
        self._overtaken = False
        self._forget_failures()
        self._queue.popleft()
        if len(self._queue) < LONGEST_QUEUE // 2:
            self._full = False
        if self._queue:
            self._send()
        self._tell_if_finished()

    def _give_up(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._queue:
            self.dropped += len(self._queue)
            self._warn(f"not delivered before the end: {len(self._queue)}")
        self._queue.clear()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
        self._tell_if_finished()

    def _tell_if_finished(self) -> None:
        if self._finished is not None and not self._queue:
            finished, self._finished = self._finished, None
            finished.callback(None)

    def _warn(self, what: str) -> None:
        self._log.warn("carp: webhook {name}: {what}", name=self.config.name, what=what)
