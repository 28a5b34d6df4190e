"""The sections of a configuration that say who hears of changes: ``[hook]``, ``[webhook]``, ``[devd]``."""

from __future__ import annotations

from dataclasses import dataclass, field

from carptwist.config.ranges import StatusRange, plugin_fault, within

DEFAULT_DEVD_SOCKET = "/run/carptwist/devd.pipe"


@dataclass(frozen=True)
class HookConfig:
    """One ``[hook NAME]`` section: exactly one of ``action`` and ``plugin``.

    ``match`` and ``type`` are regular expressions.

    :ivar name: of the section
    :ivar action: a command's words, or with ``shell`` one text
    :ivar match: over all of ``VHID@INTERFACE``
    :ivar type: over all of the new state
    :ivar timeout: seconds, 1 to 3600
    :ivar shell: whether /bin/sh reads the action
    :ivar plugin: that reacts instead
    :ivar argument: of the plug-in, a text a line
    """

    name: str
    action: tuple[str, ...] = ()
    match: str = ".*"
    type: str = ".*"
    timeout: int = 10
    shell: bool = False
    plugin: str | None = None
    argument: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        within(timeout=self.timeout)
        if self.plugin is not None and (self.action or self.shell):
            raise ValueError(f"{'action' if self.action else 'shell'}: together with plugin: leave one of them")
        fault = plugin_fault(self.plugin, self.argument)
        if fault is not None:
            raise ValueError(fault)
        if self.plugin is None and (not self.action or not self.action[0]):
            raise ValueError("action: there is no command")


@dataclass(frozen=True)
class Hidden:
    """A text that only its receiver is to see. It never shows itself, whoever prints it.

    :ivar text: what it is
    """

    text: str = field(repr=False)

    def __str__(self) -> str:
        return "Hidden(…)"


@dataclass(frozen=True)
class WebhookConfig:
    """One ``[webhook NAME]`` section.

    ``match`` and ``type`` are as in a hook, and ``demotion`` whether changes of the demotion are told as well. With
    ``latest`` what is not true any more is not told. ``body`` is a JSON template. With ``secret`` each body is signed.
    ``retries`` are statuses after which it is tried again, besides those that everybody means so. ``timeout`` is in
    seconds, ``authorities`` are certificates as PEM text.

    :ivar name: of the section
    :ivar url: http or https
    :ivar match: over all of ``VHID@INTERFACE``
    :ivar type: over all of the new state
    :ivar demotion: whether changes of it are told as well
    :ivar latest: whether what is not true any more is left out
    :ivar body: JSON with ``$name`` in its strings; None: all that is known
    :ivar headers: names and values
    :ivar secret: that signs what is sent, or None
    :ivar retries: statuses after which it is tried again, besides those that everybody means so
    :ivar timeout: seconds, 1 to 3600
    :ivar authorities: PEM; None: this host's
    """

    name: str
    url: Hidden
    match: str = ".*"
    type: str = ".*"
    demotion: bool = True
    latest: bool = False
    body: str | None = None
    headers: tuple[tuple[str, Hidden], ...] = ()
    secret: Hidden | None = None
    retries: tuple[StatusRange, ...] = ()
    timeout: int = 10
    authorities: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        within(timeout=self.timeout)


class FileMode(int):
    """Who may use a file, as chmod(1) has it: it prints as four octal digits."""

    def __str__(self) -> str:
        return f"{self:04o}"


#: What devd(8) gives to its pipe.
DEFAULT_DEVD_MODE = FileMode(0o666)


@dataclass(frozen=True)
class DevdConfig:
    """The ``[devd]`` section. ``mode`` is that of the socket; connecting takes the right to write.

    :ivar unix: the path of the socket, from the root on
    :ivar mode: as chmod(1) has it
    """

    unix: str = DEFAULT_DEVD_SOCKET
    mode: FileMode = DEFAULT_DEVD_MODE
