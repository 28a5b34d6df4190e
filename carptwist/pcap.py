"""A packet capture file, as tcpdump and Wireshark read it: the classic format with nanoseconds, Ethernet frames.

draft-ietf-opsawg-pcap: a header of 24 octets, then for each frame 16 octets (seconds, nanoseconds, octets kept,
octets on the wire) and the frame.
"""

from __future__ import annotations

import struct
from pathlib import Path

_NANOSECONDS = 0xA1B23C4D
_ETHERNET = 1
_LONGEST_FRAME = 0x40000


class Capture:
    """Writes frames to a file, which is complete once it has been closed.

    :raises OSError: the file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  (closed by close)
        self._file.write(struct.pack("=IHHiIII", _NANOSECONDS, 2, 4, 0, 0, _LONGEST_FRAME, _ETHERNET))

    def write(self, at: float, frame: bytes) -> None:
        """Add a frame that was seen at ``at``, seconds since the epoch."""
        seconds = int(at)
        nanoseconds = int((at - seconds) * 1e9)
        self._file.write(struct.pack("=IIII", seconds, nanoseconds, len(frame), len(frame)) + frame)

    def close(self) -> None:
        self._file.close()
