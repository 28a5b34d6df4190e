"""The filters let through what they say: in an interpreter of a few lines, and in the kernel."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from carptwist.wire import filters
from tests.wire.golden import every_frame

PROGRAMS = {
    "carp": filters.carp(),
    "arp": filters.arp(),
    "neighbor": filters.neighbor(),
    "nothing": filters.reject_all(),
}
PAYLOAD = Raw(bytes(36))


def ether(packet: Packet) -> bytes:
    return bytes(Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / packet)


#: Whose each frame is; None: nobody's.
FRAMES: list[tuple[str | None, bytes]] = [
    ("carp", ether(IP(proto=112) / PAYLOAD)),
    ("carp", ether(IP(proto=112, ttl=1, frag=7) / PAYLOAD)),
    ("carp", ether(IPv6(nh=112) / PAYLOAD)),
    ("carp", ether(IPv6(nh=112))),
    ("arp", ether(ARP())),
    ("arp", ether(ARP())[:20]),
    ("neighbor", ether(IPv6() / ICMPv6ND_NS())),
    ("neighbor", ether(IPv6() / ICMPv6ND_NS(type=136))),
    ("neighbor", ether(IPv6() / ICMPv6ND_NS(cksum=1))[:60]),
    (None, ether(IPv6() / ICMPv6ND_RS())),
    (None, ether(IPv6() / ICMPv6ND_NS(type=137))),
    (None, ether(IPv6() / ICMPv6EchoRequest())),
    (None, ether(IPv6(nh=17) / PAYLOAD)),
    (None, ether(IP(proto=17) / PAYLOAD)),
    (None, ether(IP(proto=111) / PAYLOAD)),
    (None, ether(Dot1Q(vlan=5) / IP(proto=112) / PAYLOAD)),
    (None, ether(Dot1Q(vlan=5) / ARP())),
    (None, ether(Dot1Q(vlan=5) / IPv6() / ICMPv6ND_NS())),
    (None, ether(Dot1Q(vlan=5) / Dot1Q(vlan=6) / IP(proto=112) / PAYLOAD)),
    (None, ether(Raw(bytes(60)))),
]


def passes(program: bytes, frame: bytes, *, tagged: bool = False) -> bool:
    """What a kernel does with a program: the accept verdict, or none for a load beyond the frame."""
    loads = {0x20: 4, 0x28: 2, 0x30: 1}
    accumulator = at = 0
    while True:
        code, hit, miss, k = struct.unpack_from("=HBBI", program, at * filters.INSTRUCTION_LENGTH)
        at += 1
        if code == 0x06:
            return bool(k)
        if code == 0x15:
            at += hit if accumulator == k else miss
        elif k == 0xFFFFF000 + 48:
            accumulator = int(tagged)
        else:
            octets = frame[k : k + loads[code]]
            if len(octets) < loads[code]:
                return False
            accumulator = int.from_bytes(octets, "big")


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_its_own(name: str) -> None:
    """A filter takes its own packets, malformed or not, and no others; no frame with a tag."""
    program = PROGRAMS[name]
    assert [passes(program, frame) for _, frame in FRAMES] == [owner == name for owner, _ in FRAMES]
    assert not any(passes(program, frame, tagged=True) for _, frame in FRAMES)


def test_every_frame_of_real_kernels() -> None:
    """Each frame of the captures passes exactly one filter."""
    for frame in every_frame():
        assert sum(passes(program, frame) for program in PROGRAMS.values()) == 1


@pytest.mark.parametrize("length", range(60))
def test_cut_short(length: int) -> None:
    """However short a frame is, a filter does not read past it: the frame is dropped, or whole enough."""
    for owner, frame in FRAMES:
        for name, program in PROGRAMS.items():
            assert not passes(program, frame[:length]) or name == owner


def test_for_links_that_are_no_packet_sockets() -> None:
    """What the package itself says of a frame is what the kernel says, however short it is."""
    for program in PROGRAMS.values():
        for _, frame in FRAMES:
            for length in range(len(frame) + 1):
                assert filters.accepts(program, frame[:length]) is passes(program, frame[:length])


def new_namespace() -> list[str]:
    """A command that runs another in a network namespace of its own; skips where that is not possible."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare(1): install util-linux")
    command = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--user", "--map-root-user", "--net"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=60)
    if tried.returncode:
        pytest.skip(f"no network namespaces here, as root or without: {tried.stderr.strip()}")
    return command


def test_in_the_kernel() -> None:
    """The kernel takes every program, and lets through what the interpreter says: tags are seen in its metadata."""
    asked = {
        "programs": {name: program.hex() for name, program in PROGRAMS.items()},
        "frames": [frame.hex() for _, frame in FRAMES],
    }
    done = subprocess.run(
        [*new_namespace(), sys.executable, "-m", "tests.wire.filter_kernel"],
        cwd=Path(__file__).parents[2],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    ours = {frame.hex() for _, frame in FRAMES}
    heard = {name: [frame for frame in frames if frame in ours] for name, frames in json.loads(done.stdout).items()}
    assert heard == {name: [frame.hex() for owner, frame in FRAMES if owner == name] for name in PROGRAMS}


# The assembler


def test_assembled() -> None:
    """The octets of a program are what bpf_asm(8) makes of the same text."""
    source = """
            ldh  [12]
            jeq  #0x806, keep, drop
    keep:   ret  #0xffffffff
    drop:   ret  #0
    """
    theirs = [(0x28, 0, 0, 12), (0x15, 0, 1, 0x806), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)]
    assert filters.assemble(source) == b"".join(struct.pack("=HBBI", *each) for each in theirs)


@pytest.mark.parametrize(
    "source",
    [
        "ldx [1]",
        "ld",
        "ldh 12",
        "ldh [x]",
        "ret 0",
        "jeq #1",
        "jeq #1, a, b, c",
        "jeq #1, nowhere",
        "back: ret #0\n jeq #1, back",
        "jeq #1, far\n" + "ret #0\n" * 256 + "far: ret #0",
    ],
)
def test_not_a_program(source: str) -> None:
    """What is no instruction, or jumps where a program cannot, is refused."""
    with pytest.raises(ValueError, match=r"not an|no way|invalid literal"):
        filters.assemble(source)
