"""Which senders repeat one counter for ever: OpenBSD's never changes, and so cannot be told from its replays.

::

    a source is first heard --> may repeat what it introduced --------------------> "cannot be protected"
                                   |                              hears it again
                                   | DSCP CS7 on anything that it introduced,
                                   | or three counters introduced within a minute
                                   v
                                moves: may repeat nothing, ever again

Anything but the counter is forged at will. So only what was *introduced*, by an advertisement with a counter that was
new, tells of a source; a replay introduces nothing, and makes no source move. And a source may repeat only what it
introduced itself, or a source of the other family: OpenBSD sends one counter over IPv4 and IPv6. That opens nothing:
whoever can repeat that counter at all can do so from its introducer's address.

OpenBSD draws another counter when its interface is made anew, at a reboot: a source that changes twice within a
minute is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

#: Three counters introduced within so many seconds, or so many of the vhid's own intervals, if that is longer, are
#: those of a source that moves.
STEADY_SECONDS = 60.0
STEADY_INTERVALS = 10
#: More senders than any group has. A further one may repeat nothing: only who makes new counters gets in here.
MOST_SOURCES = 255

_KEPT = 3


class Habit(NamedTuple):
    """What is known of a source: that it moves, or else what it introduced last, with the time of each."""

    moves: bool
    introduced: tuple[tuple[int, float], ...] = ()


class Constancy:
    """The senders of one vhid, by their packed network address. ``moving``: those that move, and so are not asked about
    any more."""

    __slots__ = ("_habits", "_repeating", "moving")

    def __init__(self) -> None:
        self._habits: dict[bytes, Habit] = {}
        self.moving: set[bytes] = set()
        self._repeating: set[bytes] = set()

    @property
    def habits(self) -> dict[bytes, Habit]:
        """What is known of every source."""
        return dict(self._habits)

    def restore(self, habits: Iterable[tuple[bytes, Habit]]) -> None:
        """Know what was known of sources in a former life."""
        self._habits.update(habits)
        self.moving.update(source for source, habit in self._habits.items() if habit.moves)

    def introduced(self, now: float, source: bytes, counter: int, *, network_control: bool, steady: float) -> bool:
        """A source was the first to use a counter; ``network_control``: with DSCP CS7. True if more is known now."""
        habit = self._habits.get(source)
        if habit is None:
            if len(self._habits) >= MOST_SOURCES:
                return False
            habit = Habit(moves=False)
        if habit.moves or any(counter == before for before, _ in habit.introduced):
            return False
        kept = (*habit.introduced, (counter, now))[-_KEPT:]
        moves = network_control or (len(kept) == _KEPT and now - kept[0][1] < steady)
        self._habits[source] = Habit(moves=True) if moves else Habit(False, kept)
        if moves:
            self.moving.add(source)
            self._repeating.clear()  # those that go on repeating are back at once
        return True

    def may_repeat(self, source: bytes, counter: int) -> bool:
        """Whether a counter that is heard again from a source says nothing against it."""
        if source in self.moving:
            return False
        if not any(self._may_share(other, source, counter) for other in self._habits):
            return False
        self._repeating.add(source)
        return True

    def _may_share(self, introducer: bytes, source: bytes, counter: int) -> bool:
        """Whether ``source`` may repeat this counter because ``introducer`` has introduced it: it is the same, or the
        same host's address of the other family, for all that can be known."""
        if introducer != source and len(introducer) == len(source):
            return False
        return any(counter == known for known, _ in self._habits[introducer].introduced)

    def repeats(self, source: bytes) -> bool:
        """Whether this source was heard to repeat what it may: its advertisements cannot be protected."""
        return source in self._repeating
