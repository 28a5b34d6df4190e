"""The file of a flight recorder: a ring of slots, blocks one after the other in each.

::

    | slot 0                    | slot 1                    | ... | slot 7                    |
    | block | block | block |...| block | block |...        |     | block | ...               |
      ^ a part begins: a fresh zlib stream, a keyframe first

    block:  | CTFR | number, 8 | begins, 1 | length, 4 | CRC-32, 4 | deflated records, ``length`` octets |

All numbers are in network order; the CRC covers number, begins, length and content. Blocks are numbered from 1 on over
all lives of the daemon. The records of a part are one zlib stream, flushed after every block (Z_SYNC_FLUSH): each block
can be read as soon as it is there, if all blocks of its part before it can. Inflated it is one record a line, in JSON;
the time of an input is told as the microseconds since the input before it, that of a part's first one as it is.

When the last slot is full the first one is written over, from its beginning: blocks of the former round stay behind
until they are written over too, which their numbers tell. A reader needs nothing but this: a file may be cut off, or
damaged, anywhere.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from carptwist.recorder.blanking import blanked
from carptwist.recorder.records import INPUTS, Answer, Decision, Input, Record

MAGIC = b"CTFR"
#: The version of all this, which a part's first record says.
VERSION = 1
SLOTS = 8

_HEAD = struct.Struct(">4sQBII")
_COVERED = struct.Struct(">QBI")
#: A life begins in a slot of its own unless so much of the last one is left.
_ROOM_TO_BEGIN = 0.25
#: A slot so full is left as soon as the node can tell its whole state.
_FULL = 0.85


class Block(NamedTuple):
    """A block as it is in the file; ``end`` is the octet behind it."""

    number: int
    begins: bool
    content: bytes
    end: int


class Part(NamedTuple):
    """Records in a row. ``follows``: nothing is missing between the part before it and this one."""

    records: list[Record]
    follows: bool


class Writer:
    """Turns records into octets and their places. Slow enough to be used on another thread than the node's.

    :param octets: how long the file becomes at most.
    :param there: what is in the file already.
    """

    def __init__(self, octets: int, there: bytes = b"") -> None:
        self.full = False  # the slot nearly is: a keyframe is wanted
        self._broken = False  # something is missing: nothing can be made of what follows, up to a keyframe
        self._slot_octets = octets // SLOTS
        self._number = 0
        self._at = 0
        self._stream = zlib.compressobj()
        self._us = 0
        last = max(blocks(there), default=None)
        if last is not None:
            self._number = last.number
            self._at = last.end
            if last.end > octets:
                self._at = 0  # the file was longer in another life

    def pieces(self, records: Iterable[Record]) -> list[tuple[int, bytes]]:
        """What to write where, so that these records are in the file."""
        made = []
        batch: list[Record] = []
        for record in records:
            if record[0] == Input.GAP:
                made += self._block(batch, begins=False)
                batch = []
                self._break()
            elif record[0] == Input.BEGIN or (record[0] == Input.KEYFRAME and (self.full or self._broken)):
                made += self._block(batch, begins=False)
                batch = []
                self._begin(leave=self.full)
                made += self._block([record], begins=True)
            else:
                batch.append(record)
        made += self._block(batch, begins=False)
        return made

    def _begin(self, *, leave: bool) -> None:
        """A part begins; ``leave``: in another slot."""
        slot, used = divmod(self._at, self._slot_octets)
        if leave or slot >= SLOTS or used > self._slot_octets * (1 - _ROOM_TO_BEGIN):
            self._at = (slot + 1) % SLOTS * self._slot_octets if slot < SLOTS else 0
        self._stream = zlib.compressobj()
        self.full = self._broken = False

    def _break(self) -> None:
        """Something is left out: a number is too."""
        if not self._broken:
            self._broken = True
            self._number += 1

    def _block(self, records: list[Record], *, begins: bool) -> list[tuple[int, bytes]]:
        if not records or self._broken:
            return []
        if begins:
            self._us = 0
        text = "".join(map(self._line, records)).encode()
        content = self._stream.compress(text) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        used = self._at % self._slot_octets
        if used + _HEAD.size + len(content) > self._slot_octets:
            self.full = True
            self._break()
            return []
        self._number += 1
        checksum = zlib.crc32(content, zlib.crc32(_COVERED.pack(self._number, begins, len(content))))
        octets = _HEAD.pack(MAGIC, self._number, begins, len(content), checksum) + content
        at = self._at
        self._at += len(octets)
        self.full = used + len(octets) > self._slot_octets * _FULL
        return [(at, octets)]

    def _line(self, record: Record) -> str:
        kind = record[0]
        if kind in INPUTS:
            us = record[1]
            record = [kind, us - self._us, *record[2:]]
            self._us = us
        if kind == Decision.SENT:
            record = [kind, record[1], blanked(record[2]).hex()]
        elif kind == Input.FRAME:
            record = [kind, record[1], record[2], blanked(record[3]).hex()]
        elif kind == Answer.DRAWN:
            record = [kind, f"{record[1]:016x}"]  # as the counter will stand in a frame, which saves its room there
        return json.dumps(record, separators=(",", ":")) + "\n"


def blocks(octets: bytes) -> Iterator[Block]:
    """Every whole block of a file, in the order of their places."""
    at = octets.find(MAGIC)
    while at >= 0:
        block = _block_at(octets, at)
        if block is not None:
            yield block
        at = octets.find(MAGIC, at + 1 if block is None else block.end)


def parts(octets: bytes) -> list[Part]:
    """What a file says, the oldest first. Never raises, whatever the octets."""
    made: list[Part] = []
    records: list[Record] = []
    stream: zlib._Decompress | None = None
    last = -1
    us = 0
    for block in sorted(blocks(octets)):
        if block.begins:
            records, stream, us = [], zlib.decompressobj(), 0
            made.append(Part(records, block.number == last + 1))
        elif block.number != last + 1:
            stream = None  # what comes next cannot be read without what is missing
        last = block.number
        if stream is None:
            last = -1
            continue
        try:
            for line in stream.decompress(block.content).splitlines():
                record = json.loads(line)
                if record[0] in INPUTS:
                    us += record[1]
                    record[1] = us
                if record[0] == Decision.SENT:
                    record[2] = bytes.fromhex(record[2])
                elif record[0] == Input.FRAME:
                    record[3] = bytes.fromhex(record[3])
                elif record[0] == Answer.DRAWN:
                    record[1] = int(record[1], 16)
                records.append(record)
        except (zlib.error, ValueError, TypeError, LookupError):
            stream, last = None, -1
    return [part for part in made if part.records]


def _block_at(octets: bytes, at: int) -> Block | None:
    if at + _HEAD.size > len(octets):
        return None
    _, number, begins, length, checksum = _HEAD.unpack_from(octets, at)
    end = at + _HEAD.size + length
    content = octets[at + _HEAD.size : end]
    if len(content) < length or begins > 1:
        return None
    if zlib.crc32(content, zlib.crc32(_COVERED.pack(number, begins, length))) != checksum:
        return None
    return Block(number, bool(begins), content, end)
