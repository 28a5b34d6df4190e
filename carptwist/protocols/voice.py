"""The three protocols of an interface as one voice for its virtual hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zope.interface import implementer

from carptwist.election.effects import Advertise
from carptwist.interfaces import IFramePort, IVirtualHost, IVoice, LinkState
from carptwist.protocols.advertisement import AdvertisementProtocol
from carptwist.protocols.arp import ArpProtocol
from carptwist.protocols.neighbor import NeighborProtocol


@implementer(IVoice)
class Voice:
    """Speaks through ports that it owns.

    :param ports: closed with the voice.
    :param hush: called once when the voice closes, to leave the multicast groups.
    """

    def __init__(
        self,
        advertisements: AdvertisementProtocol,
        arp: ArpProtocol,
        neighbor: NeighborProtocol,
        *,
        ports: Sequence[IFramePort],
        hush: Callable[[], object],
    ) -> None:
        self._advertisements = advertisements
        self._arp = arp
        self._neighbor = neighbor
        self._ports = ports
        self._hush = hush
        # Questions for the peers' MACs leave through the ports that hear the answers.
        resolution = advertisements.destinations.resolution
        resolution.ask = self._ask
        arp.overheard = resolution.arp_heard
        neighbor.overheard = resolution.neighbor_heard

    def _ask(self, family: int, question: bytes) -> None:
        (self._arp if family == 4 else self._neighbor).ask(question)

    def advertise(self, vhost: IVirtualHost, family: int, what: Advertise) -> None:
        self._advertisements.send(vhost, family, what)

    def farewell(self, vhost: IVirtualHost, family: int, what: Advertise) -> tuple[bytes, ...]:
        return self._advertisements.farewell(vhost, family, what)

    def announce(self, vhost: IVirtualHost) -> None:
        try:
            self._arp.announce(vhost)
        finally:
            self._neighbor.announce(vhost)

    def link_changed(self, link: LinkState) -> None:
        self._advertisements.link_changed(link)

    def close(self) -> None:
        self._advertisements.destinations.close()
        for port in self._ports:
            port.close()
        self._hush()
