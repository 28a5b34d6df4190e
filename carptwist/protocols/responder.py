"""What the ARP and the neighbour discovery responder share: whose address is it, and who disputes it.

Only a MASTER whose plane leaves answering to us answers. Somebody else's claim to an address that we
hold is a conflict: it is counted, logged with both link addresses, and answered by announcing again,
at most once a second per address.

An address under balancing has several vhids. The asker's address chooses one of those that run, and whoever
is MASTER of that one answers. Such an address is never announced: all clients would go by the announcement.
The virtual MACs of its other vhids are no conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from math import inf

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.config.schema import AddressWithPrefix
from carptwist.election.balance import chosen
from carptwist.election.state import State
from carptwist.interfaces import IFramePort, IVirtualHost
from carptwist.moderation import Moderation
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.ethernet import format_mac

CONFLICT_SECONDS = 1.0
CONFLICT_LOG_SECONDS = 10.0


class Responder:
    """Base of both responders: an open port, and the vhids of its interface.

    :param balances: whether a packed address is under balancing, now.
    """

    _log = Logger()

    def __init__(
        self,
        vhosts: Mapping[int, VirtualHost],
        clock: IReactorTime,
        balances: Callable[[bytes], bool] = lambda address: False,
    ) -> None:
        self._vhosts = vhosts
        self._balances = balances
        self._port: IFramePort | None = None
        self._defence = Moderation(clock, CONFLICT_SECONDS)
        self._report = Moderation(clock, CONFLICT_LOG_SECONDS)
        self.malformed = 0
        self.conflicts = 0
        self.answered = 0

    def connected(self, port: IFramePort) -> None:
        self._port = port

    def disconnected(self) -> None:
        self._port = None

    def ask(self, question: bytes) -> None:
        """Put a question of our own on the wire.

        :raises OSError: it did not leave this host.
        """
        self._send(question)

    def _send(self, frame: bytes, until: float = inf) -> None:
        if self._port is None:
            raise OSError("the packet socket is closed")
        self._port.send(frame, until)

    def _send_all(self, frames: Iterable[bytes], until: float) -> None:
        """Send what can be sent.

        :raises OSError: the first reason why one did not leave; the others were tried all the same.
        """
        failure: OSError | None = None
        for frame in frames:
            try:
                self._send(frame, until)
            except OSError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _carriers(self, address: bytes) -> list[VirtualHost]:
        """The vhids that have this packed address, in whatever state."""
        return [vhost for vhost in self._vhosts.values() if address in vhost.shared]

    def _answerer(self, address: bytes, asker: bytes) -> VirtualHost | None:
        """The vhid in whose name we answer somebody who asks for an address; None if it is not for us to answer."""
        carriers = self._carriers(address)
        if carriers and self._balances(address):
            choice = chosen((each.config.vhid for each in carriers if each.state is not State.INIT), asker)
            carriers = [each for each in carriers if each.config.vhid == choice]
        return next((each for each in carriers if each.holding and each.plane.answers), None)

    def _claimed(self, address: bytes, mac: bytes) -> VirtualHost | None:
        """The vhid whose address somebody else claims by telling this MAC for it; None if nobody's."""
        carriers = self._carriers(address)
        holder = next((each for each in carriers if each.holding), None)
        if holder is None or not holder.plane.link_address:
            return None  # nobody's, or at a MAC that we do not know
        rightful = carriers if self._balances(address) else [holder]
        return None if mac in [each.plane.link_address for each in rightful] else holder

    def _announced(self, vhost: IVirtualHost, version: int) -> list[bytes]:
        """The packed addresses of a family that may be announced to everybody; none without a MAC to tell."""
        if not vhost.plane.link_address:
            return []
        addresses: Iterable[AddressWithPrefix] = vhost.config.addresses
        packed = [address.ip.packed for address in addresses if address.version == version]
        return [address for address in packed if not self._balances(address)]

    def _answer(self, frame: bytes, vhost: VirtualHost) -> None:
        try:
            self._send(frame, vhost.until)
        except OSError as error:
            # The asker asks again; advertisements are the ones that count what cannot be sent.
            self._log.debug("carp: an answer did not leave: {error}", error=error)
        else:
            self.answered += 1

    def _disputed(self, vhost: VirtualHost, address: bytes, claimant: bytes, announcement: bytes) -> None:
        self.conflicts += 1
        vhost.conflicts += 1
        if not self._balances(address) and self._defence.admit(address) is not None:
            self._answer(announcement, vhost)
        if self._report.admit((address, claimant)) is not None:
            vhost.disputed(f"{ip_address(address)} is claimed by {format_mac(claimant)}")
            self._log.warn(
                "carp: {name}: {address} is claimed by {claimant}, while it is ours at {mac}",
                name=vhost.name,
                address=ip_address(address),
                claimant=format_mac(claimant),
                mac=format_mac(vhost.plane.link_address),
            )
