"""Which of an interface's addresses is sent from, and when none is."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface

import pytest

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import LinkState
from carptwist.vhost.sources import off_link, own_addresses, source_fault, source_for
from tests.vhost.fakes import UP

SHARED = (ip_interface("192.0.2.1/24"), ip_interface("2001:db8::1/64"))
OWN = ("192.0.2.2/24", "198.51.100.2/25", "2001:db8::2/64", "fe80::2/64", "2001:db8:1::2/64")


def interface(*addresses: str) -> LinkState:
    there = [ip_interface(address) for address in addresses]
    own4 = tuple(each.ip for each in there if each.version == 4)
    own6 = tuple(each.ip for each in there if each.version == 6)
    return replace(UP, own4=own4, own6=own6, networks=tuple(there))  # type: ignore[arg-type]


LINK = interface(*OWN)
CONFIG = VirtualHostConfig(1, "em0", SHARED)


def chosen(peer: str | None, family: int = 4, link: LinkState = LINK, config: VirtualHostConfig = CONFIG) -> str:
    shared = [address.ip for address in config.addresses]
    found = source_for(config, own_addresses(link, family, shared), link, ip_address(peer) if peer else None)
    return str(found)


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (None, "192.0.2.2"),
        ("192.0.2.7", "192.0.2.2"),
        ("198.51.100.7", "198.51.100.2"),
        # On no network of ours: the primary address.
        ("198.51.100.200", "192.0.2.2"),
    ],
)
def test_ipv4(peer: str | None, source: str) -> None:
    """The own address on whose network the peer is, else the primary one."""
    assert chosen(peer) == source


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (None, "fe80::2"),
        ("fe80::7", "fe80::2"),
        ("2001:db8::7", "2001:db8::2"),
        ("2001:db8:1::7", "2001:db8:1::2"),
        # On no network of ours: still none that is link-local.
        ("2001:db8:9::7", "2001:db8::2"),
    ],
)
def test_ipv6(peer: str | None, source: str) -> None:
    """To the group and to link-local peers a link-local one."""
    assert chosen(peer, 6) == source


def test_the_only_one_there_is() -> None:
    """Is taken, whatever its scope."""
    assert chosen("2001:db8::7", 6, interface("fe80::2/64")) == "fe80::2"
    assert chosen("fe80::7", 6, interface("2001:db8::2/64")) == "2001:db8::2"


def test_a_shared_address_is_none_of_them() -> None:
    """Even alone, and in front."""
    assert chosen("192.0.2.7", 4, interface("192.0.2.1/24")) == "None"
    assert chosen("192.0.2.7", 4, interface("192.0.2.1/24", "192.0.2.2/24")) == "192.0.2.2"


def test_what_is_configured_is_taken_or_nothing() -> None:
    """Not the nearest one in its place."""
    config = replace(CONFIG, sources=(ip_address("198.51.100.2"), ip_address("2001:db8:1::2")))  # type: ignore[arg-type]
    assert chosen("192.0.2.7", 4, LINK, config) == "198.51.100.2"
    assert chosen(None, 6, LINK, config) == "2001:db8:1::2"
    assert chosen("192.0.2.7", 4, interface("192.0.2.2/24"), config) == "None"


def test_faults() -> None:
    """A source that is missing; peers, and nothing to send from; nothing is demanded for the group."""
    shared = [address.ip for address in SHARED]
    bare = interface("192.0.2.1/24", "fe80::2/64")
    with_source = replace(CONFIG, sources=(ip_address("2001:db8::2"),))  # type: ignore[arg-type]
    with_peer = replace(CONFIG, peers=(ip_address("192.0.2.7"),))  # type: ignore[arg-type]
    assert source_fault(CONFIG, bare, shared) is None
    assert source_fault(with_source, LINK, shared) is None
    assert source_fault(with_source, bare, shared) == "no source address 2001:db8::2 on em0"
    assert source_fault(with_peer, LINK, shared) is None
    assert source_fault(with_peer, bare, shared) == "no own IPv4 address on em0"
    # Of a family that is not shared nothing is sent.
    only6 = VirtualHostConfig(1, "em0", SHARED[1:], peers=with_peer.peers)
    assert source_fault(only6, bare, shared) is None


def test_peers_off_the_link() -> None:
    """Those on no network of the interface; a link-local one is always on it."""
    peers = tuple(map(ip_address, ("192.0.2.7", "198.51.100.200")))
    peers6 = tuple(map(ip_address, ("fe80::7", "2001:db8::7", "2001:db8:9::7")))
    config = replace(CONFIG, peers=peers, peers6=peers6)  # type: ignore[arg-type]
    assert [str(peer) for peer in off_link(config, LINK)] == ["198.51.100.200", "2001:db8:9::7"]
