"""A web server that brings its own shared address, without any daemon beside it: ``python embedded.py ADVSKEW``, as
root, on each of several hosts, with another ADVSKEW (0 to 254) on each. The lowest one serves http://192.0.2.1:8000/who.

EMBEDDED_DIRECTORY is where it keeps what it must not forget, and its control socket: /var/lib/embedded if not said.
"""

import os
import socket
import sys
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from carptwist.api import (
    CarpService,
    Change,
    Configuration,
    ControlConfig,
    Knobs,
    Phrase,
    VirtualHostConfig,
    run_on_monotonic_time,
)

DIRECTORY = os.environ.get("EMBEDDED_DIRECTORY", "/var/lib/embedded")


def configuration(advskew: int) -> Configuration:
    """What carp.ini would say; ``configuration_of_file`` and ``configuration_of_text`` read that instead."""
    return Configuration(
        knobs=Knobs(preempt=True, state_dir=f"{DIRECTORY}/state"),
        vhids=(
            VirtualHostConfig(
                vhid=1,
                interface="em0",
                addresses=(IPv4Interface("192.0.2.1/24"), IPv6Interface("2001:db8::1/64")),
                phrases=(Phrase(b"mekmitasdigoat"),),
                advskew=advskew,
            ),
        ),
        control=ControlConfig(unix=f"{DIRECTORY}/carp.sock"),
    )


def site() -> Site:
    """Says which host this is."""
    root = Resource()
    root.putChild(b"who", Data(socket.gethostname().encode(), "text/plain"))
    return Site(root)


def told(change: Change) -> None:
    print(f"{change.subsystem}: {change.previous} -> {change.state} ({change.reason})", flush=True)


async def main(reactor: Any, advskew: str) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    run_on_monotonic_time(reactor)  # first: no step of the clock on the wall is to move an address
    program = MultiService()
    carp = CarpService(configuration(int(advskew)), reactor=reactor)
    carp.observe(told)
    carp.setServiceParent(program)
    # On all addresses: the shared one is here, or it is not.
    StreamServerEndpointService(TCP4ServerEndpoint(reactor, 8000), site()).setServiceParent(program)
    reactor.addSystemEventTrigger("before", "shutdown", program.stopService)  # the MASTER bows out
    program.startService()
    if not await carp.when_started():
        raise SystemExit(f"no shared address: {carp.trouble}")
    await Deferred()  # until SIGTERM or Ctrl-C


if __name__ == "__main__":
    react(main, sys.argv[1:])
