"""A plane whose vhid and addresses are this service's alone, among the services of this process.

What another one has cannot be prepared: the vhid waits in INIT, as for an address that is on the host already, until
the other one gives it up.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from carptwist.config.belongings import of_vhid
from carptwist.config.schema import VirtualHostConfig
from carptwist.exclusion import Share, TakenError
from carptwist.interfaces import IPlane
from carptwist.planes import PlaneError


@implementer(IPlane)
class ClaimedPlane:
    """Does what ``plane`` does, after its things were taken from the share."""

    def __init__(self, config: VirtualHostConfig, plane: IPlane, share: Share) -> None:
        self._config = config
        self._plane = plane
        self._share = share

    @property
    def link_address(self) -> bytes:
        return self._plane.link_address

    @property
    def ending(self) -> tuple[bytes, ...]:
        return self._plane.ending

    @property
    def answers(self) -> bool:
        return self._plane.answers

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config
        self._plane.adopt(config)

    def prepare(self) -> Deferred[None]:
        config = self._config
        try:
            self._share.take(config.name, of_vhid(config))
        except TakenError as error:
            return fail(PlaneError(str(error)))
        return self._plane.prepare().addCallback(lambda _: self._share.keep(config.name, of_vhid(config)))

    def hold(self) -> Deferred[None]:
        return self._plane.hold()

    def refresh(self, seconds: int, until: float) -> None:
        self._plane.refresh(seconds, until)

    def release(self) -> Deferred[None]:
        return self._plane.release()

    def withdraw(self) -> Deferred[None]:
        return self._plane.withdraw().addCallback(lambda _: self._share.keep(self._config.name, ()))
