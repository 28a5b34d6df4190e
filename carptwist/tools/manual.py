"""The manual pages: of the programs from their parsers, of carp.ini from the tables of the reference page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from carptwist import __version__
from carptwist.config.keys import SECTIONS
from carptwist.tools.synopsis import Option, Program, programs

_EXIT = {
    "carpctl": [
        ("0", "done"),
        ("1", "the daemon refused, or its answer could not be printed"),
        ("2", "bad usage, or a bad configuration"),
        ("3", "no daemon answers within 10 s (a reload: 300 s), or lets us in"),
    ],
    "carptwist": [("0", "done"), ("1", "the answer is no"), ("2", "bad usage, or a bad configuration")],
}
_SEE_ALSO = {
    "carpctl": "carptwist(8), twistd\\-carp(8), carp.ini(5)",
    "carptwist": "carpctl(8), twistd\\-carp(8), carp.ini(5)",
}
_MORE = {
    "carpctl": [
        (
            "Without --socket it is the daemon's default socket, /run/carptwist/control.sock; ssl:HOST:PORT is a "
            "daemon on another host, with --certificate, --key and --ca."
        ),
        (
            "The words of the verb ifconfig are those of ifconfig(8) of FreeBSD, and the verb sysctl prints as "
            "sysctl(8). What is changed lasts until the daemon starts again, unless it is saved. There is colour on "
            "a terminal only, and never where NO_COLOR is set."
        ),
    ],
    "carptwist": ["None of its verbs needs a running daemon."],
}


def files(reference: Path) -> Iterator[tuple[str, str]]:
    """Names below the repository, and texts.

    :param reference: docs/configuration.md.
    """
    for program in programs():
        yield f"docs/man/{program.name}.8", _program(program)
    yield "docs/man/twistd-carp.8", _daemon()
    yield "docs/man/carp.ini.5", _configuration(reference.read_text())


def _head(name: str, section: int, summary: str) -> list[str]:
    return [
        '.\\" Made by `make docs`.',
        f'.TH {_roff(name.upper())} {section} "" "carptwist {__version__}" "carptwist"',
        ".SH NAME",
        f"{_roff(name)} \\- {_roff(summary)}",
    ]


def _program(program: Program) -> str:
    lines = [*_head(program.name, 8, program.summary), ".SH SYNOPSIS"]
    lines += [f".B {program.name}", "[\\fIoption\\fR ...] \\fIverb\\fR [\\fIargument\\fR ...]", ".SH DESCRIPTION"]
    for number, paragraph in enumerate(_MORE[program.name]):
        lines += [*([".PP"] if number else []), _roff(paragraph)]
    lines += [".SH OPTIONS", *_options(program.options), ".SH VERBS"]
    for verb in program.verbs:
        positional = " ".join(option.value for option in verb.options if not option.names)
        lines += [f".SS {_roff(f'{verb.name} {positional}'.strip())}", _roff(f"{_sentence(verb.summary)}")]
        lines += _options(verb.options)
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXIT[program.name]:
        lines += [".TP", f".B {code}", _roff(_sentence(meaning))]
    return _page([*lines, ".SH SEE ALSO", _SEE_ALSO[program.name]])


def _daemon() -> str:
    return _page(
        [
            *_head("twistd-carp", 8, "share addresses with other hosts by CARP"),
            ".SH SYNOPSIS",
            ".B twistd",
            "[\\fItwistd option\\fR ...] \\fBcarp\\fR [\\fB\\-\\-config\\fR \\fIfile\\fR]",
            ".SH DESCRIPTION",
            (
                "The daemon of carptwist, a plugin of twistd(1): the Common Address Redundancy Protocol for Linux. "
                "With \\fB\\-n\\fR twistd stays in the foreground, as service managers want it."
            ),
            ".PP",
            (
                "A bad configuration is refused as a whole, every error with its place. SIGTERM and SIGINT end the "
                "daemon in good order: each MASTER says goodbye, and what was changed on the host is put back. "
                "SIGHUP reloads the configuration."
            ),
            ".SH OPTIONS",
            ".TP",
            "\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIfile\\fR",
            "The configuration; /etc/carptwist/carp.ini without it.",
            ".SH EXIT STATUS",
            ".TP",
            ".B 1",
            "A privilege is missing (CAP_NET_RAW, and CAP_NET_ADMIN for planes), or the host cannot be worked with.",
            ".TP",
            ".B 2",
            "The configuration is bad.",
            ".SH SEE ALSO",
            "carpctl(8), carptwist(8), carp.ini(5), twistd(1)",
        ]
    )


def _configuration(reference: str) -> str:
    lines = [*_head("carp.ini", 5, "configuration of carptwist"), ".SH DESCRIPTION"]
    lines += [
        (
            "Sections in brackets, and settings as KEY = VALUE from the margin on. A key that takes several values "
            "has one on each line; the lines after the first are indented. A comment is a line of its own that "
            "begins with # or ;."
        ),
    ]
    for kind in SECTIONS.values():
        chapter = reference.split(f"## `{kind.example}`\n")[1].split("\n## ")[0]
        rows = {row[0].strip(" `"): row for row in _rows(chapter)}
        lines.append(f".SH {_roff(kind.example)}")
        for key in kind.keys:
            _, type_, range_, default, meaning = rows[key.name]
            facts = ", ".join(filter(None, (_text(type_), _text(range_))))
            lines += [".TP", f"\\fB{_roff(key.name)}\\fR ({_roff(facts)}; default {_roff(_text(default))})"]
            lines.append(_roff(_sentence(_text(meaning))))
    return _page([*lines, ".SH SEE ALSO", "carpctl(8), carptwist(8), twistd\\-carp(8)"])


def _rows(chapter: str) -> Iterator[list[str]]:
    for line in chapter.split("\n"):
        if line.startswith("| `"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]


def _options(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        if not option.text:
            continue
        names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
        value = f"\\fI{_roff(option.value)}\\fR" if option.value else ""
        yield ".TP"
        yield " ".join(filter(None, (names, value)))
        yield _roff(_sentence(option.text))


def _text(cell: str) -> str:
    """Without the marks of Markdown."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").replace("**", "").replace("\\|", "|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?")) else ".")


def _roff(text: str) -> str:
    """A text that begins no request, and whose dashes can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def _page(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
