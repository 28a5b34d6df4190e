"""The advertisements that were refused last for one vhid, in bounded memory: for whoever asks why."""

from __future__ import annotations

from collections.abc import Callable

#: Senders and causes. The one that was refused longest ago makes room.
MOST_KEPT = 16


class Refused:
    """What one sender was refused for. ``diagnose`` gives the likeliest reason of the last one, as a phrase."""

    __slots__ = ("cause", "count", "diagnose", "first", "last", "source")

    def __init__(self, now: float, cause: str, source: bytes) -> None:
        self.cause = cause
        self.source = source
        self.first = now
        self.last = now
        self.count = 0
        self.diagnose: Callable[[], str] = str


class TurnedAway:
    """The refusals by sender and cause, the latest last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes], Refused] = {}

    def note(self, now: float, cause: str, source: bytes, diagnose: Callable[[], str]) -> None:
        """One more was refused."""
        key = (cause, source)
        kept = self._kept.pop(key, None)
        if kept is None:
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            kept = Refused(now, cause, source)
        kept.last = now
        kept.count += 1
        kept.diagnose = diagnose
        self._kept[key] = kept

    def all(self) -> tuple[Refused, ...]:
        return tuple(self._kept.values())
