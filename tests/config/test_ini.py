"""Lines become sections and settings, and no bad one swallows the rest."""

from __future__ import annotations

import pytest

from carptwist.config.ini import Section, Setting, Value, parse


def test_sections_hold_their_settings_in_order_with_their_lines() -> None:
    """Every section, key and value knows the line that it stands on, comments and blank lines counted."""
    text = "# first\n\n[carp]\nlog = 2\n; between\n[vhid  1@em0]\naddress=10.0.0.1/24\n\tfe80::1/64\n"
    assert parse(text, "f") == (
        [
            Section(3, "carp", [Setting(4, "log", [Value(4, "2")])]),
            Section(6, "vhid 1@em0", [Setting(7, "address", [Value(7, "10.0.0.1/24"), Value(8, "fe80::1/64")])]),
        ],
        [],
    )


def test_values_may_begin_on_the_line_below_their_key() -> None:
    """A key with nothing behind the equals sign has the values of the indented lines alone; blank lines and comments
    between them are skipped."""
    sections, problems = parse("[s]\nkey =\n  one\n\n  # no value\n  two\n", "f")
    assert (sections[0].settings, problems) == ([Setting(2, "key", [Value(3, "one"), Value(6, "two")])], [])


def test_a_value_may_hold_everything_that_looks_like_syntax() -> None:
    """Only the first equals sign counts, and comments are lines of their own."""
    sections, problems = parse("[s]\nkey = a = b # c ; [d]\n", "f")
    assert (sections[0].settings, problems) == ([Setting(2, "key", [Value(2, "a = b # c ; [d]")])], [])


@pytest.mark.parametrize(
    "text", ["[s]\nk = v\n\tw\n", "\ufeff[s]\nk = v\n\tw\n", "[s]\r\nk = v\r\n\tw\r\n", "[s]\nk\t=\tv\t\n\tw"]
)
def test_marks_and_line_ends_and_tabs_make_no_difference(text: str) -> None:
    """A byte order mark, CRLF, tabs and a missing last line end are none of the content's."""
    assert parse(text, "f") == ([Section(1, "s", [Setting(2, "k", [Value(2, "v"), Value(3, "w")])])], [])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("  indented\n[s]\n", [1]),
        ("[s]\n  indented\n", [2]),
        ("[s\n", [1]),
        ("[s] # comment\n", [1]),
        ("k = v\n[s]\n", [1]),
        ("[s]\njunk\n", [2]),
        ("[s]\nkey: v\n", [2]),
        ("[s]\n= v\n", [2]),
        ("[s]\ntwo words = v\n", [2]),
        ("[s]\n\u00a0k = v\n", [2]),
        ("junk\n[s\nmore junk\nk = v\n", [1, 2, 3]),
    ],
)
def test_what_is_no_line_of_a_configuration_is_an_error_at_its_line(text: str, lines: list[int]) -> None:
    """Each line that cannot be understood makes one error, which tells its line and none of its text."""
    _, problems = parse(text, "conf/carp.ini")
    assert [(problem.file, problem.line) for problem in problems] == [("conf/carp.ini", line) for line in lines]
    assert not any(word in str(problem) for problem in problems for word in ("indented\n", "junk", "two words"))


def test_reading_goes_on_behind_a_bad_line() -> None:
    """A section with a broken header keeps its settings, a bad line costs none of its neighbours, and the indented
    lines below a bad line are not told of as well."""
    sections, problems = parse("[s\nk = 1\njunk\n  more\nl = 2\n[t] x\nm = 3\n", "f")
    assert [(s.name, [(k.key, k.values[0].text) for k in s.settings]) for s in sections] == [
        ("s", [("k", "1"), ("l", "2")]),
        ("t", [("m", "3")]),
    ]
    assert [problem.line for problem in problems] == [1, 3, 6]
