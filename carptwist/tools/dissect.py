"""``carptwist dissect FILE.pcap`` or ``-x HEX``: what CARP, VRRP, ARP and neighbour discovery say in it.

One readable line per frame that is one of these, with what the daemon would think of it::

    2026-11-21T03:10:29.350700Z 192.0.2.2 > 224.0.0.18 CARP vhid 7 advbase 1 advskew 0 (every 1.000 s)
      demote 0 counter 16cf183e724ff446, digest right, freebsd or carptwist

and a summary at the end. With ``--json`` one object per frame instead, and no summary. Frames inside an
802.1Q VLAN are read too, and said to be.

Digests are checked with the phrases and addresses of ``--config``, or of ``--pass-file`` and
``--address``. A phrase is never printed, and cannot be given on the command line, which others see.

Exit codes: 0 all of it was read; 1 the capture cannot be read; 2 bad usage or bad configuration.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

from ..config.values import phrase
from ..configuration import ConfigurationError, load
from ..wire import advertisement, arp, carp, neighbor
from ..wire.advertisement import Heard
from ..wire.arp import Arp
from ..wire.authentication import Address, Authenticator
from ..wire.carp import BOW_OUT_ADVBASE, BOW_OUT_ADVSKEW, Advertisement
from ..wire.diagnosis import likeliest_cause
from ..wire.ethernet import (
    ETHERTYPE_ARP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    HEADER_LENGTH,
    format_mac,
)
from ..wire.internet import ANY6
from ..wire.neighbor import NeighborAdvertisement, Solicitation
from ..wire.recognition import Recognition
from ..wire.refusal import Cause, Refusal
from .capture import Captured, CaptureError, read_capture

SUMMARY = "tell what CARP, ARP and neighbour discovery say in a packet capture"

DONE, FAILED, MISUSED = 0, 1, 2

_TAGGED = (0x8100, 0x88A8)
_KNOWN_ETHERTYPES = (ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6, *_TAGGED)
_DUMP_OFFSET = re.compile(r"^\s*0x[0-9A-Fa-f]{4}:", re.MULTILINE)
#: The senders that are told apart; a capture of forged ones must not fill the memory.
MOST_SENDERS = 4096


class Misuse(Exception):
    """Arguments that cannot be used; the text says why, and never what is in a file of phrases."""


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", metavar="FILE", nargs="?", help="a pcap or pcapng capture; - reads it from stdin")
    what.add_argument("-x", dest="hex", metavar="HEX", help="one frame, IP packet or bare advertisement in hexadecimal")
    parser.add_argument("--config", metavar="FILE", help="check digests with the phrases and addresses of this file")
    parser.add_argument("--pass-file", metavar="FILE", help="check digests with the phrases of this file, one a line")
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        action="append",
        default=[],
        type=_address,
        help="a shared address, for --pass-file; as often as there are addresses",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(arguments: argparse.Namespace) -> int:
    kinds: Counter[str] = Counter()
    try:
        for captured, finding in _findings(arguments):
            kinds["other" if finding is None else finding.kind] += 1
            if finding is not None:
                print(_as_json(captured, finding) if arguments.json else _as_text(captured, finding))
    except ConfigurationError as refused:
        print(refused, file=sys.stderr)
        return MISUSED
    except Misuse as error:
        print(f"carptwist dissect: {error}", file=sys.stderr)
        return MISUSED
    except CaptureError as error:
        print(f"carptwist dissect: {error}", file=sys.stderr)
        return FAILED
    if not arguments.json:
        print(_summary(kinds))
    return DONE


def _findings(arguments: argparse.Namespace) -> Iterator[tuple[Captured, Finding | None]]:
    dissector = Dissector(_keys(arguments))
    if arguments.hex is not None:
        yield Captured(None, b""), _pasted(dissector, arguments.hex)
        return
    for captured in read_capture(arguments.file):
        yield captured, dissector.dissect(captured.frame)


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
        while len(frame) >= HEADER_LENGTH + 4 and int.from_bytes(frame[12:14], "big") in _TAGGED:
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


def _as_text(captured: Captured, finding: Finding) -> str:
    when = f"{_iso(captured)} " if captured.time is not None else ""
    cut = f"; the capture lacks its last {captured.missing} octets" if captured.missing else ""
    return f"{when}{finding.text}{cut}"


def _as_json(captured: Captured, finding: Finding) -> str:
    when = {"time": _iso(captured)} if captured.time is not None else {}
    cut = {"missing": captured.missing} if captured.missing else {}
    return json.dumps({**when, "kind": finding.kind, **finding.facts, **cut})


def _iso(captured: Captured) -> str:
    assert captured.time is not None
    return captured.time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _summary(kinds: Counter[str]) -> str:
    names = {"carp": "CARP", "vrrp": "VRRP", "arp": "ARP", "nd": "ND", "refused": "refused", "other": "other"}
    total = kinds.total()
    parts = [f"{kinds[kind]} {name}" for kind, name in names.items() if kinds[kind]]
    return f"{total} {'frame' if total == 1 else 'frames'}{': ' if parts else ''}{', '.join(parts)}"


def _pasted(dissector: Dissector, text: str) -> Finding | None:
    """What people paste: a frame, or the IP packet or the advertisement in it, in hexadecimal.

    Blanks, colons and the offsets of ``tcpdump -x`` do not matter.
    """
    digits = re.sub(r"[\s:]", "", _DUMP_OFFSET.sub("", text))
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        raise Misuse("-x: not hexadecimal: give the octets alone, without the text beside them") from None
    if int.from_bytes(octets[12:14], "big") in _KNOWN_ETHERTYPES:
        return dissector.dissect(octets)
    if octets[:1] == b"\x21":
        return dissector.bare(octets)
    if octets[:1] and octets[0] >> 4 in (4, 6):
        return dissector.packet(octets)
    raise Misuse("-x: neither an Ethernet frame, nor an IP packet, nor an advertisement")


def _address(text: str) -> Address:
    """An address; a prefix length, as configurations have it, does not matter. argparse names a bad one."""
    return ip_address(text.partition("/")[0])


def _keys(arguments: argparse.Namespace) -> list[Key]:
    """The keys that the arguments give.

    :raises ConfigurationError: of ``--config``.
    :raises Misuse: of ``--pass-file`` and ``--address``.
    """
    keys = []
    if arguments.config is not None:
        for host in load(arguments.config).configuration.vhids:
            phrases = tuple(each.octets for each in host.phrases) or (b"",)
            keys.append(Key(host.vhid, phrases, tuple(address.ip for address in host.addresses)))
    if arguments.pass_file is not None:
        keys.append(Key(None, _phrases(arguments.pass_file), tuple(arguments.address)))
    elif arguments.address:
        raise Misuse("--address says what --pass-file signs: give both")
    return keys


def _phrases(path: str) -> tuple[bytes, ...]:
    """The phrases of a file, one a line, as ``pass_file`` of the configuration takes them."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            lines = [line.removesuffix("\n").removesuffix("\r") for line in file]
    except OSError as error:
        raise Misuse(f"--pass-file {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        # What the exception says is a part of the file.
        raise Misuse(f"--pass-file {path}: not UTF-8 text") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if line:
            try:
                found.append(phrase(line).octets)
            except ValueError as error:
                raise Misuse(f"--pass-file {path}: line {number}: {error}") from None
    if not found:
        raise Misuse(f"--pass-file {path}: no phrase in it")
    return tuple(found)
