"""What stands between a virtual host and its peers, told to the operator once while it is so."""

from __future__ import annotations

from ipaddress import ip_address

from twisted.logger import Logger

from carptwist.config.schema import VirtualHostConfig
from carptwist.election.precedence import master_down_seconds
from carptwist.interfaces import Hearing, LinkState
from carptwist.vhost.peers import Peers
from carptwist.vhost.sources import Address, off_link

#: The advice about a peer that speaks one family only is not repeated more often.
ADVICE_SECONDS = 60.0
#: What is said over two families within so much of a timeout, which is three intervals, was said at once.
SAME_MOMENT = 0.25


class Outlook:
    """Remembers what was told last."""

    _log = Logger()

    def __init__(self) -> None:
        self._told: tuple[str | None, tuple[Address, ...]] = (None, ())
        self._compared_at = float("-inf")

    def tell(self, config: VirtualHostConfig, link: LinkState, fault: str | None) -> None:
        """Warn of what is new.

        :param link: a usable one: nothing can be said of the peers without.
        :param fault: why there is nothing to send from, of :func:`carptwist.vhost.sources.source_fault`.
        """
        strangers = tuple(off_link(config, link)) if fault is None else ()
        if (fault, strangers) == self._told:
            return
        self._told = fault, strangers
        if fault is not None:
            self._log.warn("carp: {name}: {fault}: waiting for it", name=config.name, fault=fault)
        for peer in strangers:
            self._log.warn(
                "carp: {name}: the peer {peer} is on no network of {interface}: advertisements pass no router",
                name=config.name,
                peer=peer,
                interface=link.name,
            )

    def tell_phrase(self, config: VirtualHostConfig, hearing: Hearing) -> None:
        """Somebody is heard who was not, or who signs with another pass phrase now: while these are being exchanged it
        is good to know who has the new one."""
        if len(config.phrases) > 1:
            self._log.info(
                "carp: {name}: {source} signs with pass phrase {phrase} of {number}",
                name=config.name,
                source=ip_address(hearing.source),
                phrase=hearing.phrase + 1,
                number=len(config.phrases),
            )

    def compare_families(self, now: float, config: VirtualHostConfig, peers: Peers) -> None:
        """A timeout has fired: a peer that sends one family only lets the other one's do so again and again."""
        # A master that has died said its last over both, over one of them a moment later.
        patience = (1 - SAME_MOMENT) * master_down_seconds(config.advbase, config.advskew)
        heard = peers.heard_since(now - patience)
        missing = sorted({address.version for address in config.addresses}.difference(heard))
        if not heard or not missing or now - self._compared_at < ADVICE_SECONDS:
            return
        self._compared_at = now
        self._log.warn(
            "carp: {name}: another node is heard over IPv{heard} alone, while this one has IPv{missing} addresses as "
            "well: they will take the addresses from one another until both have the same ones",
            name=config.name,
            heard=heard[0],
            missing=missing[0],
        )
