"""The table in docs/."""

from pathlib import Path

from carptwist.election.table import render

PAGE = Path(__file__).parents[2] / "docs" / "election-table.md"


def test_the_page_says_what_the_code_does() -> None:
    """docs/election-table.md is the output of carptwist.election.table: `make docs` writes it anew."""
    assert PAGE.read_text() == render()
