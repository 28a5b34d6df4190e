"""The shipped sample and the reference page tell the truth about every key that the reader knows."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path

import pytest

from carptwist.config import ini
from carptwist.config.keys import SECTIONS, Key, SectionKind
from carptwist.config.ranges import RANGES
from carptwist.config.reader import read

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "conf" / "carp.ini").read_text()
REFERENCE = (ROOT / "docs" / "configuration.md").read_text()

EVERY_KEY = [pytest.param(kind, key, id=f"{kind.name}-{key.name}") for kind in SECTIONS.values() for key in kind.keys]

#: A setting behind a single # and no blank: the default, commented out.
COMMENTED_OUT = re.compile(r"^#(?=[a-z0-9_]+ =)", re.MULTILINE)
#: One that excludes another that is set, or names a file.
EXCLUSIVE = re.compile(
    r"^#(?=(pass_file|ca_file|secret_file|command|interface|file|address|content|plugin|argument) =)", re.MULTILINE
)


def default(kind: SectionKind, key: Key) -> str | None:
    """The default of a key as one would write it, None where there is none."""
    found = {field.name: field.default for field in fields(kind.make)}.get(key.name, MISSING)
    if found is MISSING or found is None or found == ():
        return None
    if isinstance(found, bool):
        return "yes" if found else "no"
    return str(found.value) if isinstance(found, Enum) else str(found)


def settings_of(text: str, kind: SectionKind) -> dict[str, ini.Setting]:
    """The settings of the first section of a kind, by key."""
    sections, problems = ini.parse(text, "conf/carp.ini")
    assert problems == []
    section = next(section for section in sections if section.name.split()[0] == kind.name)
    return {setting.key: setting for setting in section.settings}


def table_of(kind: SectionKind) -> dict[str, list[str]]:
    """The rows of the reference's table for a kind of section, by key."""
    heading = f"## `{kind.example}`"
    assert REFERENCE.count(heading + "\n") == 1
    chapter = REFERENCE.split(heading + "\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in chapter.split("\n") if line.startswith("|")
    ]
    assert rows[0] == ["key", "type", "range", "default", "meaning"]
    keys = [row[0].strip("`") for row in rows[2:]]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, rows[2:], strict=True))


# conf/carp.ini


def test_the_sample_is_good_as_it_is() -> None:
    """It reads without an error or a warning, for the interfaces of the manual pages."""
    reading = read(SAMPLE, "conf/carp.ini", str)
    assert reading.warnings == ()
    assert [host.name for host in reading.configuration.vhids] == ["1@em0", "2@em1"]


@pytest.mark.parametrize(("kind", "key"), EVERY_KEY)
def test_the_sample_has_every_key_with_an_explanation(kind: SectionKind, key: Key) -> None:
    """Set or commented out, in the first section of its kind, in a paragraph that begins with a comment, and good."""
    text = COMMENTED_OUT.sub("", SAMPLE)
    setting = settings_of(text, kind)[key.name]
    assert setting.values
    for value in setting.values:
        key.parse(value.text)
    above = text.split("\n")[: setting.line - 1]
    paragraph = above[max((number for number, line in enumerate(above) if not line.strip()), default=-1) + 1 :]
    assert any(line.startswith("# ") and len(line) > 40 for line in paragraph)


@pytest.mark.parametrize(("kind", "key"), EVERY_KEY)
def test_what_the_sample_has_commented_out_is_the_default(kind: SectionKind, key: Key) -> None:
    """Whoever uncomments a line changes nothing."""
    commented_out = COMMENTED_OUT.sub("", SAMPLE)
    if key.name in settings_of(SAMPLE, kind) or default(kind, key) is None:
        return
    assert [value.text for value in settings_of(commented_out, kind)[key.name].values] == [default(kind, key)]


def test_the_sample_knows_no_key_that_the_reader_does_not() -> None:
    """With everything uncommented but what excludes something else, it is still good, and the same as before but for
    the keys that have no default."""
    text = EXCLUSIVE.sub("# ", SAMPLE)
    assert read(COMMENTED_OUT.sub("", text), "conf/carp.ini", str).warnings == ()
    names = "group|peer6?|source|body|header|secret|retry|telnet|ssh|authorized_keys|host_key|passwd"
    names += "|tls|certificate|key|clients|plugin|argument"
    text = COMMENTED_OUT.sub("", re.sub(rf"^#(?=({names}) =)", "# ", text, flags=re.MULTILINE))
    assert text != SAMPLE
    assert read(text, "conf/carp.ini", str).configuration == read(SAMPLE, "conf/carp.ini", str).configuration


# docs/configuration.md


@pytest.mark.parametrize(("kind", "key"), EVERY_KEY)
def test_the_reference_has_every_key_with_its_default_and_range(kind: SectionKind, key: Key) -> None:
    """One row in the table of its section, whose columns agree with the code."""
    _, type_, range_, default_, meaning = table_of(kind)[key.name]
    known = default(kind, key)
    assert default_ == (f"`{known}`" if known is not None else "required" if key.required else "none")
    if key.name in RANGES:
        lowest, highest = RANGES[key.name]
        assert (type_.split(",")[0], range_) == ("number", f"{lowest} to {highest}")
    assert ("several" in type_) == key.several
    assert meaning


@pytest.mark.parametrize("kind", SECTIONS.values(), ids=list(SECTIONS))
def test_the_reference_has_no_key_that_the_reader_does_not_know(kind: SectionKind) -> None:
    """The table of a section has its keys in the order of the code, and no others."""
    assert list(table_of(kind)) == [key.name for key in kind.keys]


def test_the_reference_has_no_section_that_the_reader_does_not_know() -> None:
    """Every heading in brackets is a section."""
    assert re.findall(r"^## `(\[.*\])`$", REFERENCE, re.MULTILINE) == [kind.example for kind in SECTIONS.values()]


# The other files in conf/


@pytest.mark.parametrize("path", sorted((ROOT / "conf").rglob("*.ini")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_shipped_file_is_good(path: Path) -> None:
    """Without an error or a warning."""
    assert read(path.read_text(), str(path), str).warnings == ()
