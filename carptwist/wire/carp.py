"""The CARP advertisement, version 2: 36 octets.

::

     0        1        2        3        4        5        6        8         16        36
    +--------+--------+--------+--------+--------+--------+--------+---------+---------+
    | 2    1 |  vhid  |advskew |authlen | demote |advbase |checksum| counter |  digest |
    +--------+--------+--------+--------+--------+--------+--------+---------+---------+

Rules kept here:

- the first octet is version 2, type 1; authlen is 7 (the 32-bit words of counter and digest);
- the Internet checksum covers these 36 octets, whatever comes after them;
- any value of ``demote`` is taken, and octets after the 36, as kernels do;
- nobody is vhid 0.

advbase is in seconds, advskew in 1/256 s; neither is covered by the digest. 255 in both is a bow-out:
"I am about to stop". The same protocol number, and the same first octet, is VRRP's: telling them
apart needs the packet around this, see :mod:`carptwist.wire.advertisement`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .internet import checksum, holds
from .refusal import Cause, Refusal

#: The IP protocol number, and next header.
PROTOCOL = 112
#: 224.0.0.18 and ff02::12, packed.
GROUP4 = bytes.fromhex("e0000012")
GROUP6 = bytes.fromhex("ff020000000000000000000000000012")
#: Octets of an advertisement.
LENGTH = 36
BOW_OUT_ADVBASE = 255
BOW_OUT_ADVSKEW = 255

_VERSION_AND_TYPE = 0x21
_AUTHLEN = 7
_HEADER = struct.Struct(">BBBBBBHQ20s")


class Advertisement(NamedTuple):
    """What one advertisement says. ``counter`` is a 64-bit number, ``digest`` 20 octets."""

    vhid: int
    advskew: int
    advbase: int
    demote: int
    counter: int
    digest: bytes


def ucarp_mac(vhid: int) -> bytes:
    """00:00:5e:00:00:VHID, the link source of ucarp's advertisements.

    :raises ValueError: the vhid is out of range.
    """
    return virtual_mac(vhid)[:4] + b"\x00" + bytes((vhid,))


def virtual_mac(vhid: int) -> bytes:
    """The MAC address that belongs to a vhid, 00:00:5e:00:01:VHID.

    :raises ValueError: ``vhid`` is not 1 to 255.
    """
    if not 1 <= vhid <= 255:
        raise ValueError(f"vhid = {vhid}: must be 1 to 255")
    return b"\x00\x00\x5e\x00\x01" + bytes((vhid,))


def pack(advertisement: Advertisement) -> bytes:
    """The 36 octets of an advertisement, checksum included.

    :raises ValueError: a field is out of its range.
    """
    vhid, advskew, advbase, demote, counter, digest = advertisement
    if vhid == 0:
        raise ValueError("vhid = 0: must be 1 to 255")
    if len(digest) != 20:
        raise ValueError(f"digest: {len(digest)} octets: must be 20")
    try:
        bare = _HEADER.pack(_VERSION_AND_TYPE, vhid, advskew, _AUTHLEN, demote, advbase, 0, counter, digest)
    except struct.error as error:
        raise ValueError(f"not an advertisement: {advertisement}: {error}") from None
    return bare[:6] + checksum(bare).to_bytes(2, "big") + bare[8:]


def unpack(payload: bytes) -> Advertisement | Refusal:
    """What the payload of an IP packet of protocol 112 says, if it is CARP.

    The vhid of a Refusal is set once the checksum has shown that the octets are as they were sent.
    """
    if len(payload) < LENGTH:
        return Refusal(Cause.BADLEN, "shorter than an advertisement")
    if not holds(payload[:LENGTH]):
        return Refusal(Cause.BADSUM, "wrong checksum")
    kind, vhid, advskew, authlen, demote, advbase, _, counter, digest = _HEADER.unpack_from(payload)
    if kind != _VERSION_AND_TYPE:
        return Refusal(Cause.BADVER, "not a version 2 advertisement", vhid=vhid)
    if authlen != _AUTHLEN:
        return Refusal(Cause.BADLEN, "authlen is not 7", vhid=vhid)
    if vhid == 0:
        return Refusal(Cause.BADVHID, "vhid 0")
    return Advertisement(vhid, advskew, advbase, demote, counter, digest)
