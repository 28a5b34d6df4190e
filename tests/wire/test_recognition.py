"""Who a peer is, by what each implementation is known to send; the captures hold it against real ones."""

from __future__ import annotations

import pytest

from carptwist.wire.advertisement import Heard
from carptwist.wire.carp import GROUP4, GROUP6, Advertisement, virtual_mac
from carptwist.wire.recognition import (
    CARPTWIST,
    FREEBSD,
    NETBSD,
    OPENBSD,
    OPENBSD_OR_NETBSD,
    UCARP,
    UNKNOWN,
    Recognition,
)

MAC = virtual_mac(1)


def heard(tos: int = 0x10, counter: int = 5, family: int = 4, mac: bytes = MAC, **fields: int) -> Heard:
    advertisement = Advertisement(1, 0, 1, 0, counter, bytes(20))._replace(**fields)  # type: ignore[arg-type]
    source, destination = (bytes(4), GROUP4) if family == 4 else (bytes(16), GROUP6)
    return Heard(advertisement, family, source, destination, mac, tos)


PEER = heard(0xE0)._replace(destination=bytes((192, 0, 2, 3)))


@pytest.mark.parametrize(
    ("series", "implementation"),
    [
        ([], UNKNOWN),
        ([heard(0x10)], OPENBSD_OR_NETBSD),
        ([heard(0, family=6)], OPENBSD_OR_NETBSD),
        ([heard(0x10), heard(0x10)], OPENBSD),
        ([heard(0x10, demote=3)], OPENBSD),
        ([heard(0x10, demote=3), heard(0x10)], OPENBSD),
        ([heard(0x10, 5), heard(0x10, 6)], NETBSD),
        # A frame that arrives twice does not make an OpenBSD of it.
        ([heard(0x10, 5), heard(0x10, 6), heard(0x10, 6)], NETBSD),
        ([heard(0x10, mac=bytes.fromhex("00005e000001"))], UCARP),
        ([heard(0x10, mac=bytes.fromhex("00005e000002"))], OPENBSD_OR_NETBSD),
        ([heard(0xE0, 5), heard(0xE0, 6)], FREEBSD),
        ([heard(0xE0, family=6)], FREEBSD),
        ([heard(0xE0), heard(0xE0, advbase=255, advskew=255)], CARPTWIST),
        ([heard(0xE0, advbase=255)], FREEBSD),
        ([heard(0xE0, advbase=0)], CARPTWIST),
        ([heard(0xE0, advbase=0), heard(0xE0)], CARPTWIST),
        ([PEER], CARPTWIST),
        ([PEER._replace(source_mac=bytes.fromhex("020000000001"))], FREEBSD),
        ([heard(0x10, advbase=255, advskew=255)], OPENBSD_OR_NETBSD),
        ([heard(0)], UNKNOWN),
        ([heard(0x10, family=6)], UNKNOWN),
        ([heard(0x48, 5), heard(0x48, 5)], UNKNOWN),
    ],
)
def test_recognition(series: list[Heard], implementation: str) -> None:
    """What a series of advertisements of one sender shows, and no more than that."""
    recognition = Recognition()
    for each in series:
        recognition.heard(each)
    assert recognition.implementation == implementation
