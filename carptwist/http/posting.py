"""Where a webhook's octets go. The client is imported when there is a webhook, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from carptwist.config.reactions import WebhookConfig
from carptwist.http.names import Names

_log = Logger()


class Posting:
    """Sends to the server of one webhook."""

    def __init__(self, reactor: Any, names: Names, config: WebhookConfig) -> None:
        from carptwist.http.client import Client

        self._url = config.url.text
        self._client: Client | None = None
        try:
            self._client = Client(reactor, names, config.authorities)
        except ValueError as error:
            _log.error("carp: webhook {name}: ca_file: {error}", name=config.name, error=error)

    def __call__(self, octets: bytes, headers: Mapping[str, str]) -> Deferred[int]:
        """Fires with the status of the answer."""
        if self._client is None:
            return fail(OSError("ca_file cannot be read"))
        return self._client.post(self._url, octets, headers).addCallback(lambda answer: answer.status)
