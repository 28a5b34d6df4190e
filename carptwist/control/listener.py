"""The daemon's end of the control protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.amp import AMP, BinaryBoxProtocol
from twisted.python.failure import Failure

from carptwist import __version__
from carptwist.control.commands import PART, PROTOCOL, Hello, RefusedError, Status
from carptwist.control.revising import Revising
from carptwist.control.revision_commands import Plan, Reload, packed


class ControlProtocol(AMP):
    """One connected program."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]], revising: Revising) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._take_snapshot = snapshot
        self._revising = revising
        self._greeted = False
        self._snapshot = ""

    # AMP logs both at level info: whoever asks every second would bury all else.

    def makeConnection(self, transport: ITransport) -> None:
        BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None

    @Hello.responder
    def hello(self, version: str, protocol: int) -> dict[str, Any]:
        if protocol != PROTOCOL:
            raise RefusedError(
                f"this daemon (carptwist {__version__}) speaks control protocol {PROTOCOL}, the client (carptwist "
                f"{version}) protocol {protocol}: use the same version of both"
            )
        self._greeted = True
        return {"version": __version__, "protocol": PROTOCOL}

    @Status.responder
    def status(self, offset: int) -> dict[str, Any]:
        self._demand_greeting()
        if offset == 0:
            self._snapshot = json.dumps(self._take_snapshot(), ensure_ascii=False)
        if not 0 <= offset <= len(self._snapshot):
            raise RefusedError(f"offset {offset} is not within the snapshot: begin with 0")
        part = self._snapshot[offset : offset + PART]
        remaining = len(self._snapshot) - offset - len(part)
        if remaining == 0:
            self._snapshot = ""
        return {"text": part, "remaining": remaining}

    @Reload.responder
    @inlineCallbacks
    def reload(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        self._demand_greeting()
        return {"octets": packed((yield self._revising.reload()))}

    @Plan.responder
    @inlineCallbacks
    def plan(self, path: str) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        self._demand_greeting()
        return {"octets": packed((yield self._revising.plan(path)))}

    def _demand_greeting(self) -> None:
        if not self._greeted:
            raise RefusedError("say Hello first")


class ControlFactory(ServerFactory):
    """Builds the connections.

    :param snapshot: gives the status as JSON-able values.
    :param revising: exchanges the configuration.
    """

    noisy = False

    def __init__(self, snapshot: Callable[[], dict[str, Any]], revising: Revising) -> None:
        self._snapshot = snapshot
        self._revising = revising

    def buildProtocol(self, addr: object) -> ControlProtocol:
        return ControlProtocol(self._snapshot, self._revising)
