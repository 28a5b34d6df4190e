"""Octets of a connection -> whole AMP boxes, one at a time, in bounded memory.

::

    +-----+-----+-----+-------+     +-----+-----+-----+-------+-----+
    | 0   | len | key | len   value | 0   | len | key |  …    | 0 0 |   one box
    +-----+-----+-----+-------+     +-----+-----+-----+-------+-----+
       key: 1 to 255 octets    value: 0 to 65,535 octets        end

AMP itself bounds the parts of a box, but not their number, and takes all boxes of a read at once. Here a box has at
most :data:`LONGEST_BOX` octets, and whoever reads boxes decides when the next one is taken.
"""

from __future__ import annotations

#: Octets of a request. Requests are short: a hundred addresses are 4,000 octets.
LONGEST_BOX = 16_384
_LONGEST_KEY = 255


class FramingError(ValueError):
    """These octets are no AMP."""


class Boxes:
    """Cuts what arrives into boxes."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._at = 0  # up to here the box at the beginning has been looked through
        self._key_next = True

    def __len__(self) -> int:
        """How many octets wait."""
        return len(self._octets)

    def add(self, octets: bytes) -> None:
        """More has arrived."""
        self._octets += octets

    def take(self) -> bytes | None:
        """The next whole box, serialized; None while there is none.

        :raises FramingError: there will never be one.
        """
        octets = self._octets
        while len(octets) - self._at >= 2:
            length = octets[self._at] << 8 | octets[self._at + 1]
            if self._key_next and length > _LONGEST_KEY:
                raise FramingError("a key longer than 255 octets")
            end = self._at + 2 + length
            if end > LONGEST_BOX:
                raise FramingError(f"a box longer than {LONGEST_BOX} octets")
            if self._key_next and length == 0:
                box = bytes(octets[:end])
                del octets[:end]
                self._at = 0
                return box
            if len(octets) < end:
                return None
            self._at = end
            self._key_next = not self._key_next
        return None
