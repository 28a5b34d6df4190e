"""Telnet and SSH into the running daemon.

::

    telnet --> loopback, UNIX socket --> name, pass phrase --+
                                                             +--> Portal --> Console (a Python prompt)
    ssh -----> anywhere -------------> key ------------------+

Conch does the protocols. SSH takes keys alone here, though the portal knows pass phrases as well.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from twisted.conch.telnet import EOR, IP, LINEMODE_EOF, AuthenticatingTelnetProtocol, TelnetTransport
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.compat import iterbytes
from twisted.python.failure import Failure

from carptwist.admin.access import PhraseChecker, ShellRealm, TurnedAway
from carptwist.admin.console import Console
from carptwist.admin.stopwatch import Stopwatch
from carptwist.config.shells import ManholeConfig, Place
from carptwist.listening import in_our_name, listen

#: More sessions than administrators.
MOST_SESSIONS = 8
MOST_ATTEMPTS = 3
LOGIN_SECONDS = 60
#: Octets of a name and a pass phrase, three times, and of what a terminal says of itself.
MOST_BEFORE_LOGIN = 8192
_CTRL_C, _CTRL_D = b"\x03", b"\x04"


_log = Logger()


class Shells:
    """The shells of one daemon.

    :param namespace: gives the names that a new session knows, for whoever has logged in.
    """

    def __init__(
        self, config: ManholeConfig, *, reactor: Any, namespace: Callable[[str], dict[str, Any]], stopwatch: Stopwatch
    ) -> None:
        self._config = config
        self._reactor = reactor
        self._ports: list[IListeningPort] = []
        self.portal = Portal(ShellRealm(lambda who: Console(namespace(who), stopwatch, who)))

    @inlineCallbacks
    def start(self) -> Generator[Deferred[Any], Any, None]:
        """Listen. What cannot be is in the log, and keeps nothing else from working."""
        config = self._config
        if config.telnet is not None and config.passwd is not None:
            self.portal.registerChecker(PhraseChecker(config.passwd, self._aside))
            yield self._listen("telnet", config.telnet, lambda: TelnetFactory(self.portal, self._reactor))
        if config.ssh is not None and config.host_key is not None and config.authorized_keys is not None:
            yield self._listen("SSH", config.ssh, self._ssh_factory)

    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Nobody can come any more."""
        ports, self._ports = self._ports, []
        for port in ports:
            yield maybeDeferred(port.stopListening)

    def _ssh_factory(self) -> Any:
        # It takes cryptography and bcrypt, which the daemon can do without.
        from carptwist.admin.ssh import AuthorizedKeys, KeysOnlyFactory, SSHPublicKeyChecker, host_keys

        assert self._config.host_key is not None
        assert self._config.authorized_keys is not None
        factory = KeysOnlyFactory(self.portal, host_keys(self._config.host_key), self._reactor)
        self.portal.registerChecker(SSHPublicKeyChecker(AuthorizedKeys(self._config.authorized_keys)))
        return factory

    @inlineCallbacks
    def _listen(self, what: str, place: Place, make: Callable[[], Any]) -> Generator[Deferred[Any], Any, None]:
        try:
            factory = make()
            if place.path:
                port = yield listen(self._reactor, place.path, 0o600, factory)
            else:
                endpoint = TCP6ServerEndpoint if ":" in place.interface else TCP4ServerEndpoint
                there = endpoint(self._reactor, place.port, interface=place.interface)
                port = yield in_our_name(there.listen, factory)
            self._ports.append(port)
        except ImportError as error:
            _log.error(
                "carp: manhole: no {what} at {place}: {error}: pip install '.[admin]'",
                what=what,
                place=place,
                error=error,
            )
        except Exception as error:
            _log.error("carp: manhole: no {what} at {place}: {error}", what=what, place=place, error=error)

    def _aside(self, work: Callable[[], Any]) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)


class TelnetLogin(AuthenticatingTelnetProtocol):
    """Asks for a name and a pass phrase: so often, for so long."""

    factory: TelnetFactory
    transport: Any

    def __init__(self, portal: Portal, reactor: Any) -> None:
        super().__init__(portal)
        self._attempts = 0
        self._name = b""
        self._patience = reactor.callLater(LOGIN_SECONDS, lambda: self.transport.loseConnection())

    def telnet_User(self, line: bytes) -> str:
        self._name = line
        state: str = super().telnet_User(line)
        return state

    def _cbLogin(self, ial: Any) -> None:
        self._at_ease()
        # From now on this object hears nothing of the connection any more.
        self.transport.when_ended.append(ial[2])
        super()._cbLogin(ial)

    def _ebLogin(self, failure: Failure) -> None:
        self.factory.turned_away.tell("telnet", repr(self._name.decode(errors="replace")), self.transport)
        self._attempts += 1
        if self._attempts >= MOST_ATTEMPTS:
            self.transport.write(b"\nAuthentication failed\n")
            self.transport.loseConnection()
        else:
            super()._ebLogin(failure)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._at_ease()
        super().connectionLost(reason)

    def _at_ease(self) -> None:
        if self._patience.active():
            self._patience.cancel()


class TelnetFactory(ServerFactory):
    """One login after the other."""

    noisy = False

    def __init__(self, portal: Portal, reactor: Any) -> None:
        self._portal = portal
        self._reactor = reactor
        self._sessions = 0
        self.turned_away = TurnedAway(reactor)

    def buildProtocol(self, addr: object) -> TelnetTransport | None:
        if self._sessions >= MOST_SESSIONS:
            return None
        self._sessions += 1
        transport = CountedTelnet(self._ended, self._portal, self._reactor)
        transport.factory = self
        return transport

    def _ended(self) -> None:
        self._sessions -= 1


class CountedTelnet(TelnetTransport):
    """A telnet connection that tells its end to all who want to know."""

    transport: Any

    def __init__(self, ended: Callable[[], object], portal: Portal, reactor: Any) -> None:
        super().__init__(TelnetLogin, portal, reactor)
        self.when_ended = [ended]
        self._before_login = 0
        # What telnet(1) makes of Ctrl-C in the mode that Conch asks for, and Conch knows nothing of (RFC 854). It takes
        # no notice of what it gets until its timing mark is answered, which comes next (RFC 860).
        self.commandMap[IP] = lambda argument: reactor.callLater(0, self._typed, _CTRL_C)

    def dataReceived(self, data: bytes) -> None:
        if isinstance(self.protocol, TelnetLogin):
            self._before_login += len(data)
            if self._before_login > MOST_BEFORE_LOGIN:
                self.transport.abortConnection()
                return
        for octet in iterbytes(data):
            if self.state == "escaped" and octet < EOR:
                # Of the commands that are younger than Conch's list it is Ctrl-D that matters (RFC 1184). At the others
                # Conch would end the connection, with a traceback in the log.
                self.state = "data"
                if octet == LINEMODE_EOF:
                    self._typed(_CTRL_D)
            else:
                super().dataReceived(octet)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        for ended in self.when_ended:
            ended()

    def _typed(self, key: bytes) -> None:
        if self.protocol is not None and not isinstance(self.protocol, TelnetLogin):
            self.applicationDataReceived(key)
        elif key == _CTRL_D:
            self.transport.loseConnection()
