"""``carptwist plan``: two files, and what would become of one daemon between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carptwist.tools.carptwist import main

SECRET = "mekmitasdigoat"
JOINS = (
    "joins as BACKUP, and is MASTER if it hears no other for 3.000 s or only one that advertises less often than every "
    "1.000 s"
)


def write(path: Path, *sections: str, preempt: str = "yes") -> str:
    path.write_text("\n".join([f"[carp]\npreempt = {preempt}", *sections, ""]))
    path.chmod(0o600)
    return str(path)


def section(vhid: int, advskew: int, interface: str = "em0", phrase: str = SECRET) -> str:
    return f"[vhid {vhid}@{interface}]\naddress = 192.0.2.{vhid}/24\npass = {phrase}\nadvskew = {advskew}"


def test_the_steps_and_what_to_expect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change in a line, each vhid in a line, and never a pass phrase."""
    old = write(tmp_path / "old.ini", section(1, 100), section(2, 10))
    new = write(tmp_path / "new.ini", section(1, 50), section(2, 10, phrase="another"), section(3, 0))
    assert main(["plan", old, new]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "1@em0: advskew 100 -> 50",
        "2@em0: pass changed",
        "3@em0: added with 192.0.2.3/24",
        "",
        "afterwards:",
        "1@em0: own interval 1.391 s -> 1.195 s: now preferred to a host with advbase 1 and advskew 51 to 99",
        "2@em0: as before",
        f"3@em0: {JOINS}",
    ]
    assert err == ""


def test_with_the_other_hosts_files_the_election_is_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the number of the vhid and an address in common, whatever the interface is called there."""
    old = write(tmp_path / "old.ini", section(1, 100), section(2, 10))
    new = write(tmp_path / "new.ini", section(1, 50), section(2, 10))
    peer = write(tmp_path / "b.ini", section(1, 75, "eth0"))
    another = write(tmp_path / "c.ini", section(1, 80, "eth0"))
    assert main(["plan", "--json", old, new, "--peer", peer, "--peer", another]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [step["action"] for step in answer["steps"]] == ["keep", "change"]
    assert answer["forecast"] == [
        {
            "name": "1@em0",
            "master_before": peer,
            "master_after": "this host",
            "text": "this host becomes MASTER (preempting a slower master); own interval 1.391 s -> 1.195 s",
        },
        {"name": "2@em0", "master_before": None, "master_after": None, "text": "as before"},
    ]


def test_without_preempt_the_master_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that says otherwise would be followed by a surprise."""
    old = write(tmp_path / "old.ini", section(1, 100), preempt="no")
    new = write(tmp_path / "new.ini", section(1, 50), preempt="no")
    peer = write(tmp_path / "b.ini", section(1, 75))
    assert main(["plan", old, new, "--peer", peer]) == 0
    assert f"1@em0: {peer} stays MASTER; own interval 1.391 s -> 1.195 s" in capsys.readouterr().out


def test_bad_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The errors of all of them at once, exit code 2, and no plan."""
    old = write(tmp_path / "old.ini", section(1, 300))
    new = write(tmp_path / "new.ini", section(1, 999))
    assert main(["plan", old, new, "--peer", str(tmp_path / "none.ini")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"{old}:6", f"{new}:6", f"{tmp_path}/none.ini"]
