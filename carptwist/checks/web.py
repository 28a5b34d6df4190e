"""The check of a service that speaks HTTP."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from carptwist.checks.health import Result
from carptwist.config.health import CheckConfig
from carptwist.http.client import Client, RequestError


class WebProbe:
    """One GET: the status is among the good ones, and the pattern is in the body, if there is to be one."""

    def __init__(self, config: CheckConfig, client: Client) -> None:
        assert config.url is not None
        self._url = config.url
        self._config = config
        self._body = None if config.body is None else re.compile(config.body.encode())
        self._client = client

    @inlineCallbacks
    def __call__(self) -> Generator[Deferred[Any], Any, Result]:
        try:
            answer = yield self._client.get(self._url, body=self._body is not None, redirects=self._config.redirects)
        except RequestError as error:
            return Result(False, str(error))
        told = f"HTTP {answer.status}"
        lowest, highest = self._config.status
        if not lowest <= answer.status <= highest:
            return Result(False, told)
        if self._body is not None and not self._body.search(answer.body):
            return Result(False, f"{told}, but the body does not match")
        return Result(True, told)
