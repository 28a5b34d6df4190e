"""What Tab offers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from carptwist.admin.console import completions

NAMES = {
    "vhids": {"1@em0": SimpleNamespace(machine=SimpleNamespace(deadline=1.0, demote=2))},
    "status": print,
    "service": None,
    "_hidden": 1,
}


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["service", "status", "vhids"]),
        ("s", ["service", "status"]),
        ("_h", ["_hidden"]),
        ("print(st", ["status"]),
        ("x = vh", ["vhids"]),
        ("vhids['1@em0'].ma", ["machine"]),
        ('for v in [vhids["1@em0"].machine.de', ["deadline", "demote"]),
        ("vhids.val", ["values"]),
        ("vhids['2@em0'].ma", []),
        ("nothing.at.all", []),
        ("1.re", []),
    ],
)
def test_completions(before: str, expected: list[str]) -> None:
    """Names, attributes along dots and constant keys; what is not there offers nothing, and nothing is called."""
    assert completions(before, NAMES) == expected
