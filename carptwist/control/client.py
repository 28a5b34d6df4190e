"""The client's end of the control protocol: calls that give Deferreds."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.amp import AMP

from carptwist import __version__
from carptwist.control.commands import PROTOCOL, Hello, Status
from carptwist.control.revision_commands import Plan, Reload, unpacked


class ControlClient:
    """A connection to a daemon, past the handshake. Made by :func:`connect`."""

    def __init__(self, amp: AMP, daemon_version: str) -> None:
        self._amp = amp
        self.daemon_version = daemon_version

    @inlineCallbacks
    def status(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """The daemon's status, the object of ``carpctl status --json``.

        :raises RefusedError: the daemon refused, and says why.
        """
        text = ""
        while True:
            part = yield self._amp.callRemote(Status, offset=len(text))
            text += part["text"]
            if part["remaining"] == 0:
                status: dict[str, Any] = json.loads(text)
                return status

    @inlineCallbacks
    def reload(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Have the daemon read its configuration again; gives what it did, see :mod:`carptwist.control.revising`.

        :raises BadConfigurationError: there are errors in the file; nothing was changed.
        :raises RefusedError: the daemon refused, and says why.
        """
        answer = yield self._amp.callRemote(Reload)
        return unpacked(answer["octets"])

    @inlineCallbacks
    def plan(self, path: str = "") -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """What a reload would do, were this file of the daemon's host its configuration.

        :raises BadConfigurationError: there are errors in the file.
        :raises RefusedError: the daemon refused, and says why.
        """
        answer = yield self._amp.callRemote(Plan, path=path)
        return unpacked(answer["octets"])

    def close(self) -> None:
        """Hang up."""
        transport = self._amp.transport
        if transport is not None:
            transport.loseConnection()


@inlineCallbacks
def connect(endpoint: IStreamClientEndpoint) -> Generator[Deferred[Any], Any, ControlClient]:
    """Connect to a daemon and shake hands; the Deferred fires with a :class:`ControlClient`.

    :raises twisted.internet.error.ConnectError: nobody listens there.
    :raises RefusedError: the daemon speaks another version.
    """
    amp = yield connectProtocol(endpoint, AMP())
    answer = yield amp.callRemote(Hello, version=__version__, protocol=PROTOCOL)
    return ControlClient(amp, answer["version"])
