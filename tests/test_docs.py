"""The documentation names nothing that is not there: no page, no file, no test; and its configurations are right."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from carptwist.config.reader import read

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
_CONFIGURATION = re.compile(r"^```ini\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Within the project."""
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_is_named_exists() -> None:
    """By its file, its class and its own name; a class may have inherited it."""
    named = {found for page in PAGES for found in _TEST.findall(page.read_text())}
    assert len(named) > 40
    for file, names in sorted(named):
        tree = ast.parse((ROOT / file).read_text())
        scope = tree.body
        for name in names.split("::")[1:]:
            found = [
                node
                for node in scope
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
            ]
            assert found, f"{file}{names}"
            scope = found[0].body


def test_the_compatibility_page_leaves_no_statement_without_a_test() -> None:
    """Each row of its tables names one at least."""
    rows = [line for line in (ROOT / "docs" / "compatibility.md").read_text().splitlines() if line.startswith("| ")]
    statements = [row for row in rows if not row.startswith(("| statement", "| example"))]
    assert len(statements) > 45
    for row in statements:
        assert _TEST.search(row.rsplit("|", 2)[1]), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_configuration_is_one(page: Path) -> None:
    """What a page shows as a configuration is taken without an error; a part of one by itself, or beside a vhid."""
    for block in _CONFIGURATION.findall(page.read_text()):
        whole = (
            block if "[vhid " in block else block + "\n[vhid 9@em0]\naddress = 192.0.2.1/24\npass = mekmitasdigoat\n"
        )
        assert read(whole, str(page), lambda path: "mekmitasdigoat").configuration.vhids
