"""Where an administrator's shell may be reached: ``tcp:PORT:interface=ADDRESS`` or ``unix:PATH``.

What is typed into a telnet session, the pass phrase at its beginning included, travels in the clear: it must not leave
the host. SSH may be reached from elsewhere, but only with a key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

#: What a pass phrase of the operating system must never be tried against.
_SYSTEM_FILES = ("/etc/passwd", "/etc/shadow")
_TCP = re.compile(r"tcp:([0-9]{1,5})(?::interface=(.+))?")
_UNIX = re.compile(r"unix:(/[^:]*)")


@dataclass(frozen=True)
class Place:
    """One place to listen at. ``path`` is that of a UNIX socket, empty for TCP; ``interface`` is an IP address, empty
    for all. Prints as it is written."""

    text: str
    path: str = ""
    port: int = 0
    interface: str = ""

    def __str__(self) -> str:
        return self.text

    @property
    def stays_here(self) -> bool:
        """Whether nobody on another host can get there."""
        if self.path:
            return True
        return bool(self.interface) and _address(self.interface).is_loopback


def place(text: str) -> Place:
    """``tcp:6022:interface=127.0.0.1``, ``tcp:6022`` or ``unix:/run/carptwist/shell.sock``."""
    found = _UNIX.fullmatch(text)
    if found is not None:
        if len(found[1].encode(errors="replace")) > 107:
            raise ValueError("the path of a UNIX socket has at most 107 octets")
        return Place(text, path=found[1])
    found = _TCP.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= 65535:
        raise ValueError("must be tcp:PORT:interface=ADDRESS or unix:PATH, as in tcp:6022:interface=127.0.0.1")
    # A colon within a part has a backslash before it, as in all of Twisted's endpoint strings.
    interface = (found[2] or "").replace("\\:", ":")
    if interface:
        _address(interface)
    return Place(text, port=int(found[1]), interface=interface)


def private_place(text: str) -> Place:
    """A :func:`place` that nobody on another host can get to."""
    there = place(text)
    if not there.stays_here:
        raise ValueError(
            "telnet carries pass phrases in the clear: only tcp:PORT:interface=127.0.0.1 (or another loopback address) "
            "or unix:PATH"
        )
    return there


def own_file(text: str) -> str:
    """The path of a file that is not the operating system's."""
    if not text.startswith("/") or "\0" in text:
        raise ValueError("must be a whole path, from the first slash on")
    if re.sub("/+", "/", text) in _SYSTEM_FILES:
        raise ValueError("the pass phrases of the operating system are not asked for here: make a file of its own")
    return text


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return IPv6Address(text) if ":" in text else IPv4Address(text)
    except AddressValueError:
        raise ValueError(f"interface={text}: must be an IP address of this host") from None


@dataclass(frozen=True)
class ManholeConfig:
    """The ``[manhole]`` section: Python shells inside the daemon. Off where it names no place.

    :ivar telnet: on loopback or a UNIX socket, or None
    :ivar ssh: anywhere, or None
    :ivar authorized_keys: path of those who may come
    :ivar host_key: path of the own key
    :ivar passwd: path of names and hashes
    """

    telnet: Place | None = None
    ssh: Place | None = None
    authorized_keys: str | None = None
    host_key: str | None = None
    passwd: str | None = None

    def __post_init__(self) -> None:
        if self.telnet is not None and not self.telnet.stays_here:
            raise ValueError(f"telnet = {self.telnet}: must be on loopback or a UNIX socket")
        if self.telnet is not None and self.passwd is None:
            raise ValueError("telnet needs passwd: the file with names and pass phrases, which carptwist passwd makes")
        if self.ssh is not None and (self.authorized_keys is None or self.host_key is None):
            raise ValueError("ssh needs authorized_keys and host_key: who may come, and whom they find")
