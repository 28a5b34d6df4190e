r"""Lines -> sections and settings, each with the line that it stands on.

::

    # a comment, or ; a comment: always a line of its own, never behind a value
    [vhid 1@em0]
    address = 192.168.1.1/24
              2001:db8:1::1/64      (an indented line adds one value more)

Pure syntax: which sections and keys there may be is :mod:`carptwist.config.keys`' business. Every
line that cannot be understood becomes a :class:`Problem`, and reading goes on behind it. No text of
such a line is repeated in the Problem: it may be a pass phrase that has lost its key. Lines end in LF or CRLF; a byte
order mark is skipped; space and tab are the only blanks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from carptwist.config.problems import Problem

BLANKS = " \t\r"
COMMENTS = ("#", ";")

_COLON_FIRST = re.compile(r"\S*:")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class Value(NamedTuple):
    """One value of a setting: its text without blanks around it, and its line."""

    line: int
    text: str


@dataclass
class Setting:
    """``key = value``, and the values of the indented lines below it. One without any text has no value."""

    line: int
    key: str
    values: list[Value] = field(default_factory=list)

    @property
    def last_line(self) -> int:
        return self.values[-1].line if self.values else self.line


@dataclass
class Section:
    """``[name]`` and its settings, in the order of the file."""

    line: int
    name: str
    settings: list[Setting] = field(default_factory=list)


def parse(text: str, filename: str) -> tuple[list[Section], list[Problem]]:
    """The sections of a file, and what could not be understood of it. Never raises."""
    sections: list[Section] = []
    problems: list[Problem] = []
    setting: Setting | None = None

    def wrong(reason: str) -> None:
        problems.append(Problem(filename, number, reason))

    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        content = line.strip(BLANKS)
        if not content or content.startswith(COMMENTS):
            continue
        if line[0] in BLANKS:
            if setting is None:
                wrong("an indented line adds a value to the setting above, and there is none: begin it at the margin")
            else:
                setting.values.append(Value(number, content))
            continue
        if content.startswith("["):
            name, closed, rest = content[1:].partition("]")
            if not closed:
                wrong("a section without its closing bracket: write [name]")
            elif rest:
                wrong("text behind the closing bracket of a section: a comment stands on a line of its own")
            setting = None
            sections.append(Section(number, " ".join(name.split())))
            continue
        # A line that is no setting gets a nameless one all the same, which swallows the indented lines below it: one
        # mistake is told once.
        key, equals, value = (part.strip(BLANKS) for part in content.partition("="))
        if not equals:
            setting = Setting(number, "")
            wrong(f"neither [section] nor `key = value` nor a comment{_remedy(content)}")
        elif not _KEY.fullmatch(key):
            setting = Setting(number, "")
            wrong("what stands before the equals sign is no key: keys are single words, as in `advskew = 100`")
        else:
            setting = Setting(number, key, [Value(number, value)] if value else [])
            if sections:
                sections[-1].settings.append(setting)
            else:
                wrong("a setting before the first section: put a line such as [carp] or [vhid 1@em0] above it")
    return sections, problems


def _remedy(content: str) -> str:
    """What is probably missing, told without repeating the line."""
    if _COLON_FIRST.match(content):
        return ": is the colon meant to be an equals sign, or should the line be indented, as one more value?"
    return ": is the equals sign missing, or should the line be indented, as one more value?"
