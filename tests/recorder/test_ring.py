"""The file of a flight recorder: what is written is read, whatever has become of the file."""

from __future__ import annotations

import json
from random import Random

import pytest

from carptwist.recorder.records import Decision, Input, Record
from carptwist.recorder.ring import MAGIC, SLOTS, Writer, blocks, parts

OCTETS = 32 * 1024
SLOT = OCTETS // SLOTS


class Disk:
    """A file that pieces are written to."""

    def __init__(self, octets: bytes = b"") -> None:
        self.octets = bytearray(octets)

    def write(self, writer: Writer, *records: Record) -> None:
        for at, octets in writer.pieces(records):
            self.octets.extend(bytes(max(0, at + len(octets) - len(self.octets))))
            self.octets[at : at + len(octets)] = octets


def begin(us: int) -> Record:
    return [Input.BEGIN, us, {"host": "a"}]


def keyframe(us: int) -> Record:
    return [Input.KEYFRAME, us, {"host": "a"}]


def timer(us: int) -> Record:
    return [Input.TIMER, us, us // 1000]


def filled(random: Random, batches: int) -> tuple[Disk, Writer, list[Record]]:
    """A file into which much more was written than it holds, with a keyframe whenever one is wanted."""
    disk, writer, written = Disk(), Writer(OCTETS), []
    us = 1_000_000_000
    written.append(begin(us))
    disk.write(writer, written[-1])
    for _ in range(batches):
        batch = []
        if writer.full:
            batch.append(keyframe(us))
        for _ in range(random.randint(1, 5)):
            us += random.randint(1, 10**6)
            batch += [[Input.TIMER, us, random.getrandbits(30)], [Decision.BECAME, "1@em0", random.randbytes(20).hex()]]
        written += batch
        disk.write(writer, *batch)
    return disk, writer, written


def plain(records: list[Record]) -> list[Record]:
    read: list[Record] = json.loads(json.dumps(records))
    return read


def test_what_is_written_is_read() -> None:
    """In its order, with absolute times and whole frames; digests are no part of it."""
    disk, writer = Disk(), Writer(OCTETS)
    arp = bytes(12) + b"\x08\x06" + bytes(range(28))
    records: list[Record] = [begin(5), [Input.FRAME, 7, "em0/arp", arp], [Decision.SENT, "em0/arp", arp], timer(9)]
    records.append(["d", 0xFEDCBA9876543210])
    disk.write(writer, *records)
    disk.write(writer, timer(4_000_000))
    (part,) = parts(bytes(disk.octets))
    assert part.records == [*records, timer(4_000_000)]


def test_the_oldest_is_written_over() -> None:
    """The file never becomes longer, and the newest seven eighths of it, at least, are there without a gap."""
    for seed in range(10):
        disk, _, written = filled(Random(seed), 3000)
        assert OCTETS - SLOT < len(disk.octets) <= OCTETS
        found = parts(bytes(disk.octets))
        assert len(found) >= SLOTS - 1
        assert all(part.follows for part in found[1:])
        records = [record for part in found for record in part.records]
        assert records == plain(written[-len(records) :])
        assert all(part.records[0][0] == Input.KEYFRAME for part in found)


def test_a_later_life_goes_on_behind_the_former() -> None:
    """In the same slot while there is room; and what was there before stays."""
    disk = Disk()
    for life in range(30):
        writer = Writer(OCTETS, bytes(disk.octets))
        disk.write(writer, begin(life), timer(life + 1))
    assert len(disk.octets) < 2 * SLOT
    assert [part.records for part in parts(bytes(disk.octets))] == [[begin(n), timer(n + 1)] for n in range(30)]


def test_a_file_of_another_length() -> None:
    """One that was longer is begun anew from the front; its newest stretch is the last that is written over."""
    disk, _, _ = filled(Random(1), 2000)
    small = OCTETS // 4
    writer = Writer(small, bytes(disk.octets))
    disk.write(writer, begin(1), timer(2))
    found = parts(bytes(disk.octets))
    assert found[-1].records == [begin(1), timer(2)]
    assert max(at for at, _ in writer.pieces([timer(3)])) < small


@pytest.mark.parametrize("seed", range(4))
def test_cut_off_anywhere(seed: int) -> None:
    """What is in front of the cut is read: every block of a part but those behind the cut, and nothing else."""
    random = Random(seed)
    disk, _, written = filled(random, 60)
    whole = bytes(disk.octets)
    every = plain(written)
    for length in [*range(400), *(random.randrange(len(whole)) for _ in range(200))]:
        records = [record for part in parts(whole[:length]) for record in part.records]
        assert records == every[: len(records)]
        behind = [block for block in blocks(whole) if block.end <= length]
        assert len(behind) == len(list(blocks(whole[:length])))
    assert [record for part in parts(whole) for record in part.records] == every


@pytest.mark.parametrize("seed", range(4))
def test_damaged_anywhere(seed: int) -> None:
    """A part is read up to the damage; all other parts are read as a whole; nothing that was not written is read."""
    random = Random(seed)
    disk, _, written = filled(random, 1500)
    known = {json.dumps(record) for record in written}
    undamaged = parts(bytes(disk.octets))
    for _ in range(60):
        octets = bytearray(disk.octets)
        at = random.randrange(len(octets))
        for place in range(at, min(len(octets), at + random.choice([1, 1, 100, 5000]))):
            octets[place] ^= random.randint(1, 255)
        found = parts(bytes(octets))
        assert all(json.dumps(record) in known for part in found for record in part.records)
        lost = sum(len(part.records) for part in undamaged) - sum(len(part.records) for part in found)
        assert lost <= max(len(part.records) for part in undamaged) * 3


def test_rubbish() -> None:
    """Is no record, and harms nobody."""
    random = Random(3)
    assert parts(b"") == []
    assert parts(MAGIC) == []
    for _ in range(200):
        octets = random.randbytes(random.randrange(2000))
        assert parts(octets + MAGIC + octets) == []


def test_what_a_slot_does_not_hold_is_left_out_and_missed() -> None:
    """Where no keyframe comes in time nothing is written into the next slot; afterwards there is a gap."""
    disk, writer = Disk(), Writer(OCTETS)
    random = Random(1)
    disk.write(writer, begin(1))
    for number in range(1000):
        disk.write(writer, [Input.TIMER, number + 2, random.getrandbits(64)])
    assert writer.full
    assert len(disk.octets) <= SLOT
    disk.write(writer, keyframe(2000), timer(2001))
    first, second = parts(bytes(disk.octets))
    assert second == ([keyframe(2000), timer(2001)], False)
    assert len(first.records) < 1000


def test_a_gap() -> None:
    """What follows one can be read from the next keyframe on, and does not follow what was before."""
    disk, writer = Disk(), Writer(OCTETS)
    disk.write(writer, begin(1), timer(2), [Input.GAP, 2], timer(3))
    disk.write(writer, timer(4))
    disk.write(writer, keyframe(5), timer(6))
    disk.write(writer, keyframe(7))
    assert parts(bytes(disk.octets)) == [
        ([begin(1), timer(2)], False),
        ([keyframe(5), timer(6), keyframe(7)], False),
    ]
