"""A host: a network namespace with interfaces on one LAN or several, in which commands are run."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import IO

from carptwist.lab.children import Child
from carptwist.lab.namespaces import NetworkNamespace

#: What a host starts from, whatever the machine's own settings are, of which new namespaces inherit some.
_SYSCTLS = (
    ("ipv6.conf.{}.disable_ipv6", 0),
    # Without duplicate address detection an address can be used at once.
    ("ipv6.conf.{}.accept_dad", 0),
    ("ipv6.conf.{}.accept_ra", 0),
    ("ipv4.conf.{}.rp_filter", 0),
    ("ipv4.conf.{}.arp_ignore", 0),
    ("ipv4.conf.{}.arp_announce", 0),
    ("ipv4.conf.{}.arp_filter", 0),
)


# linux/if_addr.h
_IFA_F_TENTATIVE = 0x40


class Host:
    """A host of the lab. :meth:`Lan.connect <carptwist.lab.lan.Lan.connect>` gives it interfaces.

    ``directory`` is where its commands run and their logs go; it is made.
    """

    def __init__(self, name: str, number: int, directory: Path) -> None:
        self.name = name
        self.number = number
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.namespace = NetworkNamespace()
        self.children: list[Child] = []
        self._interfaces = 0
        for pattern, value in _SYSCTLS:
            for scope in ("all", "default"):
                self.namespace.sysctl(pattern.format(scope), value)

    def next_link_address(self) -> str:
        """A link address that tells the host (fifth octet) and the interface (sixth)."""
        self._interfaces += 1
        return f"02:00:00:00:{self.number:02x}:{self._interfaces:02x}"

    def run(
        self,
        argv: Sequence[str],
        *,
        log: str | None = None,
        directory: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        own_session: bool = True,
    ) -> Child:
        """Start a command in the host, in its own directory or the given one. With ``log`` all output goes to the
        file of that name in its own. ``env`` is added to the lab's own environment. ``stdin`` is
        empty unless said otherwise.

        :raises LabError: if it cannot be started.
        """
        child = Child(
            self.namespace,
            self.name,
            argv,
            log=None if log is None else self.directory / log,
            cwd=directory or self.directory,
            env={**os.environ, **(env or {})},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            own_session=own_session,
        )
        self.children.append(child)
        return child

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of this host."""
        return self.namespace.socket(family, kind, protocol)

    def interfaces(self, *, only_up: bool = False) -> list[str]:
        """The names of the interfaces that it has now, or of those that somebody has set up, in the order of their
        numbers."""
        links = sorted(self.namespace.route.get_links(), key=lambda link: link["index"])
        return [link.get("ifname") for link in links if link.get("state") == "up" or not only_up]

    def index(self, interface: str) -> int:
        with self.namespace:
            return socket.if_nametoindex(interface)

    def has_link(self, interface: str) -> bool:
        """Whether frames can go out of an interface and come in, as the host's kernel sees it."""
        link = next(iter(self.namespace.route.get_links(self.index(interface))))
        return bool(link.get("operstate") == "UP" and link.get("carrier"))

    def addresses(self) -> set[IPv4Address | IPv6Address]:
        """All addresses of all interfaces."""
        return {ip_address(entry.get("address")) for entry in self.namespace.route.get_addr()}

    def tentative(self, interface: str) -> bool:
        """Whether an interface has an IPv6 address that cannot be used yet."""
        entries = self.namespace.route.get_addr(index=self.index(interface))
        return any((entry.get("flags") or entry["flags"]) & _IFA_F_TENTATIVE for entry in entries)

    def neighbors(self) -> dict[IPv4Address | IPv6Address, str]:
        """Its ARP and ND caches: the link addresses of the neighbours that it knows one of."""
        return {
            ip_address(entry.get("dst")): entry.get("lladdr")
            for entry in self.namespace.route.get_neighbours()
            if entry.get("lladdr")
        }

    def close(self) -> None:
        """Kill all that runs in it, what its commands have started included, and let it go."""
        for child in self.children:
            child.kill()
        self.namespace.kill_all()
        self.namespace.close()
