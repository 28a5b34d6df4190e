"""Every section and key that a configuration may have, in the order in which documentation tells of them.

A new key is a line here, a field of the same name in :mod:`carptwist.config.schema`, and a
paragraph each in conf/carp.ini and docs/configuration.md, which tests demand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from carptwist.config import shells, unicast, values
from carptwist.config.health import CHECK_KINDS, CheckConfig, SyncConfig
from carptwist.config.reactions import DevdConfig, HookConfig, WebhookConfig
from carptwist.config.schema import LONGEST_PHRASE, ControlConfig, Knobs, LinkConfig, Phrase, VirtualHostConfig


def _silent(value: Any) -> str | None:
    return None


@dataclass(frozen=True)
class Key:
    """One key of a section.

    ``parse`` understands one value, or raises ``ValueError`` with the reason. ``remark`` says what is
    legal but probably not meant. ``several``: one value per line. ``secret``: no value is ever shown. ``holds``: the
    value is the path of a file, whose text becomes the value of that name, which ``build`` is given.
    """

    name: str
    parse: Callable[[str], Any]
    remark: Callable[[Any], str | None] = _silent
    several: bool = False
    required: bool = False
    secret: bool = False
    holds: str = ""


@dataclass(frozen=True)
class SectionKind:
    """One kind of section.

    ``make`` builds the value of a section from those of its keys, and ``part`` is the field of
    :class:`Configuration` that it becomes. A kind with an ``argument``, which says what follows its
    name in the brackets, may be there any number of times. Where that is a NAME, ``build`` makes the value
    from it and the values of the keys; it raises ``ValueError`` with the key that is at fault before a colon.
    One of the keys in ``either`` must be there.
    """

    name: str
    keys: tuple[Key, ...]
    make: type[Any]
    part: str
    argument: str = ""
    build: Callable[..., Any] | None = None
    either: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        return f"[{self.name} {self.argument}]" if self.argument else f"[{self.name}]"

    def key(self, name: str) -> Key | None:
        return next((key for key in self.keys if key.name == name), None)


def _number(name: str, remark: Callable[[Any], str | None] = _silent) -> Key:
    return Key(name, values.number(name), remark)


def _fast(advbase: int) -> str | None:
    if advbase:
        return None
    return "failover within 3 x advskew/256 s: OpenBSD and carptwist can do that, FreeBSD cannot be set to it"


def _tied(advskew: int) -> str | None:
    if advskew <= 240:
        return None
    return "counts as 240 on FreeBSD and here: all hosts from 240 to 254 are equally slow"


def _cut(phrase: Phrase) -> str | None:
    if len(phrase.octets) < LONGEST_PHRASE:
        return None
    return f"{LONGEST_PHRASE} octets: ifconfig of FreeBSD, OpenBSD and NetBSD keeps only the first {LONGEST_PHRASE - 1}"


def _hook(name: str, action: str | None = None, *, shell: bool = False, **settings: Any) -> HookConfig:
    try:
        words = () if action is None else (action,) if shell else values.words(action)
    except ValueError as error:
        raise ValueError(f"action: {error}") from None
    return HookConfig(name, words, shell=shell, **settings)


def _check(name: str, *, command: str | None = None, **settings: Any) -> CheckConfig:
    given = set(settings) | ({"command"} if command is not None else set())
    for kind, keys in CHECK_KINDS.items():
        for key in keys:
            if (key in given or (key == "ca_file" and "authorities" in given)) and kind not in given:
                raise ValueError(f"{key}: belongs to a check with {kind}")
    try:
        words = None if command is None else values.words(command)
    except ValueError as error:
        raise ValueError(f"command: {error}") from None
    return CheckConfig(name, command=words, **settings)


def _webhook(
    name: str,
    *,
    header: tuple[Any, ...] = (),
    retry: tuple[Any, ...] = (),
    secret_text: str | None = None,
    **settings: Any,
) -> WebhookConfig:
    if secret_text is not None:
        if "secret" in settings:
            raise ValueError("secret_file: together with secret: leave one of them")
        try:
            settings["secret"] = values.hidden(secret_text.strip())
        except ValueError as error:
            raise ValueError(f"secret_file: {error}") from None
    if "secret" in settings and not settings["secret"].text:
        raise ValueError("secret_file: holds no secret")
    return WebhookConfig(name, headers=header, retries=retry, **settings)


SECTIONS: Final[Mapping[str, SectionKind]] = {
    kind.name: kind
    for kind in (
        SectionKind(
            "carp",
            (
                Key("allow", values.switch),
                Key("preempt", values.switch),
                _number("dscp"),
                _number("log"),
                Key("arpbalance", values.switch),
                Key("ndbalance", values.switch),
                _number("ifdown_demotion_factor"),
                _number("senderr_demotion_factor"),
                Key("state_dir", values.absolute_path),
                Key("guard", values.switch),
                Key("expire", values.switch),
                _number("recorder"),
            ),
            make=Knobs,
            part="knobs",
        ),
        SectionKind(
            "vhid",
            (
                Key("address", values.address, several=True, required=True),
                Key("pass", values.phrase, _cut, several=True, secret=True),
                Key("pass_file", values.path),
                _number("advbase", _fast),
                _number("advskew", _tied),
                Key("plane", values.plane),
                Key("dialect", values.dialect),
                Key("replay", values.replay),
                Key("group", values.group),
                Key("peer", unicast.peer4, several=True),
                Key("peer6", unicast.peer6, several=True),
                Key("source", unicast.own_address, several=True),
                Key("plugin", values.plugin),
                Key("argument", values.text, several=True),
            ),
            make=VirtualHostConfig,
            part="vhids",
            argument="NUMBER@INTERFACE",
        ),
        SectionKind(
            "link",
            (
                Key("plugin", values.plugin),
                Key("argument", values.text, several=True),
            ),
            make=LinkConfig,
            part="links",
            argument="INTERFACE",
            build=LinkConfig,
        ),
        SectionKind(
            "hook",
            (
                Key("action", values.command),
                Key("match", values.pattern),
                Key("type", values.pattern),
                _number("timeout"),
                Key("shell", values.switch),
                Key("plugin", values.plugin),
                Key("argument", values.text, several=True),
            ),
            make=HookConfig,
            part="hooks",
            argument="NAME",
            build=_hook,
            either=("action", "plugin"),
        ),
        SectionKind(
            "webhook",
            (
                Key("url", values.hidden_url, required=True, secret=True),
                Key("match", values.pattern),
                Key("type", values.pattern),
                Key("demotion", values.switch),
                Key("latest", values.switch),
                Key("body", values.template),
                Key("header", values.header, several=True, secret=True),
                Key("secret", values.hidden, secret=True),
                Key("secret_file", values.path, holds="secret_text"),
                Key("ca_file", values.path, holds="authorities"),
                Key("retry", values.status, several=True),
                _number("timeout"),
            ),
            make=WebhookConfig,
            part="webhooks",
            argument="NAME",
            build=_webhook,
        ),
        SectionKind(
            "check",
            (
                Key("url", values.url),
                Key("status", values.status),
                Key("body", values.pattern),
                Key("redirects", values.switch),
                Key("ca_file", values.path, holds="authorities"),
                Key("command", values.command),
                Key("interface", values.interface),
                Key("address", unicast.own_address),
                Key("file", values.absolute_path),
                Key("content", values.pattern),
                Key("plugin", values.plugin),
                Key("argument", values.text, several=True),
                _number("interval"),
                _number("timeout"),
                _number("rise"),
                _number("fall"),
                _number("demote"),
            ),
            make=CheckConfig,
            part="checks",
            argument="NAME",
            build=_check,
        ),
        SectionKind(
            "sync",
            (Key("unix", values.socket_path), _number("demote"), _number("startup")),
            make=SyncConfig,
            part="syncs",
            argument="NAME",
            build=SyncConfig,
        ),
        SectionKind(
            "devd",
            (Key("unix", values.socket_path), Key("mode", values.mode)),
            make=DevdConfig,
            part="devd",
        ),
        SectionKind(
            "manhole",
            (
                Key("telnet", shells.private_place),
                Key("ssh", shells.place),
                Key("authorized_keys", shells.own_file),
                Key("host_key", shells.own_file),
                Key("passwd", shells.own_file),
            ),
            make=shells.ManholeConfig,
            part="manhole",
        ),
        SectionKind(
            "control",
            (
                Key("unix", values.socket_path),
                Key("tls", values.tls),
                Key("certificate", values.absolute_path),
                Key("key", values.absolute_path),
                Key("clients", values.absolute_path),
            ),
            make=ControlConfig,
            part="control",
        ),
    )
}
