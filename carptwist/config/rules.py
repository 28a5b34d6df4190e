"""What the sections of one configuration must not be to one another.

Every virtual host is itself; every shared address belongs to one of them, and to no single host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from carptwist.config.schema import AddressWithPrefix
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


def conflicts(hosts: Sequence[VirtualHostLines]) -> Iterator[tuple[int, str]]:
    """The line and the text of every error that takes two lines to make."""
    yield from _twice_on_one_interface(hosts)
    yield from _shared_twice(hosts)
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


def _shared_twice(hosts: Iterable[VirtualHostLines]) -> Iterator[tuple[int, str]]:
    owners: dict[tuple[IPv4Address | IPv6Address, str | None], tuple[int, VirtualHostLines]] = {}
    for host in hosts:
        for line, address in host.addresses:
            # A link-local address is one of its link: each interface has its own fe80::1.
            what = (address.ip, host.interface if address.ip.is_link_local and address.version == 6 else None)
            if what not in owners:
                owners[what] = (line, host)
                continue
            first_line, owner = owners[what]
            if owner is host:
                reason = f"a second time, after line {first_line}"
            else:
                reason = f"belongs to {owner.label} already, on line {first_line}: an address has one virtual host"
            yield line, f"{host.label} address = {address}: {reason}"


def _hosts_that_are_shared(hosts: Iterable[VirtualHostLines]) -> Iterator[tuple[int, str]]:
    """The peers and sources that are a shared address of another section; its own ones are found without this."""
    owners = {
        (address.ip, host.interface if address.ip.is_link_local and address.version == 6 else None): host
        for host in hosts
        for _, address in host.addresses
    }
    for host in hosts:
        for line, key, address in host.hosts:
            scope = host.interface if address.is_link_local and address.version == 6 else None
            owner = owners.get((address, scope), host)
            if owner is not host:
                yield line, f"{host.label} {key} = {address}: a shared address, of {owner.label}"
