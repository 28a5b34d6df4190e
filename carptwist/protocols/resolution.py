"""The MACs of the hosts that advertisements are sent to one by one: an ARP and ND cache of our own.

::

                  answer                          30 s                          answer
    unknown  ---------------> known (confirmed) --------> known, polled alone --------> known (confirmed)
    asked of                      ^                              | 1 s
    all, 1/s                      +------- answer -------  known, asked of all, 1/s

The kernel's own cache does not serve: it forgets, and resolves when it has something to send, which on
a takeover is too late. Questions leave from the interface's own MAC and an own address: the virtual
MAC belongs to the MASTER.

Rules kept here:

- Only an answer to an open question is believed: from the address asked for, to the MAC and the address that asked. The
  first one closes the question.
- While a known MAC is polled, only that MAC can answer. Another one is believed when the old one has been silent for a
  second and everybody was asked.
- A MAC is not a group, not zero, not the interface's own, and no virtual MAC of a vhid here.
- What others say unasked is at most a reason to ask, once a second.
- A MAC is not forgotten while its address is wanted: a host that is back from a restart is reached at once.
- There is an entry for each address that is wanted, and none besides.

RFC 826; RFC 1122 2.3.2.1 (unicast poll, one question a second); RFC 4861 7.2.2, 7.3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.vhost.alarm import Alarm
from carptwist.wire import arp, neighbor
from carptwist.wire.ethernet import UNKNOWN, format_mac, is_group
from carptwist.wire.internet import ANY6

#: Between a question and the next one to the same address.
ASK_SECONDS = 1.0
#: A MAC is confirmed again after this time.
REFRESH_SECONDS = 30.0
#: Questions without an answer after which that is told.
QUESTIONS_TO_TELL = 5


class _Neighbour:
    """What is known of one address. ``unanswered`` counts the questions since the last answer."""

    __slots__ = ("asked_at", "due", "mac", "source", "unanswered")

    def __init__(self, source: bytes, now: float) -> None:
        self.source = source
        self.mac = b""
        self.unanswered = 0
        self.asked_at = float("-inf")
        self.due = now


class Resolution:
    """The wanted neighbours of one interface, of both families.

    ``ask`` is set by whoever has ports for ARP (family 4) and neighbour discovery (6): it puts a question on the wire,
    and may raise OSError.

    :param resolved: called with an address when its MAC has become known, or another one.
    """

    _log = Logger()

    def __init__(
        self,
        interface: str,
        clock: IReactorTime,
        *,
        resolved: Callable[[bytes], object],
    ) -> None:
        self._interface = interface
        self._clock = clock
        self.ask: Callable[[int, bytes], object] = _nobody_to_ask
        self._resolved = resolved
        self._own_mac = b""
        self._virtual: frozenset[bytes] = frozenset()
        self._neighbours: dict[bytes, _Neighbour] = {}
        self._deadline = Alarm(clock, self._ask_who_is_due)

    def want(self, sources: Mapping[bytes, bytes], *, own_mac: bytes, virtual: frozenset[bytes]) -> None:
        """Know these addresses from now on, and no others. Everything is asked for anew, soon.

        :param sources: each packed address, with the own address that asks for it.
        :param own_mac: the interface's; empty while nothing can be asked.
        :param virtual: the MACs that no neighbour can have.
        """
        now = self._clock.seconds()
        self._own_mac, self._virtual = own_mac, virtual
        former, self._neighbours = self._neighbours, {}
        for address, source in sources.items():
            neighbour = self._neighbours[address] = former.get(address) or _Neighbour(source, now)
            neighbour.source = source
            neighbour.due = max(now, neighbour.asked_at + ASK_SECONDS)
        self._ask_who_is_due()

    def close(self) -> None:
        """Ask nobody any more."""
        self._neighbours.clear()
        self._deadline.cancel()

    def mac_of(self, address: bytes) -> bytes:
        """The MAC of a wanted address, empty while it is unknown."""
        neighbour = self._neighbours.get(address)
        return b"" if neighbour is None else neighbour.mac

    # Asking

    def _ask_who_is_due(self) -> None:
        now = self._clock.seconds()
        if not self._own_mac:
            return
        for address, neighbour in self._neighbours.items():
            if neighbour.due <= now:
                # Before the sending: what a question brings about may come back here.
                neighbour.unanswered += 1
                neighbour.asked_at = now
                neighbour.due = now + ASK_SECONDS
                if neighbour.unanswered == QUESTIONS_TO_TELL + 1:
                    self._tell_of_silence(address, neighbour)
                self._put(address, self._question(address, neighbour))
        self._deadline.set(min((each.due for each in self._neighbours.values()), default=None))

    def _question(self, address: bytes, neighbour: _Neighbour) -> bytes:
        polled = neighbour.mac if _is_polled(neighbour) else b""
        if len(address) == 4:
            asked = arp.request(address, self._own_mac, neighbour.source)
            return polled + asked[6:] if polled else asked
        return neighbor.solicitation(
            address,
            source=neighbour.source,
            source_mac=self._own_mac,
            destination=address if polled else b"",
            destination_mac=polled,
            link_address=self._own_mac,
        )

    def _put(self, address: bytes, question: bytes) -> None:
        try:
            self.ask(4 if len(address) == 4 else 6, question)
        except OSError as error:
            # It is asked again; advertisements are the ones that count what cannot be sent.
            self._log.debug("carp: a question did not leave: {error}", error=error)

    def _tell_of_silence(self, address: bytes, neighbour: _Neighbour) -> None:
        what = "are still sent to the MAC that it had" if neighbour.mac else "cannot be sent to it"
        self._log.warn(
            "carp: {interface}: nobody answers for the peer {peer}: advertisements {what}",
            interface=self._interface,
            peer=ip_address(address),
            what=what,
        )

    # Listening

    def arp_heard(self, packet: arp.Arp) -> None:
        """An ARP packet has passed on the LAN."""
        neighbour = self._neighbours.get(packet.sender)
        if neighbour is None:
            return
        to_us = packet.destination_mac == self._own_mac and packet.target == neighbour.source
        if packet.operation == arp.REPLY and to_us and not packet.is_announcement:
            self._answered(packet.sender, neighbour, packet.sender_mac)
        else:
            self._prompted(neighbour, packet.sender_mac)

    def neighbor_heard(self, message: neighbor.Solicitation | neighbor.NeighborAdvertisement) -> None:
        """A message of neighbour discovery has passed on the LAN."""
        if isinstance(message, neighbor.Solicitation):
            neighbour = self._neighbours.get(message.source) if message.source != ANY6 else None
            if neighbour is not None:
                self._prompted(neighbour, message.link_address or message.source_mac)
            return
        neighbour = self._neighbours.get(message.target)
        if neighbour is None:
            return
        # The option may be left out of the answer to a question that has come by unicast.
        mac = message.link_address or message.source_mac
        if message.solicited and message.destination == neighbour.source:
            self._answered(message.target, neighbour, mac)
        else:
            self._prompted(neighbour, mac)

    def _answered(self, address: bytes, neighbour: _Neighbour, mac: bytes) -> None:
        if not neighbour.unanswered or not self._is_credible(mac):
            return
        if _is_polled(neighbour) and mac != neighbour.mac:
            return
        now = self._clock.seconds()
        former, neighbour.mac = neighbour.mac, mac
        if neighbour.unanswered > QUESTIONS_TO_TELL:
            self._log.info(
                "carp: {interface}: the peer {peer} answers, at {mac}",
                interface=self._interface,
                peer=ip_address(address),
                mac=format_mac(mac),
            )
        neighbour.unanswered = 0
        neighbour.due = now + REFRESH_SECONDS
        if mac == former:
            return
        if former:
            self._log.info(
                "carp: {interface}: the peer {peer} has moved from {former} to {mac}",
                interface=self._interface,
                peer=ip_address(address),
                former=format_mac(former),
                mac=format_mac(mac),
            )
        self._resolved(address)

    def _prompted(self, neighbour: _Neighbour, mac: bytes) -> None:
        """A wanted address was heard of, unasked, with this MAC: it is there, or has moved."""
        if not neighbour.unanswered and mac == neighbour.mac:
            return
        due = max(self._clock.seconds(), neighbour.asked_at + ASK_SECONDS)
        if due < neighbour.due:
            neighbour.due = due
            self._deadline.set(min(each.due for each in self._neighbours.values()))

    def _is_credible(self, mac: bytes) -> bool:
        return not is_group(mac) and mac != UNKNOWN and mac != self._own_mac and mac not in self._virtual


def _is_polled(neighbour: _Neighbour) -> bool:
    """Whether the open question was put to the known MAC alone."""
    return bool(neighbour.mac) and neighbour.unanswered <= 1


def _nobody_to_ask(family: int, question: bytes) -> None:
    raise OSError(f"no port for questions over IPv{family}")
