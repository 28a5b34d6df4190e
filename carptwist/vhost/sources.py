"""Which of an interface's addresses advertisements leave from.

Never a shared one: it would tie the address to a host. In this order:

1. ``source`` of the configuration, and nothing else in its place;
2. to a peer, the own address on whose network the peer is, then one that is link-local if the peer is;
3. over IPv6 a link-local address, since it is there for as long as the interface is; else the primary one.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from ipaddress import IPv4Address, IPv6Address

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import LinkState

Address = IPv4Address | IPv6Address


def own_addresses(link: LinkState, family: int, shared: Set[Address]) -> list[Address]:
    """The addresses of a family that an interface has for itself, the one that others are told of first."""
    there: tuple[Address, ...] = link.own4 if family == 4 else link.own6
    return sorted(
        (each for each in there if each not in shared), key=lambda each: family == 6 and not each.is_link_local
    )


def source_for(
    config: VirtualHostConfig, own: Iterable[Address], link: LinkState, peer: Address | None
) -> Address | None:
    """What an advertisement to a peer, or to the group, leaves from; None where there is nothing.

    :param own: the interface's own addresses of that family, from :func:`own_addresses`.
    """
    candidates = list(own)
    if not candidates:
        return None
    wanted = config.source_of(candidates[0].version)
    if wanted is not None:
        return wanted if wanted in candidates else None
    if peer is None:
        return candidates[0]
    near = {each.ip for each in link.networks if peer in each.network}
    # The order of the own addresses decides between equals.
    return min(candidates, key=lambda each: (each not in near, each.is_link_local is not peer.is_link_local))


def source_fault(config: VirtualHostConfig, link: LinkState, shared: Set[Address]) -> str | None:
    """Why the peers of a virtual host cannot be sent to as it is configured, or None."""
    for family in sorted({address.version for address in config.addresses}):
        own = own_addresses(link, family, shared)
        source = config.source_of(family)
        if source is not None and source not in own:
            return f"no source address {source} on {link.name}"
        if config.peers_of(family) and not own:
            return f"no own IPv{family} address on {link.name}"
    return None


def off_link(config: VirtualHostConfig, link: LinkState) -> list[Address]:
    """The peers that are on no network of the interface: advertisements to them would need a router, and none passes
    one with a TTL of 255."""
    return [
        peer
        for family in (4, 6)
        for peer in config.peers_of(family)
        if not peer.is_link_local and not any(peer in own.network for own in link.networks)
    ]
