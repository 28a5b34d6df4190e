"""Who else is on the wire: the nodes that were heard for one vhid, in bounded memory."""

from __future__ import annotations

from carptwist.interfaces import Hearing

#: More nodes than anybody runs for one vhid. The one heard longest ago makes room.
MOST_PEERS = 32


class Peer:
    """A node, known by its network source; a dual-stack node shows as two."""

    __slots__ = ("heard", "hearing", "last_heard")

    def __init__(self, now: float, hearing: Hearing) -> None:
        self.hearing = hearing
        self.last_heard = now
        self.heard = 0  # times


class Peers:
    """The nodes by source, in the order in which they were first heard."""

    __slots__ = ("_by_source", "_family_heard", "last")

    def __init__(self) -> None:
        self._by_source: dict[bytes, Peer] = {}
        self.last: Peer | None = None
        self._family_heard: dict[int, float] = {}

    def note(self, now: float, hearing: Hearing) -> bool:
        """An advertisement was heard. Whether it is the first of this node, or the first with another pass phrase."""
        family, source, _, _, _, _, _, phrase = hearing
        self._family_heard[family] = now
        peer = self.last = self._by_source.get(source) or self._new(source, now, hearing)
        news = peer.heard == 0 or phrase != peer.hearing.phrase
        peer.hearing = hearing
        peer.last_heard = now
        peer.heard += 1
        return news

    def _new(self, source: bytes, now: float, hearing: Hearing) -> Peer:
        if len(self._by_source) >= MOST_PEERS:
            oldest = min(self._by_source, key=lambda source: self._by_source[source].last_heard)
            del self._by_source[oldest]
        peer = self._by_source[source] = Peer(now, hearing)
        return peer

    def all(self) -> tuple[Peer, ...]:
        return tuple(self._by_source.values())

    def heard_since(self, moment: float) -> tuple[int, ...]:
        """The families of which anything was heard after ``moment``."""
        return tuple(sorted(family for family, heard in self._family_heard.items() if heard > moment))
