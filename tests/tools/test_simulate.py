"""``carptwist simulate``: every shipped scenario is as it says, told in words, as JSON, and as a picture."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest

from carptwist.simulation import report
from carptwist.simulation.library import load_scenario
from carptwist.simulation.stage import play
from carptwist.tools.carptwist import main

SCENARIOS = sorted((Path(__file__).parents[2] / "conf" / "scenarios").glob("*.toml"))
GROUP = str(next(path for path in SCENARIOS if path.stem == "group-failover"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios(path: Path) -> None:
    """What each expects comes true, and it expects something; no daemon in it has an error; twice it is the same."""
    scenario = load_scenario(path)
    assert scenario.expectations
    assert scenario.about
    outcomes = [play(scenario), play(scenario)]
    assert [judgement.text for judgement in outcomes[0].judgements if not judgement.met] == []
    assert outcomes[0].good
    assert list(report.lines(outcomes[0])) == list(report.lines(outcomes[1]))
    assert outcomes[0].world.history.happenings == outcomes[1].world.history.happenings


def test_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    """What happened, who had the addresses, what went wrong and why, and whether it was as expected."""
    assert main(["simulate", GROUP]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "Group failover"
    assert "      12.000  ---- the cable of em1 of a is pulled ----" in lines
    assert any(line.endswith("b  1@em0: BACKUP -> MASTER (preempting a slower master)") for line in lines)
    assert any("of outage: vhid 2 of em1, from 12.000" in line for line in lines)
    assert "      it began when em1 of a has lost its link" in lines
    assert "  yes at 20.000 s b has vhid 1 of em0" in lines


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object; another seed is another run with the same end."""
    assert main(["simulate", GROUP, "--json", "--seed", "5"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["simulate", GROUP, "--json", "--seed", "6"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert (first["seed"], first["good"], len(first["vhids"])) == (5, True, 2)
    assert [fault["kind"] for fault in first["faults"]] == ["outage"] * 3
    assert first["happenings"] != second["happenings"]
    assert [vhid["owners"][-1]["hosts"] for vhid in second["vhids"]] == [["a"], ["a"]]


def test_the_picture(tmp_path: Path) -> None:
    """Is XML that says who had what, and is drawn within its own bounds."""
    path = tmp_path / "x.svg"
    assert main(["simulate", GROUP, "--svg", str(path), "--json"]) == 0
    svg = ElementTree.parse(path).getroot()
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    space = "{http://www.w3.org/2000/svg}"
    titles = [title.text or "" for title in svg.iter(f"{space}title")]
    assert any(title.startswith("b from 12.0") for title in titles)
    assert any("of outage" in title for title in titles)
    for box in svg.iter(f"{space}rect"):
        right = float(box.attrib.get("x", 0)) + float(box.attrib["width"])
        assert right <= width + 0.01
        assert float(box.attrib.get("y", 0)) + float(box.attrib["height"]) <= height


def test_the_capture(tmp_path: Path) -> None:
    """One file a segment, of advertisements and announcements that dissect without complaint."""
    assert main(["simulate", GROUP, "--pcap", str(tmp_path / "x.pcap"), "--json"]) == 0
    octets = (tmp_path / "x-em0.pcap").read_bytes()
    assert struct.unpack_from("=I", octets)[0] == 0xA1B23C4D
    assert (tmp_path / "x-em1.pcap").exists()
    assert octets.count(bytes.fromhex("01005e00001200005e000101")) > 20


def test_what_was_not_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is exit code 1, and the report says what there was instead."""
    path = tmp_path / "x.toml"
    path.write_text(
        'configuration = """\n[vhid 1@em0]\naddress = 192.0.2.1/24\npass = secret\n"""\n[hosts.a]\n'
        '[[expect]]\nowner = "nobody"\n[[expect]]\noutage_below = "1s"\n'
    )
    assert main(["simulate", str(path)]) == 1
    out = capsys.readouterr().out
    assert "  NO  at 60.000 s nobody has vhid 1 of em0: it was a\n" in out
    assert "  NO  no outage of more than 1 s: the longest was 3.0" in out


def test_a_bad_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is exit code 2, with its errors on stderr."""
    path = tmp_path / "x.toml"
    path.write_text("[hosts.a]\n")
    assert main(["simulate", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}:1: [hosts.a] ")
