"""SSH that opens to keys alone. Imported only where it is configured: it takes the packages of ``carptwist[admin]``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.conch.checkers import IAuthorizedKeysDB, SSHPublicKeyChecker
from twisted.conch.interfaces import IConchUser
from twisted.conch.manhole_ssh import ConchFactory, TerminalRealm, TerminalSession
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.credentials import ISSHPrivateKey
from twisted.cred.portal import Portal
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import connectionDone
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from carptwist.admin.access import TurnedAway, trusted_text

__all__ = ["AuthorizedKeys", "IConchUser", "KeysOnlyFactory", "SSHPublicKeyChecker", "host_keys", "user"]

_log = Logger()


@provider(ILogObserver)
def _bugs_alone(event: LogEvent) -> None:
    if event["log_level"] >= LogLevel.critical:
        globalLogPublisher(event)


#: For Conch, which writes a dozen lines about each connection of anybody.
_quiet = Logger(observer=_bugs_alone)

MOST_CONNECTIONS = 16
#: Until somebody has shown a key: Conch itself waits for ever for a version and for the exchange of keys.
LOGIN_SECONDS = 60
_LONGEST_NAME = 60


@implementer(IAuthorizedKeysDB)
class AuthorizedKeys:
    """The public keys of a file: whoever has the other half of one may come, under any name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def getAuthorizedKeys(self, username: bytes) -> Iterable[Any]:
        try:
            text = trusted_text(self._path)
        except OSError as error:
            _log.warn("carp: manhole: nobody is let in: {error}", error=error)
            return []
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                found.append(Key.fromString(line.encode(), type="public_openssh"))
            except (BadKeyError, EncryptedKeyError, ValueError, TypeError, IndexError):
                _log.warn("carp: manhole: {path}:{number}: no public key", path=self._path, number=number)
        return found


class KeysOnly(SSHUserAuthServer):
    """Never asks for a pass phrase, and never takes one."""

    interfaceToMethod = {ISSHPrivateKey: b"publickey"}
    loginTimeout = 60
    attemptsBeforeDisconnect = 6
    transport: Any
    _log = _quiet

    def serviceStopped(self) -> None:
        if self.user and self.transport is not None:
            self.transport.named = repr(self.user[:_LONGEST_NAME].decode(errors="replace"))
        super().serviceStopped()


class Connection(SSHConnection):
    """What somebody has who was let in."""

    _log = _quiet


class CountedTransport(SSHServerTransport):
    """A connection that tells its end, and that nobody keeps without a key."""

    factory: KeysOnlyFactory
    transport: Any
    named = "somebody"
    _log = _quiet

    def connectionMade(self) -> None:
        self._let_in = False
        self._patience = self.factory.clock.callLater(LOGIN_SECONDS, self.transport.abortConnection)
        super().connectionMade()

    def setService(self, service: Any) -> None:
        if service.name == SSHConnection.name:
            self._at_ease()
            self._let_in = True
        super().setService(service)

    def connectionLost(self, reason: Failure | None = connectionDone) -> None:
        self._at_ease()
        self.factory.connections -= 1
        super().connectionLost(reason)
        if not self._let_in:
            self.factory.turned_away.tell("SSH", self.named, self.transport)

    def _at_ease(self) -> None:
        if self._patience.active():
            self._patience.cancel()


class KeysOnlyFactory(ConchFactory):
    """Builds the connections."""

    noisy = False
    protocol = CountedTransport
    services = {b"ssh-userauth": KeysOnly, b"ssh-connection": Connection}
    _log = _quiet

    def __init__(self, portal: Portal, keys: dict[bytes, Key], clock: Any) -> None:
        super().__init__(portal)
        self.clock = clock
        self.turned_away = TurnedAway(clock)
        self.publicKeys = {kind: key.public() for kind, key in keys.items()}
        self.privateKeys = keys  # type: ignore[assignment]  # what Conch says of their type is not so
        self.connections = 0

    def buildProtocol(self, addr: Any) -> Any:
        if self.connections >= MOST_CONNECTIONS:
            return None
        self.connections += 1
        return super().buildProtocol(addr)


class Session(TerminalSession):
    """A terminal, and nothing but a terminal: no commands, no files, no tunnels."""

    def execCommand(self, proto: Any, command: bytes) -> None:
        proto.errReceived(b"carptwist: there are no commands here, only a prompt\r\n")
        proto.processEnded(Failure(ProcessTerminated(1)))

    def windowChanged(self, newWindowSize: Any) -> None:
        pass

    def eofReceived(self) -> None:
        pass


def user(terminal: Callable[[], Any], name: bytes) -> Any:
    """What Conch wants to know of somebody who was let in."""
    realm = TerminalRealm()
    realm.sessionFactory = Session
    realm.chainedProtocolFactory = terminal  # type: ignore[assignment]  # any callable will do
    return realm._getAvatar(name)


def host_keys(path: str) -> dict[bytes, Key]:
    """The key of a file, by its kind.

    :raises OSError: it cannot be read.
    :raises ValueError: it is none, or takes a pass phrase; the text has the remedy.
    """
    try:
        key = Key.fromFile(path)
    except (BadKeyError, EncryptedKeyError, ValueError) as error:
        raise ValueError(f"{path}: no private key ({error}): ssh-keygen -t ed25519 -N '' -f {path}") from None
    return {key.sshType(): key}
