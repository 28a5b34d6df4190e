"""Which counters were seen: exact, in bounded memory, the oldest forgotten first.

::

    generations   [ oldest ] [ ... ] [ newest ]      a new one when the newest has its share; beyond 8 the oldest goes
                                        |
                  singles, sorted in 64 drawers by their highest bits      8 octets each
                  runs of consecutive counters, first and last, sorted    16 octets each, however long

A master that counts up costs one run, for as long as it goes on: it is never forgotten. A master that has
heard nobody yet draws a random number for every advertisement: each is a single. What is held is measured in
cells of 8 octets. There are no wrong answers: what is known was seen, and what was seen is known until
seven eighths of its room were filled after it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

#: How finely the oldest is told from the rest.
GENERATIONS = 8
#: The most cells of one vhid: 8 MiB, the random numbers of 12 days at one a second.
MOST_CELLS = 1 << 20
#: The most cells of all vhids of a host together: 96 MiB.
CELLS_OF_A_HOST = 12 << 20

_DRAWERS = 64
_DRAWER_SHIFT = 58
_CELLS_OF_A_RUN = 2
_OCTETS_OF_A_CELL = 8
#: What comes before no counter.
_NOTHING = -2


class Room:
    """How many ``cells`` each of several memories may take now."""

    __slots__ = ("cells",)

    def __init__(self, cells: int = MOST_CELLS) -> None:
        self.cells = cells


def fair_share(vhids: int) -> int:
    """How many cells each of so many vhids of one host may have."""
    return min(MOST_CELLS, CELLS_OF_A_HOST // max(1, vhids))


class Place(Enum):
    """Where a counter is among those that were seen. The last one of a drawer is not looked for before the first one of
    the next: that costs a cell when a run goes over that border, once in 2**58 counters."""

    AMONG = "it was seen"
    NEXT = "the one before it was seen"
    ELSEWHERE = "neither"


class Generation:
    """What was seen within a stretch of time."""

    __slots__ = ("_drawers", "_firsts", "_lasts", "cells")

    def __init__(self) -> None:
        self.cells = 0
        self._drawers = [array("Q") for _ in range(_DRAWERS)]
        self._firsts = array("Q")
        self._lasts = array("Q")

    def __contains__(self, counter: int) -> bool:
        return self.place(counter) is Place.AMONG

    def place(self, counter: int) -> Place:
        """Where a counter is."""
        run = bisect_right(self._firsts, counter) - 1
        last = self._lasts[run] if run >= 0 else _NOTHING
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        above = bisect_right(drawer, counter)
        single = drawer[above - 1] if above else _NOTHING
        if counter <= last or counter == single:
            return Place.AMONG
        if counter - 1 in (last, single):
            return Place.NEXT
        return Place.ELSEWHERE

    def add(self, counter: int, follows: bool = False) -> bool:
        """A counter was seen. Whether it was not known yet. ``follows``: the one before it is in another generation.

        As :meth:`place`, and in one go: this is done with every advertisement.
        """
        last = _NOTHING
        if self._firsts:
            run = bisect_right(self._firsts, counter) - 1
            if run >= 0:
                last = self._lasts[run]
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        above = bisect_right(drawer, counter)
        single = drawer[above - 1] if above else _NOTHING
        if counter <= last or counter == single:
            return False
        if counter == last + 1:
            self._lasts[run] = counter
        elif counter == single + 1:
            drawer.pop(above - 1)
            self.cells -= 1
            self.add_run(single, counter)
        elif follows:
            self.add_run(counter, counter)
        else:
            drawer.insert(above, counter)
            self.cells += 1
        return True

    def add_run(self, first: int, last: int) -> None:
        """All from ``first`` to ``last``, of which no other run of this generation has any."""
        run = bisect_right(self._firsts, first)
        self._firsts.insert(run, first)
        self._lasts.insert(run, last)
        self.cells += _CELLS_OF_A_RUN

    # As one piece

    def copy(self) -> Generation:
        """Another one with the same."""
        made = Generation()
        made.cells = self.cells
        made._drawers = [drawer[:] for drawer in self._drawers]
        made._firsts, made._lasts = self._firsts[:], self._lasts[:]
        return made

    @property
    def singles(self) -> array[int]:
        """All singles, ascending."""
        every = array("Q")
        for drawer in self._drawers:
            every += drawer
        return every

    @property
    def runs(self) -> Iterator[tuple[int, int]]:
        """First and last of every run, ascending."""
        return zip(self._firsts, self._lasts, strict=True)

    @classmethod
    def of(cls, singles: Iterable[int], runs: Iterable[tuple[int, int]]) -> Generation:
        """A generation with these, in any order."""
        made = cls()
        every = array("Q", sorted(singles))
        begin = 0
        for number in range(_DRAWERS):
            end = bisect_left(every, (number + 1) << _DRAWER_SHIFT)
            made._drawers[number] = every[begin:end]
            begin = end
        made.cells = len(every)
        for first, last in runs:
            made.add_run(first, last)
        return made


class Memory:
    """The counters that were seen for one vhid.

    :param room: how many cells they may take now.
    """

    __slots__ = ("_newest", "_older", "_room")

    def __init__(self, room: Room | None = None) -> None:
        self._room = room or Room()
        self._older: deque[Generation] = deque(maxlen=GENERATIONS - 1)
        self._newest = Generation()

    def __contains__(self, counter: int) -> bool:
        return counter in self._newest or any(counter in generation for generation in self._older)

    @property
    def octets(self) -> int:
        """How much room is taken."""
        return sum(generation.cells for generation in self.generations) * _OCTETS_OF_A_CELL

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The oldest first."""
        return (*self._older, self._newest)

    def add(self, counter: int) -> bool:
        """A counter was seen. Whether it was not known yet."""
        follows = False
        if self._older:
            for generation in self._older:
                place = generation.place(counter)
                if place is Place.AMONG:
                    return False
                follows = follows or place is Place.NEXT
        newest = self._newest
        if not newest.add(counter, follows):
            return False
        if newest.cells * GENERATIONS >= self._room.cells:
            self._older.append(newest)
            self._newest = Generation()
        return True

    def restore(self, generations: Sequence[Generation]) -> None:
        """Have what another memory had, instead of what is there."""
        self._older.clear()
        self._older.extend(generations[:-1])
        self._newest = generations[-1] if generations else Generation()
