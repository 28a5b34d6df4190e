"""A voice and a plane that write down, in one list, what they are asked to do."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.election.effects import Advertise
from carptwist.interfaces import IPlane, IVirtualHost, IVoice, LinkState
from carptwist.planes import PlaneError

UP = LinkState("em0", index=2, up=True, carrier=True, mac=bytes.fromhex("020000000101"), mtu=1500, hardware=1)
DOWN = LinkState("em0", index=2, up=True, carrier=False, mac=bytes.fromhex("020000000101"), mtu=1500, hardware=1)
ABSENT = LinkState("em0")


@implementer(IVoice)
class WrittenVoice:
    """``said`` has ("advertise", family, advbase, advskew) and ("announce",) in order."""

    def __init__(self, said: list[tuple[object, ...]]) -> None:
        self.said = said
        self.failing: OSError | None = None
        self.when_advertising: Callable[[], object] = lambda: None
        self.closed = False

    def advertise(self, vhost: IVirtualHost, family: int, what: Advertise) -> None:
        if self.failing is not None:
            raise self.failing
        self.when_advertising()
        self.said.append(("advertise", family, what.advbase, what.advskew))

    def farewell(self, vhost: IVirtualHost, family: int, what: Advertise) -> tuple[bytes, ...]:
        return (f"bye {family} {what.advbase} {what.advskew}".encode(),)

    def announce(self, vhost: IVirtualHost) -> None:
        if self.failing is not None:
            raise self.failing
        self.said.append(("announce",))

    def link_changed(self, link: LinkState) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@implementer(IPlane)
class WrittenPlane:
    """Writes ``prepare``, ``hold``, ``release`` and ``withdraw`` into ``said`` when they are done.

    At work at once; or, with ``slow``, when the test calls :meth:`finish` or :meth:`fail`.
    """

    answers = True

    def __init__(self, said: list[tuple[object, ...]], link_address: bytes) -> None:
        self.said = said
        self.link_address = link_address
        self.slow = False
        self.failing: PlaneError | None = None
        self.pending: list[tuple[str, Deferred[None]]] = []
        self.attempts: list[str] = []
        self.ending = (b"down",)
        self.refreshed: list[tuple[int, float]] = []

    def _begin(self, what: str) -> Deferred[None]:
        assert not self.pending, "the calls of a plane never overlap"
        doing: Deferred[None] = Deferred()
        self.attempts.append(what)
        self.pending.append((what, doing))
        if not self.slow:
            self.finish()
        return doing

    def finish(self) -> None:
        """What is pending is done."""
        what, doing = self.pending.pop()
        if self.failing is not None:
            doing.errback(self.failing)
        else:
            self.said.append((what,))
            doing.callback(None)

    def adopt(self, config: VirtualHostConfig) -> None:
        self.said.append(("adopt", *(str(address) for address in config.addresses)))

    def prepare(self) -> Deferred[None]:
        return self._begin("prepare")

    def hold(self) -> Deferred[None]:
        return self._begin("hold")

    def refresh(self, seconds: int, until: float) -> None:
        self.refreshed.append((seconds, until))

    def release(self) -> Deferred[None]:
        return self._begin("release")

    def withdraw(self) -> Deferred[None]:
        return self._begin("withdraw")
