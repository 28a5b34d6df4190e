"""Peers and sources are single hosts, of the right family, and never what is shared."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import pytest

from carptwist.config.schema import VirtualHostConfig
from tests.config.test_reader import errors, reading, warnings

HOST = "[vhid 1@em0]\naddress = 192.168.1.1/24\n          2001:db8::1/64\npass = secret\n"
SHARED = (ip_interface("192.168.1.1/24"), ip_interface("2001:db8::1/64"))


def told(line: str) -> list[str]:
    """The errors of one more line of [vhid 1@em0], without its number and the section."""
    return [error.removeprefix("5: [vhid 1@em0] ") for error in errors(HOST + line + "\n")]


def test_peers_and_sources_arrive() -> None:
    """Several of each family, in their order; and are told by family."""
    text = (
        HOST
        + "peer = 192.168.1.3\n       10.0.0.4\npeer6 = 2001:db8::3\n        fe80::4\nsource = 192.168.1.2\n fe80::2\n"
    )
    (host,) = reading(text).configuration.vhids
    assert host.peers_of(4) == (ip_address("192.168.1.3"), ip_address("10.0.0.4"))
    assert host.peers_of(6) == (ip_address("2001:db8::3"), ip_address("fe80::4"))
    assert (host.source_of(4), host.source_of(6)) == (ip_address("192.168.1.2"), ip_address("fe80::2"))


def test_without_peers_there_are_none() -> None:
    """Both families go to the multicast group, from whatever is there."""
    (host,) = reading(HOST).configuration.vhids
    assert (host.peers_of(4), host.peers_of(6), host.source_of(4), host.source_of(6)) == ((), (), None, None)


@pytest.mark.parametrize("key", ["peer", "source"])
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0", "the unspecified address belongs to nobody"),
        ("127.0.0.1", "a loopback address never leaves its host"),
        ("224.0.0.18", "a multicast address names a group, no host"),
        ("255.255.255.255", "the broadcast address belongs to everybody"),
        ("192.168.1.3/24", "a single host: leave out the / and what follows it"),
        ("192.168.1", "no IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::7"),
        ("192.168.1.3 192.168.1.4", "one address: each further one has an indented line below to itself"),
    ],
)
def test_what_no_host_has_is_refused(key: str, address: str, reason: str) -> None:
    """Of IPv4."""
    assert told(f"{key} = {address}") == [f"{key} = {address}: {reason}"]


@pytest.mark.parametrize("key", ["peer6", "source"])
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("::", "the unspecified address belongs to nobody"),
        ("::1", "a loopback address never leaves its host"),
        ("ff02::12", "a multicast address names a group, no host"),
        ("::ffff:192.168.1.3", "an IPv4 address in IPv6 clothes: write 192.168.1.3"),
        ("fe80::3%em0", "the interface stands in the section's name: leave out the % and what follows it"),
    ],
)
def test_what_no_host_has_is_refused_of_ipv6(key: str, address: str, reason: str) -> None:
    """As of IPv4."""
    assert told(f"{key} = {address}") == [f"{key} = {address}: {reason}"]


def test_each_family_has_its_key() -> None:
    """The right one is named."""
    assert told("peer = 2001:db8::3") == ["peer = 2001:db8::3: an IPv6 address: its key is peer6"]
    assert told("peer6 = 192.168.1.3") == ["peer6 = 192.168.1.3: an IPv4 address: its key is peer"]


def test_a_shared_address_is_nobodys_own() -> None:
    """Of this section or of another."""
    assert told("peer = 192.168.1.1") == ["peer = 192.168.1.1: a shared address: a peer has an address of its own"]
    assert told("peer6 = 2001:db8::1") == ["peer6 = 2001:db8::1: a shared address: a peer has an address of its own"]
    assert told("source = 192.168.1.1") == [
        "source = 192.168.1.1: a shared address: the source is an address of this host alone"
    ]
    other = "[vhid 2@em0]\naddress = 192.168.1.9/24\n          fe80::9/64\npass = secret\n"
    text = HOST + "peer = 192.168.1.9\npeer6 = fe80::9\nsource = 192.168.1.9\n" + other
    assert errors(text) == [
        "5: [vhid 1@em0] peer = 192.168.1.9: a shared address, of [vhid 2@em0]",
        "6: [vhid 1@em0] peer6 = fe80::9: a shared address, of [vhid 2@em0]",
        # What is a peer's is told first.
        "7: [vhid 1@em0] source = 192.168.1.9: an address of a peer: the source is an address of this host alone",
        "7: [vhid 1@em0] source = 192.168.1.9: a shared address, of [vhid 2@em0]",
    ]
    assert reading(HOST + "peer6 = fe80::9\n" + other.replace("2@em0", "2@em1")).configuration.vhids


def test_a_peer_is_there_once_and_is_not_the_source() -> None:
    """Told at the later line."""
    assert errors(HOST + "peer = 192.168.1.3\n 192.168.1.4\n 192.168.1.3\n") == [
        "7: [vhid 1@em0] peer = 192.168.1.3: a second time"
    ]
    assert errors(HOST + "peer6 = fe80::3\nsource = fe80::3\n") == [
        "6: [vhid 1@em0] source = fe80::3: an address of a peer: the source is an address of this host alone"
    ]


def test_one_source_of_each_family_that_is_shared() -> None:
    """A second one, or one that nothing would leave from, is refused."""
    assert errors(HOST + "source = 192.168.1.2\n fe80::2\n 192.168.1.22\n") == [
        "7: [vhid 1@em0] source = 192.168.1.22: there is an IPv4 source already: one for each family"
    ]
    only4 = HOST.replace("          2001:db8::1/64\n", "")
    assert errors(only4 + "source = fe80::2\n") == [
        "4: [vhid 1@em0] source = fe80::2: no IPv6 address is shared: nothing would leave from it"
    ]


def test_peers_of_a_family_that_is_not_shared_are_warned_about() -> None:
    """They do no harm."""
    only6 = HOST.replace("192.168.1.1/24\n          ", "")
    assert warnings(only6 + "peer = 192.168.1.3\n") == [
        "4: [vhid 1@em0] peer: no IPv4 address is shared: nothing is sent to it"
    ]


def test_peers_that_run_ucarp_are_warned_about() -> None:
    """It hears the group alone."""
    only4 = HOST.replace("          2001:db8::1/64\n", "")
    assert warnings(only4 + "dialect = ucarp\npeer = 192.168.1.3\n") == [
        "5: [vhid 1@em0] peer: ucarp does not hear what is not sent to the group"
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"peers": (ip_address("224.0.0.18"),)}, "peer = 224.0.0.18: a multicast address"),
        ({"peers6": (ip_address("::1"),)}, "peer6 = ::1: a loopback address"),
        ({"sources": (ip_address("192.168.1.1"),)}, "source: a shared address"),
        ({"peers": (ip_address("192.168.1.3"),) * 2}, "peer: a second time"),
    ],
)
def test_a_program_that_builds_one_by_hand_is_told_as_well(fields: dict[str, tuple[object, ...]], reason: str) -> None:
    """By a ValueError that names the field."""
    with pytest.raises(ValueError, match=reason):
        VirtualHostConfig(1, "em0", SHARED, **fields)  # type: ignore[arg-type]
