"""The commands for programs that serve at shared addresses, on the host that has them.

::

    client                                  daemon
      | Attend, 1@em0 ----------------------> |
      | <--------------- TellLease, 1@em0 ---- |   at once, and then with each advertisement
      | ------------------------------ {} --> |
      | <--------------- TellLease, no lease - |   the addresses are to go: this answer is waited for, for so many
      |   ... stops serving ...                |   seconds as Attend has said, before they do
      | ------------------------------ {} --> |

Moments are seconds of the host's CLOCK_BOOTTIME, which all its processes have in common, and which goes on while the
host is suspended: a program that was stopped meanwhile finds a lease run out, whenever it comes to read it.
"""

from __future__ import annotations

from typing import ClassVar

from twisted.protocols.amp import Argument, Boolean, Command, Float, Unicode

from carptwist.control.commands import ERRORS

#: The longest that a program may have itself waited for.
LONGEST_PATIENCE_SECONDS = 60.0


class Attend(Command):
    """From now on the lease of a virtual host (``1@em0``) is told with :class:`TellLease`. When its addresses are to go
    in good order, an answer is waited for, for ``patience`` seconds at most."""

    arguments = [(b"vhid", Unicode()), (b"patience", Float())]
    response: ClassVar[list[tuple[bytes, Argument]]] = []
    errors = ERRORS


class TellLease(Command):
    """Daemon to client: from ``since`` and until ``until`` the addresses are on this host; without ``held`` they are
    not. To be answered; without ``held``, when nothing is served there any more."""

    arguments = [(b"vhid", Unicode()), (b"held", Boolean()), (b"since", Float()), (b"until", Float())]
    response: ClassVar[list[tuple[bytes, Argument]]] = []
