"""The sections of a configuration that say what demotes the host: ``[check]`` and ``[sync]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carptwist.config.ranges import StatusRange, plugin_fault, within
from carptwist.config.unicast import HostAddress

DEFAULT_SYNC_SOCKET = "/run/carptwist/sync.sock"
DEFAULT_STATUS = StatusRange(200, 299)


@dataclass(frozen=True)
class SyncConfig:
    """One ``[sync NAME]`` section: a program that synchronises state tables.

    ``demote`` is in 1/256 s, as demotion is; ``startup`` in seconds, 0: the host does not begin demoted.

    :ivar name: what the program calls itself
    :ivar unix: the path of the socket, from the root on
    :ivar demote: 1/256 s, 0 to 255
    :ivar startup: seconds, 0 to 3600
    """

    name: str
    unix: str = DEFAULT_SYNC_SOCKET
    demote: int = 240
    startup: int = 60

    def __post_init__(self) -> None:
        within(demote=self.demote, startup=self.startup)


#: Key of a [check NAME] -> the keys that have a meaning only beside it.
CHECK_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("status", "body", "redirects", "ca_file"),
    "command": (),
    "interface": ("address",),
    "file": ("content",),
    "plugin": ("argument",),
}


@dataclass(frozen=True)
class CheckConfig:
    """One ``[check NAME]`` section: exactly one of ``url``, ``command`` (its words), ``interface``, ``file`` and
    ``plugin``.

    ``interval`` and ``timeout`` are in seconds, ``rise`` and ``fall`` in results in a row, ``demote`` in 1/256 s.
    ``body`` and ``content`` are regular expressions that must be found somewhere. ``authorities`` are the certificates,
    as PEM text, that are believed instead of the host's own ones.

    :ivar name: of the section
    :ivar url: that is asked by GET
    :ivar status: of answers that are good
    :ivar body: that must be found in the first 64 KiB of an answer
    :ivar redirects: whether they are followed
    :ivar command: whose exit code 0 is good
    :ivar interface: that must have a link
    :ivar address: that the interface must have
    :ivar file: that must be there
    :ivar content: that must be found in the first 64 KiB of the file
    :ivar plugin: that looks instead
    :ivar argument: of the plug-in, a text a line
    :ivar interval: seconds, 1 to 3600
    :ivar timeout: seconds, 1 to 3600
    :ivar rise: good looks in a row, 1 to 100
    :ivar fall: bad looks in a row, 1 to 100
    :ivar demote: 1/256 s, 0 to 255
    :ivar authorities: PEM; None: this host's
    """

    name: str
    url: str | None = None
    status: StatusRange = DEFAULT_STATUS
    body: str | None = None
    redirects: bool = False
    command: tuple[str, ...] | None = None
    interface: str | None = None
    address: HostAddress | None = None
    file: str | None = None
    content: str | None = None
    plugin: str | None = None
    argument: tuple[str, ...] = ()
    interval: int = 2
    timeout: int = 1
    rise: int = 2
    fall: int = 3
    demote: int = 100
    authorities: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        within(interval=self.interval, timeout=self.timeout, rise=self.rise, fall=self.fall, demote=self.demote)
        if len(self._kinds) != 1:
            raise ValueError(
                f"{' and '.join(self._kinds) or 'it'}: a check has exactly one of {', '.join(CHECK_KINDS)}"
            )
        if self.command is not None and not (self.command and self.command[0]):
            raise ValueError("command: there is no command")
        fault = plugin_fault(self.plugin, self.argument)
        if fault is not None:
            raise ValueError(fault)

    @property
    def _kinds(self) -> tuple[str, ...]:
        return tuple(kind for kind in CHECK_KINDS if getattr(self, kind) is not None)

    @property
    def kind(self) -> str:
        """Which of them it is, by its key."""
        return self._kinds[0]
