"""The golden data of tests/data about the wire, as values."""

from __future__ import annotations

import json
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from carptwist.wire.authentication import Address

DATA = Path(__file__).parents[1] / "data"
DIALECTS = ("freebsd14", "netbsd", "openbsd")
CAPTURES = ("freebsd", "netbsd")

#: What the captures were made with.
PHRASE = b"mekmitasdigoat"
ADDRESSES: dict[str, list[Address]] = {
    "freebsd": [ip_address("192.0.2.1"), ip_address("192.0.2.10"), ip_address("2001:db8::1")],
    "netbsd": [ip_address("192.0.2.1")],
}


class Vector(NamedTuple):
    """One advertisement as a kernel sends it; ``raw`` is the entry as it stands in the file."""

    dialect: str
    key: bytes
    vhid: int
    addresses: tuple[Address, ...]
    counter: int
    raw: dict[str, Any]

    def __repr__(self) -> str:
        return f"{self.dialect}: {self.raw['note']}"


def vectors(dialect: str) -> list[Vector]:
    entries = json.loads((DATA / f"advertisements-{dialect}.json").read_text())
    return [
        Vector(
            dialect,
            bytes.fromhex(entry["key20_hex"]),
            entry["vhid"],
            tuple(ip_address(text) for text in entry["addresses4"] + entry["addresses6"]),
            int(entry["counter_hex"], 16),
            entry,
        )
        for entry in entries
    ]


def capture(name: str) -> list[bytes]:
    """The frames of a capture: pcap, little-endian, of Ethernet."""
    octets = (DATA / "captures" / f"{name}-pair.pcap").read_bytes()
    magic, _, _, _, _, _, linktype = struct.unpack_from("<IHHIIII", octets)
    assert (magic, linktype) == (0xA1B2C3D4, 1)
    frames = []
    at = 24
    while at < len(octets):
        captured, original = struct.unpack_from("<8xII", octets, at)
        assert captured == original
        frames.append(octets[at + 16 : at + 16 + captured])
        at += 16 + captured
    return frames


def every_frame() -> list[bytes]:
    return [frame for name in CAPTURES for frame in capture(name)]
