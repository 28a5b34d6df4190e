"""A hook that tells a Graphite server of each change of state: 1 where this host is MASTER, else 0.

    [hook graphite]
    plugin = graphite
    argument = graphite.example:2003

It is one line to a TCP port: ``carp.1_em0.master 1 1700000000``.
"""

import time
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from carptwist.api import Change, HookConfig
from carptwist.interfaces import IHook


@implementer(IHook)
class Graphite:
    """Connects anew for each change: they are few."""

    def __init__(self, config: HookConfig, reactor: Any) -> None:
        host, _, port = config.argument[0].rpartition(":")
        self._endpoint = HostnameEndpoint(reactor, host, int(port))

    def changed(self, change: Change) -> Deferred[None]:
        line = f"carp.{change.vhid}_{change.interface}.master {int(change.state == 'MASTER')} {int(time.time())}\n"

        def connected(protocol: Protocol) -> None:
            assert protocol.transport is not None
            protocol.transport.write(line.encode())
            protocol.transport.loseConnection()

        telling: Deferred[None] = connectProtocol(self._endpoint, Protocol()).addCallback(connected)
        return telling

    def stop(self) -> Deferred[None]:
        return succeed(None)
