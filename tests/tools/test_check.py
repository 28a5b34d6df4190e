"""``carptwist check`` tells everything about configuration files, and its exit code says whether they are good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carptwist.tools import check
from carptwist.tools.carptwist import main
from carptwist.tools.check import judge

GOOD = "[vhid 1@lo]\naddress = 192.168.1.1/24\npass = secret\nadvskew = 241\n"
BAD = "[carp]\npreempt = maybe\n[vhid 1@lo]\naddress = 192.168.1.1/24\nadvskew = 300\n"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def good(tmp_path: Path) -> str:
    return write(tmp_path / "good.ini", GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return write(tmp_path / "bad.ini", BAD)


def test_a_good_file_is_one_line_and_success(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary is on stdout, the warnings are on stderr, and a warning refuses nothing."""
    assert main(["check", good]) == 0
    out, err = capsys.readouterr()
    assert out == f"{good}: 1 vhid on lo: no error, 1 warning\n"
    assert err.startswith(f"{good}:4: warning: [vhid 1@lo] advskew = 241: ")
    assert err.count("\n") == 1


def test_a_bad_file_is_all_its_errors_and_code_2(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors and warnings come in the order of the lines, with the count at the end, and stdout is silent."""
    assert main(["check", bad]) == 2
    assert capsys.readouterr() == (
        "",
        (
            f"{bad}:2: [carp] preempt = maybe: must be yes or no\n"
            f"{bad}:3: warning: [vhid 1@lo] no pass phrase: anyone on the LAN can take the addresses\n"
            f"{bad}:5: [vhid 1@lo] advskew = 300: must be 0 to 254\n"
            f"{bad}: 2 errors, 1 warning\n"
        ),
    )


def test_every_file_is_read(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad file makes the code 2, and the others are told of all the same; one that is not there is bad."""
    missing = good + ".not"
    assert main(["check", bad, missing, good]) == 2
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}: 1 vhid")
    assert f"{missing}: cannot be read: No such file or directory\n" in err


def test_json_is_one_object_on_stdout(good: str, bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same verdicts and the same code, for scripts."""
    assert main(["check", "--json", good, bad]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    first, second = json.loads(out)["files"]
    assert (first["file"], first["ok"], first["vhids"], first["errors"]) == (good, True, ["1@lo"], [])
    assert [(warning["file"], warning["line"]) for warning in first["warnings"]] == [(good, 4)]
    assert (second["file"], second["ok"]) == (bad, False)
    assert second["errors"] == [
        {"file": bad, "line": 2, "text": "[carp] preempt = maybe: must be yes or no"},
        {"file": bad, "line": 5, "text": "[vhid 1@lo] advskew = 300: must be 0 to 254"},
    ]


def test_an_interface_that_the_host_lacks_is_a_warning(tmp_path: Path) -> None:
    """It is named with those that there are; no error, since the daemon waits for it."""
    path = write(tmp_path / "carp.ini", GOOD.replace("@lo", "@em0").replace("241", "1"))
    assert [str(warning) for warning in judge(path, ["lo", "eth0"]).warnings] == [
        f"{path}:1: [vhid 1@em0] this host has no interface em0 now: there are lo, eth0"
    ]
    assert judge(path, ["lo", "em0"]).warnings == ()
    assert judge(path, None).warnings == ()


def test_a_summary_counts_in_words(tmp_path: Path) -> None:
    """``2 vhids on em0, em1: no error, 1 warning``; interfaces are named once each."""
    again = GOOD.replace("241", "1").replace("1@lo", "2@em1").replace("1.1/", "1.2/")
    third = again.replace("2@", "3@").replace("1.2/", "1.3/")
    path = write(tmp_path / "carp.ini", GOOD.replace("1@lo", "1@em0") + again + third)
    assert judge(path).summary == f"{path}: 3 vhids on em0, em1: no error, 1 warning"


def test_the_shipped_sample_is_good() -> None:
    """No error, on any host."""
    assert judge(str(Path(__file__).parents[2] / "conf" / "carp.ini")).errors == ()


def test_no_phrase_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of a good file nor of a bad one, in words or in JSON."""
    long = write(tmp_path / "long.ini", GOOD.replace("secret", "secret" * 4))
    short = write(tmp_path / "short.ini", GOOD)
    main(["check", long, short])
    main(["check", "--json", long, short])
    assert "secret" not in "".join(capsys.readouterr())


def test_the_summary_of_the_verb_is_the_programs() -> None:
    """``--help`` of the program says what the module says."""
    from carptwist.tools.carptwist import VERBS

    assert VERBS["check"] == check.SUMMARY
