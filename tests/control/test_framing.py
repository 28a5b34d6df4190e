"""Octets into boxes, as Twisted's own AMP makes and reads them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.protocols.amp import AmpBox, parseString

from carptwist.control.framing import LONGEST_BOX, Boxes, FramingError

boxes = st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=300), min_size=1, max_size=8)


def cut(pieces: Iterable[bytes]) -> list[bytes]:
    """All boxes of what arrives in pieces."""
    reader, found = Boxes(), []
    for piece in pieces:
        reader.add(piece)
        while (box := reader.take()) is not None:
            found.append(box)
    return found


@given(st.lists(boxes, max_size=5), st.integers(1, 50))
def test_boxes_come_out_as_they_went_in(several: list[dict[bytes, bytes]], size: int) -> None:
    """However the octets are cut on their way."""
    whole = b"".join(AmpBox(box).serialize() for box in several)
    found = cut(whole[at : at + size] for at in range(0, len(whole), size))
    assert [dict(parseString(box)[0]) for box in found] == several


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_arbitrary_octets_are_boxes_or_an_error(pieces: list[bytes]) -> None:
    """And what waits stays bounded."""
    reader = Boxes()
    try:
        for piece in pieces:
            reader.add(piece)
            while reader.take() is not None:
                pass
            assert len(reader) <= LONGEST_BOX
    except FramingError:
        pass


@pytest.mark.parametrize("octets", [b"\x01\x00", b"\x00\x01a\xff\xff", b"\xff\xff"])
def test_what_can_never_be_a_box(octets: bytes) -> None:
    """Is told at once, before it has arrived."""
    reader = Boxes()
    reader.add(octets)
    with pytest.raises(FramingError):
        reader.take()
