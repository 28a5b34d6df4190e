"""LLC and SNAP: how FDDI and Token Ring say that an IP packet follows, RFC 1042.

::

     0    1    2    3              6         8
    +----+----+----+--------------+---------+----------
    | AA | AA | 03 |   00 00 00   |  type   |  payload
    +----+----+----+--------------+---------+----------
     DSAP SSAP UI    organization   EtherType

And what both kinds of ring share: an address is six octets, whose bits travel in the other order than on Ethernet. The
*canonical* form is that of Ethernet, 01:00:5e:00:00:12; with the bits of each octet reversed it is 80:00:7a:00:00:48.
"""

from __future__ import annotations

_SNAP = bytes.fromhex("aaaa03000000")
#: Octets before the payload.
LENGTH = len(_SNAP) + 2

_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def reversed_bits(octets: bytes) -> bytes:
    """Canonical form -> the ring's own, and back: the bits of each octet in the other order."""
    return octets.translate(_REVERSED)


def wrap(ethertype: int, payload: bytes) -> bytes:
    """What follows the addresses.

    :raises ValueError: ``ethertype`` is none: below 0x0600 it would be a length.
    """
    if not 0x0600 <= ethertype <= 0xFFFF:
        raise ValueError(f"ethertype {ethertype:#06x}: must be 0x0600 to 0xffff")
    return _SNAP + ethertype.to_bytes(2, "big") + payload


def unwrap(octets: bytes) -> tuple[int, bytes] | None:
    """The EtherType and the payload; None for anything but SNAP with the organization of EtherTypes."""
    if len(octets) < LENGTH or not octets.startswith(_SNAP):
        return None
    ethertype = int.from_bytes(octets[len(_SNAP) : LENGTH], "big")
    return (ethertype, octets[LENGTH:]) if ethertype >= 0x0600 else None
