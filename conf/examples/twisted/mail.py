"""A mail exchanger whose port is a setting, as with any program that uses strports: ``twistd -n -y mail.py``.

MAIL_LISTEN is an endpoint string: ``carp:1@em0:tcp\\:25\\:interface=192.0.2.1:drain=2`` on each of the hosts that share
an address, ``tcp:25`` on a host of its own; nothing here knows which. Each mail is a file in the directory MAIL_SPOOL
before its sender is told that it was accepted.
"""

import os
from pathlib import Path
from uuid import uuid4

from twisted.application.service import Application
from twisted.application.strports import service
from twisted.internet.defer import Deferred, succeed
from twisted.mail.smtp import ESMTP, Address, IMessage, IMessageDelivery, SMTPFactory, User
from zope.interface import implementer

LISTEN = os.environ.get("MAIL_LISTEN", r"carp:1@em0:tcp\:25\:interface=192.0.2.1:drain=2")
SPOOL = Path(os.environ.get("MAIL_SPOOL", "/var/spool/mail.py"))


@implementer(IMessage)
class Mail:
    """One that is being received."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        self._lines.append(line + b"\n")

    def eomReceived(self) -> Deferred[None]:
        path = SPOOL / f"{uuid4().hex}.part"
        with path.open("wb") as file:
            file.writelines(self._lines)
            file.flush()
            os.fsync(file.fileno())
        path.rename(path.with_suffix(".mail"))
        return succeed(None)

    def connectionLost(self) -> None:
        self._lines.clear()


@implementer(IMessageDelivery)
class Delivery:
    """Takes everything for everybody."""

    def receivedHeader(self, helo: tuple[bytes, bytes], origin: Address, recipients: list[User]) -> bytes:
        return b"Received: by mail.py"

    def validateFrom(self, helo: tuple[bytes, bytes], origin: Address) -> Address:
        return origin

    def validateTo(self, user: User) -> type[Mail]:
        return Mail


class Exchanger(SMTPFactory):
    protocol = ESMTP

    def buildProtocol(self, addr: object) -> ESMTP:
        built: ESMTP = super().buildProtocol(addr)
        built.delivery = Delivery()
        return built


application = Application("mail")
service(LISTEN, Exchanger()).setServiceParent(application)
