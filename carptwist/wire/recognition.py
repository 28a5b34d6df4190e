"""Which implementation a peer is, from what it cannot help showing.

Evidence, the strongest first:

==========================================  =============================================
link source 00:00:5e:00:00:VHID             ucarp
a demote count in octet 4                   OpenBSD; the others send zero
the same counter again and again            OpenBSD; the others count up or draw anew
TOS 0x10 (traffic class 0 over IPv6)        OpenBSD, NetBSD, FreeBSD before 12
DSCP 56 and a bow-out or advbase 0          carptwist; FreeBSD has neither
DSCP 56 to a unicast peer from the virtual  carptwist; FreeBSD sends those from its own MAC
MAC
DSCP 56 otherwise                           FreeBSD or carptwist: the same octets
==========================================  =============================================

None of this is authenticated beyond the digest: a peer that knows the phrase can pass for any of
them, so nothing may be decided by it. It is for the eyes of people.
"""

from __future__ import annotations

from typing import Final

from .advertisement import Heard
from .carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW, GROUP4, GROUP6, virtual_mac

UNKNOWN: Final = "unknown"
UCARP: Final = "ucarp"
OPENBSD: Final = "openbsd"
NETBSD: Final = "netbsd or freebsd before 12"
OPENBSD_OR_NETBSD: Final = "openbsd, netbsd or freebsd before 12"
CARPTWIST: Final = "carptwist"
FREEBSD: Final = "freebsd or carptwist"

_CS7 = 56 << 2
_LOW_DELAY = 0x10
_OLDER_TOS = {4: _LOW_DELAY, 6: 0}
_GROUPS = (GROUP4, GROUP6)
_UCARP_MAC = b"\x00\x00\x5e\x00\x00"


class Recognition:
    """What is known of one sender: one vhid, one network source. Takes the same memory for ever."""

    __slots__ = ("_certain", "_class", "_counter", "_moved", "_repeated")

    def __init__(self) -> None:
        self._certain: str | None = None
        self._class = UNKNOWN
        self._counter: int | None = None
        self._repeated = False
        self._moved = False

    @property
    def implementation(self) -> str:
        """One of the constants of this module."""
        if self._certain is not None:
            return self._certain
        if self._class == OPENBSD_OR_NETBSD:
            # A replayed or duplicated frame repeats a counter too: one that also moves is not OpenBSD's.
            if self._moved:
                return NETBSD
            if self._repeated:
                return OPENBSD
        return self._class

    def heard(self, heard: Heard) -> str:
        """Take in one advertisement of this sender, whose digest was right; and what it is recognised as now."""
        (vhid, advskew, advbase, demote, counter, _), family, _, destination, mac, tos = heard
        if counter == self._counter:
            self._repeated = True
        elif self._counter is not None:
            self._moved = True
        self._counter = counter
        if mac[:5] == _UCARP_MAC and mac[5] == vhid:
            self._certain = UCARP
        elif demote:
            self._certain = OPENBSD
        elif tos == _CS7:
            # What an ordinary advertisement allows to say; and what settles it.
            self._class = FREEBSD
            bow_out = advbase == BOW_OUT_ADVBASE and advskew == BOW_OUT_ADVSKEW
            unicast = destination not in _GROUPS and mac == virtual_mac(vhid)
            if bow_out or unicast or advbase == 0:
                self._certain = CARPTWIST
        else:
            self._class = OPENBSD_OR_NETBSD if tos == _OLDER_TOS[family] else UNKNOWN
        return self._certain or self.implementation
