"""Packet captures, as tcpdump(8) and Wireshark write them: pcap and pcapng, gzipped or not.

scapy reads the containers and nothing in them. It is slow to import, and not there on every host:
it is imported when a capture is read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

#: LINKTYPE_ETHERNET.
_ETHERNET = 1


class CaptureError(Exception):
    """A capture that cannot be read; the text says why and what to do."""


class Captured(NamedTuple):
    """One frame. ``missing`` octets at its end were not captured."""

    time: datetime | None
    frame: bytes
    missing: int = 0


def read_capture(path: str) -> Iterator[Captured]:
    """The Ethernet frames of a capture, in its order; ``-`` reads what is piped in, as it comes.

    :raises CaptureError: it is not a capture, or not one of Ethernet, or scapy is not installed.
    """
    try:
        from scapy.error import Scapy_Exception
        from scapy.utils import RawPcapReader
    except ImportError:
        raise CaptureError("reading a capture needs scapy: pip install 'carptwist[tools]'") from None
    try:
        reader = RawPcapReader(sys.stdin.buffer if path == "-" else path)
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from None
    except Scapy_Exception:
        raise CaptureError(f"{path}: not a packet capture: tcpdump -w writes one") from None
    with reader:
        for frame, metadata in reader:
            linktype = metadata.linktype if hasattr(metadata, "linktype") else reader.linktype
            if linktype != _ETHERNET:
                raise CaptureError(
                    f"{path}: link type {linktype} is not Ethernet: capture on one interface (not on `any`)"
                )
            yield Captured(_time(reader, metadata), frame, max(0, metadata.wirelen - len(frame)))


def _time(reader: Any, metadata: Any) -> datetime | None:
    """When the frame was captured; None where that is no time."""
    if hasattr(metadata, "sec"):
        seconds, units, resolution = metadata.sec, metadata.usec, 10**9 if reader.nano else 10**6
    elif metadata.tshigh is None:
        return None
    else:
        resolution = int(metadata.tsresol)
        seconds, units = divmod(metadata.tshigh << 32 | metadata.tslow, resolution)
    try:
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=units * 10**6 // resolution)
    except (OverflowError, ValueError, OSError):
        return None
