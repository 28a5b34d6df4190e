"""The daemon as a Twisted service, embeddable without twistd.

::

    CarpService
      |- ISystem                    the host: link monitor, planes, ports
      |- Roster -- VirtualHost      one per vhid, each with its plane
      |- Attachment -- Voice        one per interface: three protocols, each on a port of its own
      +- control listener           for carpctl

It starts in the order of that picture, and stops the other way round: the control socket closes, each
MASTER bows out, everything that was changed on the host is put back.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist.config.schema import Configuration, VirtualHostConfig
from carptwist.control.listener import ControlFactory
from carptwist.control.status import StatusReport
from carptwist.election.effects import Became
from carptwist.hooks.script import Change, Hooks
from carptwist.interfaces import ISystem, IVoice, LinkState
from carptwist.protocols.advertisement import AdvertisementProtocol
from carptwist.protocols.arp import ArpProtocol
from carptwist.protocols.neighbor import NeighborProtocol
from carptwist.protocols.voice import Voice
from carptwist.vhost.attachment import Attachment
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire import filters


class CarpService(Service):
    """All vhids of one configuration on one host.

    :param reactor: delayed calls on it should run on monotonic time, as :func:`carptwist.tap.run_on_monotonic_time`
        makes them: CARP's timeouts must not follow the clock on the wall.
    :param system: the host; :class:`carptwist.system.LinuxSystem` in a daemon.
    :param gave_up: called when the host cannot be worked with; why is in the log.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        *,
        reactor: Any,
        system: ISystem,
        gave_up: Callable[[], object] = lambda: None,
    ) -> None:
        self.configuration = configuration
        self._gave_up = gave_up
        self.roster = Roster(configuration.knobs, reactor)
        self._reactor = reactor
        self._system = system
        self._hooks = Hooks(reactor, configuration.hooks)
        self._attachments: dict[str, Attachment] = {}
        self._control: IListeningPort | None = None
        self._starting: Deferred[None] | None = None
        self._report = StatusReport(self.roster, host=socket.gethostname(), seconds=reactor.seconds, wall=time.time)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = self._start()
        self._starting.addErrback(self._failed_to_start)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        return self._stop()

    @inlineCallbacks
    def _start(self) -> Generator[Deferred[Any], Any, None]:
        yield self._system.start()
        self._hooks.start()
        self.roster.observe(self._notify)
        for config in self.configuration.vhids:
            self._introduce(config)
        # All vhids first: none may take part before the demotion of those that cannot is known.
        for attachment in self._attachments.values():
            attachment.start()
        self._tell_what_is_missing()
        for vhost in self.roster.all():
            vhost.start()
        yield self._listen()

    def _tell_what_is_missing(self) -> None:
        missing = [name for name, attachment in self._attachments.items() if attachment.waiting]
        if missing:
            self._log.warn(
                "carp: waiting for interface{s} {missing}: this host has {names}",
                s="s" if len(missing) > 1 else "",
                missing=", ".join(missing),
                names=", ".join(self._system.monitor.names()) or "none",
            )

    def _notify(self, vhost: VirtualHost, became: Became) -> None:
        config = vhost.config
        state, previous = became.state.value, became.previous.value
        self._hooks.changed(Change(str(config.vhid), config.interface, previous, state, became.reason))

    def _introduce(self, config: VirtualHostConfig) -> None:
        vhost: VirtualHost = VirtualHost(
            config,
            roster=self.roster,
            plane=self._system.plane(config, lambda what: vhost.damaged(what)),
            clock=self._reactor,
            draw=self._system.draw,
        )
        self.roster.add(vhost)
        if not self.configuration.knobs.allow:
            vhost.obstruct("allow", "not allowed (net.inet.carp.allow = 0)")
        if config.interface not in self._attachments:
            self._attachments[config.interface] = Attachment(
                config.interface,
                self.roster.on(config.interface),
                monitor=self._system.monitor,
                clock=self._reactor,
                open_voice=self._open_voice,
            )

    def _open_voice(self, link: LinkState) -> IVoice:
        vhosts = self.roster.on(link.name)
        advertisements = AdvertisementProtocol(link.name, self.roster, self._reactor)
        arp = ArpProtocol(vhosts, self._reactor)
        neighbor = NeighborProtocol(vhosts, self._reactor, lambda: self._system.forwards(link.name))
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

    @inlineCallbacks
    def _listen(self) -> Generator[Deferred[Any], Any, None]:
        path = Path(self.configuration.control.unix)
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            endpoint = UNIXServerEndpoint(self._reactor, str(path), mode=0o600, wantPID=True)
            # The mode comes after the binding: until then nobody else may connect.
            umask = os.umask(0o177)
            try:
                listening = endpoint.listen(ControlFactory(self._report.snapshot))
            finally:
                os.umask(umask)
            self._control = yield listening
        except Exception as error:
            # Without it nobody can ask; the addresses matter more.
            self._log.error("carp: cannot listen on the control socket {path}: {error}", path=path, error=error)

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        if self._starting is not None:
            yield self._starting  # half a start cannot be undone
        if self._control is not None:
            yield maybeDeferred(self._control.stopListening)
        yield DeferredList([maybeDeferred(vhost.stop).addErrback(self._failed_to_stop) for vhost in self.roster.all()])
        for attachment in self._attachments.values():
            attachment.stop()
        self.roster.close()
        yield self._hooks.finish()
        yield self._system.stop()

    def _failed_to_stop(self, failure: Failure) -> None:
        self._log.failure("carp: leaving in good order", failure)

    def _failed_to_start(self, failure: Failure) -> None:
        self._log.critical("carp: cannot start: {why}", why=failure.getErrorMessage())
        self._log.debug("{failure}", failure=failure)
        self._gave_up()
