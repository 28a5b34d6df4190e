"""Schedules that have broken something once, each shrunk to a scenario file of ``tests/data/scenarios``.

``make soak`` puts new ones there. What each showed, and what it was, is said at its beginning.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from carptwist.simulation.library import load_scenario
from carptwist.simulation.stage import play
from tests.properties.soak import KEPT

SCENARIOS = sorted(KEPT.glob("*.toml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_it_breaks_nothing_any_more(path: Path) -> None:
    """As ``carptwist simulate --inspect`` shows it."""
    assert path.read_text().startswith("# "), "it does not say what it was"
    assert [str(violation) for violation in play(load_scenario(path), inspect=True).violations] == []


def test_some_are_kept() -> None:
    """The files are where the test looks for them."""
    assert len(SCENARIOS) >= 3
