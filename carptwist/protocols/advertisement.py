"""CARP advertisements of one interface, in both directions.

::

    frame --> wire.advertisement.read --> which vhid? --> whose digest? --> heard before? --> VirtualHost.heard
                   | refused                | none           | nobody's        | refused
                   +------------------------+----------------+-----------------+--> counted under its cause

A refused frame touches no timer and no state. It is logged at ``log`` >= 2 only, and then at most
once in a while per cause and sender.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.config.schema import Dialect, ReplayMode
from carptwist.election.effects import Advertise
from carptwist.election.replay import Verdict
from carptwist.interfaces import Hearing, IAuthority, IFramePort, IFrameReceiver, IVirtualHost, LinkState
from carptwist.moderation import Moderation
from carptwist.protocols.authority import Authority, Prepare, authenticators
from carptwist.protocols.destinations import Destinations, Framing
from carptwist.protocols.repetition import NETWORK_CONTROL, Repetition
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.diagnosis import likeliest_cause
from carptwist.wire.recognition import Recognition
from carptwist.wire.refusal import Cause, Refusal

# The first octet of the ethertype tells IPv6 from IPv4.
_ETHERTYPE_AT, _OF_IPV6 = 12, 0x86

# In Python 3.11 an attribute of an Enum costs as much as a call.
_OFF, _UCARP, _NEW = ReplayMode.OFF, Dialect.UCARP, Verdict.NEW

#: A refusal of one cause from one sender is logged at most this often.
REFUSAL_LOG_SECONDS = 10.0
#: The likeliest cause is looked for at most this often, for each family.
DIAGNOSIS_SECONDS = 0.1
#: Only who knows a pass phrase gets as far as being recognised; still, memory is bounded.
MOST_RECOGNISED = 4096


@implementer(IFrameReceiver)
class AdvertisementProtocol:
    """Hears and sends the advertisements of the vhids of one interface.

    :param read: understands a frame, and ``prepare`` the keys of a vhid; whoever hands one frame to many hosts can have
        it understood once.
    """

    _log = Logger()

    def __init__(
        self,
        interface: str,
        roster: Roster,
        clock: IReactorTime,
        read: Callable[[bytes], Heard | Refusal | None] = read,
        prepare: Prepare = authenticators,
    ) -> None:
        self._read = read
        self._interface = interface
        self._roster = roster
        self._vhosts: Mapping[int, VirtualHost] = roster.on(interface)
        self._port: IFramePort | None = None
        self._authority: IAuthority = roster.surroundings.authority(interface, Authority(prepare))
        self._recognitions: dict[tuple[int, bytes], Recognition] = {}
        self.destinations = Destinations(interface, self._vhosts, clock, put=self._put)
        self._own: tuple[IPv4Address | IPv6Address, ...] = ()
        self._moderation = Moderation(clock, REFUSAL_LOG_SECONDS)
        self._diagnoses = Moderation(clock, DIAGNOSIS_SECONDS)
        self._repetition = Repetition(roster, clock)

    # IFrameReceiver

    def connected(self, port: IFramePort) -> None:
        self._port = port

    def disconnected(self) -> None:
        self._port = None

    def frame_received(self, frame: bytes) -> None:
        roster = self._roster
        if not roster.knobs.allow:
            return
        heard = self._read(frame)
        if heard is None:
            return
        counters = roster.counters
        if frame[_ETHERTYPE_AT] == _OF_IPV6:
            counters.ipackets6 += 1
        else:
            counters.ipackets += 1
        if isinstance(heard, Refusal):
            self._refuse(heard)
            return
        advertisement, family, source, _, _, tos = heard
        vhid, advskew, advbase, demote, counter, digest = advertisement
        vhost = self._vhosts.get(vhid)
        if vhost is None:
            self._refuse(Refusal(Cause.BADVHID, "no such vhid here", source, vhid))
            return
        config = vhost.config
        if (config.peers or config.peers6) and not self.destinations.admits(config, family, source):
            why = "advertisement: it is none of this vhid's peers"
            self._refuse(Refusal(Cause.BADIF, why, source, vhid))
            return
        phrase = self._authority.phrase_of(config, counter, digest)
        if phrase is None:
            self._refuse(Refusal(Cause.BADAUTH, "bad digest", source, vhid), heard)
            return
        if config.replay is not _OFF:
            verdict = vhost.replay.judge(source, counter, tos == NETWORK_CONTROL)
            ordinary = verdict is _NEW and source in vhost.replay.constancy.moving
            if not ordinary and self._repetition.refuses(vhost, heard, verdict):
                return
        recognition = self._recognitions.get((vhid, source)) or self._meet(vhid, source)
        implementation = recognition.heard(heard)
        vhost.heard(Hearing(family, source, implementation, advbase, advskew, demote, counter, phrase))

    # Sending

    def link_changed(self, link: LinkState) -> None:
        """The interface's own addresses, of which the sources are chosen, are these now."""
        shared = {address.ip for vhost in self._vhosts.values() for address in vhost.config.addresses}
        own: tuple[IPv4Address | IPv6Address, ...] = (*link.own4, *link.own6)
        self._own = tuple(address for address in own if address not in shared)
        self.destinations.link_changed(link)

    def send(self, vhost: IVirtualHost, family: int, what: Advertise) -> None:
        """Sign one advertisement, and send it to the group or to each of the peers.

        :raises OSError: it left this host for nobody.
        """
        if self._port is None:
            raise OSError(f"the packet socket on {self._interface} is closed")
        counter = vhost.counter.next(vhost.replay.knows)
        if vhost.config.replay is not _OFF:
            vhost.replay.sent(counter)
        self.destinations.send(vhost.config, family, self._framing(vhost, family, what, counter), vhost.until)

    def farewell(self, vhost: IVirtualHost, family: int, what: Advertise) -> tuple[bytes, ...]:
        """The frames that :meth:`send` would send now, with a counter of their own. It counts as heard: who sends it
        may not be this daemon, and the next one must not believe it when it is sent again."""
        counter = vhost.counter.reserve(family)
        if vhost.config.replay is not _OFF:
            vhost.replay.sent(counter)
        framing = self._framing(vhost, family, what, counter)
        return self.destinations.frames(vhost.config, family, framing)

    def _framing(self, vhost: IVirtualHost, family: int, what: Advertise, counter: int) -> Framing:
        vhid = vhost.config.vhid
        advertisement = carp.Advertisement(
            vhid=vhid,
            advskew=what.advskew,
            advbase=what.advbase,
            demote=what.demote,
            counter=counter,
            digest=self._authority.sign(vhost.config, counter),
        )
        source_mac = carp.ucarp_mac(vhid) if vhost.config.dialect is _UCARP else carp.virtual_mac(vhid)
        dscp = self._roster.knobs.dscp
        frame = frame4 if family == 4 else frame6
        return lambda source, destination, destination_mac: frame(
            advertisement,
            source_mac=source_mac,
            source=source,
            destination=destination,
            destination_mac=destination_mac,
            dscp=dscp,
        )

    def _put(self, family: int, frame: bytes, until: float) -> None:
        if self._port is None:
            raise OSError(f"the packet socket on {self._interface} is closed")
        self._port.send(frame, until)
        if family == 4:
            self._roster.counters.opackets += 1
        else:
            self._roster.counters.opackets6 += 1

    def _meet(self, vhid: int, source: bytes) -> Recognition:
        if len(self._recognitions) >= MOST_RECOGNISED:
            del self._recognitions[next(iter(self._recognitions))]
        recognition = self._recognitions[vhid, source] = Recognition()
        return recognition

    # Refusing

    def _refuse(self, refusal: Refusal, heard: Heard | None = None) -> None:
        self._roster.counters.refused[refusal.cause.value] += 1
        vhost = self._vhosts.get(refusal.vhid)
        diagnose: Callable[[], str] = str
        if vhost is not None:
            if heard is not None:
                diagnose = partial(self._diagnose, vhost, heard)
            vhost.refused(refusal.cause.value, refusal.source, diagnose)
        unsaid = self._moderation.admit((refusal.cause, refusal.source, refusal.vhid))
        if unsaid is None:
            return
        # A diagnosis costs as much as a hundred refusals, and whoever forges sources may have as many as he likes.
        cause = diagnose() if self._diagnoses.admit(len(refusal.source)) is not None else ""
        why = f"{refusal.why}: {cause}" if cause else refusal.why
        name = f"{refusal.vhid or '?'}@{self._interface}"
        self._roster.occurred("refusal", name, _with_source(why, refusal.source))
        if self._roster.knobs.log < 2:
            return
        self._log.info(
            "carp: {name}: {why}{repeated}",
            name=name,
            why=_with_source(why, refusal.source),
            repeated=f" ({unsaid} more like it unsaid)" if unsaid else "",
        )

    def _diagnose(self, vhost: VirtualHost, heard: Heard) -> str:
        config = vhost.config
        return likeliest_cause(
            heard.advertisement,
            [phrase.octets for phrase in config.phrases] or [b""],
            [address.ip for address in config.addresses],
            host_addresses=(ip_address(heard.source), *self._own),
            source_mac=heard.source_mac,
            elsewhere={
                other.name: [phrase.octets for phrase in other.config.phrases] or [b""]
                for other in self._roster.all()
                if other is not vhost
            },
        )


def _with_source(why: str, source: bytes) -> str:
    """``bad digest from 192.0.2.3: its pass phrase differs``."""
    if not source:
        return why
    head, colon, tail = why.partition(": ")
    return f"{head} from {ip_address(source)}{colon}{tail}"
