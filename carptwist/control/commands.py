"""The commands of the control protocol: public, so that other Twisted programs use them.

AMP (``twisted.protocols.amp``) on a UNIX socket or TLS. A client says :class:`Hello` first; the daemon refuses
everything else until it has. docs/control.md specifies the protocol for clients in other languages.

::

    client                       daemon
      | Hello, 1 ------------------> |
      | <--------- version, protocol |
      | Status, offset 0 ----------> |   a text that may be long travels deflated, in parts of one snapshot
      | <---- octets, remaining 1234 |
      | Status, offset 40000 ------> |
      | <------- octets, remaining 0 |
      | Subscribe, after 17 -------> |
      | <----------------- last 1042 |
      | <---------------- Event, … -- |   and each is to be answered; who does not is dropped
"""

from __future__ import annotations

from typing import ClassVar

from twisted.protocols.amp import Argument, Boolean, Command, Float, Integer, ListOf, String, Unicode

#: Raised by one with each change that an older program would misunderstand.
PROTOCOL = 1
#: Octets of a part; an AMP value has at most 65,535.
PART = 40_000


class RefusedError(Exception):
    """The daemon does not do this; the text says why."""


class BadRequestError(RefusedError):
    """The request cannot be understood, or is out of range."""


class NotFoundError(RefusedError):
    """There is no such virtual host, owner, name or address."""


class BusyError(RefusedError):
    """Too much at a time: of connections, subscribers, entries."""


class NobodyElseError(RefusedError):
    """Nobody else would take over; what can be done nevertheless if it is forced."""


#: What each command may fail with. The order matters: the first kind that fits is told.
ERRORS: dict[type[Exception], bytes] = {
    BadRequestError: b"BAD_REQUEST",
    NotFoundError: b"NOT_FOUND",
    BusyError: b"BUSY",
    NobodyElseError: b"NOBODY_ELSE",
    RefusedError: b"REFUSED",
}


class Hello(Command):
    """The version handshake."""

    arguments = [(b"version", Unicode()), (b"protocol", Integer())]
    response = [(b"version", Unicode()), (b"protocol", Integer())]
    errors = ERRORS


class Status(Command):
    """Every vhid, the demotion ledger and the counters: the JSON text of ``carpctl status --json``, in parts."""

    arguments = [(b"offset", Integer())]
    response = [(b"octets", String()), (b"remaining", Integer())]
    errors = ERRORS


class Interfaces(Command):
    """The interfaces of the host, as a JSON list; with ``name`` that one alone, even if it does not exist."""

    arguments = [(b"name", Unicode(optional=True))]
    response = [(b"text", Unicode())]
    errors = ERRORS


class Ifconfig(Command):
    """Change one interface's virtual hosts, in the words of ifconfig(8). ``text`` says what was done."""

    arguments = [(b"interface", Unicode()), (b"words", ListOf(Unicode()))]
    response = [(b"text", Unicode())]
    errors = ERRORS


class Sysctl(Command):
    """Give ``net.inet.carp.NAME`` a value; ``before`` and ``after`` are what it reads as."""

    arguments = [(b"name", Unicode()), (b"value", Unicode())]
    response = [(b"before", Integer()), (b"after", Integer())]
    errors = ERRORS


class Demote(Command):
    """Make or replace an entry of the demotion ledger; ``sum`` is the host's demotion afterwards. One that is ``held``
    ends with this connection."""

    arguments = [
        (b"value", Integer()),
        (b"owner", Unicode()),
        (b"reason", Unicode()),
        (b"seconds", Float(optional=True)),
        (b"held", Boolean(optional=True)),
    ]
    response = [(b"sum", Integer())]
    errors = ERRORS


class Undemote(Command):
    """Take an entry of the demotion ledger back."""

    arguments = [(b"owner", Unicode())]
    response = [(b"sum", Integer())]
    errors = ERRORS


class Sync(Command):
    """Say ``begin``, ``done`` or ``fail`` for a ``[sync NAME]``, as over its own socket: see docs/sync.md."""

    arguments = [(b"verb", Unicode()), (b"name", Unicode())]
    response = [(b"sum", Integer())]
    errors = ERRORS


class State(Command):
    """Make a virtual host (``1@em0``) ``MASTER`` or ``BACKUP``, whatever the timers say."""

    arguments = [(b"vhid", Unicode()), (b"state", Unicode())]
    response = [(b"state", Unicode())]
    errors = ERRORS


class Explain(Command):
    """Why a virtual host (``1@em0``) is in its state: a JSON object, deflated."""

    arguments = [(b"vhid", Unicode())]
    response = [(b"octets", String())]
    errors = ERRORS


class Events(Command):
    """The history after event number ``after``, at most ``most`` of the newest: a JSON list, deflated."""

    arguments = [(b"after", Integer()), (b"most", Integer()), (b"vhid", Unicode(optional=True))]
    response = [(b"octets", String())]
    errors = ERRORS


class Subscribe(Command):
    """From now on each new event is pushed as :class:`Event`; ``last`` is the number of the newest so far."""

    arguments = [(b"vhid", Unicode(optional=True))]
    response = [(b"last", Integer())]
    errors = ERRORS


class Event(Command):
    """Daemon to client: an event, as a JSON object. To be answered: a subscriber that does not is dropped."""

    arguments = [(b"text", Unicode())]
    response: ClassVar[list[tuple[bytes, Argument]]] = []


class Maintenance(Command):
    """Give everything away and stay away, or come back."""

    arguments = [(b"on", Boolean()), (b"force", Boolean()), (b"reason", Unicode())]
    response = [(b"text", Unicode())]
    errors = ERRORS
