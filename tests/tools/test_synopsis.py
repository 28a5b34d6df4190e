"""Completion files and manual pages: made from the parsers, and good."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from carptwist.tools import carptwist, completion, manual
from carptwist.tools.carpctl import make_parser
from carptwist.tools.synopsis import programs

ROOT = Path(__file__).parents[2]
FILES = [*completion.files(), *manual.files(ROOT / "docs" / "configuration.md")]


@pytest.mark.parametrize(("name", "text"), FILES, ids=[name for name, _ in FILES])
def test_what_is_shipped_is_what_the_programs_are(name: str, text: str) -> None:
    """`make docs` writes it anew."""
    assert (ROOT / name).read_text() == text


def test_every_verb_is_there() -> None:
    """Of both programs, with all of its options."""
    carpctl, other = programs()
    assert {"status", "ifconfig", "sysctl", "reload", "plan", "save"} <= {verb.name for verb in carpctl.verbs}
    assert [verb.name for verb in other.verbs] == list(carptwist.VERBS)
    status = next(verb for verb in carpctl.verbs if verb.name == "status")
    assert {name for option in status.options for name in option.names} == {"-h", "--help", "--json", "--watch"}
    certs = next(verb for verb in other.verbs if verb.name == "certs")
    assert any("--client" in option.names for option in certs.options)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "man").iterdir()), ids=lambda page: page.name)
def test_a_manual_page_is_good(page: Path) -> None:
    """groff(1) has nothing to warn about, and every setting and verb is in its page."""
    ended = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(page)], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    assert "carptwist" in ended.stdout


def complete(program: str, *words: str) -> list[str]:
    """What bash offers for the last word."""
    script = (
        f"source {ROOT}/conf/completion/{program}.bash\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))\n'
        f"_{program}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    ended = subprocess.run(
        ["bash", "-c", script, "bash", program, *words], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stderr == ""
    return ended.stdout.split()


def test_bash_completes() -> None:
    """Verbs, options of the verb, and choices; a value of an option of the program is no verb."""
    assert complete("carpctl", "sta") == ["status", "state"]
    assert complete("carpctl", "--socket", "status", "ex") == ["explain"]
    assert complete("carpctl", "--socket", "/run/x", "status", "--j") == ["--json"]
    assert complete("carpctl", "maintenance", "o") == ["on", "off"]
    assert complete("carpctl", "nonsense", "") == []
    assert complete("carptwist", "certs", "--cl") == ["--client"]
    offered = set(complete("carpctl", ""))
    assert {option for action in make_parser()._actions for option in action.option_strings} <= offered


@pytest.mark.parametrize("name", ["_carpctl", "_carptwist"])
def test_zsh_is_told_of_each_argument_once(name: str) -> None:
    """Two arguments for the rest of the line, and it completes nothing but complains."""
    lines = [line for line in (ROOT / "conf" / "completion" / name).read_text().splitlines() if ") _arguments " in line]
    assert len(lines) > 5
    for line in lines:
        places = re.findall(r" '?([0-9*]):", line)
        assert len(places) == len(set(places)), line
    if name == "_carpctl":
        (state,) = (line for line in lines if line.strip().startswith("state)"))
        assert "'1:VHID@IF: ' '2:master|backup:(master backup)'" in state
