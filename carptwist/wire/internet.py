"""The Internet checksum, and the IPv4 and IPv6 headers as BSD kernels write them.

IPv4, 20 octets::

     0        1        2        4        6        8     9          10       12       16       20
    +--------+--------+--------+--------+--------+-----+----------+--------+--------+--------+
    | ver IHL|  TOS   | length |   id   | DF MF  | TTL | protocol |checksum| source | destin.|
    +--------+--------+--------+--------+--------+-----+----------+--------+--------+--------+

IPv6, 40 octets::

     0                         4        6        7        8          24            40
    +-------------------------+--------+--------+--------+----------+-------------+
    | ver  class   flow label | length |  next  |  hops  |  source  | destination |
    +-------------------------+--------+--------+--------+----------+-------------+

Kernels send identification 0 with "don't fragment" set (RFC 6864 allows it), flow label 0, and
everything here never leaves the link: TTL and hop limit are 255.
"""

from __future__ import annotations

import struct

#: The TTL and hop limit of everything that must not have passed a router.
HOPS = 255

IPPROTO_ICMPV6 = 58

#: Octets of the headers, without options.
HEADER4_LENGTH = 20
HEADER6_LENGTH = 40

DONT_FRAGMENT = 0x4000
#: More fragments, and the fragment offset: either one set means a fragment.
FRAGMENT = 0x3FFF

ANY4 = bytes(4)
ANY6 = bytes(16)  #: ff02::1, every node of the link.
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")

_SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff")
_HEADER4 = struct.Struct(">BBHHHBBH4s4s")
_HEADER6 = struct.Struct(">IHBB16s16s")


def holds(octets: bytes) -> bool:
    """Whether the Internet checksum that ``octets`` contain is right (RFC 1071).

    A sum of 16-bit words in ones' complement is the number modulo 65535, since 65536 is congruent
    to 1: one division instead of a loop. All zeros do not hold.
    """
    number = int.from_bytes(octets, "big")
    if len(octets) & 1:
        number <<= 8
    return number % 0xFFFF == 0 and number != 0


def checksum(octets: bytes) -> int:
    """The Internet checksum of ``octets`` whose own field is zero (RFC 1071), 0..0xFFFF."""
    number = int.from_bytes(octets, "big")
    if len(octets) & 1:
        number <<= 8
    if number == 0:
        return 0xFFFF
    return -number % 0xFFFF


def pseudo4(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What a checksum over IPv4 covers besides the payload (RFC 793 section 3.1)."""
    return source + destination + struct.pack(">HH", protocol, length)


def pseudo6(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What a checksum over IPv6 covers besides the payload (RFC 8200 section 8.1)."""
    return source + destination + struct.pack(">II", length, protocol)


def header4(source: bytes, destination: bytes, protocol: int, length: int, tos: int = 0) -> bytes:
    """An IPv4 header with its checksum, for a payload of ``length`` octets.

    :raises ValueError: an address is not four octets long, or ``tos`` not one.
    """
    if len(source) != 4 or len(destination) != 4:
        raise ValueError("an IPv4 address has 4 octets")
    if not 0 <= tos <= 0xFF:
        raise ValueError(f"tos = {tos}: must be 0 to 255")
    total = HEADER4_LENGTH + length
    bare = _HEADER4.pack(0x45, tos, total, 0, DONT_FRAGMENT, HOPS, protocol, 0, source, destination)
    return bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:]


def header6(source: bytes, destination: bytes, protocol: int, length: int, traffic_class: int = 0) -> bytes:
    """An IPv6 header for a payload of ``length`` octets.

    :raises ValueError: an address is not sixteen octets long, or ``traffic_class`` not one.
    """
    if len(source) != 16 or len(destination) != 16:
        raise ValueError("an IPv6 address has 16 octets")
    if not 0 <= traffic_class <= 0xFF:
        raise ValueError(f"traffic_class = {traffic_class}: must be 0 to 255")
    return _HEADER6.pack(6 << 28 | traffic_class << 20, length, protocol, HOPS, source, destination)


def solicited_node(address: bytes) -> bytes:
    """The solicited-node multicast group of a packed IPv6 address (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE + address[13:]
