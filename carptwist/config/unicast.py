"""Which peers and sources a virtual host may have.

``peer``, ``peer6`` and ``source`` name single hosts, without a prefix length: addresses that one host
has for itself. A shared address moves between hosts, and so can be none of them.

A thing is told by its key and its place among the values of that key, so that the reader finds its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import NamedTuple

HostAddress = IPv4Address | IPv6Address


class Fault(NamedTuple):
    """What is wrong with one value: the key, the place among its values from 0 on, and the reason."""

    key: str
    place: int
    reason: str


def peer4(text: str) -> IPv4Address:
    """The IPv4 address of a peer."""
    address = own_address(text)
    if not isinstance(address, IPv4Address):
        raise ValueError("an IPv6 address: its key is peer6")
    return address


def peer6(text: str) -> IPv6Address:
    """The IPv6 address of a peer."""
    address = own_address(text)
    if not isinstance(address, IPv6Address):
        raise ValueError("an IPv4 address: its key is peer")
    return address


def own_address(text: str) -> HostAddress:
    """An address that a single host has for itself, without a prefix length.

    :raises ValueError: it is none; with the reason.
    """
    if any(character in ", \t" for character in text):
        raise ValueError("one address: each further one has an indented line below to itself")
    if "/" in text:
        raise ValueError("a single host: leave out the / and what follows it")
    if "%" in text:
        raise ValueError("the interface stands in the section's name: leave out the % and what follows it")
    try:
        address: HostAddress = IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        raise ValueError("no IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::7") from None
    fault = host_fault(address)
    if fault is not None:
        raise ValueError(fault)
    return address


def host_fault(address: HostAddress) -> str | None:
    """Why no host on a LAN can have this address for itself, or None."""
    if address.is_unspecified:
        return "the unspecified address belongs to nobody"
    if address.is_loopback:
        return "a loopback address never leaves its host"
    if address.is_multicast:
        return "a multicast address names a group, no host"
    if address == IPv4Address("255.255.255.255"):
        return "the broadcast address belongs to everybody"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return f"an IPv4 address in IPv6 clothes: write {address.ipv4_mapped}"
    return None


def faults(
    shared: Sequence[IPv4Interface | IPv6Interface],
    peers: Sequence[IPv4Address],
    peers6: Sequence[IPv6Address],
    sources: Sequence[HostAddress],
) -> Iterator[Fault]:
    """What is wrong with the peers and sources of one virtual host, given what it shares."""
    addresses = {each.ip for each in shared}
    families = {each.version for each in shared}
    for key, values in (("peer", peers), ("peer6", peers6)):
        for place, address in enumerate(values):
            if address in addresses:
                yield Fault(key, place, "a shared address: a peer has an address of its own")
            elif address in values[:place]:
                yield Fault(key, place, "a second time")
    for place, address in enumerate(sources):
        if address in addresses:
            yield Fault("source", place, "a shared address: the source is an address of this host alone")
        elif address in peers or address in peers6:
            yield Fault("source", place, "an address of a peer: the source is an address of this host alone")
        elif any(earlier.version == address.version for earlier in sources[:place]):
            yield Fault("source", place, f"there is an IPv{address.version} source already: one for each family")
        elif address.version not in families:
            yield Fault("source", place, f"no IPv{address.version} address is shared: nothing would leave from it")
