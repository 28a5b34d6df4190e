"""A server that listens while this host holds the addresses of a virtual host: ``carp:VHID@IF:INNER``.

::

    daemon: lease ----> opened: the inner endpoint listens, again and again until it can
    daemon: no lease -> closed: what waits to be accepted is accepted, the port closed,
                                connections end by themselves for ``drain`` seconds, and are aborted then
                        answer: the daemon lets the addresses go, and says farewell

While the connections end the addresses are still here, where the daemon goes in good order: requests that were accepted
are answered. Where another host is master already there is nothing to wait for, and the answers reach nobody; they are
given the same time, as connections to other addresses of this host may be among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReadDescriptor,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.config.schema import DEFAULT_CONTROL_SOCKET
from carptwist.integration.client import CarpClient, canonical, connect, control_endpoint
from carptwist.integration.connections import Connections
from carptwist.integration.gate import Gate, boottime

DRAIN_SECONDS = 0.1
SETTLE_SECONDS = 0.03
#: Beyond what draining takes, the daemon waits for so long.
SPARE_SECONDS = 0.5
#: Until the inner endpoint can listen.
FIRST_RETRY_SECONDS = 0.02
LONGEST_RETRY_SECONDS = 2.0
#: Those who wait to be accepted are let in at so many goes at most: more come all the time.
MOST_GOES = 100


@implementer(IAddress)
@dataclass(frozen=True)
class AwaitedAddress:
    """Of a port that has not listened yet.

    :ivar vhid: that is waited for, ``VHID@INTERFACE``
    """

    vhid: str


@implementer(IListeningPort)
class GatedPort:
    """Listens on an inner endpoint while a gate is open.

    :param drain_seconds: for how long connections may go on after it was shut.
    :param early: a port that listens already, whatever the gate says; None for one that follows it.
    """

    _log = Logger()

    def __init__(
        self,
        vhid: str,
        inner: IStreamServerEndpoint,
        connections: Connections,
        *,
        clock: Any,
        drain_seconds: float,
        early: IListeningPort | None,
        make_gate: Callable[[GatedPort], Gate],
    ) -> None:
        self._vhid = vhid
        self._inner = inner
        self._connections = connections
        self._clock = clock
        self._drain_seconds = drain_seconds
        self._early = early
        self._gate = make_gate(self)
        self._address: IAddress = AwaitedAddress(vhid) if early is None else early.getHost()
        self._is_leaving = False
        self._port: IListeningPort | None = None
        self._attempt: Deferred[Any] | None = None
        self._retry: IDelayedCall | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._trouble = ""
        self._drained: Deferred[None] | None = None
        self._abort: IDelayedCall | None = None
        self._gate.start()

    # IListeningPort

    def startListening(self) -> None:
        """Follow the virtual host again, after :meth:`stopListening`."""
        self._is_leaving = False
        if self._early is not None:
            self._early.startListening()
        self._gate.start()

    def stopListening(self) -> Deferred[None]:
        """Listen no more. As with any port, connections that are open stay so."""
        self._is_leaving = True
        self._end_drain()
        stopping = self._gate.stop()
        if self._early is None:
            return stopping
        early = maybeDeferred(self._early.stopListening)  # at once, whatever the rest takes
        return stopping.addCallback(lambda _: early).addCallback(lambda _: None)

    def getHost(self) -> IAddress:
        """Where it listens, or did last; an :class:`AwaitedAddress` before the first time."""
        return self._address

    @property
    def is_listening(self) -> bool:
        """Whether somebody who connects is let in now."""
        return self._port is not None or self._early is not None

    def when_shut(self) -> Deferred[None]:
        """Fires when nobody is let in and connections have ended, or had their time, because this host is not MASTER:
        then the addresses go. It may be so already. Does not shut it; with ``always`` new ones are let in all the same.
        """
        return self._gate.when_shut()

    # The gate

    def opened(self) -> None:
        """For the gate."""
        self._log.info("carp: {vhid} is served here from now on", vhid=self._vhid)
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._trouble = ""
        if self._early is None:
            self._listen()

    def closed(self) -> Deferred[None]:
        """For the gate."""
        self._log.info("carp: {vhid} is not served here any more", vhid=self._vhid)
        closing = self._close().addErrback(self._not_closed)
        return closing.addCallback(lambda _: None if self._is_leaving else self._drain())

    def _listen(self) -> None:
        self._retry = None
        attempt = self._attempt = maybeDeferred(self._inner.listen, self._connections)
        attempt.addCallbacks(partial(self._listening, attempt), partial(self._not_listening, attempt))

    def _listening(self, attempt: Deferred[Any], port: IListeningPort) -> Any:
        if self._attempt is not attempt:
            return maybeDeferred(port.stopListening)  # too late, it was shut meanwhile
        self._attempt = None
        self._port = port
        self._address = port.getHost()
        return None

    def _not_listening(self, attempt: Deferred[Any], failure: Failure) -> None:
        if self._attempt is not attempt:
            return
        self._attempt = None
        # Right after a takeover an address may not be there yet; and a port may be taken until somebody lets go of it.
        why = failure.getErrorMessage()
        if why != self._trouble:
            self._trouble = why
            self._log.warn("carp: {vhid}: cannot listen yet: {why}", vhid=self._vhid, why=why)
        self._retry = self._clock.callLater(self._retry_seconds, self._listen)
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)

    def _close(self) -> Deferred[None]:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        # Not cancelled: many Deferreds only pretend to be, and what comes of them then is nobody's, and listens.
        self._attempt = None
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        if IReadDescriptor.providedBy(port):
            # Who was let in by the kernel, and not by us yet, would be turned away by closing the port: now, and again
            # right before it is closed, for which Twisted's ports wait for the reactor's next turn.
            self._accept(port)
            self._clock.callLater(0, self._accept, port)
        return maybeDeferred(port.stopListening).addCallback(lambda _: None)

    def _accept(self, port: Any) -> None:
        if not getattr(port, "connected", False):
            return
        for _ in range(MOST_GOES):
            built = self._connections.built
            port.doRead()  # as many as there were the last time, and no more
            if self._connections.built == built:
                return

    def _not_closed(self, failure: Failure) -> None:
        self._log.failure("carp: {vhid}: the port was not closed well", failure, vhid=self._vhid)

    # Connections

    def _drain(self) -> Deferred[None]:
        drained = self._drained = Deferred()
        self._abort = self._clock.callLater(self._drain_seconds, self._abort_connections)
        self._connections.when_none(self._end_drain)
        return drained

    def _abort_connections(self) -> None:
        self._abort = None
        self._connections.abort()
        self._end_drain()

    def _end_drain(self) -> None:
        if self._abort is not None:
            self._abort.cancel()
            self._abort = None
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.callback(None)


@implementer(IStreamServerEndpoint)
class CarpServerEndpoint:
    """Listens on an inner endpoint while this host is MASTER of a virtual host, and holds its addresses.

    :param vhid: ``VHID@INTERFACE``.
    :param inner: must be able to listen again and again, as all of Twisted's are but those that adopt a socket; with
        ``always`` it has to only once.
    :param control: where the daemon of this host listens.
    :param drain_seconds: for how long connections may go on when it is not MASTER any more; they are aborted then.
    :param settle_seconds: how long after its first advertisement a new MASTER listens: a former one that lives has
        closed its port by then.
    :param always: listen at once and for ever, where the inner endpoint can; connections end as they do otherwise.
    :raises ValueError: the vhid is no ``VHID@INTERFACE``, or ``control`` neither a path nor an endpoint string.
    """

    def __init__(
        self,
        reactor: Any,
        vhid: str,
        inner: IStreamServerEndpoint,
        *,
        control: IStreamClientEndpoint | str = DEFAULT_CONTROL_SOCKET,
        drain_seconds: float = DRAIN_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
        always: bool = False,
        boottime: Callable[[], float] = boottime,
    ) -> None:
        """Nothing is asked before somebody listens."""
        self._reactor = reactor
        self._vhid = canonical(vhid)
        self._inner = inner
        self._control = control_endpoint(reactor, control)
        self._drain_seconds = drain_seconds
        self._settle_seconds = settle_seconds
        self._always = always
        self._boottime = boottime

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Fires with a :class:`GatedPort`, at once; with ``always`` when the inner endpoint listens, and it fails where
        that one fails."""
        connections = Connections(protocolFactory)
        if not self._always:
            return succeed(self._port(connections, None))
        return maybeDeferred(self._inner.listen, connections).addCallback(partial(self._port, connections))

    def _port(self, connections: Connections, early: IListeningPort | None) -> IListeningPort:
        return GatedPort(
            self._vhid,
            self._inner,
            connections,
            clock=self._reactor,
            drain_seconds=self._drain_seconds,
            early=early,
            make_gate=self._gate,
        )

    def _gate(self, port: GatedPort) -> Gate:
        def client() -> CarpClient:
            return connect(self._reactor, self._control)

        return Gate(
            self._vhid,
            port,
            client=client,
            clock=self._reactor,
            settle_seconds=self._settle_seconds,
            patience_seconds=self._drain_seconds + SPARE_SECONDS,
            boottime=self._boottime,
        )
