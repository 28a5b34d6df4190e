"""The daemon's end of the control protocol: one connected program.

::

    octets --> Boxes --> Turnstile --> ControlProtocol --> Desk
               bounded   in turn       typed, authorised   does it

What a connection may cost is bounded in every direction: the length of a request (:mod:`carptwist.control.framing`),
the rate (:mod:`carptwist.control.turnstile`), the answers that it does not read, the events that it does not
acknowledge, the time that it says nothing. Whatever octets arrive, nothing happens but that this connection ends, and
a line is logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.amp import AMP, AmpBox, BinaryBoxProtocol, Command, RemoteAmpError
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist import __version__
from carptwist.control import commands
from carptwist.control.access import Caller
from carptwist.control.commands import PART, PROTOCOL, BadRequestError, BusyError, RefusedError
from carptwist.control.desk import Desk
from carptwist.control.framing import Boxes, FramingError
from carptwist.control.history import concerns
from carptwist.control.lease_commands import LONGEST_PATIENCE_SECONDS, Attend
from carptwist.control.residence import Residence
from carptwist.control.revision_commands import Plan, Reload, Save, packed
from carptwist.control.tls import tls_reason

if TYPE_CHECKING:
    from carptwist.control.listener import ControlFactory

#: Virtual hosts that one connection attends.
MOST_RESIDENCES = 255
#: Events that a subscriber has not acknowledged. A host with 255 vhids that goes down makes 510 at once.
MOST_UNANSWERED = 2048
#: Octets that wait to be served; then the connection is not read from.
MOST_WAITING = 65_536

GREETING_SECONDS = 10.0
IDLE_SECONDS = 300.0
#: Answers that are not read for so long are not read at all.
CHOKED_SECONDS = 30.0


@implementer(IPushProducer)
class ControlProtocol(AMP):
    """One connected program."""

    transport: Any

    def __init__(self, factory: ControlFactory) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._house = factory
        self._boxes = Boxes()
        self._caller: Caller | None = None
        self._greeted = False
        self._snapshot = b""
        self._choked = False
        self._paused = False
        self._unanswered = 0
        self._unsubscribe: Callable[[], None] | None = None
        self._residences: dict[str, Residence] = {}
        self.holds: set[str] = set()  # owners of entries that end with this connection
        self.lost = False
        self.last_active = factory.seconds()

    # The connection. AMP itself logs both ends of it at level info: whoever asks every second would bury all else.

    def makeConnection(self, transport: ITransport) -> None:
        BinaryBoxProtocol.makeConnection(self, transport)
        transport.registerProducer(self, True)  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for residence in self._residences.values():
            residence.end()
        self._house.let_go(self)
        if self._caller is None and reason.check(ConnectionDone, ConnectionLost) is None:
            # A TLS handshake that failed: no certificate, or one that nobody vouches for.
            host = getattr(self.transport.getPeer(), "host", "a UNIX socket")
            self._house.tell(f"handshake {host}", f"{host} was not let in: {tls_reason(reason.value)}")
        BinaryBoxProtocol.connectionLost(self, reason)
        self.transport = None
        self._house.forget(self)

    def dataReceived(self, data: bytes) -> None:
        if self.lost or not self._let_in():
            return
        self.last_active = self._house.seconds()
        self._boxes.add(data)
        if len(self._boxes) > MOST_WAITING and not self._paused:
            self._paused = True
            self.transport.pauseProducing()
        self._house.turnstile.enter(self)

    def serve(self) -> bool:
        """One request; whether more may wait."""
        if self.lost or self._choked:
            return False
        try:
            box = self._boxes.take()
            if box is not None:
                BinaryBoxProtocol.dataReceived(self, box)
                return True
        except FramingError as error:
            self.drop(f"what it said is no AMP: {error}")
            return False
        except Exception as error:
            # An answer to nothing, a box that asks nothing: AMP raises all sorts of exceptions.
            self.drop(f"what it said is no AMP: {type(error).__name__}")
            return False
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
        return False

    def drop(self, why: str) -> None:
        """End this connection, now."""
        name = self._caller.name if self._caller is not None else "a program"
        self._house.tell(f"drop {why}", f"{name} was disconnected: {why}")
        self.lost = True
        self.transport.abortConnection()

    @property
    def idle_limit(self) -> float:
        """How many seconds of silence are too many."""
        if self._choked:
            return CHOKED_SECONDS
        if not self._greeted:
            return GREETING_SECONDS
        is_silent_by_right = self._unsubscribe is not None or self._residences or self.holds
        return float("inf") if is_silent_by_right else IDLE_SECONDS

    def _let_in(self) -> bool:
        if self._caller is None:
            self._caller = self._house.identify(self.transport)
            if not self._caller.allowed:
                self._house.tell(f"refused {self._caller.user}", f"{self._caller.name} was not let in")
                self.lost = True
                self.transport.abortConnection()
        return self._caller.allowed

    # IPushProducer: the transport says whether what we send is read

    def pauseProducing(self) -> None:
        self._choked = True

    def resumeProducing(self) -> None:
        self._choked = False
        self._house.turnstile.enter(self)

    def stopProducing(self) -> None:
        pass

    # Requests

    def locateResponder(self, name: bytes) -> Callable[[AmpBox], Deferred[AmpBox]] | None:
        found = _ANSWERS.get(name)
        if found is None:
            return None  # neither are AMP's own commands of use here
        command, answer = found

        def respond(box: AmpBox) -> Deferred[AmpBox]:
            try:
                arguments = command.parseArguments(box, self)
            except Exception:
                raise _remote(
                    BadRequestError(f"{name.decode()}: its arguments cannot be understood"), command
                ) from None
            answering: Deferred[Any] = maybeDeferred(answer, self, **arguments)
            answering.addCallback(command.makeResponse, self)
            answering.addErrback(self._refuse, command)
            return answering

        return respond

    def _refuse(self, failure: Failure, command: type[Command]) -> NoReturn:
        if isinstance(failure.value, RefusedError):
            raise _remote(failure.value, command)
        self._house.tell_bug(command, failure)
        raise _remote(RefusedError("this failed inside the daemon: its log says more"), command)

    def unhandledError(self, failure: Failure) -> None:
        if not self.lost:
            self.drop("an answer of it was an error, or a request without _ask failed")

    def _hello(self, version: str, protocol: int) -> dict[str, Any]:
        if protocol != PROTOCOL:
            raise RefusedError(
                f"this daemon (carptwist {__version__}) speaks control protocol {PROTOCOL}, the client (carptwist "
                f"{version[:40]}) protocol {protocol}: use the same version of both"
            )
        self._greeted = True
        return {"version": __version__, "protocol": PROTOCOL}

    def _desk(self) -> tuple[Desk, str]:
        if not self._greeted or self._caller is None:
            raise RefusedError("say Hello first")
        return self._house.desk, self._caller.name

    def _status(self, offset: int) -> dict[str, Any] | Deferred[dict[str, Any]]:
        desk, _ = self._desk()
        if offset == 0:
            return desk.status(self._house.turnstile).addCallback(self._begin)
        return self._part(offset)

    def _begin(self, snapshot: bytes) -> dict[str, Any]:
        self._snapshot = snapshot
        return self._part(0)

    def _part(self, offset: int) -> dict[str, Any]:
        if not 0 <= offset <= len(self._snapshot):
            raise BadRequestError(f"offset {offset} is not within the snapshot: begin with 0")
        part = self._snapshot[offset : offset + PART]
        remaining = len(self._snapshot) - offset - len(part)
        if remaining == 0:
            self._snapshot = b""
        return {"octets": part, "remaining": remaining}

    def _interfaces(self, name: str | None = None) -> dict[str, Any]:
        return {"text": self._desk()[0].interfaces(name)}

    def _ifconfig(self, interface: str, words: list[str]) -> Deferred[dict[str, Any]]:
        desk, who = self._desk()
        return desk.ifconfig(who, interface, words).addCallback(lambda text: {"text": text})

    def _sysctl(self, name: str, value: str) -> dict[str, Any]:
        desk, who = self._desk()
        before, after = desk.sysctl(who, name, value)
        return {"before": before, "after": after}

    def _demote(
        self, value: int, owner: str, reason: str, seconds: float | None = None, held: bool = False
    ) -> dict[str, Any]:
        desk, who = self._desk()
        total = desk.demote(who, value, owner, reason, seconds)
        self._house.hold(self if held else None, owner.strip())
        return {"sum": total}

    def _undemote(self, owner: str) -> dict[str, Any]:
        desk, who = self._desk()
        return {"sum": desk.undemote(who, owner)}

    def _sync(self, verb: str, name: str) -> dict[str, Any]:
        desk, who = self._desk()
        return {"sum": desk.sync(who, verb, name)}

    def _state(self, vhid: str, state: str) -> dict[str, Any]:
        desk, who = self._desk()
        return {"state": desk.state(who, vhid, state)}

    def _explain(self, vhid: str) -> dict[str, Any]:
        return {"octets": packed(self._desk()[0].explain(vhid))}

    def _events(self, after: int, most: int, vhid: str | None = None) -> dict[str, Any]:
        desk, _ = self._desk()
        events = desk.events(after, most, vhid)
        octets = packed({"events": events})
        while len(octets) > PART:
            events = events[len(events) // 2 :]
            octets = packed({"events": events})
        return {"octets": octets}

    def _subscribe(self, vhid: str | None = None) -> dict[str, Any]:
        desk, _ = self._desk()
        if self._unsubscribe is not None:
            raise RefusedError("this connection is subscribed already")
        self._unsubscribe = self._house.subscribe(desk, partial(self._push, vhid))
        return {"last": desk.history.last}

    def _push(self, vhid: str | None, event: dict[str, Any]) -> None:
        if concerns(event, vhid):
            self._tell(commands.Event, text=json.dumps(event, ensure_ascii=False))

    def _acknowledged(self, _: object) -> None:
        self._unanswered -= 1

    def _disowned(self, _: object) -> None:
        if not self.lost:
            self.drop("it has answered an event or a lease with an error")

    def _attend(self, vhid: str, patience: float) -> dict[str, Any]:
        desk, _ = self._desk()
        vhost = desk.find(vhid)
        if not 0 <= patience <= LONGEST_PATIENCE_SECONDS:
            raise BadRequestError(f"patience {patience:g}: must be 0 to {LONGEST_PATIENCE_SECONDS:g} seconds")
        if vhost.name in self._residences:
            self._residences.pop(vhost.name).end()  # with another patience, or to be told once more
        if len(self._residences) >= MOST_RESIDENCES:
            raise BusyError(f"this connection attends {MOST_RESIDENCES} virtual hosts")
        residence = self._residences[vhost.name] = Residence(
            vhost.name, patience, self._tell, to_boottime=self._house.to_boottime
        )
        residence.begin(vhost.tenants)
        return {}

    def _tell(self, command: type[Command], **arguments: Any) -> Deferred[Any] | None:
        """Have the program told something that it has to acknowledge."""
        if self.lost:
            return None
        if self._unanswered >= MOST_UNANSWERED:
            self.drop(f"it has not acknowledged {MOST_UNANSWERED} messages")
            return None
        self._unanswered += 1
        telling: Deferred[Any] = self.callRemote(command, **arguments)  # type: ignore[no-untyped-call]
        return telling.addCallbacks(self._acknowledged, self._disowned)

    def _maintenance(self, on: bool, force: bool, reason: str) -> dict[str, Any]:
        desk, who = self._desk()
        return {"text": desk.maintenance(who, on, force, reason)}

    def _reload(self) -> Deferred[dict[str, Any]]:
        desk, who = self._desk()
        return self._revised(desk, who, "reload", self._house.revising.reload)

    def _plan(self, path: str) -> Deferred[dict[str, Any]]:
        self._desk()
        return self._house.revising.plan(path).addCallback(lambda plan: {"octets": packed(plan)})

    def _save(self) -> Deferred[dict[str, Any]]:
        desk, who = self._desk()
        return self._revised(desk, who, "save", self._house.revising.save)

    def _revised(
        self, desk: Desk, who: str, what: str, revise: Callable[[str], Deferred[dict[str, Any]]]
    ) -> Deferred[dict[str, Any]]:
        def done(result: Any) -> Any:
            desk.changed()
            return result

        desk.asked(who, what)
        return revise(who).addBoth(done).addCallback(lambda answer: {"octets": packed(answer)})


_ANSWERS: dict[bytes, tuple[type[Command], Callable[..., Any]]] = {
    command.commandName: (command, answer)
    for command, answer in (
        (commands.Hello, ControlProtocol._hello),
        (commands.Status, ControlProtocol._status),
        (commands.Interfaces, ControlProtocol._interfaces),
        (commands.Ifconfig, ControlProtocol._ifconfig),
        (commands.Sysctl, ControlProtocol._sysctl),
        (commands.Demote, ControlProtocol._demote),
        (commands.Undemote, ControlProtocol._undemote),
        (commands.Sync, ControlProtocol._sync),
        (commands.State, ControlProtocol._state),
        (commands.Explain, ControlProtocol._explain),
        (commands.Events, ControlProtocol._events),
        (commands.Subscribe, ControlProtocol._subscribe),
        (Attend, ControlProtocol._attend),
        (commands.Maintenance, ControlProtocol._maintenance),
        (Reload, ControlProtocol._reload),
        (Plan, ControlProtocol._plan),
        (Save, ControlProtocol._save),
    )
}


def _remote(error: RefusedError, command: type[Command]) -> RemoteAmpError:
    code = next(code for kind, code in command.errors.items() if isinstance(error, kind))
    return RemoteAmpError(code, str(error))
