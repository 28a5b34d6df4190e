"""Names of hosts -> their addresses, by getaddrinfo(3), of which nobody knows when it answers.

One thread asks for one name, however many want to know it: a name server that is silent costs as many threads as there
are names, and no other name has to wait for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from carptwist.aside import aside

Addresses = list[str]


def ask(name: str) -> Addresses:
    """The addresses of a host, in the order in which they are to be tried.

    :raises OSError: it has none, or nobody says.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """Asks for names."""

    def __init__(self, reactor: Any, ask: Callable[[str], Addresses] = ask) -> None:
        self._reactor = reactor
        self._ask = ask
        self._waiting: dict[str, list[Deferred[Addresses]]] = {}

    def lookup(self, host: str) -> Deferred[Addresses]:
        """Fires with the addresses of a host, never with none; fails with OSError."""
        try:
            return succeed([str(ip_address(host))])
        except ValueError:
            pass
        wanted: Deferred[Addresses] = Deferred()
        if host in self._waiting:
            self._waiting[host].append(wanted)
            return wanted
        self._waiting[host] = [wanted]
        aside(self._reactor, lambda: self._ask(host), f"carptwist asks for {host}").addBoth(self._tell, host)
        return wanted

    def _tell(self, result: Addresses | Failure, host: str) -> None:
        for wanted in self._waiting.pop(host):
            if not wanted.called:
                wanted.callback(result)
