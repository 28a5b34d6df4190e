"""A LAN: a switch with one port for each interface that is plugged into it.

::

    host a: em0 ---+
    host b: em0 ---[ switch: a kernel bridge in a namespace of its own ]--- em0 :client
    host c: em1 ---+

The switch snoops on multicast and sends the queries for it, so that a host that reports no membership hears
nothing of its group. It has no spanning tree: a port forwards from the moment that it has a link.

What may go wrong with a cable or a switch can be made to go wrong, for each port: see :meth:`Lan.cut` and
:meth:`Lan.isolate`. All of it is rtnetlink: no ip(8), bridge(8), tc(8) or nft(8) is needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_interface
from typing import Any

from carptwist.lab.host import Host
from carptwist.lab.namespaces import LabError, NetworkNamespace
from carptwist.lab.waiting import wait_until

# Hosts answer a membership query within this time, in 1/100 s; a fresh querier is believed after it, too.
_RESPONSE_INTERVAL = 50
_QUERY_INTERVAL = 1000


class Partition(Enum):
    """What a port drops while its link stays up."""

    NOTHING = "nothing"
    BOTH = "both"
    DEAF = "deaf"  #: the host hears nobody
    MUTE = "mute"  #: nobody hears the host


@dataclass(frozen=True)
class Disturbance:
    """A port was connected again, or ceased to be, fully or in one direction. ``at`` is in seconds since the epoch."""

    at: float
    connected: bool


@dataclass
class Port:
    """One socket of the switch, and the interface that is plugged into it."""

    name: str
    host: Host
    interface: str
    index: int
    partition: Partition = Partition.NOTHING
    is_cut: bool = False
    history: list[Disturbance] = field(default_factory=list)

    def connected(self, since: float, until: float) -> bool:
        """Whether it carried everything, both ways, from ``since`` to ``until``, seconds since the epoch."""
        state = False
        for change in self.history:
            if change.at > until:
                break
            if change.at <= since:
                state = change.connected
            elif not change.connected or not state:
                return False
        return state


class Lan:
    """One switch. Make it, connect hosts to it; closing it removes it."""

    def __init__(self, name: str = "lan") -> None:
        self.name = name
        self.namespace = NetworkNamespace()
        self.ports: dict[str, Port] = {}
        self.namespace.sysctl("ipv6.conf.default.accept_dad", 0)
        self._bridge = self._make_bridge()

    def _make_bridge(self) -> int:
        route = self.namespace.route
        route.link(
            "add",
            ifname="switch",
            kind="bridge",
            br_stp_state=0,
            br_forward_delay=0,
            br_mcast_snooping=1,
            br_mcast_query_intvl=_QUERY_INTERVAL,
            br_mcast_query_response_intvl=_RESPONSE_INTERVAL,
            br_mcast_startup_query_intvl=_RESPONSE_INTERVAL,
        )
        index: int = route.link_lookup(ifname="switch")[0]
        route.link("set", index=index, state="up")
        # Only now, so that it is believed after one response interval as it has been set, and not after the default's.
        route.link("set", index=index, kind="bridge", br_mcast_querier=1)
        return index

    def connect(self, host: Host, interface: str = "em0", addresses: Iterable[str] = ()) -> Port:
        """Plug a new interface of a host into the switch, and give it addresses with prefix lengths. When this
        returns it has its link and can use them.

        :raises LabError: if the host is connected already.
        """
        if host.name in self.ports:
            raise LabError(f"{host.name} is connected to {self.name} already")
        route, there = self.namespace.route, host.namespace.route
        number = len(self.ports) + 1
        route.link(
            "add",
            ifname=f"port{number}",
            kind="veth",
            address=f"02:00:00:ff:00:{number:02x}",
            peer={
                "ifname": interface,
                "address": host.next_link_address(),
                "net_ns_fd": host.namespace.fileno(),
            },
        )
        index: int = route.link_lookup(ifname=f"port{number}")[0]
        route.link("set", index=index, master=self._bridge, state="up")
        inside = there.link_lookup(ifname=interface)[0]
        there.link("set", index=inside, state="up")
        for text in addresses:
            address = ip_interface(text)
            there.addr("add", index=inside, address=str(address.ip), prefixlen=address.network.prefixlen)
        port = Port(f"port{number}", host, interface, index)
        self.ports[host.name] = port
        self._await_link(port, up=True)
        # Even without duplicate address detection an IPv6 address is tentative for a moment, and no source.
        wait_until(lambda: not host.tentative(interface), f"the addresses of {host.name} can be used", 10.0)
        self._note(port, connected=True)
        return port

    def cut(self, host: Host) -> None:
        """Pull the cable: neither end has a link any more when this returns."""
        port = self._port(host)
        self._note(port, connected=False)
        self.namespace.route.link("set", index=port.index, state="down")
        port.is_cut = True
        self._await_link(port, up=False)

    def heal(self, host: Host) -> None:
        """Undo what :meth:`cut` and :meth:`isolate` did: the port has its link and carries everything."""
        port = self._port(host)
        if port.is_cut:
            self.namespace.route.link("set", index=port.index, state="up")
            port.is_cut = False
            self._await_link(port, up=True)
        self.isolate(host, Partition.NOTHING)
        self._note(port, connected=True)

    def isolate(self, host: Host, partition: Partition = Partition.BOTH) -> None:
        """Drop frames silently; the link stays up at both ends. ``Partition.NOTHING`` ends it."""
        port = self._port(host)
        if port.partition is partition:
            return
        if partition is not Partition.NOTHING:
            self._note(port, connected=False)
        if port.partition is not Partition.NOTHING:
            self._switch(port, port.partition, on=False)
        if partition is not Partition.NOTHING:
            self._switch(port, partition, on=True)
        port.partition = partition
        if partition is Partition.NOTHING and not port.is_cut:
            self._note(port, connected=True)

    def _switch(self, port: Port, partition: Partition, *, on: bool) -> None:
        route: Any = self.namespace.route
        if partition in (Partition.BOTH, Partition.MUTE):
            # A locked port (Linux 5.18) takes frames only from the addresses that the switch has on it; it has none
            # once they are forgotten and no new ones are learned.
            route.brport("set", index=port.index, learning=0 if on else 1, locked=1 if on else 0)
            if on:
                route.brport("set", index=port.index, flush=True)
        if partition in (Partition.BOTH, Partition.DEAF):
            # A queue of no length towards the host.
            if on:
                route.tc("add", "pfifo", port.index, "1:", limit=0)
            else:
                route.tc("del", index=port.index, handle="1:", parent=0xFFFFFFFF)

    def _port(self, host: Host) -> Port:
        try:
            return self.ports[host.name]
        except KeyError:
            raise LabError(f"{host.name} is not connected to {self.name}") from None

    def _note(self, port: Port, *, connected: bool) -> None:
        port.history.append(Disturbance(time.time(), connected))

    def _await_link(self, port: Port, *, up: bool) -> None:
        what = f"{port.interface} of {port.host.name} {'gets' if up else 'loses'} its link"
        wait_until(lambda: port.host.has_link(port.interface) is up, what, 10.0)

    def close(self) -> None:
        self.namespace.close()
