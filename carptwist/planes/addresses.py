"""Putting addresses on a device, taking them off, and finding those that somebody else has put somewhere."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from pyroute2 import IPRoute, NetlinkError

from carptwist.config.schema import AddressWithPrefix
from carptwist.planes import PlaneError
from carptwist.planes.marks import PROTOCOL

# linux/if_addr.h
_IFA_F_NODAD = 0x02
_IFA_F_NOPREFIXROUTE = 0x200


class Placed(NamedTuple):
    """An address somewhere on this host. ``ours``: it bears our mark."""

    device: int
    address: IPv4Address | IPv6Address
    prefix_length: int
    ours: bool


def placed(route: IPRoute) -> list[Placed]:
    """All addresses of this host."""
    return [
        Placed(
            message["index"],
            ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")),
            message["prefixlen"],
            message.get_attr("IFA_PROTO") == PROTOCOL,
        )
        for message in route.get_addr()
    ]


def refuse_foreign(route: IPRoute, there: Iterable[Placed], wanted: Iterable[AddressWithPrefix], mine: int) -> None:
    """Somebody else's address is not ours to share.

    :param mine: the device on which ours are.
    :raises PlaneError: a wanted address is on this host already, by another hand.
    """
    shared = {address.ip for address in wanted}
    for place in there:
        # A link-local address is another one on each link.
        if place.address in shared and place.device != mine and not place.address.is_link_local:
            (link,) = route.get_links(place.device)
            name = link.get_attr("IFLA_IFNAME")
            raise PlaneError(
                f"{place.address} is on {name} of this host already: a shared address must not be configured "
                f"elsewhere: ip address del {place.address}/{place.prefix_length} dev {name}"
            )


def add(route: IPRoute, device: int, address: AddressWithPrefix) -> None:
    """Put an address on a device, without duplicate address detection and without a route of the kernel's."""
    route.addr(
        "add",
        index=device,
        address=str(address.ip),
        prefixlen=address.network.prefixlen,
        flags=_IFA_F_NODAD | _IFA_F_NOPREFIXROUTE,
        proto=PROTOCOL,
    )


def delete(route: IPRoute, device: int, address: IPv4Address | IPv6Address, prefix_length: int) -> None:
    """Take an address off a device; nothing happens where it is not there."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        route.addr("del", index=device, family=family, address=str(address), prefixlen=prefix_length)
    except NetlinkError as error:
        if error.code != errno.EADDRNOTAVAIL:
            raise


def converge(
    route: IPRoute, device: int, there: Iterable[Placed], wanted: Iterable[AddressWithPrefix], is_up: bool
) -> tuple[AddressWithPrefix, ...]:
    """Make a device of ours carry the wanted addresses and no others; gives those that must wait until it is up.

    An IPv6 address that is put on a device which is down is local to the host for good: the route that says so can be
    removed, but does not come back with "link up". Once it has been there in an "up" it comes and goes with the link.
    """
    have = {(place.address, place.prefix_length) for place in there if place.device == device}
    want = {(address.ip, address.network.prefixlen): address for address in wanted}
    for address, prefix_length in have - want.keys():
        delete(route, device, address, prefix_length)
    missing = [address for key, address in want.items() if key not in have]
    late = tuple(address for address in missing if address.version == 6 and not is_up)
    for address_with_prefix in missing:
        if address_with_prefix not in late:
            add(route, device, address_with_prefix)
    return late
