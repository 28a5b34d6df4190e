"""The commands of the control protocol, AMP on a UNIX socket: public, so that other Twisted programs use them.

A client says :class:`Hello` first; the daemon refuses everything else until it has. A text that may be longer than an
AMP value (65,535 octets) travels in parts: the first request has offset 0 and makes the daemon take a snapshot, the
following ones read on in that same snapshot.
"""

from __future__ import annotations

from twisted.protocols.amp import Command, Integer, Unicode

#: Raised by one with each change that an older program would misunderstand.
PROTOCOL = 1
#: Characters of a part: at most four octets each in UTF-8.
PART = 16_000


class RefusedError(Exception):
    """The daemon does not do this; the text says why."""


class Hello(Command):
    """The version handshake."""

    arguments = [(b"version", Unicode()), (b"protocol", Integer())]
    response = [(b"version", Unicode()), (b"protocol", Integer())]
    errors = {RefusedError: b"REFUSED"}


class Status(Command):
    """Every vhid, the demotion ledger and the counters: the JSON text of ``carpctl status --json``, in parts."""

    arguments = [(b"offset", Integer())]
    response = [(b"text", Unicode()), (b"remaining", Integer())]
    errors = {RefusedError: b"REFUSED"}
