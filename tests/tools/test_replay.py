"""``carptwist replay``: what is told of a flight, of a difference, and of files that are none."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest

from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.interfaces import LinkState
from carptwist.recorder.plain import of_link
from carptwist.recorder.records import Decision, Input, Record
from carptwist.recorder.ring import Writer, parts
from carptwist.simulation.world import World
from carptwist.tools.carptwist import main
from carptwist.tools.replay import span

CONFIG = VirtualHostConfig(1, "em0", (ip_interface("192.0.2.1/24"),), (Phrase(b"mekmitasdigoat"),))


@pytest.fixture(scope="module")
def recordings() -> dict[str, bytes]:
    """Of two hosts: b takes over when a crashes, and gives back when a returns."""
    with World(recorded=1 << 20) as world:
        for name, advskew in (("a", 0), ("b", 100)):
            configuration = Configuration(Knobs(preempt=True), (replace(CONFIG, advskew=advskew),))
            world.add(name, configuration, {"em0": "lan"}).start()
        world.run(10)
        world.hosts["a"].crash()
        world.run(10)
        world.hosts["a"].start()
        world.run(10)
        world.hosts["b"].set_carrier("em0", False)
        world.run(5)
        node = world.hosts["a"].node
        assert node is not None
        node.roster.demote("night", 5, "at work", 60)
        world.run(5)
        return {name: host.recording for name, host in world.hosts.items()}


@pytest.fixture
def files(recordings: dict[str, bytes], tmp_path: Path) -> dict[str, str]:
    for name, octets in recordings.items():
        (tmp_path / name).write_bytes(octets)
    return {name: str(tmp_path / name) for name in recordings}


def tampered(octets: bytes, tamper: Callable[[list[Record]], object]) -> bytes:
    """A recording with something else in its last part."""
    *_, part = parts(octets)
    tamper(part.records)
    return b"".join(piece for _, piece in Writer(1 << 20).pieces(part.records))


def test_what_happened(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Of both hosts, in the order of time, with the reasons; and that the replay came to the same."""
    assert main(["replay", files["a"], files["b"]]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "1970-01-01"
    told = [line.split("  ", 1)[1] for line in lines[1 : lines.index("")]]
    times = [line.split("  ", 1)[0] for line in lines[1 : lines.index("")]]
    assert times == sorted(times)
    expected = [
        "a  1@em0: BACKUP -> MASTER (master timed out)",
        "a  1@em0: the addresses are reachable here",
        "b  1@em0: 192.0.2.101 is MASTER with advbase 1, advskew 0",
        "b  1@em0: BACKUP -> MASTER (master timed out)",
        "b  1@em0: the addresses are reachable here",
        "a  1@em0: 192.0.2.102 is MASTER with advbase 1, advskew 100",
        "a  1@em0: BACKUP -> MASTER (preempting a slower master)",
        "b  1@em0: MASTER -> BACKUP (more frequent advertisement received)",
        "b  1@em0: the addresses are not reachable here any more",
        "b  interface em0 is without a link: 192.0.2.102 fe80::2:2",
        "a  asked: roster demote night 5 at work 60",
        "a  demoted by 5 to 5 (at work)",
    ]
    rest = iter(told)
    assert [line for line in expected if line not in rest] == []
    assert lines[-2].startswith(f"{files['a']}: no difference in ")
    assert lines[-1].endswith(" s")


def test_quiet_and_json(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The outcome alone; and everything for programs."""
    assert main(["replay", "-q", files["a"]]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["replay", "--json", files["a"], files["b"]]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    a, b = told["files"]
    assert (a["same"], a["difference"], a["gaps"]) == (True, None, 0)
    assert [stretch["from_start"] for stretch in a["stretches"]] == [True, True]
    assert b["stretches"][0]["host"] == "b"
    assert b["inputs"] > b["decisions"] > 5
    assert {"host": "a", "text": "demoted by 5 to 5 (at work)"}.items() <= told["moments"][-1].items()


def test_frames_for_wireshark(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that were heard or sent, by both hosts, in the order of time."""
    capture = tmp_path / "frames.pcap"
    assert main(["replay", "-q", "--pcap", str(capture), files["a"], files["b"]]) == 0
    octets, at, times, count = capture.read_bytes(), 24, [], 0
    while at < len(octets):
        seconds, nanoseconds, length, _ = struct.unpack_from("=IIII", octets, at)
        times.append(seconds + nanoseconds / 1e9)
        at += 16 + length
        count += 1
    recorded = [record for name in files for part in parts(Path(files[name]).read_bytes()) for record in part.records]
    assert count == sum(record[0] in (Input.FRAME, Decision.SENT) for record in recorded)
    assert times == sorted(times)
    assert main(["replay", "-q", "--pcap", "/nowhere/frames.pcap", files["a"]]) == 2
    assert "/nowhere/frames.pcap: No such file or directory" in capsys.readouterr().err


def test_a_difference(recordings: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first one is told, with what came before it; the exit code is 1."""

    def tamper(records: list[Record]) -> None:
        sent = [at for at, record in enumerate(records) if record[0] == Decision.BECAME]
        records[sent[1]] = [Decision.BECAME, "1@em0", "BACKUP", "MASTER", "a whim"]

    file = tmp_path / "whim"
    file.write_bytes(tampered(recordings["b"], tamper))
    assert main(["replay", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    begin = next(at for at, line in enumerate(lines) if "the first difference, after" in line)
    assert lines[begin].endswith(" UTC:")
    assert lines[-2] == "  recorded: 1@em0: BACKUP -> MASTER (a whim)"
    assert lines[-1] == "  replayed: 1@em0: BACKUP -> MASTER (master timed out)"
    assert lines[-3].startswith("  then:     timer ")
    assert any(line.startswith("  before:   heard on em0/carp: ") for line in lines[begin:])
    assert main(["replay", "-q", "--json", str(file)]) == 1
    (told,) = json.loads(capsys.readouterr().out)["files"]
    assert told["difference"]["words"][-1] == lines[-1]


@pytest.mark.parametrize(
    "more",
    [
        [Input.TIMER, 10**9, 9999],
        [Input.PLANE, 10**9, "7@em0", "hold", ""],
        [Input.FRAME, 10**9, "em7/carp", b""],
        [Input.LINK, 10**9, of_link(LinkState("em7"))],
        [Input.OUTSIDE, 10**9, 99, ""],
        [Input.COMMAND, 10**9, "7@em0", "asked", [{"state": "MASTER"}], {}],
    ],
    ids=lambda record: record[0].name,
)
def test_what_cannot_happen(
    more: Record, recordings: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An input that finds nothing that it could happen to is a difference."""
    file = tmp_path / "more"
    file.write_bytes(tampered(recordings["b"], lambda records: records.append(more)))
    assert main(["replay", "-q", str(file)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "  the node cannot do that in the replay"


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Are named, with the reason; the exit code is 2."""
    assert main(["replay", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: No such file or directory" in capsys.readouterr().err
    (tmp_path / "other").write_bytes(b"something else")
    assert main(["replay", str(tmp_path / "other")]) == 2
    assert "other: there is no record of a flight in it" in capsys.readouterr().err


@pytest.mark.parametrize("what", [{"format": 2}, {"knobs": {"unheard_of": 1}}, {"knobs": None}])
def test_another_version(
    what: dict[str, Any], recordings: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What this one does not know is said, with the version that wrote it."""
    file = tmp_path / "later"
    file.write_bytes(tampered(recordings["b"], lambda records: records[0][2].update(what, version="9.1")))
    assert main(["replay", "-q", str(file)]) == 2
    assert "later: written by carptwist 9.1, which this one, " in capsys.readouterr().err


def test_spans() -> None:
    """As people say them."""
    assert [span(each) for each in (0.4, 59, 60, 3600, 11_520)] == ["0 s", "59 s", "1 min", "1 h 0 min", "3 h 12 min"]
