"""``make soak``: what it finds is kept, and fails until it is mended."""

from __future__ import annotations

import re
from pathlib import Path

from carptwist.simulation.library import load_scenario
from carptwist.simulation.stage import play
from tests.properties.mutants import MUTANTS, planted
from tests.properties.soak import Soak, endless

MUTANT = next(mutant for mutant in MUTANTS if mutant.fault == "a farewell is not heeded")


def test_a_planted_fault_is_kept(tmp_path: Path) -> None:
    """As one short file for its rule, which says what it is, and shows it with the fault and not without; and the
    lines say where it is."""
    said: list[str] = []
    soak = Soak(tmp_path / "kept", said.append)
    with planted(MUTANT):
        soak.run(endless(["assaults"], 0, 120))
        assert soak.broken[MUTANT.rule] > 1
        paths = list((tmp_path / "kept").iterdir())
        assert len(paths) == len(soak.broken)
        (path,) = (path for path in paths if path.name.startswith("farewells-are-heeded-assaults-"))
        scenario = load_scenario(path)
        assert [violation.rule for violation in play(scenario, inspect=True).violations] == [MUTANT.rule]
    assert play(scenario, inspect=True).violations == ()
    assert len(scenario.events) <= 4
    assert re.match(r"# \d+\.\d{3} s: farewells are heeded: ", path.read_text())
    assert f"  kept as {path}" in said
    assert not any("the file itself shows" in line for line in said)


def test_nothing_is_broken(tmp_path: Path) -> None:
    """It goes from seed to seed with both sorts, tells how far it is now and then, ends when the time is over, and
    keeps nothing."""
    said: list[str] = []
    soak = Soak(tmp_path / "kept", said.append, clock=iter(range(0, 1000, 20)).__next__)
    soak.run(endless(["failures", "assaults"], 50, None), limit=200)
    assert dict(soak.played) == {"failures": 5, "assaults": 5}
    assert said[0] == "1 schedules of assaults, 1 schedules of failures played; broken: nothing, up to seed 50, in 40 s"
    assert not (tmp_path / "kept").exists()
