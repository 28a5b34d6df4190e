"""Which advertisement was heard before.

::

    counter not seen yet ----------------------------> NEW       remembered, with who introduced it
    seen: one that we sent -----------------------> OURS      mirrored, or two masters in lock-step
    seen: introduced by a source that repeats -----> CONSTANT  OpenBSD: cannot be protected
    seen otherwise --------------------------------> REPLAYED

Of an advertisement the digest covers the counter, the vhid and the addresses. Source, DSCP, advbase, advskew and the
demote octet are forged at will: so the counter alone is looked at, but for the exemption in
:mod:`carptwist.election.constancy`. What becomes of a verdict is for others to decide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableSequence, Sequence
from enum import Enum

from carptwist.election.constancy import STEADY_SECONDS, Constancy
from carptwist.election.memory import Memory, Room

#: Of our own counters these many cells are told apart from those of others: hours of them.
_OWN_CELLS = 8192


class Verdict(Enum):
    """What a valid advertisement is, judged by its counter."""

    NEW = "new"
    CONSTANT = "constant"
    OURS = "ours"
    REPLAYED = "replayed"


_NEW = Verdict.NEW  # in Python 3.11 an attribute of an Enum costs as much as a call


class Replay:
    """The advertisements of one vhid, ours included.

    :param room: how many cells the memory may take now.
    """

    __slots__ = ("_habits_changed", "_news", "_own", "constancy", "memory", "when_changed")

    def __init__(self, room: Room | None = None) -> None:
        self.memory = Memory(room)
        self.constancy = Constancy()
        self.when_changed: Callable[[], object] = lambda: None
        self._own = Memory(Room(_OWN_CELLS))
        self._news: MutableSequence[int] = deque(maxlen=0)
        self._habits_changed = False

    def judge(self, source: bytes, counter: int, network_control: bool) -> Verdict:
        """A valid advertisement was heard: ``network_control`` if with DSCP CS7."""
        if self.memory.add(counter):
            self._news.append(counter)
            self.when_changed()
            return _NEW
        if counter in self._own:
            return Verdict.OURS
        if not network_control and self.constancy.may_repeat(source, counter):
            return Verdict.CONSTANT
        return Verdict.REPLAYED

    def introduced(
        self, now: float, source: bytes, counter: int, network_control: bool, steady: float = STEADY_SECONDS
    ) -> None:
        """What was just judged is new: see :mod:`carptwist.election.constancy`, and :attr:`Constancy.moving` for which
        sources this can be left out."""
        if self.constancy.introduced(now, source, counter, network_control=network_control, steady=steady):
            self._habits_changed = True

    def sent(self, counter: int) -> None:
        """We sent an advertisement with this counter."""
        self._own.add(counter)
        if self.memory.add(counter):
            self._news.append(counter)
            self.when_changed()

    def knows(self, counter: int) -> bool:
        """Whether an advertisement with this counter was seen."""
        return counter in self.memory

    # Writing down

    def take_news(self) -> tuple[Sequence[int], bool]:
        """The counters that were seen since the last call, in that order, and whether habits of sources have changed.

        News is kept from the first call on: where nobody writes it down it takes no room.
        """
        news, self._news = self._news or [], []
        changed, self._habits_changed = self._habits_changed, False
        return news, changed
