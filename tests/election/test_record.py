"""What is known of counters, as octets."""

from __future__ import annotations

import random
import struct
from array import array
from zlib import crc32

import pytest

from carptwist.election import record
from carptwist.election.constancy import Habit
from carptwist.election.memory import Generation, Room
from carptwist.election.replay import Replay, Verdict

A, B = b"\xc0\x00\x02\x03", bytes(range(16))


def judge(replay: Replay, source: bytes, counter: int, network_control: bool, now: float = 0.0) -> Verdict:
    verdict = replay.judge(source, counter, network_control)
    if verdict is Verdict.NEW:
        replay.introduced(now, source, counter, network_control)
    return verdict


def lived() -> tuple[Replay, list[int]]:
    """One that has heard random counters, runs, and sources of both kinds."""
    chance = random.Random(5)
    counters = [chance.getrandbits(64) for _ in range(200)] + list(range(1000, 1100))
    replay = Replay(Room(800))
    for number, counter in enumerate(counters):
        judge(replay, A, counter, True, now=float(number))
    judge(replay, B, 4711, False)
    return replay, [*counters, 4711]


def revived(octets: bytes) -> Replay:
    recalled = record.read(octets)
    assert recalled.damage == ""
    replay = Replay(Room(800))
    record.restore(replay, recalled)
    return replay


def test_a_snapshot_says_all() -> None:
    """Counters in their generations, and the habits of sources."""
    replay, counters = lived()
    again = revived(record.snapshot(replay)())
    assert all(again.knows(counter) for counter in counters)
    assert not again.knows(12345)
    assert len(again.memory.generations) == len(replay.memory.generations) > 2
    assert again.memory.octets == replay.memory.octets
    assert judge(again, B, 4711, False) is Verdict.CONSTANT
    assert judge(again, A, counters[0], False) is Verdict.REPLAYED
    assert again.constancy.habits[A] == Habit(True)


def test_what_is_appended_comes_on_top() -> None:
    """Runs that go on with what was there, and habits that have changed."""
    replay, counters = lived()
    octets = record.snapshot(replay)()
    octets += record.appendix(range(1100, 1106), {})
    octets += record.appendix([7, *range(1105, 1111)], {B: Habit(True)})
    again = revived(octets)
    assert all(again.knows(counter) for counter in (*counters, *range(1100, 1111), 7))
    assert judge(again, B, 4711, False) is Verdict.REPLAYED


def test_what_was_heard_meanwhile_is_kept() -> None:
    """Reading takes a moment; a vhid hears before it takes part."""
    replay, _ = lived()
    other = Replay()
    for counter in (1, 2, 99):
        judge(other, A, counter, True)
    record.restore(other, record.read(record.snapshot(replay)()))
    assert all(other.knows(counter) for counter in (1, 2, 99, 1000))


def test_any_end_of_a_file_is_readable() -> None:
    """Cut off at any octet nothing is damaged, and no block before is lost."""
    replay, _ = lived()
    snapshot = record.snapshot(replay)()
    octets = snapshot + record.appendix([5], {A: Habit(False, ((5, 0.0),))}) + record.appendix(range(6, 10), {})
    before = -1
    for end in range(len(octets) + 1):
        recalled = record.read(octets[:end])
        assert recalled.damage == ""
        known = sum(generation.cells for generation in recalled.generations) + len(recalled.runs)
        assert known >= before
        before = known
    assert recalled.runs == [(5, 5), (6, 9)]
    assert len(record.read(snapshot).generations) == len(replay.memory.generations)


def test_damage_is_told() -> None:
    """Whatever octet changes: what is told stands, or is what was there. It never raises."""
    replay = Replay()
    judge(replay, A, 5, True)
    octets = record.snapshot(replay)() + record.appendix(range(6, 10), {})
    told = 0
    for place in range(len(octets)):
        for bit in (1, 0x80):
            wrong = bytearray(octets)
            wrong[place] ^= bit
            recalled = record.read(bytes(wrong))
            told += bool(recalled.damage)
            assert recalled.runs in ([], [(6, 9)])
            for generation in recalled.generations:
                assert 5 in generation or not generation.cells
    assert told > len(octets)


@pytest.mark.parametrize("octets", [b"", record.HEADER[:5], record.HEADER])
def test_nothing_is_no_damage(octets: bytes) -> None:
    """An empty file, and one that was cut short at once."""
    assert record.read(octets) == record.Recalled([], [], {})


@pytest.mark.parametrize(
    "octets",
    [
        b"not ours at all, but long enough to be",
        record.HEADER + bytes(100),  # what a file system may leave of a file after a power failure
        record.HEADER + b"S\x07\x00\x00\x00" + bytes(20),
        record.HEADER.replace(b"little", b"middle").replace(b"big", b"middle") + bytes(9),
    ],
)
def test_other_files(octets: bytes) -> None:
    """Are told to be damaged."""
    recalled = record.read(octets)
    assert recalled.damage
    assert recalled.generations == []


def test_noise_never_raises() -> None:
    """Behind a right header as well."""
    chance = random.Random(6)
    for _ in range(2000):
        noise = chance.randbytes(chance.randrange(60))
        record.read(noise)
        record.read(record.HEADER + chance.choice((b"S", b"R", b"N", b"H", b"")) + noise)


def test_an_absurd_run_is_left_out() -> None:
    """Nobody can have heard it; adding it would take for ever."""
    content = array("Q", [0, 1 << 40, 3, 4]).tobytes()
    recalled = record.read(record.HEADER + struct.pack("=cII", b"N", len(content), crc32(content)) + content)
    assert recalled.runs == [(3, 4)]


def test_a_big_memory_is_a_small_file() -> None:
    """8 octets for each random counter."""
    chance = random.Random(8)
    replay = Replay()
    replay.memory.restore([Generation.of((chance.getrandbits(64) for _ in range(10_000)), [])])
    assert len(record.snapshot(replay)()) < 80_200


def test_a_snapshot_is_of_its_moment() -> None:
    """It is made on another thread, while more is heard."""
    replay, _ = lived()
    judge(replay, A, 8000, True)
    judge(replay, A, 8001, True)
    expected = record.snapshot(replay)()
    whole = record.snapshot(replay)
    for counter in (8002, 5, 6):
        judge(replay, A, counter, True)
    assert whole() == expected
