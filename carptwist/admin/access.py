"""Who may open a shell: one portal, with a checker for keys and one for pass phrases, and one realm behind it.

The files are read at each attempt, so that who is let in no more is out at once. Anything that is wrong with them lets
nobody in, and is in the log.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import Any

from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.telnet import ITelnetProtocol, TelnetBootstrapProtocol
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from zope.interface import implementer

from carptwist.admin import passwords
from carptwist.admin.console import Console
from carptwist.moderation import Moderation

_LONGEST_FILE = 2**20
BURST_SECONDS = 10.0
_log = Logger()

#: Does work that takes a processor for a while; fires with what it gives.
Aside = Callable[[Callable[[], Any]], "Deferred[Any]"]


def trusted_text(path: str) -> str:
    """The text of a file that decides who may come.

    :raises OSError: it cannot be read, or somebody else could have written it.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(1, f"others can write to {path}: chmod go-w {path}")
        return file.read(_LONGEST_FILE).decode(errors="replace")


class TurnedAway:
    """Tells of those who were not let in: one line for a burst from one place."""

    def __init__(self, clock: Any) -> None:
        self._moderation = Moderation(clock, BURST_SECONDS)

    def tell(self, how: str, who: str, transport: Any) -> None:
        """``who`` has come over ``transport``, and has gone as he came."""
        place = getattr(transport.getPeer(), "host", "a UNIX socket")
        unsaid = self._moderation.admit(place)
        if unsaid is not None:
            _log.warn(
                "carp: manhole: {who} from {place} was not let in by {how}{more}",
                who=who,
                place=place,
                how=how,
                more=f" ({unsaid} more like it unsaid)" if unsaid else "",
            )


@implementer(ICredentialsChecker)
class PhraseChecker:
    """Pass phrases of a file that :mod:`carptwist.admin.passwords` understands."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, path: str, aside: Aside) -> None:
        self._path = path
        self._aside = aside

    @inlineCallbacks
    def requestAvatarId(self, credentials: Any) -> Any:
        try:
            text = trusted_text(self._path)
        except OSError as error:
            _log.warn("carp: manhole: nobody is let in: {error}", error=error)
            raise UnauthorizedLogin from None
        admitted = yield self._aside(lambda: passwords.admits(text, credentials.username, credentials.password))
        if not admitted:
            raise UnauthorizedLogin
        return credentials.username


@implementer(IRealm)
class ShellRealm:
    """Gives a session to whoever was let in.

    :param open_console: makes the session of a name.
    """

    def __init__(self, open_console: Callable[[str], Console]) -> None:
        self._open_console = open_console

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> tuple[Any, Any, Callable[[], None]]:
        name = avatarId.decode(errors="replace") if isinstance(avatarId, bytes) else str(avatarId)
        if ITelnetProtocol in interfaces:
            _log.warn("carp: manhole: {name} has opened a shell by telnet", name=name)
            return ITelnetProtocol, TelnetBootstrapProtocol(self.terminal, name), _closing(name)
        # Only where SSH is configured are its packages needed, and has anybody come so far.
        from carptwist.admin.ssh import IConchUser, user

        if IConchUser not in interfaces:
            raise NotImplementedError
        _log.warn("carp: manhole: {name} has opened a shell by SSH", name=name)
        return IConchUser, user(lambda: self.terminal(name), avatarId), _closing(name)

    def terminal(self, name: str) -> Any:
        return ServerProtocol(self._open_console, name)


def _closing(name: str) -> Callable[[], None]:
    return lambda: _log.info("carp: manhole: {name} has gone", name=name)
