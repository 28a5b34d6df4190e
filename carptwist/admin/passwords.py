"""Names and pass phrases: ``NAME:scrypt$N$R$P$SALT$HASH``, one a line (RFC 7914; salt and hash in base64).

Only what is made here is understood; there is no other kind of hash, and none that is weak. Checking one takes some
50 ms of a processor on purpose, and so belongs on a thread.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

#: 2**14 x 8 x 128 octets: 16 MiB for each guess.
_COSTS = (2**14, 8, 1)
SALT_OCTETS = 16
_HASH_OCTETS = 32
#: Nobody is made to spend more than that on a line of the file.
_MOST_MEMORY = 64 << 20
_NOBODY = "scrypt$16384$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def line(name: str, phrase: bytes, salt: bytes) -> str:
    """What to write into the file.

    :raises ValueError: this is no name.
    """
    if not name.isprintable() or not name or ":" in name or name != name.strip() or name.startswith("#"):
        raise ValueError("a name is printable, without a colon, a # at its beginning, or blanks around it")
    parts = [*map(str, _COSTS), b64encode(salt).decode(), b64encode(_hash(phrase, salt, *_COSTS)).decode()]
    return f"{name}:{'$'.join(['scrypt', *parts])}"


def admits(text: str, name: bytes, phrase: bytes) -> bool:
    """Whether a file with this text has the name, with this pass phrase. A name that is not there takes as long."""
    known: dict[bytes, str] = {}
    for each in text.splitlines():
        who, colon, hashed = each.strip().partition(":")
        if colon and not who.startswith("#"):
            known.setdefault(who.encode(), hashed)
    fits = _fits(known.get(name, _NOBODY), phrase)
    return fits and name in known


def _fits(hashed: str, phrase: bytes) -> bool:
    try:
        kind, n, r, p, salt, expected = hashed.split("$")
        if kind != "scrypt":
            return False
        return hmac.compare_digest(_hash(phrase, b64decode(salt), int(n), int(r), int(p)), b64decode(expected))
    except ValueError:
        return False  # not made by us


def _hash(phrase: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(phrase, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_HASH_OCTETS)
