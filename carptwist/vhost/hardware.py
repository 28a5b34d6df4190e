"""What an interface is made of, and why it cannot carry a virtual host.

CARP needs Ethernet: a source address that it chooses, and groups. VLAN interfaces, bridges, bonds, veth and tap devices
are Ethernet as well.
"""

from __future__ import annotations

from typing import Final

from carptwist.interfaces import LinkState

ETHERNET = 1

#: linux/if_arp.h, ARPHRD_*: what people call it.
NAMES: Final = {
    24: "a FireWire interface",
    32: "an InfiniBand interface",
    280: "a CAN bus",
    512: "a PPP link",
    768: "an IPv4 tunnel",
    769: "an IPv6 tunnel",
    772: "the loopback interface",
    774: "an FDDI ring",
    776: "a sit tunnel",
    778: "a GRE tunnel",
    800: "a Token Ring",
    801: "a bare Wi-Fi radio",
    803: "a Wi-Fi monitor",
    804: "an IEEE 802.15.4 radio",
    805: "an IEEE 802.15.4 monitor",
    823: "a GRE tunnel",
    65534: "a device without link addresses (tun or WireGuard, for example)",
}


def hardware_fault(link: LinkState) -> str | None:
    """Why an interface that exists is no place for a virtual host, with the remedy; None where it is one."""
    if link.hardware == ETHERNET:
        return None
    kind = NAMES.get(link.hardware, f"hardware of type {link.hardware}")
    return f"{link.name} is {kind}, not an Ethernet interface: name the one that the LAN is on"
