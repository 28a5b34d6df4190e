"""Which counters were seen: exact, in bounded memory, the oldest forgotten first.

::

    generations   [ oldest ] [ ... ] [ newest ]      a new one when the newest has its share; beyond 8 the oldest goes
                                        |
                  singles, sorted in 64 drawers by their highest bits      8 octets each
                  runs of consecutive counters, first and last, sorted    16 octets each, however long

A master that counts up costs one run, for as long as it goes on: it is never forgotten. A master that has
heard nobody yet draws a random number for every advertisement: each is a single. What is held is measured in
cells of 8 octets. There are no wrong answers: what is known was seen, and what was seen is known until
seven eighths of the capacity were filled after it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

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


def fair_share(vhids: int) -> int:
    """How many cells each of so many vhids of one host may have."""
    return min(MOST_CELLS, CELLS_OF_A_HOST // max(1, vhids))


class Generation:
    """What was seen within a stretch of time."""

    __slots__ = ("_drawers", "_firsts", "_lasts", "cells")

    def __init__(self) -> None:
        self.cells = 0
        self._drawers = [array("Q") for _ in range(_DRAWERS)]
        self._firsts = array("Q")
        self._lasts = array("Q")

    def __contains__(self, counter: int) -> bool:
        run = bisect_right(self._firsts, counter) - 1
        if run >= 0 and counter <= self._lasts[run]:
            return True
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        if not drawer:
            return False
        place = bisect_left(drawer, counter)
        return place < len(drawer) and drawer[place] == counter

    def extend(self, counter: int) -> bool:
        """Make a run one longer that ends just before ``counter``; False if none does."""
        run = bisect_right(self._firsts, counter) - 1
        if run < 0 or self._lasts[run] != counter - 1:
            return False
        self._lasts[run] = counter
        return True

    def add_run(self, first: int, last: int) -> None:
        """All from ``first`` to ``last``, of which no other run of this generation has any."""
        run = bisect_right(self._firsts, first)
        self._firsts.insert(run, first)
        self._lasts.insert(run, last)
        self.cells += _CELLS_OF_A_RUN

    def add_single(self, counter: int) -> None:
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        drawer.insert(bisect_left(drawer, counter), counter)
        self.cells += 1

    def take_single(self, counter: int) -> bool:
        """Remove a single; False if it is none."""
        if not self._single(counter):
            return False
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        drawer.pop(bisect_left(drawer, counter))
        self.cells -= 1
        return True

    def _single(self, counter: int) -> bool:
        drawer = self._drawers[counter >> _DRAWER_SHIFT]
        place = bisect_left(drawer, counter)
        return place < len(drawer) and drawer[place] == counter

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

    :param capacity: how many cells they may take now.
    """

    def __init__(self, capacity: Callable[[], int] = lambda: MOST_CELLS) -> None:
        self._capacity = capacity
        self._generations = deque([Generation()], maxlen=GENERATIONS)

    def __contains__(self, counter: int) -> bool:
        # Not any() of a generator: this is asked of every advertisement.
        for generation in reversed(self._generations):  # noqa: SIM110
            if counter in generation:
                return True
        return False

    @property
    def octets(self) -> int:
        """How much room is taken."""
        return sum(generation.cells for generation in self._generations) * _OCTETS_OF_A_CELL

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The oldest first."""
        return tuple(self._generations)

    def add(self, counter: int) -> None:
        """A counter that is not known yet was seen."""
        newest = self._generations[-1]
        if newest.extend(counter):
            return
        if counter - 1 not in self:
            newest.add_single(counter)
        elif newest.take_single(counter - 1):
            newest.add_run(counter - 1, counter)
        else:
            newest.add_run(counter, counter)  # it goes on with what an older generation has
        if newest.cells * GENERATIONS >= self._capacity():
            self._generations.append(Generation())

    def restore(self, generations: Sequence[Generation]) -> None:
        """Have what another memory had, instead of what is there."""
        self._generations = deque(generations or [Generation()], maxlen=GENERATIONS)
