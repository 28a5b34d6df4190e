"""Which counters were seen, in bounded memory."""

from __future__ import annotations

import random

import pytest

from carptwist.election.memory import (
    CELLS_OF_A_HOST,
    GENERATIONS,
    MOST_CELLS,
    Generation,
    Memory,
    Room,
    fair_share,
)

WHOLE = (1 << 64) - 1


def filled(memory: Memory, counters: list[int]) -> Memory:
    for counter in counters:
        if counter not in memory:
            memory.add(counter)
    return memory


def test_it_answers_as_a_set() -> None:
    """Random counters, runs, and runs with gaps: exactly what was added is known."""
    chance = random.Random(7)
    counters = []
    for _ in range(300):
        start = chance.getrandbits(64)
        counters += [(start + step) & WHOLE for step in range(chance.choice((1, 1, 1, 2, 40))) if chance.random() > 0.1]
    memory = filled(Memory(), counters)
    known = set(counters)
    for counter in {near & WHOLE for each in known for near in (each - 1, each, each + 1)}:
        assert (counter in memory) == (counter in known), counter


@pytest.mark.parametrize("around", [0, WHOLE])
def test_the_ends_of_the_range(around: int) -> None:
    """0 and 2**64 - 1 are counters as any other, and not each other's neighbours."""
    memory = filled(Memory(), [around])
    assert around in memory
    assert WHOLE - around not in memory


def test_one_that_counts_up_takes_no_more_room() -> None:
    """However long it goes on, and where a lost one is heard late."""
    memory = filled(Memory(), [41, 42])
    octets = memory.octets
    filled(memory, list(range(43, 10_000)))
    assert memory.octets == octets
    filled(memory, [10_001, 10_002, 10_000])
    assert all(counter in memory for counter in range(41, 10_003))
    assert memory.octets == 2 * octets


def test_a_random_one_takes_8_octets() -> None:
    """And no more."""
    chance = random.Random(1)
    memory = filled(Memory(), [chance.getrandbits(64) for _ in range(1000)])
    assert memory.octets == 8000


def test_the_oldest_is_forgotten_first() -> None:
    """What was seen last is known up to seven eighths of the capacity, and the room never exceeds it."""
    capacity = 800
    chance = random.Random(2)
    counters = [chance.getrandbits(64) for _ in range(5000)]
    memory = Memory(Room(capacity))
    for count, counter in enumerate(counters, 1):
        memory.add(counter)
        assert memory.octets <= capacity * 8
        recent = counters[max(0, count - capacity * (GENERATIONS - 1) // GENERATIONS) : count]
        assert recent[0] in memory
    assert all(counter in memory for counter in recent)
    assert counters[0] not in memory
    assert len(memory.generations) == GENERATIONS


def test_a_run_goes_on_over_generations() -> None:
    """What comes after the last of an older generation is a run again, not a single for each."""
    memory = Memory(Room(80))
    filled(memory, [1, 2])
    chance = random.Random(3)
    filled(memory, [chance.getrandbits(63) for _ in range(10)])
    before = memory.octets
    filled(memory, list(range(3, 500)))
    assert memory.octets == before + 16
    assert all(counter in memory for counter in range(1, 500))


def test_a_generation_as_one_piece() -> None:
    """Made of what another one tells of itself, it knows the same and takes the same room."""
    chance = random.Random(4)
    memory = filled(Memory(), [chance.getrandbits(64) for _ in range(500)] + list(range(100, 200)) + [WHOLE, 0])
    (generation,) = memory.generations
    again = Generation.of(generation.singles, generation.runs)
    assert list(again.singles) == sorted(again.singles) == list(generation.singles)
    assert list(again.runs) == [(100, 199)]
    assert again.cells == generation.cells
    assert all(counter in again for counter in generation.singles)


def test_restoring() -> None:
    """A memory has what it is given, and goes on from there; given nothing it is empty."""
    generations = [Generation.of([5], []), Generation.of([], [(10, 20)])]
    memory = filled(Memory(), [77])
    memory.restore(generations)
    assert [counter for counter in range(100) if counter in memory] == [5, *range(10, 21)]
    memory.add(21)
    assert list(memory.generations[-1].runs) == [(10, 21)]
    memory.restore([])
    assert 5 not in memory
    memory.add(5)
    assert 5 in memory


def test_shares() -> None:
    """One vhid has 8 MiB, and 255 have 96 MiB together."""
    assert fair_share(0) == fair_share(1) == MOST_CELLS
    assert fair_share(255) == CELLS_OF_A_HOST // 255
    assert 255 * fair_share(255) * 8 <= 96 << 20


def test_who_adds_hears_whether_it_was_new() -> None:
    """Also of what an older generation has: a single, a run, and what comes after them."""
    memory = Memory(Room(80))
    chance = random.Random(8)
    for counter in (1, 2, 5, *(chance.getrandbits(63) for _ in range(10))):
        assert memory.add(counter)
    assert len(memory.generations) == 2
    assert [memory.add(counter) for counter in (1, 2, 3, 5, 6, 3, 6)] == [False, False, True, False, True, False, False]
    assert list(memory.generations[-1].runs) == [(3, 3), (6, 6)]


def test_over_the_border_of_drawers() -> None:
    """A run may cost one cell more there, and nothing else is different."""
    border = 1 << 58
    memory = filled(Memory(), list(range(border - 3, border + 100)))
    assert all(counter in memory for counter in range(border - 3, border + 100))
    assert border - 4 not in memory and border + 100 not in memory
    assert memory.octets == 16
    memory = filled(Memory(), [border - 1, border, border + 1, border + 2])
    assert memory.octets == 8 + 16
