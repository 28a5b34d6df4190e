"""What the sections of one configuration must not be to one another.

Every virtual host is itself. Every shared address belongs to one of them, unless the clients of its network are divided
among several virtual hosts of one interface (arpbalance, ndbalance), and to no single host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from carptwist.config.schema import AddressWithPrefix, Knobs, PlaneKind
from carptwist.config.unicast import HostAddress


class VirtualHostLines(NamedTuple):
    """One ``[vhid N@IF]`` section: what could be understood of it, and on which lines it stands.

    ``hosts`` are the addresses of single hosts: peers and sources, each with its line and key.
    """

    line: int
    label: str
    vhid: int | None
    interface: str | None
    addresses: tuple[tuple[int, AddressWithPrefix], ...]
    hosts: tuple[tuple[int, str, HostAddress], ...] = ()
    plane: tuple[int, PlaneKind] | None = None


def conflicts(hosts: Sequence[VirtualHostLines], knobs: Knobs) -> Iterator[tuple[int, str]]:
    """The line and the text of every error that takes two lines to make."""
    yield from _twice_on_one_interface(hosts)
    yield from _shared_twice(hosts, knobs)
    yield from _hosts_that_are_shared(hosts)


def _twice_on_one_interface(hosts: Iterable[VirtualHostLines]) -> Iterator[tuple[int, str]]:
    first_lines: dict[tuple[int, str], int] = {}
    for host in hosts:
        if host.vhid is None or host.interface is None:
            continue
        who = (host.vhid, host.interface)
        if who in first_lines:
            yield (
                host.line,
                f"{host.label} a second time: vhid {host.vhid} of {host.interface} is on line {first_lines[who]}",
            )
        first_lines.setdefault(who, host.line)


def _shared_twice(hosts: Sequence[VirtualHostLines], knobs: Knobs) -> Iterator[tuple[int, str]]:
    owners: dict[tuple[IPv4Address | IPv6Address, str | None], tuple[int, VirtualHostLines]] = {}
    balanced: dict[IPv4Address | IPv6Address, str] = {}
    for host in hosts:
        own: dict[IPv4Address | IPv6Address, int] = {}
        for line, address in host.addresses:
            # A link-local address is one of its link: each interface has its own fe80::1.
            what = (address.ip, host.interface if _is_of_a_link(address) else None)
            first_line, owner = owners.setdefault(what, (line, host))
            if address.ip in own:
                yield line, f"{host.label} address = {address}: a second time, after line {own[address.ip]}"
            elif owner is not host:
                remedy = why_not_balanced(address.ip, owner.interface, host.interface, knobs)
                if remedy is None:
                    balanced[address.ip] = knob_of(address.ip)
                else:
                    place = f"{owner.label} already, on line {first_line}"
                    text = f"belongs to {place}: an address has one virtual host{remedy}"
                    yield line, f"{host.label} address = {address}: {text}"
            own.setdefault(address.ip, line)
    yield from _without_virtual_mac(hosts, balanced)


def why_not_balanced(
    address: IPv4Address | IPv6Address, interface: str | None, other: str | None, knobs: Knobs
) -> str | None:
    """Whether virtual hosts of these interfaces may both have an address: what to add to the refusal, or None."""
    if interface is None or interface != other:
        return ""
    if address.version == 6 and address.is_link_local:
        return "; a link-local one cannot be balanced"
    if getattr(knobs, knob_of(address)):
        return None
    return f", unless {knob_of(address)} = yes divides its clients among several of one interface"


def _without_virtual_mac(
    hosts: Iterable[VirtualHostLines], balanced: dict[IPv4Address | IPv6Address, str]
) -> Iterator[tuple[int, str]]:
    """The clients are divided by virtual MAC: a plane without one has no part in that."""
    for host in hosts:
        if host.plane is None or host.plane[1] not in (PlaneKind.INTERFACE, PlaneKind.PLUGIN):
            continue
        for _, address in host.addresses:
            if address.ip in balanced:
                text = f"{balanced[address.ip]} divides the clients of {address.ip} among virtual MACs: macvlan or none"
                yield host.plane[0], f"{host.label} plane = {host.plane[1].value}: {text}"
                break


def _hosts_that_are_shared(hosts: Iterable[VirtualHostLines]) -> Iterator[tuple[int, str]]:
    """The peers and sources that are a shared address of another section; its own ones are found without this."""
    owners = {
        (address.ip, host.interface if _is_of_a_link(address) else None): host
        for host in hosts
        for _, address in host.addresses
    }
    for host in hosts:
        for line, key, address in host.hosts:
            scope = host.interface if address.is_link_local and address.version == 6 else None
            owner = owners.get((address, scope), host)
            if owner is not host and address not in [own.ip for _, own in host.addresses]:
                yield line, f"{host.label} {key} = {address}: a shared address, of {owner.label}"


def knob_of(address: IPv4Address | IPv6Address) -> str:
    """The host-wide setting by which the clients of an address may be divided."""
    return "arpbalance" if address.version == 4 else "ndbalance"


def _is_of_a_link(address: AddressWithPrefix) -> bool:
    return address.version == 6 and address.ip.is_link_local
