"""What stands between a virtual host and its peers, told to the operator once while it is so."""

from __future__ import annotations

from twisted.logger import Logger

from carptwist.config.schema import VirtualHostConfig
from carptwist.interfaces import LinkState
from carptwist.vhost.sources import Address, off_link


class Outlook:
    """Remembers what was told last."""

    _log = Logger()

    def __init__(self) -> None:
        self._told: tuple[str | None, tuple[Address, ...]] = (None, ())

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
