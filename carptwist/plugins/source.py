"""The demotion source that a plug-in has made, as the probe of a check: its failure is a bad result."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

from carptwist.checks.health import Result
from carptwist.config.health import CheckConfig
from carptwist.interfaces import IDemotionSource
from carptwist.plugins.accounts import Account, Accounts
from carptwist.plugins.catalogue import Catalogue
from carptwist.plugins.making import Made, UnmadeError


class PluggedProbe:
    """Looks once, each time that it is called."""

    def __init__(self, made: Made, account: Account) -> None:
        self._made = made
        self._account = account

    def __call__(self) -> Deferred[Result]:
        self._account.called()
        try:
            source = self._made.get()
        except UnmadeError as error:
            return succeed(Result(False, str(error)))
        looking: Deferred[Any] = maybeDeferred(source.look)
        return looking.addCallback(self._judge).addErrback(self._failed)

    def stop(self) -> None:
        """It is asked no more."""
        source, self._made.part = self._made.part, None
        if source is not None:
            try:
                source.stop()
            except Exception:
                self._account.failed(Failure(), "stop")

    def _judge(self, found: Any) -> Result:
        if not isinstance(found, Result):
            raise TypeError(f"look gives {found!r:.60}, which is no Result")
        return found

    def _failed(self, failure: Failure) -> Result:
        if failure.check(CancelledError):
            failure.raiseException()  # it was too slow, and its check says so
        return Result(False, self._account.failed(failure, "look"))


class SourceMaker:
    """A ``[check NAME]`` with a plug-in -> its probe."""

    def __init__(self, reactor: Any, catalogue: Catalogue, accounts: Accounts) -> None:
        self._reactor = reactor
        self._catalogue = catalogue
        self._accounts = accounts

    def __call__(self, config: CheckConfig) -> PluggedProbe:
        name = str(config.plugin)
        account = self._accounts.of(f"check {config.name}", name)
        made = Made(lambda: self._catalogue.find("check", name).source(config, self._reactor), IDemotionSource, account)
        return PluggedProbe(made, account)
