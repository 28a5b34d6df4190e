"""The neighbour discovery responder of one interface: RFC 4861 on behalf of the shared IPv6 addresses.

Answers solicitations, unicast to the asker; a duplicate address detection probe, which has no asker
to answer to, is answered to all nodes. Announces by unsolicited advertisements to all nodes.

Under ``ndbalance`` the solicitation's source chooses in whose name is answered, as in
:mod:`carptwist.protocols.responder`; but who asks a virtual MAC alone is answered by its MASTER. That is no search,
but a client that wants to know whether its neighbour is still there (RFC 4861 section 7.3.3). Linux asks so from its
link-local address, whatever it had asked from before: to go by that would take the client's neighbour away.
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

    def __init__(
        self,
        vhosts: Mapping[int, VirtualHost],
        clock: IReactorTime,
        forwards: Callable[[], bool],
        balances: Callable[[bytes], bool] = lambda address: False,
    ) -> None:
        super().__init__(vhosts, clock, balances)
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
            answerer = self._asked_alone(message, frame[:6]) or self._answerer(message.target, message.source)
            if answerer is not None:
                self._answer(self._solicited(message, answerer.plane.link_address), answerer)
            return
        claimed = self._claimed(message.target, message.link_address) if message.override else None
        if claimed is not None:
            announcement = self._unsolicited(message.target, claimed.plane.link_address)
            self._disputed(claimed, message.target, message.link_address or message.source_mac, announcement)

    def announce(self, vhost: IVirtualHost) -> None:
        """An unsolicited advertisement for every shared IPv6 address that is not under balancing.

        :raises OSError: one did not leave this host.
        """
        mac = vhost.plane.link_address
        self._send_all((self._unsolicited(address, mac) for address in self._announced(vhost, 6)), vhost.until)

    def _asked_alone(self, solicitation: neighbor.Solicitation, mac: bytes) -> VirtualHost | None:
        """The vhid whose virtual MAC alone a solicitation was sent to."""
        if solicitation.destination != solicitation.target:
            return None
        holding = [each for each in self._carriers(solicitation.target) if each.holding and each.plane.answers]
        return next((each for each in holding if each.plane.link_address == mac), None)

    def _unsolicited(self, address: bytes, mac: bytes, *, override: bool = True) -> bytes:
        return neighbor.advertisement(
            target=address,
            link_address=mac,
            source=address,
            source_mac=mac,
            destination=ALL_NODES,
            destination_mac=multicast_mac(ALL_NODES),
            router=self._forwards(),
            solicited=False,
            override=override,
        )

    def _solicited(self, solicitation: neighbor.Solicitation, mac: bytes) -> bytes:
        if solicitation.source == ANY6:
            # Everybody hears this: it must not override what the others have learned of a balanced address.
            return self._unsolicited(solicitation.target, mac, override=not self._balances(solicitation.target))
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
