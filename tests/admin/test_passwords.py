"""Names and pass phrases: who is let in."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest

from carptwist.admin.passwords import admits, line

SALT = bytes(range(16))
ANNA = line("anna", b"correct horse", SALT)


def test_the_right_phrase_of_a_known_name() -> None:
    """And nothing else."""
    text = f"# who may come\n\n{ANNA}\n{line('ben', b'another', SALT)}\n"
    assert admits(text, b"anna", b"correct horse")
    assert admits(text, b"ben", b"another")
    for name, phrase in [
        (b"anna", b"another"),
        (b"anna", b""),
        (b"ben", b"correct horse"),
        (b"nobody", b"correct horse"),
        (b"", b""),
        (b"# who may come", b""),
        (b"\xff", b"x"),
    ]:
        assert not admits(text, name, phrase)


def test_the_hash_is_what_it_says() -> None:
    """scrypt of RFC 7914, by the standard library; the phrase is nowhere in the line."""
    expected = hashlib.scrypt(b"correct horse", salt=SALT, n=16384, r=8, p=1, maxmem=64 << 20, dklen=32)
    assert f"anna:scrypt$16384$8$1${b64encode(SALT).decode()}${b64encode(expected).decode()}" == ANNA


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "correct horse",
        "$6$salt$hash",
        "x",
        "*",
        "scrypt$16384$8$1$AA==",
        "scrypt$16384$8$1$!$!",
        "scrypt$3$8$1$AA==$AA==",
        "scrypt$1099511627776$8$1$AA==$AA==",
        "md5$16384$8$1$AA==$AA==",
        "scrypt$a$8$1$AA==$AA==",
    ],
)
def test_what_is_no_hash_of_ours_lets_nobody_in(hashed: str) -> None:
    """Nor does it cost more than one that is."""
    assert not admits(f"anna:{hashed}\n", b"anna", b"correct horse")


def test_the_first_line_of_a_name_counts() -> None:
    """A second one is no back door."""
    assert not admits(f"{ANNA}\n{line('anna', b'second', SALT)}\n", b"anna", b"second")


@pytest.mark.parametrize("name", ["", " anna", "an:na", "#anna", "an\nna"])
def test_what_is_no_name(name: str) -> None:
    """It could not be found again."""
    with pytest.raises(ValueError, match="a name is printable"):
        line(name, b"x", SALT)
