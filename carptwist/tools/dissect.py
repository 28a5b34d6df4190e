"""``carptwist dissect FILE.pcap`` or ``-x HEX``: what CARP, VRRP, ARP and neighbour discovery say in it.

One readable line per frame that is one of these, with what the daemon would think of it::

    2026-11-21T03:10:29.350705Z 192.0.2.2 > 224.0.0.18 CARP vhid 7 advbase 1 advskew 0 (every 1.000 s)
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
from collections.abc import Iterator
from ipaddress import ip_address

from ..config.values import phrase
from ..configuration import ConfigurationError, load
from ..wire.authentication import Address
from ..wire.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6
from .capture import Captured, CaptureError, read_capture
from .dissector import TAGGED, Dissector, Finding, Key

SUMMARY = "tell what CARP, ARP and neighbour discovery say in a packet capture"

DONE, FAILED, MISUSED = 0, 1, 2

_KNOWN_ETHERTYPES = (ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_IPV6, *TAGGED)
_DUMP_OFFSET = re.compile(r"^\s*0x[0-9A-Fa-f]{4}:", re.MULTILINE)


class Misuse(Exception):
    """Arguments that cannot be used; the text says why, and never what is in a file of phrases."""


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
