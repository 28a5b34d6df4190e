"""The ARP responder of one interface: RFC 826 and RFC 5227 on behalf of the shared IPv4 addresses.

Answers requests, probes included, with the plane's link address, unicast to the asker; announces by
gratuitous requests whose Ethernet source is that link address too, because switches learn from it. Whose
name is answered in, and what is announced, under ``arpbalance``: :mod:`carptwist.protocols.responder`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.interfaces import IFrameReceiver, IVirtualHost
from carptwist.protocols.responder import Responder
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import arp
from carptwist.wire.refusal import Refusal


@implementer(IFrameReceiver)
class ArpProtocol(Responder):
    """Answers and announces for whoever is MASTER here."""

    def __init__(
        self,
        vhosts: Mapping[int, VirtualHost],
        clock: IReactorTime,
        balances: Callable[[bytes], bool] = lambda address: False,
    ) -> None:
        super().__init__(vhosts, clock, balances)
        #: Called with every whole packet, for whoever wants to learn of the neighbours.
        self.overheard: Callable[[arp.Arp], object] = lambda packet: None

    def frame_received(self, frame: bytes) -> None:
        packet = arp.read(frame)
        if packet is None:
            return
        if isinstance(packet, Refusal):
            self.malformed += 1
            return
        self.overheard(packet)
        claimed = self._claimed(packet.sender, packet.sender_mac)
        if claimed is not None:
            announcement = arp.gratuitous(packet.sender, claimed.plane.link_address)
            self._disputed(claimed, packet.sender, packet.sender_mac, announcement)
            return
        if packet.operation != arp.REQUEST or packet.is_announcement:
            return
        answerer = self._answerer(packet.target, packet.sender)
        if answerer is not None:
            self._answer(arp.reply(packet, answerer.plane.link_address, packet.target), answerer)

    def announce(self, vhost: IVirtualHost) -> None:
        """A gratuitous request for every shared IPv4 address that is not under balancing.

        :raises OSError: one did not leave this host.
        """
        mac = vhost.plane.link_address
        self._send_all((arp.gratuitous(address, mac) for address in self._announced(vhost, 4)), vhost.until)
