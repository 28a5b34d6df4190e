"""What the kernel hands to a packet socket: classic BPF programs, one per protocol.

A program is attached to an AF_PACKET, SOCK_RAW socket that takes every protocol (ETH_P_ALL), before
the socket is bound. A frame that no program wants then costs nothing in Python. Rules kept here:

- a frame with an 802.1Q tag is not of this LAN. The kernel takes the tag off before a socket sees
  the frame, so the metadata must be asked;
- only the kind of packet that is wanted passes, wherever it comes from and goes to;
- what is malformed behind the protocol number passes: it is to be counted.

The programs are written in the language of bpf_asm(8), of which :func:`assemble` knows what is
needed here. Their offsets count from the destination MAC. Specification: Linux,
Documentation/networking/filter.rst.
"""

from __future__ import annotations

import struct

#: Octets of one instruction, a struct sock_filter.
INSTRUCTION_LENGTH = 8

_NOT_TAGGED = """
        ld    vlan_avail
        jne   #0, drop
"""
_CARP = """
        ldh   [12]
        jne   #0x0800, ipv6
        ldb   [23]
        jeq   #112, accept, drop
ipv6:   jne   #0x86dd, drop
        ldb   [20]
        jne   #112, drop
"""
_ARP = """
        ldh   [12]
        jne   #0x0806, drop
"""
_NEIGHBOR = """
        ldh   [12]
        jne   #0x86dd, drop
        ldb   [20]
        jne   #58, drop
        ldb   [54]
        jeq   #135, accept
        jne   #136, drop
"""
_VERDICTS = """
accept: ret   #0xffffffff
drop:   ret   #0
"""

_LOADS = {
    # BPF_LD with BPF_W, BPF_H and BPF_B, absolute.
    "ld": 0x20,
    "ldh": 0x28,
    "ldb": 0x30,
}
_WIDTHS = {0x20: 4, 0x28: 2, 0x30: 1}
_METADATA = {
    # SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT: a load from there asks the kernel, not the frame.
    "vlan_avail": 0xFFFFF000 + 48,
}
_JUMP_EQUAL = 0x15
_RETURN = 0x06
_INSTRUCTION = struct.Struct("=HBBI")


def carp() -> bytes:
    """IPv4 or IPv6 of protocol 112: CARP and VRRP."""
    return _program(_CARP)


def arp() -> bytes:
    """ARP."""
    return _program(_ARP)


def neighbor() -> bytes:
    """Neighbour solicitations and advertisements, directly behind the IPv6 header."""
    return _program(_NEIGHBOR)


def reject_all() -> bytes:
    """Nothing: for a socket that only sends, and for the moment between opening and binding."""
    return assemble("ret #0")


def accepts(program: bytes, frame: bytes) -> bool:
    """Whether a program lets a whole Ethernet frame, without a tag, pass: for links that are no packet sockets.

    :param program: the filter that a port was opened with.
    """
    accumulator = place = 0
    while True:
        code, hit, miss, operand = _INSTRUCTION.unpack_from(program, INSTRUCTION_LENGTH * place)
        place += 1
        if code == _RETURN:
            return bool(operand)
        if code == _JUMP_EQUAL:
            place += hit if accumulator == operand else miss
        elif operand in _METADATA.values():
            accumulator = 0  # there was no tag
        else:
            loaded = frame[operand : operand + _WIDTHS[code]]
            if len(loaded) < _WIDTHS[code]:
                return False  # as the kernel does
            accumulator = int.from_bytes(loaded, "big")


def assemble(source: str) -> bytes:
    """The packed ``struct sock_filter`` array of a program in the language of bpf_asm(8).

    Known are ``ld``, ``ldh``, ``ldb`` of ``[OFFSET]`` or of the metadata ``vlan_avail`` (1: there was a tag);
    ``jeq`` and ``jne`` of ``#NUMBER, LABEL`` or ``#NUMBER, LABEL, LABEL``; ``ret #NUMBER``. Without
    a second label a jump falls through to the next instruction.

    :raises ValueError: it is not such a program.
    """
    labels: dict[str, int] = {}
    lines: list[list[str]] = []
    for line in source.splitlines():
        before, colon, after = line.partition(":")
        if colon:
            labels[before.strip()] = len(lines)
        words = (after if colon else before).replace(",", " ").split()
        if words:
            lines.append(words)
    return b"".join(_assembled(words, labels, here) for here, words in enumerate(lines))


def _program(wanted: str) -> bytes:
    return assemble(_NOT_TAGGED + wanted + _VERDICTS)


def _assembled(words: list[str], labels: dict[str, int], here: int) -> bytes:
    match words:
        case [("ld" | "ldh" | "ldb") as load, operand]:
            offset = _METADATA[operand] if operand in _METADATA else _number(operand, "[", "]")
            return _INSTRUCTION.pack(_LOADS[load], 0, 0, offset)
        case ["ret", operand]:
            return _INSTRUCTION.pack(_RETURN, 0, 0, _number(operand, "#", ""))
        case [("jeq" | "jne") as jump, operand, *targets] if 1 <= len(targets) <= 2:
            hit, *rest = (_distance(target, labels, here) for target in targets)
            miss = rest[0] if rest else 0
            if jump == "jne":
                hit, miss = miss, hit
            return _INSTRUCTION.pack(_JUMP_EQUAL, hit, miss, _number(operand, "#", ""))
    raise ValueError(f"not an instruction: {' '.join(words)}")


def _distance(label: str, labels: dict[str, int], here: int) -> int:
    """How many instructions a jump skips: classic BPF only goes forward, by at most 255."""
    distance = labels.get(label, -1) - here - 1
    if not 0 <= distance <= 255:
        raise ValueError(f"no way from here to {label!r}")
    return distance


def _number(operand: str, opening: str, closing: str) -> int:
    if not (operand.startswith(opening) and operand.endswith(closing)):
        raise ValueError(f"not an operand: {operand}")
    return int(operand[len(opening) : len(operand) - len(closing)], 0)
