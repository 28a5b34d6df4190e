"""The hook that a plug-in has made, as one of a configuration's: it ends in time, and its failure is an outcome."""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from carptwist.config.reactions import HookConfig
from carptwist.hooks.script import Change
from carptwist.interfaces import IHook
from carptwist.patience import within
from carptwist.plugins.accounts import Account, Accounts
from carptwist.plugins.catalogue import Catalogue
from carptwist.plugins.making import Made, UnmadeError


class Outcome(NamedTuple):
    """How a call ended; ``trouble`` is why it failed, or None."""

    trouble: str | None
    seconds: float

    @property
    def succeeded(self) -> bool:
        return self.trouble is None

    def __str__(self) -> str:
        return self.trouble or f"done in {self.seconds:.3f} s"


class PluggedHook:
    """What ``[hook NAME]`` with a plug-in does. ``outcome`` never fails."""

    def __init__(self, config: HookConfig, made: Made, account: Account, clock: IReactorTime) -> None:
        self._config = config
        self._made = made
        self._account = account
        self._clock = clock

    def changed(self, change: Change) -> Deferred[Outcome]:
        """Tell the plug-in."""
        self._account.called()
        try:
            hook = self._made.get()
        except UnmadeError as error:
            return succeed(Outcome(str(error), 0.0))
        began = self._clock.seconds()

        def took() -> float:
            return float(self._clock.seconds() - began)

        doing = self._within(maybeDeferred(hook.changed, change))
        return doing.addCallbacks(
            lambda _: Outcome(None, took()), lambda failure: Outcome(self._failed(failure, "changed"), took())
        )

    def stop(self) -> Deferred[None]:
        """Nothing more comes."""
        if self._made.part is None:
            return succeed(None)
        hook, self._made.part = self._made.part, None

        def failed(failure: Failure) -> None:
            self._failed(failure, "stop")

        return self._within(maybeDeferred(hook.stop)).addCallbacks(lambda _: None, failed)

    def _within(self, doing: Deferred[Any]) -> Deferred[Any]:
        return within(self._config.timeout, self._clock, doing)

    def _failed(self, failure: Failure, doing: str) -> str:
        if failure.check(TimeoutError):
            failure = Failure(TimeoutError(f"not done within {self._config.timeout} s"))
        return self._account.failed(failure, doing)


class HookMaker:
    """A ``[hook NAME]`` with a plug-in -> what it does."""

    def __init__(self, reactor: Any, catalogue: Catalogue, accounts: Accounts) -> None:
        self._reactor = reactor
        self._catalogue = catalogue
        self._accounts = accounts

    def __call__(self, config: HookConfig) -> PluggedHook:
        name = str(config.plugin)
        account = self._accounts.of(f"hook {config.name}", name)
        made = Made(lambda: self._catalogue.find("hook", name).hook(config, self._reactor), IHook, account)
        return PluggedHook(config, made, account, self._reactor)
