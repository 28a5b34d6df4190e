"""The plane that a plug-in has made, kept from doing harm: it fails as planes do, and in time.

Whatever it raises becomes a PlaneError, which keeps its vhid in INIT until the next attempt; a bug is logged and
counted. A step that has not ended after STEP_SECONDS is given up, or the vhid could never stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import IPlane
from carptwist.patience import within
from carptwist.planes import PlaneError
from carptwist.plugins.accounts import Account
from carptwist.plugins.making import Made, UnmadeError

STEP_SECONDS = 30.0


@implementer(IPlane)
class PluggedPlane:
    """A plane ``beneath``, which changes nothing on the host, and above it the plug-in's.

    :param make: has the plug-in make its plane with a configuration.
    """

    def __init__(
        self,
        config: VirtualHostConfig,
        beneath: IPlane,
        make: Callable[[VirtualHostConfig], Any],
        account: Account,
        clock: IReactorTime,
    ) -> None:
        self._config = config
        self._beneath = beneath
        self._made = Made(lambda: make(self._config), IPlane, account, (PlaneError,))
        self._account = account
        self._clock = clock

    @property
    def link_address(self) -> bytes:
        mac: bytes = self._look("link_address", b"", lambda mac: isinstance(mac, bytes) and len(mac) in (0, 6))
        return mac

    @property
    def ending(self) -> tuple[bytes, ...]:
        ending: tuple[bytes, ...] = self._look(
            "ending", (), lambda found: isinstance(found, tuple) and all(isinstance(each, bytes) for each in found)
        )
        return ending

    @property
    def answers(self) -> bool:
        return bool(self._look("answers", False)) and bool(self.link_address)

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config
        self._beneath.adopt(config)
        if self._made.part is not None:
            try:
                self._made.part.adopt(config)
            except Exception:
                self._account.failed(Failure(), "adopt")
                self._made.part = None  # the next one is made with the new settings

    def prepare(self) -> Deferred[None]:
        return self._beneath.prepare().addCallback(lambda _: self._step("prepare"))

    def hold(self) -> Deferred[None]:
        return self._beneath.hold().addCallback(lambda _: self._step("hold"))

    def refresh(self, seconds: int, until: float) -> None:
        if self._made.part is not None:
            try:
                self._made.part.refresh(seconds, until)
            except Exception:
                self._account.failed(Failure(), "refresh")

    def release(self) -> Deferred[None]:
        return self._ending("release", self._beneath.release)

    def withdraw(self) -> Deferred[None]:
        return self._ending("withdraw", self._beneath.withdraw)

    def _ending(self, name: str, beneath: Callable[[], Deferred[None]]) -> Deferred[None]:
        """What is beneath ends in any case, and this fails if the plug-in does."""
        if self._made.part is None:
            return beneath()

        def below(result: object) -> Deferred[None]:
            return beneath().addCallback(lambda _: result if isinstance(result, Failure) else None)

        return self._step(name).addBoth(below)

    def _step(self, name: str) -> Deferred[None]:
        self._account.called()
        try:
            plane = self._made.get()
        except (PlaneError, UnmadeError) as error:
            return fail(PlaneError(str(error)))
        doing: Deferred[Any] = within(STEP_SECONDS, self._clock, maybeDeferred(getattr(plane, name)))
        return doing.addCallbacks(lambda _: None, lambda failure: self._failed(failure, name))

    def _failed(self, failure: Failure, name: str) -> None:
        if failure.check(PlaneError):
            failure.raiseException()
        if failure.check(TimeoutError):
            failure = Failure(TimeoutError(f"not done within {STEP_SECONDS:g} s"))
        raise PlaneError(self._account.failed(failure, name))

    def _look(self, name: str, otherwise: Any, good: Callable[[Any], bool] = lambda found: True) -> Any:
        if self._made.part is None:
            return otherwise
        try:
            found = getattr(self._made.part, name)
            if not good(found):
                raise TypeError(f"{found!r:.60} is not what IPlane says")
        except Exception:
            self._account.failed(Failure(), name)
            return otherwise
        return found
