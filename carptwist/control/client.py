"""The client's end of the control protocol: calls that give Deferreds.

::

    client = yield connect(UNIXClientEndpoint(reactor, "/run/carptwist/control.sock"))
    status = yield client.status()
    yield client.state("1@em0", "BACKUP")
    client.close()

Every call may fail with :class:`carptwist.control.commands.RefusedError` or a subclass, whose text is for people, and
with ``twisted.internet.error.ConnectionClosed`` if the daemon goes away meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint, ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.amp import AMP, BinaryBoxProtocol, Command
from twisted.python.failure import Failure

from carptwist import __version__
from carptwist.control import commands
from carptwist.control.commands import PROTOCOL, Hello
from carptwist.control.lease_commands import Attend, TellLease
from carptwist.control.revision_commands import Plan, Reload, Save, unpacked
from carptwist.vhost.tenants import Lease

#: One event, as ``carpctl events --json`` prints it: ``number``, ``time``, ``kind``, ``vhid``, ``text``, and others by
#: its kind; docs/control.md has them all.
Event = dict[str, Any]


class ClientProtocol(AMP):
    """The connection: hears events, and tells when it ends."""

    transport: Any

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.event: Callable[[Event], object] = lambda event: None
        self.lease: Callable[[str, Lease | None], Deferred[None] | None] = lambda vhid, lease: None
        self.ended: Deferred[None] = Deferred()

    @commands.Event.responder
    def _event(self, text: str) -> dict[str, Any]:
        self.event(json.loads(text))
        return {}

    @TellLease.responder
    def _lease(self, vhid: str, held: bool, since: float, until: float) -> Any:
        answering = self.lease(vhid, Lease(since, until) if held else None)
        return {} if answering is None else answering.addCallback(lambda _: {})

    # AMP itself logs both ends of a connection; whoever has one knows better what to say of it.

    def makeConnection(self, transport: ITransport) -> None:
        BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
        self.ended.callback(None)


class ControlClient:
    """A connection to a daemon, past the handshake. Made by :func:`connect`."""

    def __init__(self, amp: ClientProtocol, daemon_version: str) -> None:
        self._amp = amp
        self.daemon_version = daemon_version

    @property
    def ended(self) -> Deferred[None]:
        """Fires when the connection is over."""
        return self._amp.ended

    def status(self) -> Deferred[dict[str, Any]]:
        """The daemon's status, the object of ``carpctl status --json``."""
        return self.snapshot().addCallback(unpacked)

    @inlineCallbacks
    def snapshot(self) -> Generator[Deferred[Any], Any, bytes]:
        """The daemon's status as it travels: its JSON, deflated."""
        octets = b""
        while True:
            part = yield self._call(commands.Status, offset=len(octets))
            octets += part["octets"]
            if part["remaining"] == 0:
                whole: bytes = octets
                return whole

    @inlineCallbacks
    def interfaces(self, name: str | None = None) -> Generator[Deferred[Any], Any, list[dict[str, Any]]]:
        """The interfaces of the host, or the one that is named, existing or not."""
        named = {} if name is None else {"name": name}
        answer = yield self._call(commands.Interfaces, **named)
        interfaces: list[dict[str, Any]] = json.loads(answer["text"])
        return interfaces

    @inlineCallbacks
    def reload(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Have the daemon read its configuration again; gives what it did, see :mod:`carptwist.control.revising`.

        :raises BadConfigurationError: there are errors in the file; nothing was changed.
        """
        answer = yield self._call(Reload)
        return unpacked(answer["octets"])

    @inlineCallbacks
    def plan(self, path: str = "") -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """What a reload would do, were this file of the daemon's host its configuration.

        :raises BadConfigurationError: there are errors in the file.
        """
        answer = yield self._call(Plan, path=path)
        return unpacked(answer["octets"])

    @inlineCallbacks
    def save(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Have the daemon write what was changed at run time into its configuration file. Where that cannot be, the
        file stays as it was."""
        answer = yield self._call(Save)
        return unpacked(answer["octets"])

    def ifconfig(self, interface: str, words: Sequence[str]) -> Deferred[str]:
        """Change an interface's virtual hosts in the words of ifconfig(8); fires with what was done."""
        return self._call(commands.Ifconfig, interface=interface, words=list(words)).addCallback(
            lambda answer: str(answer["text"])
        )

    def sysctl(self, name: str, value: str) -> Deferred[tuple[int, int]]:
        """Give a short name a value; fires with the values before and after."""
        return self._call(commands.Sysctl, name=name, value=value).addCallback(
            lambda answer: (answer["before"], answer["after"])
        )

    def demote(
        self, value: int, owner: str, reason: str, seconds: float | None = None, *, held: bool = False
    ) -> Deferred[int]:
        """Make or replace a ledger entry; fires with the sum. One that is ``held`` ends with this connection."""
        named: dict[str, Any] = {} if seconds is None else {"seconds": seconds}
        if held:
            named["held"] = True
        return self._call(commands.Demote, value=value, owner=owner, reason=reason, **named).addCallback(_sum)

    def undemote(self, owner: str) -> Deferred[int]:
        """Take a ledger entry back; fires with the sum."""
        return self._call(commands.Undemote, owner=owner).addCallback(_sum)

    def sync(self, verb: str, name: str) -> Deferred[int]:
        """Say ``begin``, ``done`` or ``fail`` for a ``[sync NAME]``; fires with the sum of the demotion."""
        return self._call(commands.Sync, verb=verb, name=name).addCallback(_sum)

    def state(self, vhid: str, state: str) -> Deferred[str]:
        """Make ``VHID@INTERFACE`` ``MASTER`` or ``BACKUP``; fires with the state that it has then."""
        return self._call(commands.State, vhid=vhid, state=state).addCallback(lambda answer: str(answer["state"]))

    @inlineCallbacks
    def explain(self, vhid: str) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """Why ``VHID@INTERFACE`` is in its state: see :mod:`carptwist.control.explanation`."""
        answer = yield self._call(commands.Explain, vhid=vhid)
        return unpacked(answer["octets"])

    @inlineCallbacks
    def events(
        self, after: int = 0, most: int = 1000, vhid: str | None = None
    ) -> Generator[Deferred[Any], Any, list[Event]]:
        """The newest events with a higher number than ``after``: see :mod:`carptwist.control.history`."""
        named = {} if vhid is None else {"vhid": vhid}
        answer = yield self._call(commands.Events, after=after, most=most, **named)
        events: list[Event] = unpacked(answer["octets"])["events"]
        return events

    def subscribe(self, event: Callable[[Event], object], vhid: str | None = None) -> Deferred[int]:
        """Call ``event`` with each event from now on; fires with the number of the newest one so far."""
        self._amp.event = event
        named = {} if vhid is None else {"vhid": vhid}
        return self._call(commands.Subscribe, **named).addCallback(lambda answer: int(answer["last"]))

    def attend(
        self, vhid: str, lease: Callable[[str, Lease | None], Deferred[None] | None], patience: float = 0.0
    ) -> Deferred[None]:
        """Call ``lease`` with ``VHID@INTERFACE`` and its lease, now and with each change, for all vhids that are
        attended over this connection. A Deferred that it gives with None is waited for, before the addresses go."""
        self._amp.lease = lease
        return self._call(Attend, vhid=vhid, patience=float(patience)).addCallback(lambda _: None)

    def listen(self, event: Callable[[Event], object]) -> None:
        """Have the events of the subscription told to somebody else."""
        self._amp.event = event

    def maintenance(self, on: bool, *, force: bool = False, reason: str = "maintenance") -> Deferred[str]:
        """Switch it on or off; fires with what was done.

        Fails with NobodyElseError if nobody else would take over, and it is not forced.
        """
        return self._call(commands.Maintenance, on=on, force=force, reason=reason).addCallback(
            lambda answer: str(answer["text"])
        )

    def close(self) -> None:
        """Hang up."""
        transport = self._amp.transport
        if transport is not None:
            transport.loseConnection()

    def _call(self, command: type[Command], **arguments: Any) -> Deferred[Any]:
        calling: Deferred[Any] = self._amp.callRemote(command, **arguments)  # type: ignore[no-untyped-call]
        return calling


def _sum(answer: dict[str, Any]) -> int:
    return int(answer["sum"])


@inlineCallbacks
def connect(endpoint: IStreamClientEndpoint) -> Generator[Deferred[Any], Any, ControlClient]:
    """Connect to a daemon and shake hands; the Deferred fires with a :class:`ControlClient`.

    :raises twisted.internet.error.ConnectError: nobody listens there.
    :raises twisted.internet.error.ConnectionClosed: the daemon let nobody in: no right to, or no certificate.
    :raises RefusedError: the daemon speaks another version.
    """
    amp = yield connectProtocol(endpoint, ClientProtocol())
    if amp.transport is None:
        raise ConnectionDone("the daemon hung up")
    try:
        answer = yield amp.callRemote(Hello, version=__version__, protocol=PROTOCOL)
    except BaseException:
        # Nobody else has this connection: it must not outlive whoever is refused, or waits no more and cancels.
        amp.transport.abortConnection()
        raise
    return ControlClient(amp, answer["version"])
