"""Advertisements without their digests: from a digest a weak pass phrase could be guessed, off line.

::

    | 2 1 | vhid | advskew | authlen | demote | advbase | checksum | counter |  digest  |
                                                          anew                20 zeros
"""

from __future__ import annotations

from carptwist.wire.carp import LENGTH, PROTOCOL
from carptwist.wire.internet import checksum

_DIGEST_AT = 16


def blanked(frame: bytes) -> bytes:
    """A frame that carries a right advertisement, with zeros for its digest; any other one as it is."""
    if frame[12:14] == b"\x08\x00" and frame[23] == PROTOCOL:
        begin = 14 + (frame[14] & 0x0F) * 4
    elif frame[12:14] == b"\x86\xdd" and frame[20] == PROTOCOL:
        begin = 54
    else:
        return frame
    bare = frame[begin : begin + 6] + b"\0\0" + frame[begin + 8 : begin + _DIGEST_AT] + bytes(LENGTH - _DIGEST_AT)
    return frame[:begin] + bare[:6] + checksum(bare).to_bytes(2, "big") + bare[8:] + frame[begin + LENGTH :]
