"""``twistd carp --config FILE``: options, and the service that they make.

A bad configuration is refused as a whole, every error with its place, with exit code 2 and nothing
on the host touched. SIGHUP has the daemon read the file again. systemd is told how it fares: :mod:`carptwist.systemd`.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure

from carptwist.configuration import ConfigurationError, Reading, load
from carptwist.monotonic import run_on_monotonic_time
from carptwist.privileges import missing_privileges
from carptwist.service import CarpService
from carptwist.systemd import Channel, Supervision, request

_log = Logger()

#: By then all vhids are there. They stay, as do all modules: the garbage collector need not go through them again and
#: again, which holds everything up for 130 ms with 255 vhids.
SETTLED_SECONDS = 3.0

DEFAULT_CONFIG = "/etc/carptwist/carp.ini"


class Options(usage.Options):
    """The command line of the plugin."""

    synopsis = "[--config FILE]"
    longdesc = (
        "Shares IPv4 and IPv6 addresses with other hosts of the LAN by CARP, the Common Address Redundancy "
        "Protocol. 'carptwist check FILE' tells whether a configuration is good; 'carpctl status' asks the "
        "running daemon."
    )
    optParameters = [["config", "c", DEFAULT_CONFIG, "The configuration file."]]

    loaded: Reading

    def postOptions(self) -> None:
        try:
            self.loaded = load(self["config"])
        except ConfigurationError as error:
            # twistd itself would print its whole help and leave with success.
            print(error, file=sys.stderr)
            raise SystemExit(2) from None


def makeService(options: Options) -> IService:
    """Build the daemon's service on the global reactor.

    :raises SystemExit: this process lacks a privilege that it needs.
    """
    from twisted.internet import reactor

    missing = missing_privileges(options.loaded.configuration)
    if missing:
        print(f"carptwist: {missing}", file=sys.stderr)
        raise SystemExit(1)
    run_on_monotonic_time(reactor)
    reactor.callWhenRunning(reactor.callLater, SETTLED_SECONDS, gc.freeze)
    for warning in options.loaded.warnings:
        print(f"{warning}", file=sys.stderr)
    service = CarpService(
        options.loaded.configuration,
        reactor=reactor,
        gave_up=lambda: _end_in_failure(reactor),
        path=os.path.abspath(options["config"]),  # twistd goes elsewhere when it becomes a daemon
    )
    supervision = supervise(service, reactor, os.environ, os.getpid())

    def reload() -> Deferred[Any]:
        return service.reload("SIGHUP")

    reload_on_hangup(reactor, reload if supervision is None else lambda: supervision.reloading(reload))
    return service


def supervise(
    service: CarpService, reactor: Any, environment: MutableMapping[str, str], pid: int
) -> Supervision | None:
    """Tell systemd how the service fares, where systemd wants to know; None where it does not."""
    wanted = request(environment, pid)
    if wanted is None:
        return None
    roster = service.node.roster
    supervision = Supervision(
        Channel(wanted.address, reactor),
        reactor,
        watchdog_seconds=wanted.watchdog_seconds,
        states=lambda: [vhost.state for vhost in roster.all()],
        monotonic=time.monotonic,
    )
    roster.observe(lambda vhost, became: supervision.changed())
    # The application has started by then, and the service with it.
    reactor.callWhenRunning(lambda: service.when_started().addCallback(lambda so: supervision.ready() if so else None))
    reactor.addSystemEventTrigger("before", "shutdown", supervision.stopping)
    reactor.addSystemEventTrigger("after", "shutdown", supervision.close)
    return supervision


def reload_on_hangup(reactor: Any, reload: Callable[[], Deferred[Any]]) -> None:
    """Have SIGHUP reload the configuration, until the reactor has stopped."""

    def hung_up(number: int, frame: object) -> None:
        # A signal comes in the middle of anything.
        reactor.callFromThread(begin)

    def begin() -> None:
        _log.info("carp: reload: SIGHUP")
        reload().addErrback(refused)

    def refused(failure: Failure) -> None:
        if failure.check(ConfigurationError):
            return  # its errors are in the log already
        if failure.check(ValueError):
            _log.warn("carp: reload: {why}", why=failure.getErrorMessage())
        else:
            _log.failure("carp: reload", failure)

    former = signal.signal(signal.SIGHUP, hung_up)
    reactor.addSystemEventTrigger("after", "shutdown", signal.signal, signal.SIGHUP, former)


def _end_in_failure(reactor: Any) -> None:
    """Stop the reactor, and have the process leave with code 1: twistd itself would call it a success."""

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(leave)
    reactor.callWhenRunning(reactor.stop)
