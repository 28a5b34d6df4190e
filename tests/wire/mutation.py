"""Frames that nobody would send: random ones, and real ones cut short, altered, and spliced. Deterministic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

#: Octets that decide something, wherever they land.
_TELLING = bytes((0, 1, 2, 4, 6, 7, 58, 112, 0x21, 0x31, 0x45, 0x46, 0x60, 135, 136, 254, 255))
_ETHERTYPES = (b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x81\x00")


def mutated(frames: Sequence[bytes], random: Random) -> Iterator[bytes]:
    """Without end."""
    while True:
        frame = bytearray(random.choice(frames))
        what = random.randrange(6)
        if what == 0:
            del frame[random.randrange(len(frame) + 1) :]
        elif what == 1:
            for _ in range(random.randrange(1, 4)):
                frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)
        elif what == 2:
            frame[random.randrange(len(frame))] = random.choice(_TELLING)
        elif what == 3:
            other = random.choice(frames)
            at = random.randrange(len(frame))
            frame[at:] = other[at:]
        elif what == 4:
            frame[random.randrange(14, len(frame) + 1) :] = random.randbytes(random.randrange(80))
        else:
            frame = bytearray(
                random.randbytes(12) + random.choice(_ETHERTYPES) + random.randbytes(random.randrange(80))
            )
        yield bytes(frame)
