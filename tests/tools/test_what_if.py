"""``carptwist what-if``: an operator's question, answered by the daemon's own rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carptwist.tools.carptwist import main

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "failover"
PAIR = ["what-if", "--config", str(EXAMPLES / "a.ini"), "--peer", str(EXAMPLES / "b.ini")]


def asked(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, dict[str, object]]:
    """The JSON answer, by segment."""
    assert main([*PAIR, *words, "--json"]) == code
    return {vhid["segment"]: vhid for vhid in json.loads(capsys.readouterr().out)["vhids"]}


def test_a_lost_link_moves_both(capsys: pytest.CaptureFixture[str]) -> None:
    """The manual page's example: the LAN that failed costs the timeout, the other moves without a gap."""
    found = asked(capsys, "--fail", "em1")
    assert [(found[lan]["before"], found[lan]["after"]) for lan in ("em0", "em1")] == [(["a"], ["b"])] * 2
    assert found["em0"]["outage"] == {"shortest": 0, "longest": 0}
    outage = found["em1"]["outage"]
    assert isinstance(outage, dict)
    assert 3 + 200 / 256 - 1.4 < outage["shortest"] < outage["longest"] < 3 + 200 / 256 + 0.05
    assert any("preempting a slower master" in why for why in found["em0"]["why"])  # type: ignore[attr-defined]
    assert any("demoted by 240" in why for why in found["em0"]["why"])  # type: ignore[attr-defined]


def test_a_stop_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The farewell takes effect at once."""
    found = asked(capsys, "--stop", "a")
    outage = found["em0"]["outage"]
    assert isinstance(outage, dict)
    assert found["em0"]["after"] == ["b"]
    assert outage["longest"] < 0.02


def test_what_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The loss of a backup; a demotion that is not enough."""
    for words in (["--fail", "b"], ["--fail", "b:em0"], ["--demote", "a=50"]):
        found = asked(capsys, *words)
        assert [found[lan]["after"] for lan in ("em0", "em1")] == [["a"], ["a"]]
        assert found["em0"]["outage"] == {"shortest": 0, "longest": 0}


def test_nobody_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """Is code 1, and says so."""
    assert main([*PAIR, "--fail", "a", "--fail", "b"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("If a crashes and b crashes:\n")
    assert "from a to nobody: nobody is left" in out


def test_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Each vhid with from whom to whom, what it costs, and the log lines that explain it."""
    assert main([*PAIR, "--fail", "em1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "If the cable of em1 of a is pulled:"
    assert "  vhid 2 of em1 (192.168.2.1/24)" in lines
    assert any(line.startswith("      from a to b, without a gap, within ") for line in lines)
    assert any(line.startswith("      from a to b, without owner for 2.") for line in lines)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "nothing happens: give --fail, --stop or --demote"),
        (["--fail", "em7"], "--fail em7: a has no vhid on em7: it has em0, em1; the hosts are a, b"),
        (["--fail", "c:em0"], "there is no host c: there are a, b"),
        (["--demote", "a"], "--demote a: must be HOST=N, such as a=100"),
        (["--peer", "/nowhere.ini", "--fail", "a"], "/nowhere.ini: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_asked(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Is code 2, with what there is."""
    assert main([*PAIR, *words]) == 2
    assert capsys.readouterr().err == f"{expected}\n"
