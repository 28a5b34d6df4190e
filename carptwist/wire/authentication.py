"""Signing and verifying advertisements: HMAC-SHA1 over what a vhid is.

The key is the pass phrase, padded with zeros to 20 octets. What is signed::

    0x02 0x01 | [MAC] | vhid | every IPv4 address | every IPv6 address | counter
    version,    only in               ascending, each once              8 octets,
    type        one dialect                                             network order

Rules kept here:

- 0.0.0.0, 255.255.255.255, :: and the all-ones IPv6 address are never signed;
- prefix lengths are not signed, nor are advbase, advskew and demote;
- the scope bits of a link-local address (octets 2 and 3, where BSD kernels keep the interface) and a
  scope id are cleared;
- a digest is compared in constant time.

Everything but the counter is the same for every advertisement of a vhid. Both SHA-1 states of HMAC
(RFC 2104 section 4) are prepared once up to there and copied per digest, which costs less than half
of a whole HMAC. They are all that is kept: the phrase cannot be read back.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address

from .ethernet import checked_mac

Address = IPv4Address | IPv6Address

#: Octets of the key. A longer phrase cannot be used.
KEY_LENGTH = 20
#: Octets of a digest.
DIGEST_LENGTH = 20

_BLOCK_LENGTH = 64
_INNER_PAD = bytes(octet ^ 0x36 for octet in range(256))
_OUTER_PAD = bytes(octet ^ 0x5C for octet in range(256))
_VERSION = b"\x02"
_TYPE = b"\x01"
_NEVER_SIGNED = frozenset({b"\x00" * 4, b"\xff" * 4, b"\x00" * 16, b"\xff" * 16})


class Authenticator:
    """Signs and verifies the advertisements of one vhid under one pass phrase.

    ``link_local=False`` leaves fe80::/10 out, and ``prefix`` is the MAC that goes before the vhid,
    as OpenBSD does where the MAC of a vhid is not the virtual one.

    :raises ValueError: the phrase is longer than 20 octets, the vhid is not 1 to 255, or the prefix
        neither empty nor six octets long.
    """

    __slots__ = ("_inner", "_outer", "vhid")

    def __init__(
        self,
        phrase: bytes,
        vhid: int,
        addresses: Iterable[Address],
        *,
        link_local: bool = True,
        prefix: bytes = b"",
    ) -> None:
        signed = covered(vhid, signed_addresses(addresses, link_local=link_local), prefix=prefix)
        key = padded_key(phrase).ljust(_BLOCK_LENGTH, b"\0")
        self.vhid = vhid
        self._inner = sha1(key.translate(_INNER_PAD) + signed)
        self._outer = sha1(key.translate(_OUTER_PAD))

    def __repr__(self) -> str:
        return f"<Authenticator of vhid {self.vhid}>"

    def sign(self, counter: int) -> bytes:
        """The digest, 20 octets, of an advertisement with this 64-bit counter."""
        inner = self._inner.copy()
        inner.update(counter.to_bytes(8, "big"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def verify(self, counter: int, digest: bytes) -> bool:
        """Whether ``digest`` is that of an advertisement with this 64-bit counter."""
        return compare_digest(self.sign(counter), digest)


def padded_key(phrase: bytes) -> bytes:
    """The 20 octets that a phrase makes as a key.

    :raises ValueError: it is longer. The message does not say what it is.
    """
    if len(phrase) > KEY_LENGTH:
        raise ValueError(f"a pass phrase of {len(phrase)} octets: at most {KEY_LENGTH}")
    return phrase.ljust(KEY_LENGTH, b"\0")


def covered(vhid: int, packed_addresses: Iterable[bytes], *, prefix: bytes = b"") -> bytes:
    """What is signed, up to the counter, with the addresses in the order given.

    :raises ValueError: the vhid is not 1 to 255, or the prefix neither empty nor six octets long.
    """
    if not 1 <= vhid <= 255:
        raise ValueError(f"vhid = {vhid}: must be 1 to 255")
    if prefix:
        checked_mac("prefix", prefix)
    return _VERSION + _TYPE + prefix + bytes((vhid,)) + b"".join(packed_addresses)


def signed_addresses(addresses: Iterable[Address], *, link_local: bool = True) -> list[bytes]:
    """The packed addresses that are signed, each once, in the order of signing."""
    packed = {_unscoped(address.packed) for address in addresses} - _NEVER_SIGNED
    # IPv4 comes first; within a family, ascending order is that of the octets.
    return sorted(
        (octets for octets in packed if link_local or not is_link_local(octets)),
        key=lambda octets: (len(octets), octets),
    )


def is_link_local(packed: bytes) -> bool:
    """Whether a packed address is in fe80::/10."""
    return len(packed) == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80


def _unscoped(packed: bytes) -> bytes:
    return packed[:2] + bytes(2) + packed[4:] if is_link_local(packed) else packed
