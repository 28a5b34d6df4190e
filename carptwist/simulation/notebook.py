"""A notebook in memory: what outlives a node is what its owner keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from zope.interface import implementer

from carptwist.interfaces import INotebook


@implementer(INotebook)
class MemoryNotebook:
    """Its ``octets`` are all that was written; it fails as long as there is a :attr:`trouble`."""

    def __init__(self, octets: bytes = b"") -> None:
        self.trouble: OSError | None = None
        self._octets = bytearray(octets)

    @property
    def octets(self) -> bytes:
        return bytes(self._octets)

    @octets.setter
    def octets(self, octets: bytes) -> None:
        self._octets = bytearray(octets)

    def read(self) -> Deferred[bytes]:
        return fail(self.trouble) if self.trouble is not None else succeed(self.octets)

    def append(self, octets: bytes) -> Deferred[None] | None:
        if self.trouble is not None:
            return fail(self.trouble)
        self._octets += octets
        return None

    def replace(self, whole: Callable[[], bytes]) -> Deferred[int]:
        octets = whole()
        return self._write(octets).addCallback(lambda _: len(octets))

    def patch(self, pieces: Callable[[], Iterable[tuple[int, bytes]]]) -> Deferred[None]:
        def patched() -> Deferred[None]:
            whole = bytearray(self.octets)
            for at, octets in pieces():
                whole.extend(bytes(max(0, at + len(octets) - len(whole))))
                whole[at : at + len(octets)] = octets
            return self._write(bytes(whole))

        return maybeDeferred(patched)

    def _write(self, octets: bytes) -> Deferred[None]:
        if self.trouble is not None:
            return fail(self.trouble)
        self.octets = octets
        return succeed(None)
