"""The neighbour discovery responder of one interface: RFC 4861 on behalf of the shared IPv6 addresses.

Answers solicitations, unicast to the asker; a duplicate address detection probe, which has no asker
to answer to, is answered to all nodes. Announces by unsolicited advertisements to all nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from carptwist.interfaces import IFrameReceiver, IVirtualHost
from carptwist.protocols.responder import Responder
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import neighbor
from carptwist.wire.ethernet import multicast_mac
from carptwist.wire.internet import ALL_NODES, ANY6
from carptwist.wire.refusal import Refusal


@implementer(IFrameReceiver)
class NeighborProtocol(Responder):
    """Answers and announces for whoever is MASTER here.

    :param forwards: whether this host is an IPv6 router on the interface: sets the router flag.
    """

    def __init__(self, vhosts: Mapping[int, VirtualHost], clock: IReactorTime, forwards: Callable[[], bool]) -> None:
        super().__init__(vhosts, clock)
        self._forwards = forwards
        #: Called with every whole message, for whoever wants to learn of the neighbours.
        self.overheard: Callable[[neighbor.Solicitation | neighbor.NeighborAdvertisement], object] = lambda _: None

    def frame_received(self, frame: bytes) -> None:
        message = neighbor.read(frame)
        if message is None:
            return
        if isinstance(message, Refusal):
            self.malformed += 1
            return
        self.overheard(message)
        if isinstance(message, neighbor.Solicitation):
            holder = self._holder_of(message.target)
            if holder is not None and holder.plane.answers:
                self._answer(self._solicited(message, holder.plane.link_address))
            return
        claimed = self._holder_of(message.target)
        if claimed is not None and message.override and message.link_address != claimed.plane.link_address:
            announcement = self._unsolicited(message.target, claimed.plane.link_address)
            self._disputed(claimed, message.target, message.link_address or message.source_mac, announcement)

    def announce(self, vhost: IVirtualHost) -> None:
        """An unsolicited advertisement for every shared IPv6 address.

        :raises OSError: one did not leave this host.
        """
        mac = vhost.plane.link_address
        self._send_all(
            self._unsolicited(address.ip.packed, mac) for address in vhost.config.addresses if address.version == 6
        )

    def _unsolicited(self, address: bytes, mac: bytes) -> bytes:
        return neighbor.advertisement(
            target=address,
            link_address=mac,
            source=address,
            source_mac=mac,
            destination=ALL_NODES,
            destination_mac=multicast_mac(ALL_NODES),
            router=self._forwards(),
            solicited=False,
            override=True,
        )

    def _solicited(self, solicitation: neighbor.Solicitation, mac: bytes) -> bytes:
        if solicitation.source == ANY6:
            return self._unsolicited(solicitation.target, mac)
        return neighbor.advertisement(
            target=solicitation.target,
            link_address=mac,
            source=solicitation.target,
            source_mac=mac,
            destination=solicitation.source,
            destination_mac=solicitation.link_address or solicitation.source_mac,
            router=self._forwards(),
            solicited=True,
            override=True,
        )
