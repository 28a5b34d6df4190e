"""What ifconfig(8) and sysctl(8) of FreeBSD print about CARP, from the status object.

::

    em0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> metric 0 mtu 1500
            ether 02:00:00:00:01:01
            inet 192.0.2.2
            inet 192.0.2.1 netmask 0xffffff00 broadcast 192.0.2.255 vhid 1
            carp: MASTER vhid 1 advbase 1 advskew 0
                  peer 224.0.0.18 peer6 ff02::12
            status: active

Pure. What ``ifconfig`` of another system says beyond that (options, media) is not known here, and not made up. The
interface's own addresses have no netmask here for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, ip_interface
from typing import Any

from carptwist.control.grammar import PREFIX

_MULTICAST4, _MULTICAST6 = "224.0.0.18", "ff02::12"
#: net/if.h: UP, BROADCAST, RUNNING, SIMPLEX, MULTICAST.
_FLAGS = ((0x1, "UP"), (0x2, "BROADCAST"), (0x40, "RUNNING"), (0x800, "SIMPLEX"), (0x8000, "MULTICAST"))


def ifconfig(interface: Mapping[str, Any], vhids: Sequence[Mapping[str, Any]]) -> str:
    """One interface, as of ``Interfaces``, with the vhids of the status that run there."""
    lines = [_headline(interface)]
    if interface["mac"]:
        lines.append(f"\tether {interface['mac']}")
    shared = {str(ip_interface(text).ip) for vhid in vhids for text in vhid["addresses"]}
    for own in interface["addresses"]:
        if own not in shared:
            lines.append(f"\t{'inet6' if ':' in own else 'inet'} {own}")
    lines += [f"\t{_shared(text)} vhid {vhid['vhid']}" for vhid in vhids for text in vhid["addresses"]]
    for vhid in vhids:
        lines.append(f"\tcarp: {vhid['state']} vhid {vhid['vhid']} advbase {vhid['advbase']} advskew {vhid['advskew']}")
        peers = [peer for peer in vhid["unicast"] if ":" not in peer] or [_MULTICAST4]
        peers6 = [peer for peer in vhid["unicast"] if ":" in peer] or [_MULTICAST6]
        lines.append(
            "\t      " + " ".join([*(f"peer {peer}" for peer in peers), *(f"peer6 {peer}" for peer in peers6)])
        )
    if interface["exists"]:
        lines.append(f"\tstatus: {'active' if interface['carrier'] else 'no carrier'}")
    return "\n".join(lines)


def sysctl(name: str, value: int | Mapping[str, int], *, bare: bool = False) -> str:
    """``net.inet.carp.preempt: 1``, or the value alone; counters as sysctl(8) prints structures."""
    text = str(value)
    if not isinstance(value, int):
        text = "{ " + ", ".join(f"{field} = {number}" for field, number in value.items()) + " }"
    return text if bare else f"{PREFIX}{name}: {text}"


def sysctl_change(name: str, before: int, after: int, *, bare: bool = False) -> str:
    """``net.inet.carp.preempt: 0 -> 1``."""
    return f"{before} -> {after}" if bare else f"{PREFIX}{name}: {before} -> {after}"


def _headline(interface: Mapping[str, Any]) -> str:
    if not interface["exists"]:
        return f"{interface['name']}: does not exist"
    carrier = interface["up"] and interface["carrier"]
    there = {"UP": interface["up"], "RUNNING": carrier}
    flags = [(bit, name) for bit, name in _FLAGS if there.get(name, True)]
    number = sum(bit for bit, _ in flags)
    names = ",".join(name for _, name in flags)
    return f"{interface['name']}: flags={number:x}<{names}> metric 0 mtu {interface['mtu']}"


def _shared(text: str) -> str:
    address = ip_interface(text)
    if isinstance(address, IPv4Interface):
        network = address.network
        return f"inet {address.ip} netmask 0x{int(network.netmask):08x} broadcast {network.broadcast_address}"
    return f"inet6 {address.ip} prefixlen {address.network.prefixlen}"
