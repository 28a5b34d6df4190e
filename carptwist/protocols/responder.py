"""What the ARP and the neighbour discovery responder share: whose address is it, and who disputes it.

Only a MASTER whose plane leaves answering to us answers. Somebody else's claim to an address that we
hold is a conflict: it is counted, logged with both link addresses, and answered by announcing again,
at most once a second per address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.interfaces import IFramePort
from carptwist.protocols.moderation import Moderation
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.ethernet import format_mac

CONFLICT_SECONDS = 1.0
CONFLICT_LOG_SECONDS = 10.0


class Responder:
    """Base of both responders: an open port, and the vhids of its interface."""

    _log = Logger()

    def __init__(self, vhosts: Mapping[int, VirtualHost], clock: IReactorTime) -> None:
        self._vhosts = vhosts
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

    def _send(self, frame: bytes) -> None:
        if self._port is None:
            raise OSError("the packet socket is closed")
        self._port.send(frame)

    def _send_all(self, frames: Iterable[bytes]) -> None:
        """Send what can be sent.

        :raises OSError: the first reason why one did not leave; the others were tried all the same.
        """
        failure: OSError | None = None
        for frame in frames:
            try:
                self._send(frame)
            except OSError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _holder_of(self, address: bytes) -> VirtualHost | None:
        """The vhid that holds this packed address here and now."""
        for vhost in self._vhosts.values():
            if vhost.holding and address in vhost.shared:
                return vhost
        return None

    def _answer(self, frame: bytes) -> None:
        try:
            self._send(frame)
        except OSError as error:
            # The asker asks again; advertisements are the ones that count what cannot be sent.
            self._log.debug("carp: an answer did not leave: {error}", error=error)
        else:
            self.answered += 1

    def _disputed(self, vhost: VirtualHost, address: bytes, claimant: bytes, announcement: bytes) -> None:
        self.conflicts += 1
        vhost.conflicts += 1
        if self._defence.admit(address) is not None:
            self._answer(announcement)
        if self._report.admit((address, claimant)) is not None:
            self._log.warn(
                "carp: {name}: {address} is claimed by {claimant}, while it is ours at {mac}",
                name=vhost.name,
                address=ip_address(address),
                claimant=format_mac(claimant),
                mac=format_mac(vhost.plane.link_address),
            )
