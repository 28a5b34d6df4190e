"""Each type of value accepts what is documented, and says why it refuses anything else."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from carptwist.config import values
from carptwist.config.ranges import RANGES
from carptwist.config.schema import Phrase, PlaneKind


def refusal(parse: Callable[[str], object], text: str) -> str:
    with pytest.raises(ValueError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("texts", "value"), [("yes on true 1 YES On", True), ("no off false 0 NO Off", False)], ids=["on", "off"]
)
def test_switches_have_four_spellings(texts: str, value: bool) -> None:
    """yes, on, true, 1 and their opposites, in any case."""
    assert [values.switch(text) for text in texts.split()] == [value] * 6


@pytest.mark.parametrize("text", ["", "2", "y", "ja", "yes no"])
def test_nothing_else_is_a_switch(text: str) -> None:
    """A word that is neither is refused."""
    assert refusal(values.switch, text) == "must be yes or no"


@pytest.mark.parametrize("name", list(RANGES))
def test_numbers_are_within_their_range(name: str) -> None:
    """The ends of the range are in it, and what is next to them is not."""
    lowest, highest = RANGES[name]
    parse = values.number(name)
    assert (parse(str(lowest)), parse(str(highest)), parse(f"00{highest}")) == (lowest, highest, highest)
    for outside in (str(lowest - 1), str(highest + 1), "9" * 5000):
        assert refusal(parse, outside) == f"must be {lowest} to {highest}"


@pytest.mark.parametrize("text", ["", "1.5", "1_0", "0x10", "one", "1 2", "\u0661", "\u00b2"])
def test_numbers_are_written_in_decimal_digits(text: str) -> None:
    """What int() would take beyond digits and a sign is refused, and what it would not take as well."""
    assert refusal(values.number("advskew"), text) == "must be a whole number, 0 to 254"


def test_planes_have_names() -> None:
    """Each plane is known by its name, and the refusal of another names them all."""
    assert [values.plane(kind.value) for kind in PlaneKind] == list(PlaneKind)
    assert refusal(values.plane, "bridge") == "must be macvlan, interface, none or plugin"


def test_paths_that_must_mean_the_same_everywhere_begin_at_the_root() -> None:
    """A relative path is refused where it would depend on where the daemon was started."""
    assert values.absolute_path("/var/lib/x") == "/var/lib/x"
    assert "from the first slash on" in refusal(values.absolute_path, "var/lib/x")
    assert "zero octet" in refusal(values.absolute_path, "/var\0")


def test_socket_paths_fit_into_a_socket_address() -> None:
    """sun_path has 108 octets with the closing zero."""
    assert values.socket_path("/" + 106 * "x") == "/" + 106 * "x"
    assert refusal(values.socket_path, "/" + 107 * "x").startswith("108 octets")
    assert refusal(values.socket_path, "/" + 53 * "\u00e9" + "x").startswith("108 octets")


def test_phrases_are_counted_in_octets() -> None:
    """Twenty octets of UTF-8 fit, one more does not, however few characters they are."""
    assert values.phrase("a" * 20) == Phrase(b"a" * 20)
    assert values.phrase("\u00e9" * 10) == Phrase(b"\xc3\xa9" * 10)
    assert refusal(values.phrase, "\u00e9" * 10 + "a").startswith("21 octets")


@pytest.mark.parametrize("text", ["sec\0ret", "sec\rret", "secret\x7f", "secret\udc80", "secret" * 4])
def test_no_refusal_of_a_phrase_repeats_any_of_it(text: str) -> None:
    """Control characters, what cannot be encoded and what is too long are refused without a trace of the text."""
    reason = refusal(values.phrase, text)
    assert "sec" not in reason
    assert "ret" not in reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("192.168.1.1/24", IPv4Interface("192.168.1.1/24")),
        ("10.0.0.1/32", IPv4Interface("10.0.0.1/32")),
        ("10.0.0.0/31", IPv4Interface("10.0.0.0/31")),
        ("10.0.0.0/32", IPv4Interface("10.0.0.0/32")),
        ("169.254.0.1/16", IPv4Interface("169.254.0.1/16")),
        ("2001:db8:1::1/64", IPv6Interface("2001:db8:1::1/64")),
        ("2001:DB8:1:0::1/064", IPv6Interface("2001:db8:1::1/64")),
        ("2001:db8::/127", IPv6Interface("2001:db8::/127")),
        ("fe80::1/64", IPv6Interface("fe80::1/64")),
    ],
)
def test_addresses_have_their_prefix(text: str, value: IPv4Interface | IPv6Interface) -> None:
    """Every unicast address of a host is accepted; of a point-to-point network, both are hosts."""
    assert values.address(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.168.1.1", "write 192.168.1.1/24"),
        ("2001:db8::1", "write 2001:db8::1/64"),
        ("192.168.1.1/255.255.255.0", "write 192.168.1.1/24"),
        ("192.168.1.1/255.0.255.0", "must be 1 to 32"),
        ("192.168.1.1/0", "must be 1 to 32"),
        ("192.168.1.1/33", "must be 1 to 32"),
        ("2001:db8::1/129", "must be 1 to 128"),
        ("192.168.1.1/", "must be 1 to 32"),
        ("192.168.1.1/2\u0664", "must be 1 to 32"),
        ("192.168.1.1/24, 192.168.1.2/24", "one address"),
        ("192.168.1.1 24", "one address"),
        ("192.168.1.256/24", "no IPv4 or IPv6 address"),
        ("192.168.01.1/24", "no IPv4 or IPv6 address"),
        ("gateway/24", "no IPv4 or IPv6 address"),
        ("", "no IPv4 or IPv6 address"),
        ("fe80::1%em0/64", "leave out the %"),
        ("192.168.1.0/24", "the network 192.168.1.0/24 itself"),
        ("192.168.1.255/24", "the broadcast address of the network 192.168.1.0/24"),
        ("255.255.255.255/32", "belongs to everybody"),
        ("0.0.0.0/8", "unspecified"),
        ("127.0.0.1/8", "loopback"),
        ("224.0.0.18/24", "multicast"),
        ("2001:db8::/64", "anycast address of all routers"),
        ("::/64", "unspecified"),
        ("::1/128", "loopback"),
        ("ff02::12/64", "multicast"),
        ("::ffff:10.0.0.1/96", "write 10.0.0.1"),
    ],
)
def test_addresses_that_hosts_cannot_share_are_refused_with_the_reason(text: str, reason: str) -> None:
    """Each refusal says what is wrong with this address, and where it can be known, what to write instead."""
    assert reason in refusal(values.address, text)


@pytest.mark.parametrize(
    ("text", "port", "interface"),
    [
        ("ssl:8112", 8112, ""),
        ("ssl:port=8112:interface=192.0.2.2", 8112, "192.0.2.2"),
        ("ssl:8112:interface=2001\\:db8\\:\\:2", 8112, "2001:db8::2"),
    ],
)
def test_where_to_listen_for_tls(text: str, port: int, interface: str) -> None:
    """In the words of Twisted's endpoints; what is printed is understood again."""
    listen = values.tls(text)
    assert listen == (port, interface)
    assert values.tls(str(listen)) == listen


@pytest.mark.parametrize(
    "text", ["", "tcp:8112", "ssl", "ssl:", "ssl:0", "ssl:65536", "ssl:port=1:port=2", "ssl:1:2", "ssl:1:interface=em0"]
)
def test_where_nobody_can_listen(text: str) -> None:
    """Is refused with what would be right."""
    with pytest.raises(ValueError, match=r"ssl:port=NUMBER|address of this host"):
        values.tls(text)
