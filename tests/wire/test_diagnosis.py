"""Each mistake that is known to be made is named, and no text ever holds a phrase."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

import pytest

from carptwist.wire.authentication import Address, Authenticator
from carptwist.wire.carp import Advertisement
from carptwist.wire.diagnosis import RIGHT, UNKNOWN, likeliest_cause

LONG = b"ABCDEFGHIJKLMNOPQRST"
SHORT = b"mekmitasdigoat"
COUNTER = 0x1122334455667788
MAC = bytes.fromhex("020000000009")


def of(*texts: str) -> list[Address]:
    return [ip_address(text) for text in texts]


OURS = of("192.0.2.10", "192.0.2.1", "2001:db8::1", "fe80::1%em0")
FOUR = of("192.0.2.10", "192.0.2.1")


def heard(digest: bytes) -> Advertisement:
    return Advertisement(1, 0, 1, 0, COUNTER, digest)


def signed(phrase: bytes, addresses: list[Address], *, link_local: bool = True, prefix: bytes = b"") -> Advertisement:
    return heard(Authenticator(phrase, 1, addresses, link_local=link_local, prefix=prefix).sign(COUNTER))


def unsorted(phrase: bytes, addresses: list[Address]) -> Advertisement:
    """As a kernel of 2005 signs: IPv4 first, in the order of its list."""
    message = b"\x02\x01\x01" + b"".join(address.packed for address in addresses) + COUNTER.to_bytes(8, "big")
    return heard(hmac.digest(phrase.ljust(20, b"\0"), message, "sha1"))


@pytest.mark.parametrize(
    ("advertisement", "addresses", "text"),
    [
        (signed(LONG, OURS), OURS, RIGHT),
        (signed(LONG[:19], OURS), OURS, "its pass phrase is cut to 19 characters, as ifconfig(8) does"),
        (signed(SHORT + b"\n", OURS), OURS, "its pass phrase ends in a line break or a blank"),
        (signed(SHORT + b"\r\n", OURS), OURS, "its pass phrase ends in a line break or a blank"),
        (signed(b"hush", OURS), OURS, "its pass phrase lacks the blanks around ours"),
        (signed(b"", OURS), OURS, "it has no pass phrase"),
        (signed(SHORT, of("192.0.2.1", "2001:db8::1", "fe80::1")), OURS, "it signs without 192.0.2.10"),
        (signed(SHORT, of("192.0.2.1", "192.0.2.10", "2001:db8::1")), OURS, "it signs without fe80::1"),
        (signed(SHORT, OURS + of("192.0.2.2")), OURS, "it signs with 192.0.2.2 as well"),
        (
            signed(SHORT, OURS + of("fe80::3"), link_local=False),
            OURS + of("fe80::2"),
            "it signs without link-local addresses, as OpenBSD does",
        ),
        (signed(SHORT, of("192.0.2.1")), OURS, "it signs 192.0.2.1 alone, as ucarp does"),
        (signed(SHORT, of("2001:db8::1")), OURS, "it signs 2001:db8::1 alone"),
        (signed(SHORT, FOUR), OURS, "it signs its IPv4 addresses alone"),
        (signed(SHORT, OURS[2:]), OURS, "it signs its IPv6 addresses alone"),
        (unsorted(SHORT, FOUR), FOUR, "it signs its addresses unsorted, as kernels of 2005 did"),
        (
            unsorted(SHORT, of("192.0.2.10", "192.0.2.30", "192.0.2.20")),
            of("192.0.2.20", "192.0.2.30", "192.0.2.10"),
            "it signs its addresses unsorted, as kernels of 2005 did",
        ),
        (signed(SHORT, []), OURS, "it signs no address"),
        (
            signed(SHORT, OURS, prefix=MAC),
            OURS,
            "it signs its MAC address, as OpenBSD does with one of its own",
        ),
        (
            signed(LONG[:19], of("192.0.2.1", "2001:db8::1", "fe80::1")),
            OURS,
            "its pass phrase is cut to 19 characters, as ifconfig(8) does and it signs without 192.0.2.10",
        ),
        (signed(b"another", OURS), OURS, UNKNOWN),
        (signed(SHORT, of("192.0.2.99")), OURS, UNKNOWN),
        # Three things at once are not guessed at.
        (signed(LONG[:19], of("192.0.2.1"), prefix=MAC), OURS, UNKNOWN),
    ],
)
def test_causes(advertisement: Advertisement, addresses: list[Address], text: str) -> None:
    """What the peer did is told from its digest, with any one of our phrases."""
    said = likeliest_cause(
        advertisement,
        [SHORT, LONG, b" hush "],
        addresses,
        host_addresses=of("192.0.2.2", "2001:db8::2"),
        source_mac=MAC,
    )
    assert said == text
    for phrase in (SHORT, LONG, b"hush"):
        assert phrase.decode() not in said


def test_one_mistake_before_two() -> None:
    """A single mistake explains better than two, wherever they stand in the order of guesses."""
    # Without 192.0.2.2 and with an empty phrase, or alone: the same list of one.
    said = likeliest_cause(signed(SHORT, FOUR[:1]), [SHORT], FOUR)
    assert said == "it signs without 192.0.2.1"


def test_without_anything_to_go_by() -> None:
    """Neither phrases nor addresses nor a MAC: no guess is right, and nothing breaks."""
    assert likeliest_cause(signed(SHORT, FOUR), [], []) == UNKNOWN
    assert likeliest_cause(signed(b"", FOUR), [b""], FOUR) == RIGHT


def test_the_phrase_of_another_vhid() -> None:
    """Phrases that were taken for one another are told by the name of the vhid, unless the vhid's own explain it."""
    elsewhere = {"2@em0": [b"another", b"rotated"], "3@em0": [b""]}
    for phrase, text in (
        (b"another", "it signs with the pass phrase of 2@em0"),
        (b"rotated", "it signs with the pass phrase of 2@em0"),
        (b"", "it has no pass phrase"),
        (SHORT, RIGHT),
        (b"unheard of", UNKNOWN),
    ):
        said = likeliest_cause(signed(phrase, FOUR), [SHORT], FOUR, elsewhere=elsewhere)
        assert said == text
