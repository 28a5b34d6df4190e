"""Changes of a configuration -> the same text with these changes in it.

::

    # the first router                      # the first router
    [vhid 1@em0]                            [vhid 1@em0]
    address = 192.0.2.1/24          -->     address = 192.0.2.1/24
    pass = …                                pass = …
    ; the second of three                   ; the second of three
    advskew = 100                           advskew = 50
                                            advbase = 2

Only the lines change whose settings change: comments, blank lines, the order of everything, and how things are
written stay. A section that goes leaves its comments behind. What was written is read again: a text that would not
mean what it is meant to mean is never given out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from difflib import SequenceMatcher
from typing import Any

from carptwist.config import ini
from carptwist.config.keys import SECTIONS, Key
from carptwist.config.problems import ConfigurationError
from carptwist.config.reader import Reading, read
from carptwist.config.schema import Configuration, Knobs, VirtualHostConfig
from carptwist.config.spelling import field_of, spelled

_INDENT = "          "


class SavingError(ValueError):
    """This cannot be written into the file. The text says why, and what to do instead; never a pass phrase."""


def saved(text: str, filename: str, read_file: Callable[[str], str], wanted: Configuration) -> str:
    """A text that says what ``wanted`` has in its knobs and vhids, and all else as before.

    :param text: a configuration without errors.
    :param filename: what it is called, and what relative paths in it are relative to.
    :param read_file: as for :func:`carptwist.config.reader.read`.
    :raises SavingError: there is no such text.
    """
    reading = read(text, filename, read_file)
    document = _Document(text, filename)
    _save_knobs(document, reading.configuration.knobs, wanted.knobs)
    _save_vhids(document, reading, wanted.vhids)
    written = document.text
    _demand_same(written, filename, read_file, reading.configuration, wanted)
    return written


def _demand_same(
    written: str,
    filename: str,
    read_file: Callable[[str], str],
    before: Configuration,
    wanted: Configuration,
) -> None:
    """Whatever went wrong, or cannot be said in a file at all, shows here."""
    try:
        again = read(written, filename, read_file).configuration
    except ConfigurationError as error:
        first = error.errors[0]
        raise SavingError(f"this cannot be written down: {first.text}") from None
    expected = replace(before, knobs=wanted.knobs, vhids=_by_name(wanted.vhids))
    if replace(again, vhids=_by_name(again.vhids)) != expected:
        different = [vhid.name for vhid in expected.vhids if vhid not in again.vhids]
        raise SavingError(f"{', '.join(different) or filename}: a setting cannot be written down so that it reads back")


def _by_name(vhids: Iterable[VirtualHostConfig]) -> tuple[VirtualHostConfig, ...]:
    # The order of sections means nothing, and what runs is in an order of its own.
    return tuple(sorted(vhids, key=lambda vhid: vhid.name))


def _save_knobs(document: _Document, before: Knobs, wanted: Knobs) -> None:
    changed = _changed(before, wanted, "carp")
    if not changed:
        return
    place = document.section("carp")
    if place is None:
        document.prepend("[carp]", [f"{key.name} = {texts[0]}" for key, texts in changed.items()])
        return
    for key, texts in changed.items():
        document.set(place, key, texts)


def _save_vhids(document: _Document, reading: Reading, wanted: Iterable[VirtualHostConfig]) -> None:
    before = {vhid.name: vhid for vhid in reading.configuration.vhids}
    after = {vhid.name: vhid for vhid in wanted}
    if not after:
        raise SavingError("no virtual host would be left: a configuration has at least one")
    for name, vhid in after.items():
        if not vhid.addresses:
            raise SavingError(f"{name} has no address: in a configuration every virtual host has at least one")
    for name, line in reading.vhid_lines.items():
        place = document.section_at(line)
        if name not in after:
            document.remove(place)
            continue
        for key, texts in _changed(before[name], after[name], "vhid").items():
            if key.name == "pass" and document.setting(place, "pass_file") is not None:
                raise SavingError(
                    f"{name} takes its pass phrases from the file that pass_file names: write the new ones there"
                )
            document.set(place, key, texts)
    for name, vhid in after.items():
        if name not in before:
            document.append(f"[vhid {name}]", list(_settings(vhid)))


def _settings(vhid: VirtualHostConfig) -> Iterable[str]:
    """The lines of a new section: all that is not the default."""
    defaults = {field.name: field.default for field in fields(VirtualHostConfig)}
    for key in SECTIONS["vhid"].keys:
        field = field_of(key)
        if field not in defaults or getattr(vhid, field) == defaults[field]:
            continue
        yield from _written(key, spelled(getattr(vhid, field)))


def _changed(before: Any, after: Any, kind: str) -> Mapping[Key, tuple[str, ...]]:
    """The keys whose values are others, with the texts of the new ones; none where there is no value."""
    found = {}
    for key in SECTIONS[kind].keys:
        field = field_of(key)
        if hasattr(before, field) and getattr(before, field) != getattr(after, field):
            found[key] = spelled(getattr(after, field))
    return found


class _Line:
    """A line of the file, numbered, and what becomes of it: ``text`` is None when it goes.

    ``before`` and ``after`` are new lines around it; ``more`` are further values of the setting that it belongs to,
    which come first of those after it.
    """

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self.before: list[str] = []
        self.more: list[str] = []
        self.after: list[str] = []

    @property
    def lines(self) -> list[str]:
        return [*self.before, *([] if self.text is None else [self.text]), *self.more, *self.after]


class _Document:
    """The lines of a file, and what :mod:`carptwist.config.ini` makes of them; numbered from 1, as there."""

    def __init__(self, text: str, filename: str) -> None:
        self._mark = "\ufeff" if text.startswith("\ufeff") else ""
        lines = text.removeprefix("\ufeff").split("\n")
        self._end = "\r" if lines[0].endswith("\r") else ""
        # What follows the last line end is a line only if there is something.
        self._closed = lines[-1] == ""
        if self._closed:
            lines.pop()
        self._lines = [_Line(line) for line in lines]
        self.sections, _ = ini.parse(text, filename)

    @property
    def text(self) -> str:
        lines = [each for line in self._lines for each in line.lines]
        return self._mark + "\n".join(lines) + ("\n" if self._closed else "")

    def _at(self, number: int) -> _Line:
        return self._lines[number - 1]

    # Sections

    def section(self, name: str) -> ini.Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def section_at(self, line: int) -> ini.Section:
        return next(section for section in self.sections if section.line == line)

    def remove(self, section: ini.Section) -> None:
        """Take a section's lines away; its comments stay."""
        self._at(section.line).text = None
        for setting in section.settings:
            self._delete(setting)

    def append(self, header: str, lines: list[str]) -> None:
        """A new section at the end of the file."""
        self._lines[-1].after += self._ended(["", header, *lines])

    def prepend(self, header: str, lines: list[str]) -> None:
        """A new section before all others, and after the comments that the file begins with."""
        place = first = min(section.line for section in self.sections)
        while place > 1 and self._is_comment(place - 1):
            place -= 1
        # A file that begins with comments begins with its own, not with those of its first section.
        self._at(first if place == 1 else place).before += self._ended([header, *lines, ""])

    def _is_comment(self, number: int) -> bool:
        text = self._at(number).text
        return text is not None and text.strip(ini.BLANKS).startswith(ini.COMMENTS)

    def _ended(self, lines: list[str]) -> list[str]:
        return [line + self._end for line in lines]

    # Settings

    def setting(self, section: ini.Section, key: str) -> ini.Setting | None:
        return next((setting for setting in section.settings if setting.key == key), None)

    def set(self, section: ini.Section, key: Key, texts: tuple[str, ...]) -> None:
        """Give a key these values, one a line; without any it goes."""
        setting = self.setting(section, key.name)
        if setting is not None and texts:
            self._exchange(setting, key, texts)
        elif setting is not None:
            self._delete(setting)
        elif texts:
            last = max([section.line, *(each.last_line for each in section.settings)])
            self._at(last).after += self._ended(_written(key, texts))

    def _delete(self, setting: ini.Setting) -> None:
        for number in (setting.line, *(value.line for value in setting.values)):
            self._at(number).text = None

    def _exchange(self, setting: ini.Setting, key: Key, texts: tuple[str, ...]) -> None:
        """Other values of a setting: a line whose value stays is not touched."""
        before = ["".join(spelled(key.parse(value.text))) for value in setting.values]
        changes = SequenceMatcher(None, before, texts, autojunk=False).get_opcodes()
        if changes[0][0] == "insert" and before and setting.values[0].line == setting.line:
            # Nothing can stand before the value on the line of the key.
            changes = [("replace", 0, len(before), 0, len(texts))]
        place = setting.line
        for what, begin, end, begin_new, end_new in changes:
            new = [] if what == "equal" else list(texts[begin_new:end_new])
            for value in setting.values[begin:end]:
                place = value.line
                if what != "equal":
                    self._write(setting, value, new.pop(0) if new else None)
            self._at(place).more += self._ended([f"{self._indent(setting)}{text}" for text in new])

    def _write(self, setting: ini.Setting, value: ini.Value, text: str | None) -> None:
        """Another text in the place of a value, or none."""
        line = self._at(value.line)
        assert line.text is not None
        if value.line != setting.line:
            line.text = None if text is None else _exchanged(line.text, text)
        else:
            key, equals, rest = line.text.partition("=")
            line.text = f"{key}{equals}{_exchanged(rest, text or '')}"

    def _indent(self, setting: ini.Setting) -> str:
        """How the further values of a setting are indented."""
        below = next((value.line for value in setting.values if value.line != setting.line), None)
        text = None if below is None else self._at(below).text
        return _INDENT if text is None else text[: len(text) - len(text.lstrip(ini.BLANKS))]


def _exchanged(written: str, text: str) -> str:
    """Another text between the blanks around one."""
    begin = len(written) - len(written.lstrip(ini.BLANKS))
    return written[:begin] + text + written[len(written.rstrip(ini.BLANKS)) :]


def _written(key: Key, texts: tuple[str, ...]) -> list[str]:
    """The lines of a setting."""
    first, *others = texts
    return [f"{key.name} = {first}", *(f"{_INDENT}{text}" for text in others)]
