"""Why a frame was not believed: a value, not an exception.

A peer's bad frame is ordinary business of a receive path. Every ``read`` of this package answers it
with a :class:`Refusal`, which is counted under its :class:`Cause`. The causes are the names of the
counters that CARP's users know from ``netstat -s -p carp``, and two of our own.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Cause(Enum):
    """What a refused frame is counted under. The values are the names in ``status --json``."""

    #: Malformed below the advertisement: a header cut short, a wrong IPv4 checksum, a fragment.
    HDROPS = "hdrops"
    #: Heard on an interface that has no vhid, or from a host that is none of the vhid's unicast peers.
    BADIF = "badif"
    #: TTL or hop limit is not 255: the frame has passed a router.
    BADTTL = "badttl"
    #: The Internet checksum does not hold.
    BADSUM = "badsum"
    #: Neither version 2 nor an advertisement.
    BADVER = "badver"
    #: Too short, or an authlen other than 7.
    BADLEN = "badlen"
    #: The digest is not that of our phrase, vhid and addresses.
    BADAUTH = "badauth"
    #: A vhid that is not configured here.
    BADVHID = "badvhid"
    #: No room to remember the sender.
    NOMEM = "nomem"
    #: An advertisement that has been heard before.
    REPLAY = "replay"
    #: A VRRP router, which shares the protocol number and the virtual MACs.
    VRRP = "vrrp"


class Refusal(NamedTuple):
    """One frame that was not believed.

    ``why`` is a short constant phrase, so that equal causes can be grouped. ``source`` is the packed
    network source (4 or 16 octets), empty where the frame does not tell. ``vhid`` is what the
    frame calls itself (the VRID, for VRRP), 0 where it cannot be trusted to say.
    """

    cause: Cause
    why: str
    source: bytes = b""
    vhid: int = 0
