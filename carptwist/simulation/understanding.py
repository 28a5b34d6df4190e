"""What follows from the octets of a frame alone is worked out once, however many hosts hear it one after the other.

::

    frame ---- read ----------> what it says                     the same for every host
    counter -- authenticator -> the digest that it ought to bear  the same for all hosts that share keys and addresses

What each host makes of it is its own business.
"""

from __future__ import annotations

from typing import Any

from carptwist.config.schema import VirtualHostConfig
from carptwist.protocols.authority import authenticators
from carptwist.wire.advertisement import Heard, read
from carptwist.wire.authentication import Authenticator
from carptwist.wire.refusal import Refusal


class Understanding:
    """For all hosts of a world."""

    def __init__(self) -> None:
        self._frame = b""
        self._heard: Heard | Refusal | None = None
        self._prepared: dict[object, tuple[Authenticator, ...]] = {}

    def read(self, frame: bytes) -> Heard | Refusal | None:
        """As :func:`carptwist.wire.advertisement.read`."""
        if frame is not self._frame:
            self._frame, self._heard = frame, read(frame)
        return self._heard

    def prepare(self, config: VirtualHostConfig) -> tuple[Authenticator, ...]:
        """As :func:`carptwist.protocols.authority.authenticators`."""
        signed = (config.vhid, config.addresses, config.phrases, config.dialect)
        if signed not in self._prepared:
            self._prepared[signed] = authenticators(config, _Remembering)
        return self._prepared[signed]


class _Remembering(Authenticator):
    """Remembers the last digest that it was asked for, and the last that it has found right."""

    __slots__ = ("_counter", "_digest", "_right")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._counter = -1
        self._digest = b""
        self._right = b""  # this very object, as all hosts are handed it

    def verify(self, counter: int, digest: bytes) -> bool:
        if digest is self._right and counter == self._counter:
            return True
        right = super().verify(counter, digest)
        if right:
            self._right = digest
        return right

    def sign(self, counter: int) -> bytes:
        if counter != self._counter:
            self._counter, self._digest = counter, super().sign(counter)
        return self._digest
