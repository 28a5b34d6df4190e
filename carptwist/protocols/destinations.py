"""Whom the advertisements of an interface's vhids go to, what they leave from, and whose are believed.

::

    a family without peers    one frame to the group, from the interface's own address; anybody is heard
    a family with peers       one frame to each of them, from the own address nearest to it; only they are heard
                              (to one whose MAC is not known yet: as soon as it is, while the vhid is still MASTER)

An address of the interface itself among the peers is passed over, so that all hosts of a group can have the same list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import LinkState
from carptwist.moderation import Moderation
from carptwist.protocols.resolution import Resolution
from carptwist.vhost.sources import Address, own_addresses, source_for
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.carp import GROUP4, GROUP6, ucarp_mac, virtual_mac
from carptwist.wire.internet import ANY4, ANY6

#: That one of several peers cannot be sent to is logged at most this often.
PARTIAL_LOG_SECONDS = 60.0

#: Makes the frame of an advertisement from its source, its destination, and the destination's MAC.
Framing = Callable[[bytes, bytes, bytes], bytes]


class _Route(NamedTuple):
    """``source`` is empty where there is no address to send from; all are packed."""

    source: bytes
    destination: bytes


class _Plan(NamedTuple):
    """What follows from one configuration and the state of the link, by family. ``admitted`` has only families with
    peers."""

    config: VirtualHostConfig
    routes: Mapping[int, tuple[_Route, ...]]
    admitted: Mapping[int, frozenset[bytes]]


class Destinations:
    """Where advertisements go to on one interface.

    :param put: puts an advertisement's frame of a family on the wire, as :class:`carptwist.interfaces.IFramePort` does,
        or raises OSError.
    """

    _log = Logger()

    def __init__(
        self,
        interface: str,
        vhosts: Mapping[int, VirtualHost],
        clock: IReactorTime,
        *,
        put: Callable[[int, bytes, float], object],
    ) -> None:
        self._interface = interface
        self._vhosts = vhosts
        self._put = put
        self._link = LinkState(interface)
        self._plans: dict[int, _Plan] = {}
        self._unsent: dict[bytes, dict[int, tuple[VirtualHostConfig, Callable[[bytes], bytes]]]] = {}
        self._moderation = Moderation(clock, PARTIAL_LOG_SECONDS)
        self.resolution = Resolution(interface, clock, resolved=self._resolved)

    def link_changed(self, link: LinkState) -> None:
        """The interface is in this state now."""
        self._link = link
        self._replan()

    def close(self) -> None:
        self.resolution.close()
        self._unsent.clear()

    def admits(self, config: VirtualHostConfig, family: int, source: bytes) -> bool:
        """Whether an advertisement of this family may come from this packed address."""
        plan = self._plans.get(config.vhid)
        if plan is None or plan.config is not config:
            plan = self._plan_of(config)
        return family not in plan.admitted or source in plan.admitted[family]

    def send(self, config: VirtualHostConfig, family: int, framing: Framing, until: float) -> None:
        """Send one advertisement to all that it is for, unless ``until`` has come.

        :raises OSError: it left for none of them, though the MAC of at least one is known; the first reason.
        """
        failure: OSError | None = None
        sent = 0
        for route in self._plan_of(config).routes[family]:
            try:
                sent += self._send(config, family, route, framing, until)
            except OSError as error:
                failure = failure or error
                if self._moderation.admit((config.vhid, route.destination)) is not None:
                    self._log.warn(
                        "carp: {name}: an advertisement to {peer} did not leave: {error}",
                        name=config.name,
                        peer=ip_address(route.destination),
                        error=error,
                    )
        if failure is not None and not sent:
            raise failure

    def frames(self, config: VirtualHostConfig, family: int, framing: Framing) -> tuple[bytes, ...]:
        """One advertisement to all that it is for and that can be sent to now, unsent."""
        made = []
        for source, destination in self._plan_of(config).routes[family]:
            group = destination in (GROUP4, GROUP6)
            mac = b"" if group else self.resolution.mac_of(destination)
            if source and (group or mac):
                made.append(framing(source, destination, mac))
        return tuple(made)

    def _send(self, config: VirtualHostConfig, family: int, route: _Route, framing: Framing, until: float) -> bool:
        source, destination = route
        if not source:
            raise OSError(f"no source address for {ip_address(destination)} on {self._interface}")
        if destination in (GROUP4, GROUP6):
            self._put(family, framing(source, destination, b""), until)
            return True
        mac = self.resolution.mac_of(destination)
        unsent = self._unsent.setdefault(destination, {})
        if not mac:
            # A later advertisement takes the place of an earlier one: what is sent at last is the newest.
            unsent[config.vhid] = config, lambda mac: framing(source, destination, mac)
            return False
        unsent.pop(config.vhid, None)
        self._put(family, framing(source, destination, mac), until)
        return True

    def _resolved(self, peer: bytes) -> None:
        for vhid, (config, frame) in self._unsent.pop(peer, {}).items():
            vhost = self._vhosts.get(vhid)
            if vhost is None or not vhost.holding or vhost.config is not config:
                continue  # what it was going to say is not true any more
            try:
                self._put(4 if len(peer) == 4 else 6, frame(self.resolution.mac_of(peer)), vhost.until)
            except OSError as error:
                self._log.debug("carp: {name}: a late advertisement: {error}", name=config.name, error=error)

    # Planning

    def _plan_of(self, config: VirtualHostConfig) -> _Plan:
        plan = self._plans.get(config.vhid)
        if plan is None or plan.config is not config:
            self._replan()
            # One that is not on the roster (yet) has its plan for this time.
            plan = self._plans.get(config.vhid)
            if plan is None or plan.config is not config:
                return self._made(config, self._shared(config))
        return plan

    def _replan(self) -> None:
        shared = self._shared()
        self._plans = {vhost.config.vhid: self._made(vhost.config, shared) for vhost in self._vhosts.values()}
        wanted = {
            route.destination: route.source
            for plan in self._plans.values()
            for family in plan.admitted
            for route in plan.routes[family]
            if route.source
        }
        self._unsent = {peer: unsent for peer, unsent in self._unsent.items() if peer in wanted}
        self.resolution.want(
            wanted,
            own_mac=self._link.mac if self._link.usable else b"",
            virtual=frozenset(mac(vhid) for vhid in self._vhosts for mac in (virtual_mac, ucarp_mac)),
        )

    def _shared(self, *others: VirtualHostConfig) -> set[Address]:
        configs = [vhost.config for vhost in self._vhosts.values()]
        return {address.ip for config in (*configs, *others) for address in config.addresses}

    def _made(self, config: VirtualHostConfig, shared: set[Address]) -> _Plan:
        routes: dict[int, tuple[_Route, ...]] = {}
        admitted: dict[int, frozenset[bytes]] = {}
        for family, group, nobody in ((4, GROUP4, ANY4), (6, GROUP6, ANY6)):
            own = own_addresses(self._link, family, shared)
            peers = [peer for peer in config.peers_of(family) if peer not in own]
            if not config.peers_of(family):
                source = source_for(config, own, self._link, None)
                unset = b"" if config.source_of(family) is not None else nobody
                routes[family] = (_Route(source.packed if source is not None else unset, group),)
                continue
            sources = [source_for(config, own, self._link, peer) for peer in peers]
            routes[family] = tuple(
                _Route(source.packed if source is not None else b"", peer.packed)
                for peer, source in zip(peers, sources, strict=True)
            )
            admitted[family] = frozenset(peer.packed for peer in peers)
        return _Plan(config, routes, admitted)
