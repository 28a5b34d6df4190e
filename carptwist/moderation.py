"""How often the same thing is said: once per interval and key, with a count of what was left unsaid."""

from __future__ import annotations

from collections.abc import Hashable

from twisted.internet.interfaces import IReactorTime

#: A flood of different keys must not cost memory: beyond this many the oldest is forgotten.
MOST_KEYS = 1024


class Moderation:
    """Admits a key at most once in ``seconds``."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._admitted: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable) -> int | None:
        """None: not now. Otherwise the number of times that this key was turned away since it was last admitted."""
        now = self._clock.seconds()
        admitted, turned_away = self._admitted.get(key, (float("-inf"), 0))
        if now - admitted < self._seconds:
            self._admitted[key] = (admitted, turned_away + 1)
            return None
        self._admitted.pop(key, None)  # so that the order of the keys is that of their last admission
        if len(self._admitted) >= MOST_KEYS:
            del self._admitted[next(iter(self._admitted))]
        self._admitted[key] = (now, 0)
        return turned_away
