"""What is known of counters, as octets that survive being cut off anywhere.

::

    carptwist counters 1 little\\n          the byte order is that of the machine
    +------+---------+--------+--------------------+
    | kind |  length | CRC-32 | content            |     any number of these
    |  1   |    4    |   4    | ``length`` octets  |
    +------+---------+--------+--------------------+

    S  the singles of a generation, 8 octets each; the oldest generation comes first
    R  its runs: first and last, 8 octets each
    N  runs that were seen later
    H  habits of sources: length of the address, its 16 octets, whether it moves, how many counters, 3 x 8 octets

A file is a snapshot (S and R for each generation, H), to which N and H are appended. A block that is cut short at the
end is what a crash leaves behind, and is left out. A block that is whole and wrong is damage: it and all behind it are
left out, and :attr:`Recalled.damage` says so.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from carptwist.election.constancy import Habit
from carptwist.election.memory import Generation
from carptwist.election.replay import Replay

HEADER = f"carptwist counters 1 {sys.byteorder}\n".encode()

_BLOCK = struct.Struct("=cII")
_RUN = struct.Struct("=QQ")
_HABIT = struct.Struct("=B16s?B3Q")
#: Nobody sends as many advertisements in the time between two writings.
_LONGEST_NEWS = 1 << 20
_LONG_AGO = float("-inf")

Run = tuple[int, int]


class Recalled(NamedTuple):
    """What a file says: generations, runs seen after them, habits; and what is wrong with the file, or nothing."""

    generations: list[Generation]
    runs: list[Run]
    habits: dict[bytes, Habit]
    damage: str = ""


def snapshot(replay: Replay) -> Callable[[], bytes]:
    """What makes a whole file of all that is known now, on whatever thread it is called: it takes its time.

    But for the newest one generations do not change any more.
    """
    *former, newest = replay.memory.generations
    generations, habits = [*former, newest.copy()], replay.constancy.habits

    def whole() -> bytes:
        parts = [HEADER]
        for generation in generations:
            parts += [_block(b"S", generation.singles.tobytes()), _block(b"R", _runs(generation.runs))]
        parts.append(_block(b"H", _habits(habits)))
        return b"".join(parts)

    return whole


def appendix(counters: Sequence[int], habits: Mapping[bytes, Habit]) -> bytes:
    """What has become known since, to be appended: most often one counter."""
    joined = _RUN.pack(*counters, *counters) if len(counters) == 1 else _joined(counters)
    octets = _block(b"N", joined)
    return octets + _block(b"H", _habits(habits)) if habits else octets


def read(octets: bytes) -> Recalled:
    """What a file says, up to where it ends or is damaged. Never raises, whatever the octets."""
    recalled = Recalled([], [], {})
    if not octets.startswith(HEADER):
        cut_short = HEADER.startswith(octets)
        return recalled if cut_short else recalled._replace(damage="it is no file of counters of this machine")
    at = len(HEADER)
    singles = array("Q")
    while at + _BLOCK.size <= len(octets):
        kind, length, checksum = _BLOCK.unpack_from(octets, at)
        content = octets[at + _BLOCK.size : at + _BLOCK.size + length]
        if kind not in _WHOLES or length % _WHOLES[kind]:
            return recalled._replace(damage=f"octet {at} begins no block")
        if len(content) < length:
            break
        if crc32(content) != checksum:
            return recalled._replace(damage=f"the block at octet {at} has a wrong checksum")
        if kind == b"S":
            singles = array("Q", content)
        elif kind == b"R":
            recalled.generations.append(Generation.of(singles, _pairs(content)))
        elif kind == b"N":
            recalled.runs.extend((first, last) for first, last in _pairs(content) if last - first < _LONGEST_NEWS)
        else:
            recalled.habits.update(map(_habit, _HABIT.iter_unpack(content)))
        at += _BLOCK.size + length
    return recalled


def restore(replay: Replay, recalled: Recalled) -> None:
    """Know what a file says, besides what was heard meanwhile."""
    meanwhile = [run for generation in replay.memory.generations for run in generation.runs]
    meanwhile += [(single, single) for generation in replay.memory.generations for single in generation.singles]
    replay.memory.restore(recalled.generations)
    for first, last in (*recalled.runs, *meanwhile):
        for counter in range(first, last + 1):
            replay.memory.add(counter)
    replay.constancy.restore(recalled.habits.items())


_WHOLES = {b"S": 8, b"R": 16, b"N": 16, b"H": _HABIT.size}


def _block(kind: bytes, content: bytes) -> bytes:
    return _BLOCK.pack(kind, len(content), crc32(content)) + content


def _runs(runs: Iterable[Run]) -> bytes:
    return array("Q", chain.from_iterable(runs)).tobytes()


def _joined(counters: Sequence[int]) -> bytes:
    """The runs of what came one after the other."""
    ends = array("Q")
    last = None
    for counter in counters:
        if last is not None and counter == last + 1:
            ends[-1] = counter
        else:
            ends.append(counter)
            ends.append(counter)
        last = counter
    return ends.tobytes()


def _pairs(content: bytes) -> list[Run]:
    ends = array("Q", content)
    return list(zip(ends[::2], ends[1::2], strict=True))


def _habits(habits: Mapping[bytes, Habit]) -> bytes:
    parts = []
    for source, habit in habits.items():
        counters = [counter for counter, _ in habit.introduced]
        padded = counters + [0] * (3 - len(counters))
        parts.append(_HABIT.pack(len(source), source, habit.moves, len(counters), *padded))
    return b"".join(parts)


def _habit(fields: tuple[int, bytes, bool, int, int, int, int]) -> tuple[bytes, Habit]:
    length, source, moves, count, *counters = fields
    return source[:length], Habit(moves, tuple((counter, _LONG_AGO) for counter in counters[:count]))
