"""What is signed, what is not, and that nobody can read the phrase back."""

from __future__ import annotations

import hmac
import pickle
from ipaddress import IPv6Address, ip_address

import pytest

from carptwist.wire.authentication import Address, Authenticator, is_link_local, padded_key

PHRASE = b"mekmitasdigoat"
COUNTER = 0x0123456789ABCDEF


def signed(*addresses: str, phrase: bytes = PHRASE, **options: object) -> bytes:
    return Authenticator(phrase, 1, map(ip_address, addresses), **options).sign(COUNTER)  # type: ignore[arg-type]


def plain(*packed: bytes) -> bytes:
    """The same digest, written down as the specification says it, without any preparation."""
    message = b"\x02\x01" + b"\x01" + b"".join(packed) + COUNTER.to_bytes(8, "big")
    return hmac.digest(PHRASE.ljust(20, b"\0"), message, "sha1")


def test_written_down_plainly() -> None:
    """Prepared states give what a whole HMAC gives: IPv4 before IPv6, each ascending."""
    four = [ip_address(text).packed for text in ("10.0.0.9", "192.0.2.1")]
    six = [ip_address(text).packed for text in ("2001:db8::1", "fe80::1")]
    assert signed("fe80::1", "192.0.2.1", "2001:db8::1", "10.0.0.9") == plain(*four, *six)


def test_each_once() -> None:
    """An address configured twice is signed once."""
    assert signed("10.0.0.1", "10.0.0.1", "2001:db8::1", "2001:db8:0::1") == signed("10.0.0.1", "2001:db8::1")


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"])
def test_never_signed(address: str) -> None:
    """Kernels look for the next address between nothing and all ones, and so never find these."""
    assert signed("10.0.0.1", address) == signed("10.0.0.1")


@pytest.mark.parametrize("address", ["fe80::1%em0", "fe80::1%3", "fe80:3::1"])
def test_scope(address: str) -> None:
    """A scope means something on one host only: neither its id nor the kernel's scope bits are signed."""
    assert signed(address) == signed("fe80::1")


def test_link_local_left_out() -> None:
    """OpenBSD signs without link-local addresses; fe80::/10 is what that is, and site-local ones are not."""
    both = ("2001:db8::1", "fec0::1", "fe80::1", "febf::1")
    assert signed(*both, link_local=False) == signed("2001:db8::1", "fec0::1")
    assert [is_link_local(ip_address(text).packed) for text in both] == [False, False, True, True]
    assert not is_link_local(ip_address("254.128.0.1").packed)


def test_prefix() -> None:
    """The MAC of a vhid that has not the virtual one goes before the vhid."""
    mac = bytes.fromhex("020000000001")
    message = b"\x02\x01" + mac + b"\x01" + bytes((10, 0, 0, 1)) + COUNTER.to_bytes(8, "big")
    assert signed("10.0.0.1", prefix=mac) == hmac.digest(PHRASE.ljust(20, b"\0"), message, "sha1")


def test_padding() -> None:
    """A phrase is padded with zeros to 20 octets; a longer one is refused without being repeated."""
    assert padded_key(b"a") == b"a" + bytes(19)
    assert signed("10.0.0.1", phrase=b"a" * 20) != signed("10.0.0.1", phrase=b"a" * 19)
    with pytest.raises(ValueError, match="21 octets") as caught:
        Authenticator(b"secret-secret-secret-", 1, [])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("vhid", [0, 256])
def test_vhid(vhid: int) -> None:
    """Nobody is vhid 0 or 256."""
    with pytest.raises(ValueError, match="vhid"):
        Authenticator(PHRASE, vhid, [])


def test_prefix_length() -> None:
    """A prefix is a MAC."""
    with pytest.raises(ValueError, match="prefix"):
        Authenticator(PHRASE, 1, [], prefix=bytes(5))


def test_secrecy() -> None:
    """The phrase is not in a repr, not in an attribute, and cannot be pickled away."""
    authenticator = Authenticator(PHRASE, 1, [ip_address("10.0.0.1")])
    assert repr(authenticator) == "<Authenticator of vhid 1>"
    for name in authenticator.__slots__:
        assert PHRASE.decode() not in repr(getattr(authenticator, name))
    with pytest.raises(TypeError):
        pickle.dumps(authenticator)


def test_signing_leaves_no_trace() -> None:
    """The prepared states are copied: the order of signing and verifying does not matter."""
    addresses: list[Address] = [IPv6Address("2001:db8::1")]
    authenticator = Authenticator(PHRASE, 1, addresses)
    first = authenticator.sign(1)
    assert not authenticator.verify(2, first)
    assert authenticator.verify(1, first)
    assert authenticator.sign(1) == first != authenticator.sign(2)
    assert not authenticator.verify(1, first[:19])
