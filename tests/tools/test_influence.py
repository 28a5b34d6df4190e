"""Checks that can move no address are told of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from carptwist.configuration import load
from carptwist.tools.carptwist import main
from carptwist.tools.check import judge


def text(
    *, preempt: str = "yes", advskew: int = 0, demote: int = 100, dialect: str = "freebsd", check: bool = True
) -> str:
    checked = f"[check web]\nfile = /run/web.ready\ndemote = {demote}\n" if check else ""
    vhid = f"[vhid 1@lo]\naddress = 192.168.1.1/24\npass = secret\nadvskew = {advskew}\ndialect = {dialect}\n"
    return f"[carp]\npreempt = {preempt}\n{vhid}{checked}"


Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str) -> str:
        path = tmp_path / name
        path.write_text(content)
        path.chmod(0o600)
        return str(path)

    return write


def warnings(path: str, peer: str = "") -> list[str]:
    peers = {"peer": load(peer).configuration} if peer else {}
    return [problem.text for problem in judge(path, None, peers).warnings]


def test_a_check_that_can_is_not_warned_about(write: Write) -> None:
    """Alone, where nobody knows the others, and against one that it yields to."""
    ours = write("a.ini", text())
    assert warnings(ours) == []
    assert warnings(ours, write("b.ini", text(advskew=50, check=False))) == []


def test_without_preempt_nobody_takes_over(write: Write) -> None:
    """Unless demotion travels as a count of its own, as in OpenBSD."""
    path = write("a.ini", text(preempt="no"))
    assert judge(path).warnings[0].line == 8
    (warning,) = warnings(path)
    assert warning == (
        "[check web] moves no address: with preempt = no another host leaves a demoted master alone (1@lo); all need "
        "preempt = yes"
    )
    assert warnings(write("b.ini", text(preempt="no", dialect="openbsd"))) == []


def test_a_peer_without_preempt_takes_over_nothing(write: Write) -> None:
    """Whatever this host does."""
    ours = write("a.ini", text())
    assert len(warnings(ours, write("b.ini", text(preempt="no", advskew=50, check=False)))) == 1


def test_nothing_is_added_by_zero(write: Write) -> None:
    """It would only be logged."""
    assert warnings(write("a.ini", text(demote=0))) == ["[check web] moves no address: demote = 0 makes no difference"]


def test_nothing_is_slower_than_the_slowest(write: Write) -> None:
    """An advskew of 240 is not added to."""
    assert warnings(write("a.ini", text(advskew=240))) == [
        "[check web] moves no address: 1@lo cannot get slower than with advskew 240 or above"
    ]


def test_a_demotion_that_leaves_the_order_as_it_is(write: Write) -> None:
    """Against the other host's configured advskew; equal is not slower enough, or is, as the rules have it."""
    ours = write("a.ini", text(demote=100))
    slower = write("b.ini", text(advskew=150, check=False))
    assert warnings(ours, slower) == [
        "[check web] moves no address: demoted by 100, advskew 0 of 1@lo still holds against peer (advskew 150)"
    ]
    assert len(warnings(ours, write("c.ini", text(advskew=100, check=False)))) == 1
    assert warnings(ours, write("d.ini", text(advskew=99, check=False))) == []


def test_a_host_that_is_no_master_has_nothing_to_lose(write: Write) -> None:
    """The other one is preferred anyhow."""
    assert warnings(write("a.ini", text(advskew=100, demote=1)), write("b.ini", text(check=False))) == []


def test_the_verb_takes_peers(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning is no error; a peer's file that is bad is."""
    ours, theirs = write("a.ini", text()), write("b.ini", text(advskew=200, check=False))
    assert main(["check", ours, "--peer", theirs]) == 0
    assert f"still holds against {theirs} (advskew 200)" in capsys.readouterr().err
    assert main(["check", ours, "--peer", write("bad.ini", "[nonsense]\n")]) == 2
