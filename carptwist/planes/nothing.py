"""The plane ``none``: packets only. Nothing on the host changes.

Whoever wants the data traffic of the addresses takes care of it by other means.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import IPlane


@implementer(IPlane)
class NoPlane:
    """Announces and answers with the virtual MAC, and holds nothing."""

    answers = True
    ending = ()

    def __init__(self, virtual_mac: bytes) -> None:
        self.link_address = virtual_mac

    def adopt(self, config: VirtualHostConfig) -> None:
        pass

    def prepare(self) -> Deferred[None]:
        return succeed(None)

    def hold(self) -> Deferred[None]:
        return succeed(None)

    def refresh(self, seconds: int, until: float) -> None:
        pass

    def release(self) -> Deferred[None]:
        return succeed(None)

    def withdraw(self) -> Deferred[None]:
        return succeed(None)
