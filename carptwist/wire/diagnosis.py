"""Why a digest is wrong: the likeliest mistake that would have made it.

A digest says nothing but right or wrong, and "wrong" keeps people awake: one host cuts the phrase,
another has an address more. But what it covers can be guessed. Each guess here is one that kernels,
other implementations or people are known to make; it is tried by signing like the peer would have,
and named if that gives the peer's digest. What is left can only be the phrase, or more than one
thing at once. Two guesses, one about the phrase and one about the addresses, are tried together.

A text names addresses, never a phrase or a part of one. Trying all takes about 2 us per guess, and there are
some four per address and phrase: callers that log it do so at a limited rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha1
from hmac import compare_digest, digest
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import NamedTuple

from .authentication import KEY_LENGTH, Address, covered, padded_key, signed_addresses
from .carp import Advertisement

#: ifconfig(8) of FreeBSD, OpenBSD and NetBSD keeps so many octets of a phrase.
IFCONFIG_KEEPS = KEY_LENGTH - 1

RIGHT = "its digest is right"
UNKNOWN = "its pass phrase differs, or more than one of its addresses does"


class _Guess(NamedTuple):
    """``what`` would have been signed (a key, or packed addresses), and how to say so."""

    text: str
    what: bytes


def likeliest_cause(
    advertisement: Advertisement,
    phrases: Sequence[bytes],
    addresses: Iterable[Address],
    *,
    host_addresses: Iterable[Address] = (),
    source_mac: bytes = b"",
    elsewhere: Mapping[str, Sequence[bytes]] = MappingProxyType({}),
) -> str:
    """Why the digest of an advertisement is not ours, as a phrase about its sender ("it signs …").

    ``phrases`` and ``addresses`` are those of the vhid, the addresses in configured order;
    ``host_addresses`` are the sender's and the host's own, and ``source_mac`` is where the frame came from, if known.
    ``elsewhere`` are the phrases of other vhids by their names: they are tried with the right addresses alone.

    :raises ValueError: a phrase is longer than 20 octets, or the advertisement's vhid is not 1 to 255.
    """
    shared = tuple(addresses)
    keys = list(_keys(phrases))
    lists = list(_address_lists(shared, tuple(host_addresses)))
    headers = [("", b"")]
    if source_mac:
        headers.append(("it signs its MAC address, as OpenBSD does with one of its own", source_mac))
    counter = advertisement.counter.to_bytes(8, "big")
    for mistakes in range(3):
        for prefix_text, prefix in headers:
            start = covered(advertisement.vhid, (), prefix=prefix)
            for key_text, key in keys:
                for list_text, packed in lists:
                    texts = [text for text in (key_text, list_text, prefix_text) if text]
                    if len(texts) != mistakes:
                        continue
                    if compare_digest(digest(key, start + packed + counter, sha1), advertisement.digest):
                        return " and ".join(texts) or RIGHT
    message = covered(advertisement.vhid, ()) + lists[0].what + counter
    for name, others in elsewhere.items():
        if any(compare_digest(digest(padded_key(each), message, sha1), advertisement.digest) for each in others):
            return f"it signs with the pass phrase of {name}"
    return UNKNOWN


def _keys(phrases: Sequence[bytes]) -> Iterator[_Guess]:
    for phrase in phrases:
        yield _Guess("", padded_key(phrase))
        if len(phrase) > IFCONFIG_KEEPS:
            yield _Guess(
                f"its pass phrase is cut to {IFCONFIG_KEEPS} characters, as ifconfig(8) does",
                padded_key(phrase[:IFCONFIG_KEEPS]),
            )
        # What a file or a form adds, where ours or theirs does not take it off.
        for ending in (b"\n", b"\r\n", b" "):
            if phrase and len(phrase + ending) <= KEY_LENGTH:
                yield _Guess("its pass phrase ends in a line break or a blank", padded_key(phrase + ending))
        if phrase.strip() != phrase:
            yield _Guess("its pass phrase lacks the blanks around ours", padded_key(phrase.strip()))
    yield _Guess("it has no pass phrase", padded_key(b""))


def _address_lists(shared: Sequence[Address], own: Sequence[Address]) -> Iterator[_Guess]:
    """What could have been signed instead of ``shared``, the least surprising first."""
    yield _listed("", shared)
    for left_out in shared:
        without = [address for address in shared if address != left_out]
        yield _listed(f"it signs without {_plain(left_out)}", without)
    for added in own:
        yield _listed(f"it signs with {_plain(added)} as well", [*shared, added])
    link_local_left_out = b"".join(signed_addresses(shared, link_local=False))
    yield _Guess("it signs without link-local addresses, as OpenBSD does", link_local_left_out)
    for alone in shared:
        text = f"it signs {_plain(alone)} alone"
        yield _listed(f"{text}, as ucarp does" if alone.version == 4 else text, [alone])
    four: list[Address] = [address for address in shared if address.version == 4]
    six: list[Address] = [address for address in shared if address.version == 6]
    yield _listed("it signs its IPv4 addresses alone", four)
    yield _listed("it signs its IPv6 addresses alone", six)
    for order in (1, -1):
        unsorted = b"".join(_listed("", [address]).what for address in [*four[::order], *six[::order]])
        yield _Guess("it signs its addresses unsorted, as kernels of 2005 did", unsorted)
    yield _listed("it signs no address", ())


def _listed(text: str, addresses: Iterable[Address]) -> _Guess:
    return _Guess(text, b"".join(signed_addresses(addresses)))


def _plain(address: IPv4Address | IPv6Address) -> str:
    """The address without the scope id that only means something on this host."""
    return str(address).partition("%")[0]
