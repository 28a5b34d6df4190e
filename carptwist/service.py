"""The daemon as a Twisted service, embeddable without twistd.

::

    CarpService
      |- Node                       the vhids of this host: see carptwist.node
      |- Checks                     what demotes this host while it fails
      |- Hooks                      commands that run when a vhid changes its state
      |- Webhooks                   servers that are told of changes
      |- Syncs                      programs that synchronise state tables
      |- Pipe                       for programs that read as from devd(8)
      |- Revision                   the configuration in force, and how it is exchanged
      +- control listener           for carpctl

It starts in the order of that picture, and stops the other way round: nobody can ask any more, each
MASTER bows out, everything that was changed on the host is put back.
"""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist import __version__
from carptwist.aside import aside
from carptwist.checks.checks import Checks
from carptwist.checks.probes import Prober
from carptwist.child import Child
from carptwist.config.schema import Configuration, ControlConfig, Knobs
from carptwist.config.shells import ManholeConfig
from carptwist.config.wholeness import demand_whole
from carptwist.control.access import caller
from carptwist.control.desk import Desk
from carptwist.control.history import History
from carptwist.control.listener import ControlFactory
from carptwist.control.maintenance import Maintenance
from carptwist.control.revising import Revising
from carptwist.control.status import StatusReport
from carptwist.control.tls import server_endpoint
from carptwist.election.effects import Became
from carptwist.election.state import State
from carptwist.hooks.devd import EventStream
from carptwist.hooks.pipe import Pipe
from carptwist.hooks.script import Change, Hooks
from carptwist.hooks.webhooks import Webhooks
from carptwist.http.names import Names
from carptwist.http.posting import Posting
from carptwist.interfaces import ISystem
from carptwist.lateness import Lateness
from carptwist.listening import Doors, in_our_name, listen
from carptwist.node import Node
from carptwist.plugins.accounts import Accounts
from carptwist.plugins.catalogue import INSTALLED, Catalogue
from carptwist.plugins.hook import HookMaker
from carptwist.plugins.source import SourceMaker
from carptwist.plugins.system import PluggedSystem
from carptwist.protocols.syncs import Syncs
from carptwist.recorder.flight import FlightRecorder
from carptwist.revision import Outcome, Revision
from carptwist.system import LinuxSystem
from carptwist.vhost.virtualhost import VirtualHost

if TYPE_CHECKING:
    from carptwist.admin.shells import Shells

#: Who demotes on behalf of the program, in the history.
_PROGRAM = "the program"


class CarpService(Child):
    """All vhids of one configuration on one host: the daemon, for a program of anybody's.

    Several may run in one process, each with vhids, addresses, sockets and a state_dir of its own. Each has a
    demotion ledger of its own.

    :param configuration: what :func:`carptwist.api.configuration_of_text` gives, or ``configuration_of_file``, or one
        that was built of :class:`carptwist.api.Configuration` and its parts.
    :param reactor: delayed calls on it should run on monotonic time, as
        :func:`carptwist.api.run_on_monotonic_time` makes them: CARP's timeouts must not follow the clock on the wall.
    :param system: the host; without one this Linux host. That needs CAP_NET_RAW, and CAP_NET_ADMIN for any plane but
        ``none``.
    :param gave_up: called once when the start has failed; :attr:`trouble` says why, and so does the log.
    :param path: the configuration file, for :meth:`reload`; None where there is none.
    :param plugins: where links, planes, hooks and demotion sources of others are found: those that are installed.
    :raises ConfigurationError: the parts of the configuration do not go together, or a plug-in is of no use. Nothing
        was touched.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: Configuration,
        *,
        reactor: Any,
        system: ISystem | None = None,
        gave_up: Callable[[], object] = lambda: None,
        path: str | None = None,
        plugins: Catalogue = INSTALLED,
    ) -> None:
        """Nothing on the host is touched before it is started."""
        demand_whole(configuration, plugins.fault)
        if system is None:
            system = LinuxSystem(reactor, configuration)
        accounts = Accounts()
        system = PluggedSystem(system, configuration.links, reactor=reactor, catalogue=plugins, accounts=accounts)
        self._plugins = plugins
        self._gave_up = gave_up
        self.node = _a_node(configuration.knobs, reactor=reactor, system=system)
        self._reactor = reactor
        self._hooks = Hooks(reactor, configuration.hooks, HookMaker(reactor, plugins, accounts))
        self._names = Names(reactor)
        self._checks = Checks(
            configuration.checks,
            reactor,
            prober=Prober(reactor, self.node.monitor, self._names, SourceMaker(reactor, plugins, accounts)),
            demote=self.node.roster.demote,
            undemote=self.node.roster.undemote,
        )
        self.revision = Revision(
            configuration,
            node=self.node,
            exchange={
                "hooks": self._hooks.replace,
                "checks": self._checks.replace,
                "webhooks": lambda configs: self._webhooks.replace(configs),
                "syncs": lambda configs: self._syncs.replace(configs),
                "devd": lambda config: self._pipe.replace(config),
            },
            path=path,
            aside=self._aside,
            note=lambda who, vhid, what: self._history.note("change", vhid, what, who=who),
        )
        self._webhooks = Webhooks(
            configuration.webhooks,
            reactor,
            poster=lambda config: Posting(reactor, self._names, config),
            host=socket.gethostname(),
            now=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"),
            demotion=lambda: self.node.roster.ledger.sum,
            draw=random.random,
        )
        self._syncs = Syncs(configuration.syncs, self.node.roster, Doors(reactor))
        self._lateness = Lateness(reactor, self.node.roster.counters)
        self._pipe = Pipe(configuration.devd, EventStream(reactor), Doors(reactor))
        self._ears: list[IListeningPort] = []  # where people tell us something
        self._shells: Shells | None = None
        self._starting: Deferred[None] | None = None
        self._has_started = False
        self._trouble: str | None = None
        self._revising = Revising(self.revision, self.node.roster, self.reload, reactor.seconds)
        self._report = StatusReport(
            self.node.roster,
            host=socket.gethostname(),
            seconds=reactor.seconds,
            wall=time.time,
            loaded=lambda: self.revision.loaded,
            checks=self._checks.snapshot,
            plugins=accounts.snapshot,
        )
        self._history = History(self.node.notebook("events"), clock=reactor, wall=time.time)
        self._maintenance = Maintenance(
            self.node.roster,
            self.node.notebook("maintenance"),
            wall=time.time,
            since=self._report.time(reactor.seconds()),
        )
        self._desk = Desk(
            self.node,
            self._report,
            self._history,
            self._maintenance,
            seconds=time.perf_counter,
            in_turn=self.revision.in_turn,
            sync=self._syncs.tell,
        )

    def startService(self) -> None:
        """Take part. What comes of it :meth:`when_started` tells.

        :raises ValueError: it was started before. One that was stopped does not come back: build another one.
        """
        if self._starting is not None:
            raise ValueError("the service was started before: build another one")
        super().startService()  # type: ignore[no-untyped-call]
        self._starting = self._start()
        self._starting.addCallbacks(self._has_begun, self._failed_to_start)

    def stopService(self) -> Deferred[None]:
        """Leave in good order. Fires when each MASTER has bowed out and everything is put back that was changed on the
        host."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._stop()

    def when_started(self) -> Deferred[bool]:
        """Fires with True when every vhid takes part and the sockets listen; with False when the start has failed, and
        ``gave_up`` was called: stop it all the same. ``startService`` comes first.

        :raises ValueError: it did not.
        """
        fired: Deferred[bool] = Deferred()
        if self._starting is None:
            raise ValueError("the service was not started")
        self._starting.addCallback(lambda _: fired.callback(self._has_started))
        return fired

    @property
    def trouble(self) -> str | None:
        """Why the start has failed, for an operator; None where it has not."""
        return self._trouble

    @property
    def configuration(self) -> Configuration:
        """What was read, or given, last."""
        return self.revision.loaded

    # For the program that it is embedded in

    def states(self) -> dict[str, State]:
        """The state of every vhid now, by ``VHID@INTERFACE``, such as ``1@em0``."""
        return {vhost.name: vhost.state for vhost in self.node.roster.all()}

    def observe(self, changed: Callable[[Change], object]) -> Callable[[], None]:
        """Call ``changed`` at each change of a vhid's state from now on, in the reactor's thread.

        It is told at once, while the election goes on: it must not block. An exception of it is logged, and stops
        nobody.

        :returns: what ends that.
        """
        return self.node.roster.observe(lambda vhost, became: changed(_change(vhost, became)))

    def status(self) -> dict[str, Any]:
        """What ``carpctl status --json`` prints: values that JSON has. Times are ISO 8601 with zone."""
        return self._report.snapshot()

    def demote(self, value: int, owner: str, reason: str, seconds: float | None = None) -> int:
        """Make all vhids of this service less inclined to be MASTER, or replace what ``owner`` has said before.

        :param value: added to what is advertised; 240 has every host without demotion preempt this one, a negative
            value makes up for others'.
        :param owner: by what it is taken back; one line, and no name of the daemon's own such as ``check web``.
        :param reason: for operators, one line.
        :param seconds: after which it ends by itself; None: never.
        :returns: the sum of all demotions.
        :raises BadRequestError: a value is out of its range, or a text is not one line.
        :raises BusyError: there are too many entries.
        """
        return self._desk.demote(_PROGRAM, value, owner, reason, seconds)

    def undemote(self, owner: str) -> int:
        """Take back what ``owner`` has said.

        :returns: the sum of all demotions.
        :raises NotFoundError: it has said nothing.
        :raises RefusedError: it is an entry of the daemon's own.
        """
        return self._desk.undemote(_PROGRAM, owner)

    def adopt(self, configuration: Configuration) -> Deferred[list[Outcome]]:
        """Run with another configuration from now on; vhids that are the same notice nothing.

        Fires with what was done, in order; a step that has failed says why, and leaves the others to be done.

        :raises ConfigurationError: the parts of the configuration do not go together. Nothing is changed.
        :raises ValueError: the service was not started.
        """
        demand_whole(configuration, self._plugins.fault)
        if self._starting is None:
            raise ValueError("the service was not started")
        done: Deferred[list[Outcome]] = Deferred()
        self._starting.addCallback(lambda _: self.revision.adopt(configuration, _PROGRAM).chainDeferred(done))
        return done

    @inlineCallbacks
    def reload(self, who: str = _PROGRAM) -> Generator[Deferred[Any], Any, list[Outcome]]:
        """Read the configuration file again and do what it says. Fires with what was done, in order.

        Fails with :class:`carptwist.api.ConfigurationError` if there is anything wrong with the file, and
        ValueError if there is no file, or the service is stopping or was not started: then nothing is changed.

        :param who: has asked for it, for the history.
        """
        if self._starting is None:
            raise ValueError("the service was not started")
        yield self._starting  # half a start cannot be changed
        outcomes: list[Outcome] = yield self.revision.reload(who)
        return outcomes

    @inlineCallbacks
    def _start(self) -> Generator[Deferred[Any], Any, None]:
        self._hooks.start()
        self.node.roster.observe(self._notify)
        self.node.roster.observe(self._history.changed)
        self.node.roster.heed(lambda change: self._webhooks.demoted(*change))
        self.node.roster.witness(self._history.occurred)
        self.node.last_words.append(self._history.finish)
        self._syncs.start()  # before any vhid takes part
        self._checks.doubt()  # likewise
        yield self.node.start(self.configuration.vhids, self._recall)
        self._checks.start()  # now that the interfaces are known
        self._lateness.start()
        # Without them nobody can ask, tell or be told; the addresses matter more.
        control = self.configuration.control
        answering = ControlFactory(
            self._desk,
            self._revising,
            clock=self._reactor,
            seconds=time.perf_counter,
            identify=lambda transport: caller(transport, own_uid=os.geteuid()),
            boottime=lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        )
        yield self._listen(control.unix, answering)
        if control.tls is not None:
            yield self._listen_tls(control, answering)
        yield self._syncs.open()
        yield self._pipe.open()
        yield self._open_shells(self.configuration.manhole)

    def _listen_tls(self, config: ControlConfig, factory: IProtocolFactory) -> Deferred[None]:
        def failed(failure: Failure) -> None:
            self._log.error("carp: cannot listen on {tls}: {error}", tls=config.tls, error=failure.value)

        listening = in_our_name(lambda: server_endpoint(self._reactor, config).listen(factory))
        return listening.addCallbacks(self._ears.append, failed)

    @inlineCallbacks
    def _recall(self) -> Generator[Deferred[Any], Any, None]:
        yield self._history.recall()
        yield self._maintenance.recall()
        self._history.note("service", "", f"carptwist {__version__} started")

    def _notify(self, vhost: VirtualHost, became: Became) -> None:
        change = _change(vhost, became)
        self._pipe.changed(change)
        self._hooks.changed(change)
        self._webhooks.changed(change)

    def _listen(self, path: str, factory: IProtocolFactory) -> Deferred[None]:
        def failed(failure: Failure) -> None:
            self._log.error("carp: cannot listen on the control socket {path}: {error}", path=path, error=failure.value)

        return listen(self._reactor, path, 0o600, factory).addCallbacks(self._ears.append, failed)

    def _open_shells(self, config: ManholeConfig) -> Deferred[None]:
        if config.telnet is None and config.ssh is None:
            return succeed(None)
        # A daemon without shells does without what they are made of.
        from carptwist.admin.namespace import namespace
        from carptwist.admin.shells import Shells
        from carptwist.admin.stopwatch import Stopwatch

        self._shells = Shells(
            config,
            reactor=self._reactor,
            namespace=lambda who: namespace(
                self,
                self.node,
                status=self._report.snapshot,
                explain=self._desk.explain,
                aside=self._aside,
                who=f"{who} (manhole)",
            ),
            stopwatch=Stopwatch(self.node.roster, self._reactor.seconds),
        )
        return self._shells.start()

    def _aside(self, work: Callable[[], Any]) -> Deferred[Any]:
        return aside(self._reactor, work, "carptwist reads and writes")

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        if self._starting is not None:
            yield self._starting  # half a start cannot be undone
        if self._shells is not None:
            yield self._shells.stop()
        yield self.revision.close()
        for port in self._ears:
            yield maybeDeferred(port.stopListening)
        yield self._syncs.close()
        self._lateness.stop()
        self._checks.finish()
        yield self.node.stop()
        yield self._pipe.finish()  # only now: that the vhids are in INIT is news as well
        told = self._webhooks.finish()
        yield self._hooks.finish()
        yield told

    def _has_begun(self, _: None) -> None:
        self._has_started = True

    def _failed_to_start(self, failure: Failure) -> None:
        self._trouble = failure.getErrorMessage()
        self._log.critical("carp: cannot start: {why}", why=self._trouble)
        self._log.debug("{failure}", failure=failure)
        self._gave_up()


def _change(vhost: VirtualHost, became: Became) -> Change:
    config = vhost.config
    return Change(str(config.vhid), config.interface, became.previous.value, became.state.value, became.reason)


def _a_node(knobs: Knobs, *, reactor: Any, system: ISystem) -> Node:
    if not knobs.recorder:
        return Node(knobs, reactor=reactor, system=system)
    octets = knobs.recorder * 1024 * 1024
    return FlightRecorder(reactor, system, octets=octets, host=socket.gethostname()).node(knobs)
