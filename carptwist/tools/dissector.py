"""What frames say, for people and for programs: CARP, VRRP, ARP and neighbour discovery.

::

    frame --> 802.1Q tags off --> wire.*.read --> Finding(kind, facts, text)
                                     |                       ^
                                     +--> Recognition, Key --+

A :class:`Dissector` sees frames in their order: which implementation sent an advertisement shows only
over several. It reads as the daemon does, so that what it calls refused is what the daemon refuses.
No finding ever holds a phrase.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

from ..wire import advertisement, arp, carp, neighbor
from ..wire.advertisement import Heard
from ..wire.arp import Arp
from ..wire.authentication import Address, Authenticator
from ..wire.carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW, Advertisement
from ..wire.diagnosis import likeliest_cause
from ..wire.ethernet import ETHERTYPE_IPV4, ETHERTYPE_IPV6, HEADER_LENGTH, format_mac
from ..wire.internet import ANY6
from ..wire.neighbor import NeighborAdvertisement, Solicitation
from ..wire.recognition import Recognition
from ..wire.refusal import Cause, Refusal

#: The types of an 802.1Q and of an 802.1ad tag.
TAGGED = (0x8100, 0x88A8)
#: The senders that are told apart; a capture of forged ones must not fill the memory.
MOST_SENDERS = 4096


class Key(NamedTuple):
    """What the digests of one vhid can be checked with. ``vhid`` None: of any vhid."""

    vhid: int | None
    phrases: tuple[bytes, ...]
    addresses: tuple[Address, ...]

    def __repr__(self) -> str:
        return f"<Key of vhid {self.vhid}>"


class Finding(NamedTuple):
    """What is to be said of one frame: ``kind`` and ``facts`` for programs, ``text`` for people."""

    kind: str
    facts: dict[str, Any]
    text: str


class Dissector:
    """Says what frames say, one after the other: who sent an advertisement shows only over several."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        self._senders: dict[tuple[int | None, int, bytes], Recognition] = {}

    @property
    def senders(self) -> int:
        """How many senders are being told apart now, at most :data:`MOST_SENDERS`."""
        return len(self._senders)

    def dissect(self, frame: bytes) -> Finding | None:
        """What a whole Ethernet frame says; None if nothing of our concern."""
        vlan = None
        while len(frame) >= HEADER_LENGTH + 4 and int.from_bytes(frame[12:14], "big") in TAGGED:
            vlan = int.from_bytes(frame[14:16], "big") & 0x0FFF
            frame = frame[:12] + frame[16:]
        finding = self._dissect(frame, vlan)
        if finding is None or vlan is None:
            return finding
        return finding._replace(facts={"vlan": vlan, **finding.facts}, text=f"[VLAN {vlan}] {finding.text}")

    def packet(self, packet: bytes) -> Finding | None:
        """What an IP packet without a frame around it says of CARP or VRRP, which needs no MAC to be understood."""
        ethertype = ETHERTYPE_IPV4 if packet[0] >> 4 == 4 else ETHERTYPE_IPV6
        said = advertisement.read(bytes(12) + ethertype.to_bytes(2, "big") + packet)
        if said is None:
            return None
        if isinstance(said, Refusal):
            return _refused(said)
        return self._heard(said._replace(source_mac=b""), None)

    def bare(self, payload: bytes) -> Finding:
        """What an advertisement without anything around it says."""
        said = carp.unpack(payload)
        if isinstance(said, Refusal):
            return _refused(said)
        facts, text = self._advertised(said, b"")
        return Finding("carp", facts, text)

    def _dissect(self, frame: bytes, vlan: int | None) -> Finding | None:
        heard = advertisement.read(frame)
        if isinstance(heard, Heard):
            return self._heard(heard, vlan)
        said = heard or arp.read(frame) or neighbor.read(frame)
        if said is None:
            return None
        if isinstance(said, Refusal):
            return _refused(said)
        if isinstance(said, Arp):
            return _arp(said)
        if isinstance(said, Solicitation):
            return _solicitation(said)
        return _neighbor_advertisement(said)

    def _heard(self, heard: Heard, vlan: int | None) -> Finding:
        facts, text = self._advertised(heard.advertisement, heard.source_mac)
        who = (vlan, heard.advertisement.vhid, heard.source)
        if who not in self._senders and len(self._senders) >= MOST_SENDERS:
            self._senders.clear()
        recognition = self._senders.setdefault(who, Recognition())
        recognition.heard(heard)
        facts |= {
            **_ends(heard.source, heard.destination),
            "tos": heard.tos,
            "implementation": recognition.implementation,
        }
        if heard.source_mac:
            facts["source_mac"] = format_mac(heard.source_mac)
        return Finding("carp", facts, f"{_arrow(heard.source, heard.destination)} {text}, {recognition.implementation}")

    def _advertised(self, said: Advertisement, source_mac: bytes) -> tuple[dict[str, Any], str]:
        bow_out = said.advbase == BOW_OUT_ADVBASE and said.advskew == BOW_OUT_ADVSKEW
        digest, right = self._judge(said, source_mac)
        interval = said.advbase + said.advskew / 256
        facts = {
            "vhid": said.vhid,
            "advbase": said.advbase,
            "advskew": said.advskew,
            "demote": said.demote,
            "counter": f"{said.counter:016x}",
            "bow_out": bow_out,
            "digest_right": right,
            "digest": digest,
        }
        every = "bows out" if bow_out else f"every {interval:.3f} s"
        text = (
            f"CARP vhid {said.vhid} advbase {said.advbase} advskew {said.advskew} ({every}) demote {said.demote} "
            f"counter {said.counter:016x}, digest {digest}"
        )
        return facts, text

    def _judge(self, said: Advertisement, source_mac: bytes) -> tuple[str, bool | None]:
        """What is known of a digest, and whether it is right: None where nobody can say."""
        keys = [key for key in self._keys if key.vhid in (None, said.vhid)]
        if not keys:
            return ("not checked: no phrase is known" if not self._keys else "not checked: no such vhid is known"), None
        for key in keys:
            for each in key.phrases:
                if Authenticator(each, said.vhid, key.addresses).verify(said.counter, said.digest):
                    return "right", True
        first = keys[0]
        cause = likeliest_cause(said, first.phrases, first.addresses, source_mac=source_mac)
        return f"wrong: {cause}", False


def _refused(refusal: Refusal) -> Finding:
    facts: dict[str, Any] = {"cause": refusal.cause.value, "why": refusal.why}
    if refusal.source:
        facts["source"] = str(ip_address(refusal.source))
    if refusal.vhid:
        facts["vhid"] = refusal.vhid
    by = f"{facts['source']} " if refusal.source else ""
    if refusal.cause is Cause.VRRP:
        text = (
            f"{by}{refusal.why}, VRID {refusal.vhid}: on one LAN with CARP vhid {refusal.vhid} "
            "both would use the same virtual MAC"
        )
        return Finding("vrrp", facts, text)
    vhid = f" (vhid {refusal.vhid})" if refusal.vhid else ""
    return Finding("refused", facts, f"{by}refused, {refusal.cause.value}: {refusal.why}{vhid}")


def _arp(said: Arp) -> Finding:
    sender, target = str(IPv4Address(said.sender)), str(IPv4Address(said.target))
    facts: dict[str, Any] = {
        "operation": "request" if said.operation == arp.REQUEST else "reply",
        "sender": sender,
        "sender_mac": format_mac(said.sender_mac),
        "target": target,
        "target_mac": format_mac(said.target_mac),
        "source_mac": format_mac(said.source_mac),
        "destination_mac": format_mac(said.destination_mac),
    }
    if said.is_announcement:
        text = f"{sender} is at {_mac(said.sender_mac)}, announced"
    elif said.is_probe:
        text = f"is {target} free? asks {_mac(said.sender_mac)}"
    elif said.operation == arp.REQUEST:
        text = f"who has {target}? asks {sender} at {_mac(said.sender_mac)}"
    else:
        text = f"{sender} is at {_mac(said.sender_mac)}, to {target}"
    if said.source_mac != said.sender_mac:
        text += f"; sent from {_mac(said.source_mac)}"
    return Finding("arp", facts, f"ARP {text}")


def _solicitation(said: Solicitation) -> Finding:
    target = str(IPv6Address(said.target))
    mac = said.link_address or said.source_mac
    facts: dict[str, Any] = {
        "operation": "solicitation",
        **_ends(said.source, said.destination),
        "target": target,
        "link_address": format_mac(said.link_address),
        "source_mac": format_mac(said.source_mac),
    }
    if said.source == ANY6:
        text = f"is {target} free? asks {_mac(mac)}"
    else:
        text = f"who has {target}? asks {IPv6Address(said.source)} at {_mac(mac)}"
    return Finding("nd", facts, f"ND {text}")


def _neighbor_advertisement(said: NeighborAdvertisement) -> Finding:
    target = str(IPv6Address(said.target))
    facts: dict[str, Any] = {
        "operation": "advertisement",
        **_ends(said.source, said.destination),
        "target": target,
        "router": said.router,
        "solicited": said.solicited,
        "override": said.override,
        "link_address": format_mac(said.link_address),
        "source_mac": format_mac(said.source_mac),
    }
    flags = [name for name in ("router", "solicited", "override") if facts[name]]
    mac = said.link_address or said.source_mac
    text = f"{target} is at {_mac(mac)}, to {IPv6Address(said.destination)} ({', '.join(flags) or 'no flags'})"
    if said.source_mac != mac:
        text += f"; sent from {_mac(said.source_mac)}"
    return Finding("nd", facts, f"ND {text}")


def _mac(mac: bytes) -> str:
    """The MAC, and whose it is if it is a virtual one."""
    vhid = mac[5]
    return f"{format_mac(mac)} (vhid {vhid})" if vhid and mac == carp.virtual_mac(vhid) else format_mac(mac)


def _ends(source: bytes, destination: bytes) -> dict[str, str]:
    return {"source": str(ip_address(source)), "destination": str(ip_address(destination))}


def _arrow(source: bytes, destination: bytes) -> str:
    return f"{ip_address(source)} > {ip_address(destination)}"
