"""The text of a configuration -> :class:`Configuration`, or everything that is wrong with it at once.

::

    text -> ini.parse -> sections, settings -> keys.SECTIONS -> values -> rules of the whole file -> Reading

Rules that this file keeps:

- It touches nothing: the one file that a configuration can name is read by a function of the caller's.
- An error never ends the reading. The rest of the file is judged as if the bad line were not there.
- No pass phrase is ever part of a text: what may be shown is :mod:`carptwist.config.discretion`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from carptwist.config import ini
from carptwist.config.discretion import (
    comment_advice,
    follows_phrase,
    is_setting,
    nearest,
    shown,
    shown_value,
    unknown_key,
)
from carptwist.config.keys import SECTIONS, Key, SectionKind
from carptwist.config.problems import ConfigurationError as ConfigurationError
from carptwist.config.problems import Problem as Problem
from carptwist.config.ranges import RANGES, interface_name_fault, plugin_fault
from carptwist.config.rules import VirtualHostLines, conflicts
from carptwist.config.schema import (
    Configuration,
    ControlConfig,
    Dialect,
    Knobs,
    Phrase,
    PlaneKind,
    VirtualHostConfig,
    dialect_fault,
    plane_fault,
)
from carptwist.config.unicast import faults
from carptwist.config.values import phrase

#: Why a section of a kind, such as "hook", cannot have a plug-in of a name; None: it can.
PluginFault = Callable[[str, str], "str | None"]

#: The keys whose values are addresses of single hosts.
_OF_ONE_HOST = ("peer", "peer6", "source")


class Secret(NamedTuple):
    """The file ``path`` holds a pass phrase or another secret; ``line`` of the configuration says so."""

    path: str
    line: int
    what: str = "a pass phrase"


class Reading(NamedTuple):
    """A configuration without errors, and what else its reader came to know.

    ``vhid_lines`` has the line of each virtual host's section, by the host's name; ``named_lines`` those of the
    sections with a name, such as ``[check web]``.
    """

    configuration: Configuration
    warnings: tuple[Problem, ...]
    vhid_lines: Mapping[str, int]
    secrets: tuple[Secret, ...]
    named_lines: Mapping[str, int] = MappingProxyType({})


def read(
    text: str, filename: str, read_file: Callable[[str], str], fault_of: PluginFault = lambda kind, name: None
) -> Reading:
    """Read a whole configuration.

    :param filename: what the text is called in errors, and what relative paths in it are relative to.
    :param read_file: gives the text of the file with this path; raises ``OSError`` or ``UnicodeError``.
    :param fault_of: why there is no such plug-in for such a section.
    :raises ConfigurationError: with every error of the text, in the order of its lines. Nothing else
        is raised, whatever the text.
    """
    return _Reader(filename, read_file, fault_of).read(text)


@dataclass
class _Found:
    """The values of one section, by key, each with its line."""

    label: str
    line: int
    values: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    #: Where each key stands, whatever its values.
    seen: dict[str, int] = field(default_factory=dict)
    #: The keys that have text for a value, good or bad.
    given: set[str] = field(default_factory=set)
    #: The keys that unknown ones were probably meant to be: nobody needs to be told that they are missing.
    meant: set[str] = field(default_factory=set)

    def one(self, *names: str) -> dict[str, Any]:
        """The values of the keys that are there, each taking one value."""
        return {name: self.values[name][0][1] for name in names if self.values.get(name)}

    def all(self, name: str) -> tuple[Any, ...]:
        return tuple(value for _, value in self.values.get(name, ()))


class _Reader:
    """One reading of one text. Used once."""

    def __init__(self, filename: str, read_file: Callable[[str], str], fault_of: PluginFault) -> None:
        self._filename = filename
        self._read_file = read_file
        self._fault_of = fault_of
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []
        self._secrets: list[Secret] = []
        self._parts: dict[str, Any] = {}
        self._groups: dict[str, list[_Found]] = {}
        self._vhids: list[VirtualHostConfig] = []
        self._vhid_lines: list[VirtualHostLines] = []
        self._named_lines: dict[str, int] = {}
        self._named: dict[str, dict[str, Any]] = {kind.part: {} for kind in SECTIONS.values() if kind.build}

    def read(self, text: str) -> Reading:
        sections, self._errors = ini.parse(text, self._filename)
        first_lines: dict[str, int] = {}
        last_setting: ini.Setting | None = None
        attempted = False
        for section in sections:
            kind, label = self._recognise(section, follows_phrase(last_setting, section.line))
            last_setting = section.settings[-1] if section.settings else None
            if kind is None:
                continue
            attempted = attempted or kind.name == "vhid"
            found = self._settings(section, kind, label)
            if kind.name == "vhid":
                self._virtual_host(section, found)
                continue
            if kind.build is not None:
                self._named_section(section, kind, found)
                continue
            if section.name != kind.name:
                continue
            if section.name in first_lines:
                self._error(
                    section.line, f"[{section.name}] a second time: add to the one on line {first_lines[kind.name]}"
                )
            first_lines.setdefault(section.name, section.line)
            try:
                self._parts[kind.part] = kind.make(**found.one(*found.values))
            except ValueError as error:
                # A key with a bad value is told of already, and looks as if it were missing.
                if set(found.seen) <= {name for name, good in found.values.items() if good}:
                    self._error(section.line, f"{label} {error}")
        for line, reason in conflicts(self._vhid_lines, self._parts.get("knobs", Knobs())):
            self._error(line, reason)
        for name, members in self._groups.items():
            if len(members) == 1:
                text = f"{members[0].label} group = {name}: no other virtual host is in it"
                self._warn(members[0].seen["group"], text)
        devd = self._parts.get("devd")
        if devd is not None and devd.unix == self._parts.get("control", ControlConfig()).unix:
            self._error(first_lines["devd"], f"[devd] unix = {shown(devd.unix)}: is the socket of [control] already")
        if not attempted:
            self._error(1, "no virtual host: at least one section such as [vhid 1@em0] is needed")
        if self._errors:
            raise ConfigurationError(_in_order(self._errors), _in_order(self._warnings))
        named: dict[str, Any] = {part: tuple(sections.values()) for part, sections in self._named.items()}
        return Reading(
            Configuration(vhids=tuple(self._vhids), **named, **self._parts),
            _in_order(self._warnings),
            {vhid.name: lines.line for vhid, lines in zip(self._vhids, self._vhid_lines, strict=True)},
            tuple(self._secrets),
            self._named_lines,
        )

    def _error(self, line: int, text: str) -> None:
        self._errors.append(Problem(self._filename, line, text))

    def _warn(self, line: int, text: str) -> None:
        self._warnings.append(Problem(self._filename, line, text))

    # One section

    def _recognise(self, section: ini.Section, after_phrase: bool) -> tuple[SectionKind | None, str]:
        """What kind of section this is, or is probably meant to be, and how errors call it."""
        first_word, _, argument = section.name.partition(" ")
        kind = SECTIONS.get(first_word)
        if kind is not None and bool(kind.argument) == bool(argument):
            return kind, f"[{shown(section.name)}]"
        meant = SECTIONS.get(nearest(first_word, SECTIONS) or "")
        label = "[…]" if after_phrase and meant is None else f"[{shown(section.name)}]"
        if meant is None and "@" in section.name:
            meant = SECTIONS["vhid"]
        if meant is not None:
            self._error(section.line, f"{label} is no section: did you mean {meant.example}?")
        else:
            there_are = ", ".join(kind.example for kind in SECTIONS.values())
            self._error(section.line, f"{label} is an unknown section: there are {there_are}")
        return meant, label

    def _settings(self, section: ini.Section, kind: SectionKind, label: str) -> _Found:
        """Understand the settings of a section; errors leave out the value, or the setting."""
        found = _Found(label, section.line)
        previous: ini.Setting | None = None
        for setting in section.settings:
            after_phrase = follows_phrase(previous, setting.line)
            previous = setting
            key = kind.key(setting.key)
            if key is None:
                text, meant = unknown_key(setting.key, [key.name for key in kind.keys], after_phrase)
                self._error(setting.line, f"{label} {text}")
                found.meant.update([meant] if meant else [])
            elif key.name in found.seen:
                advice = "several values are indented lines below one key" if key.several else "leave one of them"
                self._error(
                    setting.line, f"{label} {key.name} a second time, after line {found.seen[key.name]}: {advice}"
                )
            else:
                found.seen[key.name] = setting.line
                found.given.update([key.name] if setting.values else [])
                found.values[key.name] = self._values(setting, key, kind, label)
        return found

    def _values(self, setting: ini.Setting, key: Key, kind: SectionKind, label: str) -> list[tuple[int, Any]]:
        good: list[tuple[int, Any]] = []
        if not setting.values and not key.secret:
            self._error(setting.line, f"{label} {key.name} has no value")
        for value in setting.values:
            indented = value.line != setting.line
            if indented and is_setting(value.text, kind):
                # Else an indented `advskew = 100` would silently become one more pass phrase.
                self._error(value.line, f"{label} an indented line that looks like a setting: begin it at the margin")
                continue
            if value is not setting.values[0] and not key.several:
                self._error(value.line, f"{label} {key.name} takes one value, and this indented line adds another")
                continue
            try:
                parsed = key.parse(value.text)
            except ValueError as error:
                advice = comment_advice(key, value.text)
                told = shown_value(key, value.text, indented)
                self._error(value.line, f"{label} {key.name}{told}: {error}{advice}")
                continue
            good.append((value.line, parsed))
            remark = key.remark(parsed)
            if remark is not None:
                self._warn(value.line, f"{label} {key.name}{shown_value(key, value.text, indented)}: {remark}")
        return good

    # [vhid N@IF]

    def _virtual_host(self, section: ini.Section, found: _Found) -> None:
        vhid, interface = self._who(section, found.label)
        for key in SECTIONS["vhid"].keys:
            if key.required and key.name not in found.seen and key.name not in found.meant:
                self._error(section.line, f"{found.label} {key.name} is missing: a virtual host has at least one")
        phrases = self._phrases(found)
        self._vhid_lines.append(
            VirtualHostLines(
                section.line,
                found.label,
                vhid,
                interface,
                tuple(found.values.get("address", ())),
                tuple((line, key, each) for key in _OF_ONE_HOST for line, each in found.values.get(key, ())),
                next(iter(found.values.get("plane", ())), None),
            )
        )
        settings = found.one("advbase", "advskew", "plane", "dialect", "replay", "group", "plugin")
        fault = dialect_fault(settings.get("dialect", Dialect.FREEBSD), found.all("address"))
        if fault is not None:
            self._error(found.seen["dialect"], f"{found.label} dialect: {fault}")
        elif self._unicast(found) and self._plane(found) and vhid is not None and interface is not None:
            settings["argument"] = found.all("argument")
            settings["peers"], settings["peers6"], settings["sources"] = map(found.all, _OF_ONE_HOST)
            self._vhids.append(VirtualHostConfig(vhid, interface, found.all("address"), phrases, **settings))
            for name in found.all("group"):
                self._groups.setdefault(name, []).append(found)

    def _unicast(self, found: _Found) -> bool:
        """Whether peers and sources are right."""
        wrong = list(faults(found.all("address"), *map(found.all, _OF_ONE_HOST)))
        for key, place, reason in wrong:
            line, address = found.values[key][place]
            self._error(line, f"{found.label} {key} = {address}: {reason}")
        families = {address.version for address in found.all("address")}
        for key, family in (("peer", 4), ("peer6", 6)):
            if families and family not in families and found.all(key):
                self._warn(
                    found.seen[key], f"{found.label} {key}: no IPv{family} address is shared: nothing is sent to it"
                )
        if found.one("dialect").get("dialect") is Dialect.UCARP and found.all("peer"):
            self._warn(found.seen["peer"], f"{found.label} peer: ucarp does not hear what is not sent to the group")
        return not wrong

    def _plane(self, found: _Found) -> bool:
        """Whether the plug-in that holds the addresses can do that, if there is to be one."""
        plugin = found.one("plugin").get("plugin")
        fault = plugin_fault(plugin, found.all("argument"))
        if fault is None and all(found.values.get(key, True) for key in ("plane", "plugin")):
            fault = plane_fault(found.one("plane").get("plane", PlaneKind.MACVLAN), plugin)
        if fault is not None:
            self._error(found.seen.get(fault.partition(" ")[0].rstrip(":"), found.line), f"{found.label} {fault}")
            return False
        return self._plugin(found, "vhid")

    def _plugin(self, found: _Found, kind: str) -> bool:
        """Whether there is the plug-in that a section of a kind has, if it has one."""
        for line, name in found.values.get("plugin", ()):
            fault = self._fault_of(kind, name)
            if fault is not None:
                self._error(line, f"{found.label} plugin = {name}: {fault}")
                return False
        return True

    # [hook NAME], [webhook NAME], [check NAME], [sync NAME]

    def _named_section(self, section: ini.Section, kind: SectionKind, found: _Found) -> None:
        name = section.name.removeprefix(kind.name).strip()
        if not section.name.startswith(f"{kind.name} ") or not name:
            return  # told of already
        there = self._named[kind.part]
        if name in there:
            self._error(section.line, f"{found.label} a second time: each {kind.name} has a name of its own")
            return
        missing = [key.name for key in kind.keys if key.required and not found.values.get(key.name)]
        for absent in missing:
            if absent not in found.seen and absent not in found.meant:
                self._error(section.line, f"{found.label} {absent} is missing")
        if kind.either and not any(name in found.seen or name in found.meant for name in kind.either):
            self._error(section.line, f"{found.label} {' or '.join(kind.either)} is missing")
            return
        settings = found.one(*found.values)
        for key in kind.keys:
            if key.several and key.name in settings:
                settings[key.name] = found.all(key.name)
            if key.secret and key.name in settings and _may_do_harm(key, settings[key.name]):
                self._secrets.append(Secret(self._filename, found.seen[key.name], "a secret"))
            if key.holds and key.name in settings:
                text = self._text_of_file(found, key.name, settings.pop(key.name))
                if text is None:
                    return
                settings[key.holds] = text
                if key.name == "secret_file":
                    path = self._whole(found.one(key.name)[key.name])
                    self._secrets.append(Secret(path, found.seen[key.name], "a secret"))
        if missing or kind.build is None or not self._plugin(found, kind.name):
            return
        try:
            there[name] = kind.build(name, **settings)
            self._named_lines[f"[{section.name}]"] = section.line
        except ValueError as error:
            if all(found.values.values()):  # else what is missing may be what could not be understood
                at = str(error).partition(":")[0]
                self._error(found.seen.get(at, section.line), f"{found.label} {error}")

    def _who(self, section: ini.Section, label: str) -> tuple[int | None, str | None]:
        """The number and the interface in the brackets, None for what cannot be understood."""
        argument = section.name.removeprefix("vhid").strip()
        number, at, interface = argument.partition("@")
        if not section.name.startswith("vhid ") or not at:
            if section.name.startswith("vhid "):
                self._error(section.line, f"{label} names no interface: write [vhid NUMBER@INTERFACE], as [vhid 1@em0]")
            return None, None
        lowest, highest = RANGES["vhid"]
        vhid = None
        if number.isascii() and number.isdigit() and len(number) <= 4 and lowest <= int(number) <= highest:
            vhid = int(number)
        else:
            self._error(section.line, f"{label} the number of a virtual host must be {lowest} to {highest}")
        fault = interface_name_fault(interface)
        if fault is not None:
            self._error(section.line, f"{label} {fault}")
            return vhid, None
        return vhid, interface

    def _phrases(self, found: _Found) -> tuple[Phrase, ...]:
        phrases: tuple[Phrase, ...] = found.all("pass")
        if "pass" in found.seen and "pass_file" in found.seen:
            line = max(found.seen["pass"], found.seen["pass_file"])
            self._error(line, f"{found.label} pass and pass_file together: leave one of them")
        elif "pass_file" in found.seen:
            for line, path in found.values["pass_file"]:
                phrases = self._phrases_of_file(found.label, line, path)
        elif phrases:
            self._secrets.append(Secret(self._filename, found.seen["pass"]))
        elif "pass" not in found.given and "pass" not in found.meant:
            line = found.seen.get("pass", found.line)
            self._warn(line, f"{found.label} no pass phrase: anyone on the LAN can take the addresses")
        return phrases

    def _phrases_of_file(self, label: str, line: int, path: str) -> tuple[Phrase, ...]:
        """One phrase per line, blanks and all; lines without anything are skipped."""
        whole_path = self._whole(path)
        told = f"{label} pass_file = {shown(path)}"
        text = self._read_named(whole_path, line, told)
        if text is None:
            return ()
        self._secrets.append(Secret(whole_path, line))
        phrases: list[Phrase] = []
        key = SECTIONS["vhid"].key("pass")
        assert key is not None
        lines = [each.removesuffix("\r") for each in text.removeprefix("\ufeff").split("\n")]
        for number, content in enumerate(lines, start=1):
            if not content:
                continue
            try:
                phrases.append(phrase(content))
            except ValueError as error:
                self._error(line, f"{told}: line {number}: {error}")
                continue
            remark = key.remark(phrases[-1])
            if remark is not None:
                self._warn(line, f"{told}: line {number}: {remark}")
            if content != content.strip():
                self._warn(line, f"{told}: line {number}: the blanks around the phrase belong to it")
        if not any(lines):
            self._error(line, f"{told}: {shown(whole_path)} holds no pass phrase")
        return tuple(phrases)

    # Files that are named

    def _text_of_file(self, found: _Found, key: str, path: str) -> str | None:
        """What the file holds that a key of a section names; None if that could not be read."""
        return self._read_named(self._whole(path), found.seen[key], f"{found.label} {key} = {shown(path)}")

    def _whole(self, path: str) -> str:
        return str(PurePosixPath(self._filename).parent / path)

    def _read_named(self, whole_path: str, line: int, told: str) -> str | None:
        try:
            return self._read_file(whole_path)
        except OSError as error:
            self._error(line, f"{told}: cannot read {shown(whole_path)}: {error.strerror or 'input/output error'}")
        except UnicodeError:
            # What the exception says is a part of the file.
            self._error(line, f"{told}: {shown(whole_path)} is not UTF-8 text")
        return None


def _may_do_harm(key: Key, value: Any) -> bool:
    """Whether whoever knows the value of a secret key has something: an address on the web that ends with the server's
    name has no token in it."""
    return key.name != "url" or re.fullmatch("https?://[^/]*/?", value.text, re.IGNORECASE) is None


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))
