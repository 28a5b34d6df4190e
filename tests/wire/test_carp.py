"""The 36 octets: what is accepted, and what a refusal is counted under."""

from __future__ import annotations

import pytest

from carptwist.wire import carp
from carptwist.wire.carp import Advertisement
from carptwist.wire.internet import checksum
from carptwist.wire.refusal import Cause, Refusal

GOOD = Advertisement(vhid=7, advskew=100, advbase=1, demote=0, counter=2**64 - 1, digest=bytes(range(20)))


def changed(octets: bytes, at: int, value: int) -> bytes:
    """With one octet changed, and a checksum that knows of it."""
    bare = bytearray(octets)
    bare[at] = value
    bare[6:8] = bytes(2)
    bare[6:8] = checksum(bytes(bare[:36])).to_bytes(2, "big")
    return bytes(bare)


@pytest.mark.parametrize("more", [b"", b"\xff", bytes(8), bytes(1000)])
def test_octets_behind(more: bytes) -> None:
    """Octets after the 36 are not looked at, and not covered by the checksum, as in kernels."""
    assert carp.unpack(carp.pack(GOOD) + more) == GOOD


@pytest.mark.parametrize("demote", [0, 1, 255])
def test_any_octet_four(demote: int) -> None:
    """Octet 4 is OpenBSD's demote count: any value is taken, and told."""
    assert carp.unpack(changed(carp.pack(GOOD), 4, demote)) == GOOD._replace(demote=demote)


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        (b"", Refusal(Cause.BADLEN, "shorter than an advertisement")),
        (carp.pack(GOOD)[:35], Refusal(Cause.BADLEN, "shorter than an advertisement")),
        (bytes(36), Refusal(Cause.BADSUM, "wrong checksum")),
        (carp.pack(GOOD)[:35] + b"\0", Refusal(Cause.BADSUM, "wrong checksum")),
        (changed(carp.pack(GOOD), 0, 0x31), Refusal(Cause.BADVER, "not a version 2 advertisement", vhid=7)),
        (changed(carp.pack(GOOD), 0, 0x22), Refusal(Cause.BADVER, "not a version 2 advertisement", vhid=7)),
        (changed(carp.pack(GOOD), 3, 6), Refusal(Cause.BADLEN, "authlen is not 7", vhid=7)),
        (changed(carp.pack(GOOD), 1, 0), Refusal(Cause.BADVHID, "vhid 0")),
    ],
)
def test_refusals(octets: bytes, refusal: Refusal) -> None:
    """Length, checksum, version, authlen, vhid, in this order; the vhid is told once it can be trusted."""
    assert carp.unpack(octets) == refusal


@pytest.mark.parametrize(
    "wrong",
    [
        {"vhid": 0},
        {"vhid": 256},
        {"advskew": -1},
        {"advbase": 256},
        {"demote": 256},
        {"counter": 2**64},
        {"counter": -1},
        {"digest": bytes(19)},
        {"digest": bytes(21)},
    ],
)
def test_misuse(wrong: dict[str, int]) -> None:
    """What does not fit into its field is never sent as something else."""
    with pytest.raises(ValueError, match=r"vhid|digest|not an advertisement"):
        carp.pack(GOOD._replace(**wrong))  # type: ignore[arg-type]


def test_virtual_mac() -> None:
    """00:00:5e:00:01:VHID; nobody is vhid 0 or 256."""
    assert carp.virtual_mac(255) == bytes.fromhex("00005e0001ff")
    for vhid in (0, 256):
        with pytest.raises(ValueError, match="must be 1 to 255"):
            carp.virtual_mac(vhid)


def test_bow_out() -> None:
    """A bow-out is an advertisement like any other."""
    last = GOOD._replace(advbase=carp.BOW_OUT_ADVBASE, advskew=carp.BOW_OUT_ADVSKEW)
    assert carp.unpack(carp.pack(last)) == last


def test_ucarp_has_a_virtual_mac_of_its_own() -> None:
    """00:00:5e:00:00:VHID, as ucarp's advertisements show."""
    assert carp.ucarp_mac(7) == bytes.fromhex("00005e000007")
