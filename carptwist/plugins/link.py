"""The ports that a plug-in's link opens, kept from doing harm: whatever they raise becomes an OSError.

::

    AdvertisementProtocol -- Ear <-- frames -- the plug-in's port
           |                                        ^
           +-------- PluggedPort -- send, close ----+
"""

from __future__ import annotations

from math import inf

from twisted.python.failure import Failure
from zope.interface import implementer

from carptwist.interfaces import IFramePort, IFrameReceiver, ILink
from carptwist.plugins.accounts import Account
from carptwist.plugins.catalogue import lacking
from carptwist.plugins.making import Made, UnmadeError


@implementer(IFramePort)
class PluggedPort:
    """Sends through the port of a plug-in."""

    def __init__(self, interface: str, port: IFramePort, account: Account) -> None:
        self.interface = interface
        self._port = port
        self._account = account

    def send(self, frame: bytes, until: float = inf) -> None:
        self._account.called()
        try:
            self._port.send(frame, until)
        except OSError:
            raise
        except Exception:
            raise OSError(self._account.failed(Failure(), "send")) from None

    def close(self) -> None:
        try:
            self._port.close()
        except Exception:
            self._account.failed(Failure(), "close")


@implementer(IFrameReceiver)
class Ear:
    """Whom a plug-in delivers frames to: hands them on to the receiver, with a port that does no harm."""

    def __init__(self, interface: str, receiver: IFrameReceiver, account: Account) -> None:
        self._interface = interface
        self._receiver = receiver
        self._account = account
        self._open = False

    def connected(self, port: IFramePort) -> None:
        self._open = True
        self._receiver.connected(PluggedPort(self._interface, port, self._account))

    def frame_received(self, frame: bytes) -> None:
        if self._open:
            self._receiver.frame_received(bytes(frame))

    def disconnected(self) -> None:
        if self._open:
            self._open = False
            self._receiver.disconnected()


def open_port(made: Made, interface: str, program: bytes, receiver: IFrameReceiver, account: Account) -> IFramePort:
    """A port of the link that a plug-in makes.

    :raises OSError: it could not be opened.
    """
    account.called()
    try:
        link: ILink = made.get()
        port = link.open_port(program, Ear(interface, receiver, account))
    except OSError:
        raise
    except UnmadeError as error:
        raise OSError(str(error)) from None
    except Exception:
        raise OSError(account.failed(Failure(), "open_port")) from None
    what = lacking(IFramePort, port)
    if what is not None:
        raise OSError(account.lacks(what))
    return PluggedPort(interface, port, account)
