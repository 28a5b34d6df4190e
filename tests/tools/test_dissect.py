"""``carptwist dissect``: what it says of real captures, of pasted octets, and of what it cannot read."""

from __future__ import annotations

import argparse
import gzip
import json
import struct
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vrrp import VRRP
from scapy.packet import Packet, Raw

from carptwist.tools import dissect
from carptwist.tools.dissector import MOST_SENDERS, Dissector, Finding, Key
from carptwist.wire import carp
from carptwist.wire.advertisement import frame4, frame6
from carptwist.wire.carp import Advertisement
from tests.wire.golden import ADDRESSES, DATA, PHRASE, capture

FREEBSD = str(DATA / "captures" / "freebsd-pair.pcap")
NETBSD = str(DATA / "captures" / "netbsd-pair.pcap")
FIRST = capture("freebsd")[3]


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    dissect.add_arguments(parser)
    return dissect.run(parser.parse_args(arguments))


@pytest.fixture
def pass_file(tmp_path: Path) -> str:
    path = tmp_path / "phrase"
    path.write_bytes(b"\r\n" + PHRASE + b"\r\n")
    return str(path)


def said(frame: bytes | Packet, *keys: Key) -> Finding:
    finding = Dissector(keys).dissect(bytes(frame))
    assert finding is not None
    return finding


# Captures


def test_every_frame_in_a_line(pass_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line per frame, with its time, who sent it, what it says, whether its digest is right; a summary."""
    addresses = [word for address in ADDRESSES["freebsd"] for word in ("--address", str(address))]
    assert run(FREEBSD, "--pass-file", pass_file, *addresses) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 59 + 1
    assert lines[3] == (
        "2026-11-21T03:10:29.350705Z 192.0.2.2 > 224.0.0.18 CARP vhid 7 advbase 1 advskew 0 (every 1.000 s) demote 0 "
        "counter 16cf183e724ff446, digest right, freebsd or carptwist"
    )
    assert lines[0].endswith(" ARP 192.0.2.2 is at 58:9c:fc:00:5f:08, announced")
    assert lines[1].endswith(" ND is 2001:db8::1 free? asks 58:9c:fc:00:5f:08")
    assert lines[5].endswith(" ARP 192.0.2.1 is at 00:00:5e:00:01:07 (vhid 7), announced; sent from 58:9c:fc:00:5f:08")
    assert sum("digest right" in line for line in lines) == 40
    assert lines[-1] == "59 frames: 40 CARP, 14 ARP, 5 ND"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a line, and nothing but objects."""
    assert run(NETBSD, "--json") == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(objects) == 34
    bow_outs = [each for each in objects if each.get("bow_out")]
    assert bow_outs == [
        {
            "time": "2026-11-21T03:11:02.626825Z",
            "kind": "carp",
            "vhid": 9,
            "advbase": 255,
            "advskew": 255,
            "demote": 0,
            "counter": "e02e5086633282e3",
            "bow_out": True,
            "digest_right": None,
            "digest": "not checked: no phrase is known",
            "source": "192.0.2.2",
            "destination": "224.0.0.18",
            "tos": 16,
            "implementation": "netbsd or freebsd before 12",
            "source_mac": "00:00:5e:00:01:09",
        }
    ]


def test_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Phrases and addresses come from a configuration; a vhid that is not in it is said to be unknown."""
    config = tmp_path / "carp.ini"
    config.write_text(f"[vhid 9@em0]\naddress = 192.0.2.1/24\npass = {PHRASE.decode()}\n")
    config.chmod(0o600)
    assert run(NETBSD, "--config", str(config)) == 0
    assert capsys.readouterr().out.count("digest right") == 20
    assert run(FREEBSD, "--config", str(config)) == 0
    out = capsys.readouterr().out
    assert out.count("digest not checked: no such vhid is known") == 40
    assert PHRASE.decode() not in out


def test_likeliest_cause(pass_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong digest comes with the likeliest mistake."""
    assert run(FREEBSD, "--pass-file", pass_file, "--address", "192.0.2.1/24", "--address", "2001:db8::1") == 0
    unknown = "digest wrong: its pass phrase differs, or more than one of its addresses does"
    assert capsys.readouterr().out.count(unknown) == 40
    four = ["--address", "192.0.2.9"] + [w for a in ADDRESSES["freebsd"] for w in ("--address", str(a))]
    assert run(FREEBSD, "--pass-file", pass_file, *four) == 0
    out = capsys.readouterr().out
    assert out.count("digest wrong: it signs without 192.0.2.9, freebsd") == 40
    assert PHRASE.decode() not in out


def test_from_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``tcpdump -w - | carptwist dissect -``"""
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(Path(NETBSD).read_bytes())))
    assert run("-") == 0
    assert capsys.readouterr().out.endswith("34 frames: 20 CARP, 14 ARP\n")


def pcap(frames: list[bytes], *, magic: int = 0xA1B2C3D4, linktype: int = 1, second: int = 0, lost: int = 0) -> bytes:
    records = b"".join(struct.pack("<IIII", second, 5, len(each), len(each) + lost) + each for each in frames)
    return struct.pack("<IHHIIII", magic, 2, 4, 0, 0, 65535, linktype) + records


def pcapng(frame: bytes, options: bytes = b"", high: int = 0, low: int = 2_500_000) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        length = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + length + body + length

    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    interface = block(1, struct.pack("<HHI", 1, 0, 65535) + options)
    packet = block(6, struct.pack("<IIIII", 0, high, low, len(frame), len(frame)) + frame)
    return section + interface + packet


@pytest.mark.parametrize(
    ("octets", "time"),
    [
        (pcap([FIRST], second=1), "1970-01-01T00:00:01.000005Z "),
        (pcap([FIRST], second=1, magic=0xA1B23C4D), "1970-01-01T00:00:01.000000Z "),
        (gzip.compress(pcap([FIRST], second=1)), "1970-01-01T00:00:01.000005Z "),
        (pcapng(FIRST), "1970-01-01T00:00:02.500000Z "),
        # if_tsresol 0: whole seconds, of a year that there will not be.
        (pcapng(FIRST, struct.pack("<HHB3xHH", 9, 1, 0, 0, 0), high=0xFFFFFFFF), ""),
    ],
)
def test_containers(octets: bytes, time: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pcap in micro- and nanoseconds, pcapng, gzipped: a time that is none is left out."""
    path = tmp_path / "capture"
    path.write_bytes(octets)
    assert run(str(path)) == 0
    assert capsys.readouterr().out.startswith(f"{time}192.0.2.2 > 224.0.0.18 CARP vhid 7 ")


def test_simple_packet_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pcapng block without a time is read too."""
    body = struct.pack("<I", len(FIRST)) + FIRST + bytes(-len(FIRST) % 4)
    length = struct.pack("<I", len(body) + 12)
    path = tmp_path / "capture"
    path.write_bytes(pcapng(b"")[: 28 + 20] + struct.pack("<I", 3) + length + body + length)
    assert run(str(path)) == 0
    assert capsys.readouterr().out.startswith("192.0.2.2 > 224.0.0.18 CARP vhid 7 ")


def test_cut_by_the_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame that the capture cut short is not blamed on its sender alone."""
    path = tmp_path / "capture"
    path.write_bytes(pcap([FIRST[:60]], lost=10))
    assert run(str(path)) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.endswith("refused, hdrops: IPv4 length does not fit the frame; the capture lacks its last 10 octets")
    assert run(str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["missing"] == 10


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (None, "No such file"),
        (b"", "not a packet capture"),
        (b"[vhid 1@em0]\n", "not a packet capture"),
        (pcap([FIRST], linktype=113), "link type 113 is not Ethernet"),
    ],
)
def test_unreadable(octets: bytes | None, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be read is said in one line, with exit code 1."""
    path = tmp_path / "capture"
    if octets is not None:
        path.write_bytes(octets)
    assert run(str(path)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert text in told.err
    assert told.err.count("\n") == 1


def test_without_scapy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where scapy is not installed, captures say what to install, and pasted octets need nothing."""
    monkeypatch.setitem(sys.modules, "scapy.utils", None)
    assert run(FREEBSD) == 1
    assert "pip install 'carptwist[tools]'" in capsys.readouterr().err
    assert run("-x", FIRST.hex()) == 0


# Pasted octets


@pytest.mark.parametrize(
    "text",
    [
        FIRST.hex(),
        FIRST.hex(":"),
        FIRST.hex(" ").upper(),
        f"\t0x0000:  {FIRST[:16].hex(' ', 2)}\n\t0x0010:  {FIRST[16:].hex(' ', 2)}\n",
        FIRST[14:].hex(),
    ],
)
def test_pasted(text: str, pass_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A frame, or the IP packet in it, as people paste it."""
    addresses = [word for address in ADDRESSES["freebsd"] for word in ("--address", str(address))]
    assert run("-x", text, "--pass-file", pass_file, *addresses) == 0
    line, summary = capsys.readouterr().out.splitlines()
    assert line == (
        "192.0.2.2 > 224.0.0.18 CARP vhid 7 advbase 1 advskew 0 (every 1.000 s) demote 0 counter 16cf183e724ff446, "
        "digest right, freebsd or carptwist"
    )
    assert summary == "1 frame: 1 CARP"


def test_pasted_advertisement(capsys: pytest.CaptureFixture[str]) -> None:
    """An advertisement alone; a refused one is told with its cause."""
    assert run("-x", FIRST[34:].hex()) == 0
    assert capsys.readouterr().out.startswith("CARP vhid 7 ")
    assert run("-x", FIRST[34:-1].hex() + "00") == 0
    assert capsys.readouterr().out.splitlines()[0] == "refused, badsum: wrong checksum"


def test_pasted_packet(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a frame around it, nothing is said about MACs; what is no CARP is not made one."""
    assert run("-x", capture("freebsd")[4][14:].hex(), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["destination"] == "ff02::12"
    assert "source_mac" not in facts
    assert run("-x", bytes(IP(proto=112, ttl=1) / Raw(bytes(36))).hex()) == 0
    assert "badttl" in capsys.readouterr().out
    assert run("-x", bytes(IP(proto=17)).hex()) == 0
    assert capsys.readouterr().out == "1 frame: 1 other\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-x", "2107zz"], "not hexadecimal"),
        (["-x", ""], "neither an Ethernet frame"),
        (["-x", "ff" * 20], "neither an Ethernet frame"),
        (["-x", "00", "--address", "192.0.2.1"], "give both"),
        (["-x", "00", "--pass-file", "/nonexistent"], "No such file"),
        (["-x", "00", "--config", "/nonexistent"], "/nonexistent: cannot be read"),
    ],
)
def test_misuse(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be used is said in one line, with exit code 2."""
    assert run(*arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert text in told.err


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "no phrase in it"),
        (b"hush-hush-\xff", "not UTF-8"),
        (b"\nhush-hush-hush-hush-h", "line 2: 21 octets"),
        (b"hush\thush\x7f", "line 1: holds a control character"),
    ],
    # pytest would put the octets, and with them the phrase, into the path.
    ids=["empty", "not-text", "long", "control"],
)
def test_bad_phrases(octets: bytes, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of phrases that cannot be used is not quoted."""
    path = tmp_path / "phrase"
    path.write_bytes(octets)
    assert run(FREEBSD, "--pass-file", str(path)) == 2
    told = capsys.readouterr().err
    assert text in told
    assert "hush" not in told


@pytest.mark.parametrize("arguments", [[], ["-x", "00", FREEBSD], [FREEBSD, "--address", "em0"]])
def test_bad_usage(arguments: list[str]) -> None:
    """argparse refuses what makes no sense."""
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)
    assert exit_.value.code == 2


# Frames


def ether(packet: Packet) -> Packet:
    return Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / packet


def arp(**fields: Any) -> Packet:
    return ether(ARP(**{"hwsrc": "02:00:00:00:00:01", "psrc": "192.0.2.5", "pdst": "192.0.2.1", **fields}))


NS = IPv6(src="fe80::1", dst="ff02::1:ff00:1", hlim=255) / ICMPv6ND_NS(tgt="2001:db8::1")
NA = IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NA(tgt="2001:db8::1", R=1, S=1, O=0)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (arp(op=1), "ARP who has 192.0.2.1? asks 192.0.2.5 at 02:00:00:00:00:01"),
        (arp(op=1, psrc="0.0.0.0"), "ARP is 192.0.2.1 free? asks 02:00:00:00:00:01"),
        (arp(op=2), "ARP 192.0.2.5 is at 02:00:00:00:00:01, to 192.0.2.1"),
        (arp(op=9), "192.0.2.5 refused, hdrops: ARP is neither request nor reply"),
        (ether(NS), "ND who has 2001:db8::1? asks fe80::1 at 02:00:00:00:00:01"),
        (
            ether(NS / ICMPv6NDOptSrcLLAddr(lladdr="00:00:5e:00:01:09")),
            "ND who has 2001:db8::1? asks fe80::1 at 00:00:5e:00:01:09 (vhid 9)",
        ),
        (ether(NA), "ND 2001:db8::1 is at 02:00:00:00:00:01, to fe80::2 (router, solicited)"),
        (
            ether(IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="2001:db8::1", R=0, O=0)),
            "ND 2001:db8::1 is at 02:00:00:00:00:01, to ff02::1 (no flags)",
        ),
        (
            ether(IP(src="192.0.2.5", proto=112, ttl=255) / VRRP(vrid=7, addrlist=["192.0.2.1"])),
            "192.0.2.5 VRRP version 2, VRID 7: on one LAN with CARP vhid 7 both would use the same virtual MAC",
        ),
        (ether(IP(src="192.0.2.5", proto=112, ttl=1)), "192.0.2.5 refused, badttl: TTL is not 255"),
    ],
)
def test_texts(frame: Packet, text: str) -> None:
    """What each kind of frame is said to say."""
    assert said(frame).text == text


def test_link_address_of_another() -> None:
    """A neighbour advertisement that leaves from another MAC than it names is told with both."""
    frame = capture("freebsd")
    announced = next(each for each in frame if said(each).facts.get("operation") == "advertisement")
    forged = announced[:6] + bytes.fromhex("020000000001") + announced[12:]
    assert said(forged).text.endswith(
        "is at 00:00:5e:00:01:07 (vhid 7), to ff02::1 (override); sent from 02:00:00:00:00:01"
    )


def test_refused_with_a_vhid() -> None:
    """A refusal names the vhid where the checksum vouches for it."""
    payload = bytearray(FIRST[34:])
    payload[3] += 1
    # One more in one word of the sum, and one less in another.
    payload[7] -= 1
    finding = said(FIRST[:34] + bytes(payload))
    assert finding.text == "192.0.2.2 refused, badlen: authlen is not 7 (vhid 7)"
    assert finding.facts == {"cause": "badlen", "why": "authlen is not 7", "source": "192.0.2.2", "vhid": 7}


def test_vlan() -> None:
    """Inside a VLAN, and inside one in another, the frame is read, and the inner VLAN told."""
    inner = Ether(FIRST).payload
    for tags in (Dot1Q(vlan=5), Dot1Q(vlan=9) / Dot1Q(vlan=5)):
        finding = said(ether(tags / inner))
        assert finding.text.startswith("[VLAN 5] 192.0.2.2 > 224.0.0.18 CARP vhid 7 ")
        assert finding.facts["vlan"] == 5
    assert Dissector().dissect(bytes(ether(Dot1Q(vlan=5) / IP(proto=17)))) is None


def test_many_senders() -> None:
    """A flood of forged senders does not fill the memory."""
    dissector = Dissector()
    advertisement = Advertisement(1, 0, 1, 0, 1, bytes(20))
    mac = carp.virtual_mac(1)
    for number in range(5000):
        source = number.to_bytes(4, "big")
        assert dissector.dissect(frame4(advertisement, source_mac=mac, source=source)) is not None
    assert dissector.dissect(frame6(advertisement, source_mac=mac, source=bytes(16))) is not None
    assert dissector.senders <= MOST_SENDERS


def test_no_phrase_in_a_repr() -> None:
    """A key does not show itself."""
    assert PHRASE.decode() not in repr(Key(7, (PHRASE,), ()))
