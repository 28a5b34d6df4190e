"""The commands that exchange the configuration of a running daemon, or tell what exchanging it would do.

The answers are JSON objects, deflated (RFC 1950), as :mod:`carptwist.control.revising` describes them.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from twisted.protocols.amp import Command, String, Unicode

from carptwist.control.commands import RefusedError

#: Octets of an object; a thousand vhids need a twentieth of it.
LONGEST_OBJECT = 2**24


class BadConfigurationError(RefusedError):
    """There are errors in a configuration file; the text has one line for each."""


_ERRORS: dict[type[Exception], bytes] = {BadConfigurationError: b"BAD_CONFIGURATION", RefusedError: b"REFUSED"}


class Reload(Command):
    """Read the configuration file again, and do what it says."""

    response = [(b"octets", String())]
    errors = _ERRORS


class Plan(Command):
    """What :class:`Reload` would do with the file ``path`` of the daemon's host; the empty path: with the file that it
    was started with."""

    arguments = [(b"path", Unicode())]
    response = [(b"octets", String())]
    errors = _ERRORS


class Save(Command):
    """Write what was changed at run time into the configuration file."""

    response = [(b"octets", String())]
    errors = _ERRORS


def packed(value: dict[str, Any]) -> bytes:
    """An object as it travels."""
    return zlib.compress(json.dumps(value, ensure_ascii=False).encode(), 1)


def unpacked(octets: bytes) -> dict[str, Any]:
    """An object as it was.

    :raises ValueError: these octets are none, or too long a one.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(octets, LONGEST_OBJECT)
    except zlib.error as error:
        raise ValueError(f"not deflated: {error}") from None
    if not inflater.eof:
        raise ValueError("the object is cut off, or too long")
    value: dict[str, Any] = json.loads(text)
    return value
