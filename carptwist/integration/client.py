"""The daemon of this host, for a program that lives as long as it does or longer: connected again and again, for ever.

::

    client = connect(reactor)                        # at once; the connection is made, and made anew, behind it
    status = yield client.status()
    yield client.when("1@em0", State.MASTER)
    events = client.events("1@em0")
    event = yield events.next()
    async with client.demote(100, "shop", "draining"):
        ...
    yield client.close()

What is asked while there is no connection waits for the next one. What is to last, a subscription, a demotion, an
attendance, is asked for anew over each connection; events that were missed in between are fetched, as long as the
daemon remembers them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from carptwist import __version__
from carptwist.child import Child
from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.control.client import ClientProtocol, ControlClient, Event
from carptwist.control.commands import PROTOCOL, Hello, RefusedError
from carptwist.control.grammar import virtual_host_name
from carptwist.control.unreachable import WHO_MAY
from carptwist.election.state import State
from carptwist.integration.demotion import Demotion
from carptwist.integration.knocking import Knocking
from carptwist.integration.subscription import Subscription
from carptwist.vhost.tenants import Lease

#: Called with a lease, or None; a Deferred that it gives with None is waited for.
Told = Callable[[Lease | None], "Deferred[None] | None"]

#: After a connection of which nothing came, and after each further one in a row.
FIRST_RETRY_SECONDS = 0.1
LONGEST_RETRY_SECONDS = 5.0
#: What a daemon refused is asked for again, for it may be granted later.
REFUSED_RETRY_SECONDS = 5.0


def connect(reactor: Any, endpoint: IStreamClientEndpoint | str = DEFAULT_CONTROL_SOCKET) -> CarpClient:
    """A client of the daemon that listens at an endpoint: a UNIX socket's path, a Twisted client endpoint string, or an
    endpoint. It is there at once, and connects by itself."""
    client = CarpClient(reactor, control_endpoint(reactor, endpoint))
    client.startService()
    return client


def control_endpoint(reactor: Any, where: IStreamClientEndpoint | str) -> IStreamClientEndpoint:
    """Where a daemon listens.

    :raises ValueError: this is neither a path nor an endpoint string.
    """
    if not isinstance(where, str):
        return where
    if not where:
        raise ValueError("control: neither a path nor an endpoint")
    is_path = "/" in where.partition(":")[0] or ":" not in where
    endpoint = UNIXClientEndpoint(reactor, where) if is_path else clientFromString(reactor, where)
    return Knocking(endpoint, reactor, where)


def canonical(vhid: str) -> str:
    """``VHID@INTERFACE`` as the daemon writes it.

    :raises ValueError: it is none.
    """
    number, interface = virtual_host_name(vhid)
    return f"{number}@{interface}"


class _Connection(ClientProtocol):
    """Tells the client when it comes and goes."""

    def __init__(self, client: CarpClient) -> None:
        super().__init__()
        self._client = client

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]
        self._client.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._client.disconnected(self)


class _Connections(Factory):
    noisy = False

    def __init__(self, client: CarpClient) -> None:
        self._client = client

    def buildProtocol(self, addr: IAddress | None) -> _Connection:
        return _Connection(self._client)


class _Waiting:
    """For a state, or for a connection."""

    def __init__(self, vhid: str, state: str) -> None:
        self.vhid = vhid
        self.state = state
        self.fired: Deferred[None] = Deferred(lambda _: None)


class CarpClient(Child):
    """A connection to a daemon that is made anew whenever it is lost, while the service runs.

    Calls may fail with :class:`carptwist.api.RefusedError`, with ``ConnectionClosed`` if the daemon goes away before it
    has answered, and with ``CancelledError`` if the client is closed."""

    _log = Logger()

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._policy = backoffPolicy(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, jitter=lambda: 0.0)
        self._rejections = 0  # connections in a row of which nothing came
        if not isinstance(endpoint, Knocking):
            endpoint = Knocking(endpoint, reactor, "its endpoint")
        self._where = endpoint.where
        self._service = ClientService(endpoint, _Connections(self), self._retry_seconds, reactor)
        self._is_closed = False
        self._refusal = ""
        self._connection: _Connection | None = None
        self._ready: ControlClient | None = None
        self._for_connection: list[Deferred[ControlClient]] = []
        self._subscriptions: list[Subscription] = []
        self._waiting: list[_Waiting] = []
        self._demotions: list[Demotion] = []
        self._attended: dict[str, tuple[Told, float]] = {}
        self._complaints: dict[str, str] = {}  # why the daemon does not tell of a vhid, as it was logged
        self._is_subscribed = False
        self._newest: int | None = None  # event that was told
        self._held_back: deque[Event] | None = None  # while older ones are fetched
        self._again: set[IDelayedCall] = set()  # what was refused over this connection

    # Life

    def startService(self) -> None:
        """Connect, and connect again whenever the connection is lost."""
        self._is_closed = False
        super().startService()  # type: ignore[no-untyped-call]
        self._service.startService()

    def stopService(self) -> Deferred[None]:
        """Hang up, for good: what waits fails with CancelledError."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._is_closed = True
        self._forget_refusals()
        stopping: Deferred[None] = self._service.stopService()
        for_connection, self._for_connection = self._for_connection, []
        waiting, self._waiting = self._waiting, []
        for connecting in for_connection:
            connecting.errback(CancelledError())
        for one in waiting:
            one.fired.errback(CancelledError())
        for demotion in self._demotions:
            demotion.refused(Failure(CancelledError()))
        self._demotions.clear()
        for subscription in tuple(self._subscriptions):
            subscription.close()
        return stopping

    def close(self) -> Deferred[None]:
        """The same, for whoever has it from :func:`connect`."""
        return self.stopService()

    @property
    def is_connected(self) -> bool:
        """Whether a daemon answers now."""
        return self._ready is not None

    # Questions

    @inlineCallbacks
    def status(self) -> Generator[Deferred[Any], Any, dict[str, Any]]:
        """The daemon's status: the object of ``carpctl status --json``."""
        client = yield self.connection()
        status: dict[str, Any] = yield client.status()
        return status

    def connection(self) -> Deferred[ControlClient]:
        """The connection of this moment, or the next one: for all that the control protocol has besides."""
        if self._ready is not None:
            return succeed(self._ready)
        self._require_life()
        waiting: Deferred[ControlClient] = Deferred(self._give_up_connection)
        self._for_connection.append(waiting)
        return waiting

    def _give_up_connection(self, waiting: Deferred[ControlClient]) -> None:
        self._for_connection.remove(waiting)

    @inlineCallbacks
    def when(self, vhid: str, state: State | str) -> Generator[Deferred[Any], Any, None]:
        """Fires once ``VHID@INTERFACE`` is INIT, BACKUP or MASTER, which it may be already.

        MASTER is what the election has decided: the addresses are reachable a little later, see :meth:`attend`. Fails
        with NotFoundError if the daemon has no such virtual host. May be cancelled."""
        waiting = _Waiting(canonical(vhid), State(state).value)
        self._require_life()
        self._waiting.append(waiting)
        try:
            if self._ready is not None:
                self._follow(self._ready)
                yield self._look(self._ready, waiting)
            yield waiting.fired
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def events(self, vhid: str | None = None) -> Subscription:
        """All events from now on; those of one vhid and of the host, or of all. They are objects as in
        ``carpctl events --json``."""
        self._require_life()
        subscription = Subscription(None if vhid is None else canonical(vhid), self._subscriptions.remove)
        self._subscriptions.append(subscription)
        if self._ready is not None:
            self._follow(self._ready)
        return subscription

    def _require_life(self) -> None:
        if self._is_closed:
            raise RuntimeError("the client is closed")

    # What lasts

    def demote(self, value: int, owner: str, reason: str) -> Demotion:
        """Demote this host for as long as the value, an (asynchronous) context manager, is not ended, and this program
        lives: the entry of the ledger ends with the connection, and is made anew with the next one."""
        self._require_life()
        demotion = Demotion(value, owner, reason, self._end_demotion)
        self._demotions.append(demotion)
        if self._ready is not None:
            self._demote(self._ready, demotion)
        return demotion

    def attend(self, vhid: str, told: Told, *, patience_seconds: float = 0.0) -> Callable[[], None]:
        """Call ``told`` with the lease of ``VHID@INTERFACE`` whenever it changes, and with None when it has none; so
        too when the connection is lost, because then nobody knows. The value stops that.

        A Deferred that ``told`` gives with None keeps the addresses here until it fires, where the daemon goes in good
        order, for ``patience_seconds`` at most. Moments are those of CLOCK_BOOTTIME.

        :raises ValueError: this client attends that vhid already, or it is no ``VHID@INTERFACE``.
        """
        self._require_life()
        vhid = canonical(vhid)
        if vhid in self._attended:
            raise ValueError(f"{vhid} is attended already")
        self._attended[vhid] = (told, patience_seconds)
        if self._ready is not None:
            self._attend(self._ready, vhid)

        def stop() -> None:
            # The daemon knows no way back: what it still says is not listened to.
            if self._attended.get(vhid, (None,))[0] is told:
                del self._attended[vhid]

        return stop

    # The connection

    def _retry_seconds(self, failures: int) -> float:
        return float(self._policy(failures + self._rejections))

    def connected(self, connection: _Connection) -> None:
        """A connection is there; nobody has said anything."""
        self._connection = connection
        greeting: Deferred[Any] = connection.callRemote(  # type: ignore[no-untyped-call]
            Hello, version=__version__, protocol=PROTOCOL
        )
        greeting.addCallback(lambda answer: self._prepare(ControlClient(connection, answer["version"])))
        greeting.addErrback(self._rejected, connection)

    def disconnected(self, connection: _Connection) -> None:
        """It is gone."""
        if self._connection is not connection:
            return
        self._connection = None
        if self._ready is None:
            return
        self._ready = None
        self._is_subscribed = False
        self._held_back = None
        self._forget_refusals()
        self._log.info("carp: the connection to the daemon at {where} is lost", where=self._where)
        for told, _ in tuple(self._attended.values()):
            maybeDeferred(told, None).addErrback(self._told_in_vain)

    def _prepare(self, client: ControlClient) -> None:
        if self._connection is None:
            return
        self._rejections = 0
        self._refusal = ""
        self._ready = client
        self._log.info("carp: connected to the daemon at {where}", where=self._where)
        for demotion in tuple(self._demotions):
            self._demote(client, demotion)
        for vhid in tuple(self._attended):
            self._attend(client, vhid)
        if self._subscriptions or self._waiting:
            self._follow(client)
            self._look_for_all(client).addErrback(self._complain, "events")
        for_connection, self._for_connection = self._for_connection, []
        for each in for_connection:
            each.callback(client)

    def _rejected(self, failure: Failure, connection: _Connection) -> None:
        self._rejections += 1
        why = f"it hangs up on us: {WHO_MAY}" if failure.check(ConnectionClosed) else failure.getErrorMessage()
        if why != self._refusal:
            self._refusal = why
            self._log.warn("carp: the daemon at {where} does not let us in: {why}", where=self._where, why=why)
        transport: Any = connection.transport
        if transport is not None:
            transport.abortConnection()

    # What is asked anew over each connection

    def _demote(self, client: ControlClient, demotion: Demotion) -> None:
        asked = client.demote(demotion.value, demotion.owner, demotion.reason, held=True)
        asked.addCallbacks(demotion.made, partial(self._not_demoted, demotion))

    def _not_demoted(self, demotion: Demotion, failure: Failure) -> None:
        if failure.check(ConnectionClosed):
            return
        if not demotion.is_awaited:
            self._log.warn("carp: demotion {owner}: {why}", owner=demotion.owner, why=failure.getErrorMessage())
        demotion.refused(failure)

    def _end_demotion(self, demotion: Demotion) -> Deferred[None]:
        if demotion not in self._demotions:
            return succeed(None)
        self._demotions.remove(demotion)
        if self._ready is None:
            return succeed(None)
        others = [each for each in self._demotions if each.owner == demotion.owner]
        if others:
            # One entry an owner: the one that this one has replaced.
            self._demote(self._ready, others[-1])
            return succeed(None)
        # That it has ended already, by an operator or with the connection, is as well.
        return self._ready.undemote(demotion.owner).addCallbacks(
            lambda _: None, lambda failure: failure.trap(RefusedError, ConnectionClosed) and None
        )

    def _attend(self, client: ControlClient, vhid: str) -> None:
        def told(name: str, lease: Lease | None) -> Deferred[None] | None:
            attending = self._attended.get(name)
            return None if attending is None else attending[0](lease)

        asked = client.attend(vhid, told, self._attended[vhid][1])
        asked.addCallbacks(lambda _: self._complaints.pop(vhid, None), partial(self._not_attended, client, vhid))

    def _not_attended(self, client: ControlClient, vhid: str, failure: Failure) -> None:
        if failure.check(ConnectionClosed) or vhid not in self._attended:
            return
        # It may be added later.
        why = failure.getErrorMessage()
        if self._complaints.get(vhid) != why:
            self._complaints[vhid] = why
            self._log.warn("carp: {vhid}: {why}", vhid=vhid, why=why)
        self._ask_again(self._attend_again, client, vhid)

    def _attend_again(self, client: ControlClient, vhid: str) -> None:
        if vhid in self._attended:
            self._attend(client, vhid)

    def _told_in_vain(self, failure: Failure) -> None:
        self._log.failure("carp: somebody who was told that there is no lease failed", failure)

    def _ask_again(self, ask: Callable[..., object], client: ControlClient, *arguments: Any) -> None:
        def due() -> None:
            self._again.discard(asking)
            ask(client, *arguments)

        if client is self._ready:
            asking: IDelayedCall = self._reactor.callLater(REFUSED_RETRY_SECONDS, due)
            self._again.add(asking)

    def _forget_refusals(self) -> None:
        for asking in self._again:
            asking.cancel()
        self._again.clear()

    # Events

    def _follow(self, client: ControlClient) -> None:
        # Nobody waits for it, and so nobody who gives up can take it from the others. What is asked after it is
        # answered after it.
        if not self._is_subscribed:
            self._is_subscribed = True
            self._subscribe(client).addErrback(self._not_subscribed, client)

    def _not_subscribed(self, failure: Failure, client: ControlClient) -> None:
        self._complain(failure, "events")
        if client is self._ready:
            self._is_subscribed = False
            self._held_back = None
            self._ask_again(self._follow, client)

    @inlineCallbacks
    def _subscribe(self, client: ControlClient) -> Generator[Deferred[Any], Any, None]:
        held_back = self._held_back = deque()
        last = yield client.subscribe(self._event)
        if self._newest is not None and last < self._newest:
            self._newest = 0  # another daemon, which counts anew: it remembers nothing of the one before
        if self._newest is not None and last > self._newest:
            missed = yield client.events(after=self._newest)
            for event in missed:
                self._deliver(event)
        self._newest = max(last, self._newest or 0)
        for event in held_back:
            self._deliver(event)
        if self._held_back is held_back:
            self._held_back = None

    def _event(self, event: Event) -> None:
        if self._held_back is not None:
            self._held_back.append(event)
        else:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        if self._newest is not None and event["number"] <= self._newest:
            return
        self._newest = int(event["number"])
        for subscription in tuple(self._subscriptions):
            subscription.deliver(event)
        for waiting in tuple(self._waiting):
            if event["vhid"] == waiting.vhid and event.get("state") == waiting.state:
                self._reached(waiting)

    @inlineCallbacks
    def _look_for_all(self, client: ControlClient) -> Generator[Deferred[Any], Any, None]:
        for waiting in tuple(self._waiting):
            try:
                yield self._look(client, waiting)
            except RefusedError as error:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
                    waiting.fired.errback(error)

    @inlineCallbacks
    def _look(self, client: ControlClient, waiting: _Waiting) -> Generator[Deferred[Any], Any, None]:
        # Not the status, of which there is a fresh one only every so often.
        try:
            explained = yield client.explain(waiting.vhid)
        except ConnectionClosed:
            return  # the next one is looked at as well
        if explained["state"] == waiting.state and waiting in self._waiting:
            self._reached(waiting)

    def _reached(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        waiting.fired.callback(None)

    def _complain(self, failure: Failure, what: str) -> None:
        if not failure.check(ConnectionClosed):
            self._log.warn("carp: {what}: {why}", what=what, why=failure.getErrorMessage())
