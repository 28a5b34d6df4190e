"""One host's part in CARP: its virtual hosts, on its interfaces, without anything that listens to people.

::

    Node
      |- ISystem                    the host: link monitor, planes, ports
      |- Roster -- VirtualHost      one per vhid, each with its plane
      |- Groups                     of vhids that move together
      +- Attachment -- Voice        one per interface: three protocols, each on a port of its own

What runs can be changed while it runs: a vhid that is added, changed or removed leaves the others as
they are, to the octet and to the millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.config.schema import Knobs, VirtualHostConfig
from carptwist.guard.unguarded import Unguarded
from carptwist.interfaces import (
    IGuard,
    ILinkMonitor,
    INotebook,
    ISurroundings,
    ISystem,
    IVoice,
    LinkState,
)
from carptwist.protocols.advertisement import AdvertisementProtocol
from carptwist.protocols.arp import ArpProtocol
from carptwist.protocols.authority import Prepare, authenticators
from carptwist.protocols.neighbor import NeighborProtocol
from carptwist.protocols.voice import Voice
from carptwist.vhost.attachment import Attachment
from carptwist.vhost.groups import Groups
from carptwist.vhost.recollection import WRITE_SECONDS, Recollection
from carptwist.vhost.roster import Roster
from carptwist.vhost.rounds import Rounds
from carptwist.vhost.surroundings import ORDINARY, commanded
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import filters
from carptwist.wire.advertisement import Heard, read
from carptwist.wire.refusal import Refusal

Read = Callable[[bytes], Heard | Refusal | None]

#: The ledger's entry while there is no guard: who has one is the better master.
GUARD_OWNER = "guard"
GUARD_DEMOTION = 240


class Node:
    """The vhids of one host.

    :param reactor: delayed calls on it should run on monotonic time.
    :param system: the host that they run on.
    :param read: understands a frame as :func:`carptwist.wire.advertisement.read` does, and ``prepare`` the keys of a
        vhid as :func:`carptwist.protocols.authority.authenticators`.
    :param surroundings: what they cannot work out by themselves.
    """

    _log = Logger()

    def __init__(
        self,
        knobs: Knobs,
        *,
        reactor: Any,
        system: ISystem,
        read: Read = read,
        prepare: Prepare = authenticators,
        surroundings: ISurroundings = ORDINARY,
    ) -> None:
        self._read = read
        self._prepare = prepare
        self.roster = Roster(knobs, reactor, surroundings)
        self.groups = Groups(self.roster, reactor)
        self._reactor = reactor
        self._system = system
        #: Called when no vhid runs any more, and notebooks can be written for the last time.
        self.last_words: list[Callable[[], object]] = []
        self._attachments: dict[str, Attachment] = {}
        self._recollections: dict[str, Recollection] = {}
        self._rounds = Rounds(surroundings.aside(reactor), WRITE_SECONDS)
        self._guard: IGuard = system.guard(self._guard_is_lacking) if knobs.guard else Unguarded()

    @property
    def surroundings(self) -> ISurroundings:
        return self.roster.surroundings

    @commanded
    @inlineCallbacks
    def start(
        self, configs: Iterable[VirtualHostConfig], recall: Callable[[], object] = lambda: None
    ) -> Generator[Deferred[Any], Any, None]:
        """Take part with these vhids. Fails, with a text for the operator, if the host cannot be worked with.

        :param recall: called when notebooks can be read; if it gives a Deferred, no vhid takes part before that fires.
        """
        yield self._system.start()
        yield self.surroundings.outside(recall)
        yield self._guard.start()
        for config in configs:
            self._introduce(config)
        # All vhids first: none may take part before the demotion of those that cannot is known.
        for attachment in self._attachments.values():
            attachment.start()
        self._tell_what_is_missing()
        for vhost in self.roster.all():
            vhost.start()

    @commanded
    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Each MASTER bows out, and everything that was changed on the host is put back."""
        self.groups.stop()
        yield DeferredList([maybeDeferred(vhost.stop).addErrback(self._failed_to_stop) for vhost in self.roster.all()])
        for attachment in self._attachments.values():
            attachment.stop()
        for recollection in self._recollections.values():
            recollection.finish()
        self.roster.close()
        yield self.surroundings.outside(self._say_last_words)
        yield self._guard.stop()
        yield self._system.stop()

    def _say_last_words(self) -> None:
        for last_words in self.last_words:
            last_words()

    def seconds(self) -> float:
        """The clock that the vhids run on."""
        return float(self._reactor.seconds())

    def notebook(self, name: str) -> INotebook:
        """Where to write what a restart must not forget."""
        notebook: INotebook = self._system.notebook(name)
        return notebook

    @property
    def monitor(self) -> ILinkMonitor:
        """The interfaces of this host."""
        monitor: ILinkMonitor = self._system.monitor
        return monitor

    # Changes while it runs

    def find(self, name: str) -> VirtualHost | None:
        """The virtual host with this ``VHID@INTERFACE``."""
        return next((vhost for vhost in self.roster.all() if vhost.name == name), None)

    @commanded
    def add(self, config: VirtualHostConfig) -> VirtualHost:
        """One more vhid takes part.

        :raises ValueError: it is there already.
        """
        known = self._attachments.get(config.interface)
        vhost = self._introduce(config)
        if known is not None:
            known.welcome(vhost)
        else:
            self._attachments[config.interface].start()
            self._tell_what_is_missing([config.interface])
        vhost.start()
        self.groups.review()
        return vhost

    @commanded
    @inlineCallbacks
    def remove(self, name: str) -> Generator[Deferred[Any], Any, None]:
        """A vhid leaves in good order; nothing of it is on the host when this fires.

        Fails with KeyError if there is no such vhid.
        """
        vhost = self._there(name)
        yield vhost.stop()
        self.roster.remove(vhost)
        self.groups.review()
        self._recollections.pop(name).finish()
        interface = vhost.config.interface
        if not self.roster.on(interface) and interface in self._attachments:
            self._attachments.pop(interface).stop()
        elif interface in self._attachments:
            self._attachments[interface].sharing_changed()

    @commanded
    @inlineCallbacks
    def change(self, config: VirtualHostConfig) -> Generator[Deferred[Any], Any, None]:
        """A vhid has these settings when this fires.

        State and timers go on; only another plane begins anew. Fails with KeyError if there is no such vhid, and with
        :class:`carptwist.planes.PlaneError` if the host cannot carry the addresses: then the former settings hold.
        """
        vhost = self._there(config.name)
        if config.plane is not vhost.config.plane:
            yield self.remove(config.name)
            self.add(config)
            return
        yield vhost.reconfigure(config)
        self.groups.review()
        self._attachments[config.interface].sharing_changed()

    def _there(self, name: str) -> VirtualHost:
        vhost = self.find(name)
        if vhost is None:
            raise KeyError(name)
        return vhost

    # Putting together

    def _tell_what_is_missing(self, interfaces: Iterable[str] | None = None) -> None:
        of_interest = self._attachments if interfaces is None else interfaces
        missing = [name for name in of_interest if self._attachments[name].waiting]
        if missing:
            self._log.warn(
                "carp: waiting for interface{s} {missing}: this host has {names}",
                s="s" if len(missing) > 1 else "",
                missing=", ".join(missing),
                names=", ".join(self._system.monitor.names()) or "none",
            )

    def _introduce(self, config: VirtualHostConfig) -> VirtualHost:
        vhost: VirtualHost = VirtualHost(
            config,
            roster=self.roster,
            plane=self._system.plane(
                config,
                lambda what: vhost.damaged(what),
                lambda address: self.roster.balances(config.interface, address, config.vhid),
            ),
            clock=self._reactor,
            draw=self._system.draw,
            guard=self._guard,
        )
        self.roster.add(vhost)
        self._recall(vhost)
        if config.interface not in self._attachments:
            self._attachments[config.interface] = Attachment(
                config.interface,
                self.roster.on(config.interface),
                monitor=self._system.monitor,
                clock=self._reactor,
                open_voice=self._open_voice,
            )
        return vhost

    def _recall(self, vhost: VirtualHost) -> None:
        """It takes part when it knows which advertisements were heard in former lives."""
        notebook = self._system.notebook(vhost.name)
        clock = self.surroundings.aside(self._reactor)
        recollection = Recollection(vhost.name, vhost.replay, notebook, clock, self._rounds)
        self._recollections[vhost.name] = recollection
        vhost.obstruct("memory", "reading what is known of former advertisements")
        recollection.recall().addCallback(lambda _: vhost.clear("memory"))

    def _open_voice(self, link: LinkState) -> IVoice:
        vhosts = self.roster.on(link.name)
        advertisements = AdvertisementProtocol(link.name, self.roster, self._reactor, self._read, self._prepare)

        def balances(address: bytes) -> bool:
            return self.roster.balances(link.name, address)

        arp = ArpProtocol(vhosts, self._reactor, balances)
        neighbor = NeighborProtocol(vhosts, self._reactor, lambda: self._system.forwards(link.name), balances)
        ports = []
        try:
            for program, receiver in (
                (filters.carp(), advertisements),
                (filters.arp(), arp),
                (filters.neighbor(), neighbor),
            ):
                ports.append(self._system.open_port(link.name, program, receiver))
        except OSError:
            for port in ports:
                port.close()
            raise
        return Voice(advertisements, arp, neighbor, ports=ports, hush=self._system.join(link))

    def _guard_is_lacking(self, why: str | None) -> None:
        if why is None:
            self.roster.undemote(GUARD_OWNER, "there is a guard again")
        else:
            self.roster.demote(GUARD_OWNER, GUARD_DEMOTION, why)

    def _failed_to_stop(self, failure: Failure) -> None:
        self._log.failure("carp: leaving in good order", failure)
