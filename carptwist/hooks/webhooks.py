"""All webhooks of a configuration: what happens here, as notices to each of them.

One that stays as it is across a reload notices nothing. One that changes keeps its numbers, and what waits; one that is
removed tries for some seconds to say what waits, as at the end of the daemon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime

from carptwist.config.reactions import WebhookConfig
from carptwist.hooks.notice import Notice
from carptwist.hooks.script import Change
from carptwist.hooks.webhook import Post, Webhook


class Webhooks:
    """Tells servers.

    :param poster: makes what sends to the server of a webhook.
    :param now: the time on the wall, as ISO 8601.
    :param demotion: this host's demotion now.
    :param draw: a number from 0 to 1.
    """

    def __init__(
        self,
        configs: Iterable[WebhookConfig],
        clock: IReactorTime,
        *,
        poster: Callable[[WebhookConfig], Post],
        host: str,
        now: Callable[[], str],
        demotion: Callable[[], int],
        draw: Callable[[], float],
    ) -> None:
        self._webhooks: dict[str, Webhook] = {}
        self._told: dict[str, int] = {}  # by those that were removed: `started` and `sequence` are never the same twice
        self._leaving: list[Deferred[None]] = []
        self._clock = clock
        self._poster = poster
        self._draw = draw
        self._host = host
        self._now = now
        self._started = now()
        self._demotion = demotion
        self.replace(configs)

    def replace(self, configs: Iterable[WebhookConfig]) -> None:
        """From now on these."""
        wanted = {config.name: config for config in configs}
        for name in [name for name in self._webhooks if name not in wanted]:
            self._dismiss(self._webhooks.pop(name))
        for name, config in wanted.items():
            there = self._webhooks.get(name)
            if there is None:
                told = self._told.pop(name, 0)
                self._webhooks[name] = Webhook(config, self._poster(config), self._clock, self._draw, told)
            elif there.config != config:
                there.reconfigure(config, self._poster(config))

    def changed(self, change: Change) -> None:
        """A vhid has entered a state."""
        self._tell(
            "state",
            subsystem=change.subsystem,
            vhid=int(change.vhid),
            interface=change.interface,
            previous=change.previous,
            state=change.state,
            reason=change.reason,
            by=0,
            demotion=self._demotion(),
        )

    def demoted(self, by: int, to: int, reason: str) -> None:
        """The demotion of this host is another one."""
        nobody = {"subsystem": "", "vhid": None, "interface": "", "previous": "", "state": ""}
        self._tell("demotion", **nobody, reason=reason, by=by, demotion=to)

    def finish(self) -> Deferred[Any]:
        """Fires when nothing waits any more, soon whatever the servers do."""
        return DeferredList([*(webhook.finish() for webhook in self._webhooks.values()), *self._leaving])

    def _dismiss(self, webhook: Webhook) -> None:
        self._told[webhook.config.name] = webhook.told
        leaving = webhook.finish()
        if not leaving.called:
            self._leaving.append(leaving)
            leaving.addCallback(lambda _: self._leaving.remove(leaving))

    def _tell(self, event: str, **what: Any) -> None:
        if self._webhooks:
            notice = Notice(0, self._started, self._now(), self._host, event, **what)
            for webhook in self._webhooks.values():
                webhook.tell(notice)
