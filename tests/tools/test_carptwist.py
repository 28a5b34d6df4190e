"""The program ``carptwist``: its verbs, its help, and how it ends."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from carptwist import __version__
from carptwist.tools import check
from carptwist.tools.carptwist import INTERRUPTED, NO_ROOM, PIPE_CLOSED, VERBS, main, module_of

ROOT = Path(__file__).parents[2]
SAMPLE = str(ROOT / "conf" / "carp.ini")

#: Checks its first argument, and tells which of the modules that the others name are then imported.
PROGRAM = """
import sys
from carptwist.tools.carptwist import main
main(["check", sys.argv[1]])
print([name for name in sys.modules if name in sys.argv[2:]], file=sys.stderr)
"""


@pytest.mark.parametrize("verb", list(VERBS))
def test_each_verb_is_a_module_with_what_the_program_needs(verb: str) -> None:
    """SUMMARY as in the table, add_arguments and run."""
    module = import_module(f"carptwist.tools.{module_of(verb)}")
    assert VERBS[verb] == module.SUMMARY
    module.add_arguments(argparse.ArgumentParser())
    assert callable(module.run)


@pytest.mark.parametrize("verb", list(VERBS))
def test_help_of_each_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``carptwist VERB --help`` succeeds, and says what the verb does."""
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: carptwist {verb}")


def test_help_names_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its summary."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{verb} {summary}" in told for verb, summary in VERBS.items())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version of the package."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"carptwist {__version__}\n")


@pytest.mark.parametrize("argv", [[], ["chekc"], ["check"], ["check", "--jsno", SAMPLE], ["--jsno", "check", SAMPLE]])
def test_bad_usage_is_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a line on stderr that says what is wrong."""
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "carptwist" in capsys.readouterr().err.splitlines()[-1]


def test_only_the_chosen_verb_is_imported() -> None:
    """Neither the help of the program nor another verb imports a verb's module, Twisted or scapy."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM,
            SAMPLE,
            *(f"carptwist.tools.{module_of(verb)}" for verb in VERBS),
            "twisted",
            "scapy",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr.splitlines()[-1] == "['carptwist.tools.check']"


class Interrupted:
    """A file that is interrupted on being written to."""

    def write(self, text: str) -> int:
        raise KeyboardInterrupt

    def flush(self) -> None:
        pass


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """128 + SIGINT, and no traceback."""
    monkeypatch.setattr(sys, "stdout", Interrupted())
    assert main(["check", "--json", SAMPLE]) == INTERRUPTED
    assert capsys.readouterr().err == ""


def test_a_closed_pipe_ends_quietly() -> None:
    """128 + SIGPIPE, nothing on stderr, however late the pipe is found to be closed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "carptwist.tools.carptwist", "check", "--json", SAMPLE],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), complaint) == (PIPE_CLOSED, b"")


@pytest.mark.parametrize("words", [("check", "--json", SAMPLE), ("plan", SAMPLE, SAMPLE)])
def test_a_full_disk_is_told_in_one_line(words: tuple[str, ...]) -> None:
    """And is no success."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "carptwist.tools.carptwist", *words],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, last) == (NO_ROOM, b"carptwist: cannot write: No space left on device")


def test_codes_of_a_verb_are_the_programs() -> None:
    """What run gives is what main gives."""
    assert main(["check", "/nowhere/carp.ini"]) == check.BAD == 2
