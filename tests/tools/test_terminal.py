"""Colour on a terminal only, and tables of 80 columns."""

from __future__ import annotations

import io
from typing import Any

import pytest

from carptwist.tools.status_table import render
from carptwist.tools.terminal import Terminal


class Screen(io.StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Screen(), {}, True),
        (Screen(), {"NO_COLOR": ""}, True),  # no-color.org: only when it is not empty
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour(stream: io.StringIO, environ: dict[str, str], coloured: bool) -> None:
    """For people who want it."""
    out = Terminal(stream, environ)
    out.say(out.state("MASTER"))
    assert stream.getvalue() == ("\x1b[32mMASTER\x1b[0m\n" if coloured else "MASTER\n")


class Small(Screen):
    """A terminal of 24 lines, as one is of which nobody knows better."""

    def fileno(self) -> int:
        raise OSError("no descriptor")


def test_a_page_fits_the_terminal() -> None:
    """What does not fit is told of; a page takes the place of the one before. Without a terminal it is text."""
    screen = Small()
    Terminal(screen, {}).show_page("\n".join(map(str, range(100))))
    assert screen.getvalue().startswith("\x1b[H\x1b[2J0\n1\n")
    assert screen.getvalue().endswith("21\n(78 more lines: make the window higher)\n")
    assert screen.getvalue().count("\n") == 23
    screen = Small()
    Terminal(screen, {}).show_page("\n".join(map(str, range(23))))
    assert screen.getvalue().endswith("\n22\n")
    for stream, environ in ((io.StringIO(), {}), (Small(), {"TERM": "dumb"})):
        Terminal(stream, environ).show_page("\n".join(map(str, range(100))))
        assert stream.getvalue() == "".join(f"{number}\n" for number in range(100))


def status(*vhids: dict[str, Any]) -> dict[str, Any]:
    """A status with these vhids, the rest of each as usual."""
    usual = {
        "vhid": 1,
        "interface": "em0",
        "state": "BACKUP",
        "since": "2026-11-21T05:30:01+00:00",
        "reason": "initialization complete",
        "advskew": 100,
        "effective_advskew": 100,
        "addresses": ["192.0.2.1/24"],
        "master": {"source": "192.0.2.2"},
    }
    return {
        "host": "a-name.of-a-host.as-long-as.some-people.have-them.example.org",
        "version": "0",
        "preempt": True,
        "demotion": 240,
        "ledger": [
            {
                "owner": "somebody with a long name",
                "value": 240,
                "reason": "a reason that goes on for longer than any line of a table should " * 2,
                "since": usual["since"],
                "expires": None,
            }
        ],
        "stats": {"badauth": 3, "ipackets": 9, "ipackets6": 9},
        "unsaved": ["1@em0 is not in the configuration"],
        "vhids": [{**usual, **vhid} for vhid in vhids],
    }


def test_refusals_say_where_to_ask() -> None:
    """At the virtual host that has most of them; nowhere if they are of none that is here."""
    told = status({"refused": {"badauth": 1}}, {"vhid": 2, "refused": {"badauth": 3, "badlen": 1}})
    told["stats"] = {"badauth": 4, "badlen": 1}
    text = " ".join(render(told).split())
    assert "refused: badauth 4, badlen 1 (carpctl explain 2@em0 tells whose, and what that means)" in text
    told = status({})
    told["stats"] = {"badvhid": 7}
    assert "refused: badvhid 7\n" in render(told)


def test_who_is_claimed_by_others_is_told() -> None:
    """Two machines with one address are what somebody is looking for at night."""
    text = render(status({}, {"vhid": 2, "conflicts": 7}))
    assert "2@em0: claimed by others 7 times (carpctl events 2@em0 tells by whom)" in text
    assert "1@em0: claimed" not in text


LONG6 = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"


@pytest.mark.parametrize(
    "vhid",
    [
        {},
        {"addresses": [f"{LONG6}/64", "192.0.2.1/24"]},
        {"master": {"source": LONG6}, "addresses": [f"{LONG6}/64"]},
        {"interface": "fifteen-letters", "vhid": 255, "effective_advskew": 240, "master": {"source": LONG6}},
        {"state": "INIT", "master": None, "addresses": [], "reason": "a reason " * 30},
    ],
)
def test_the_table_fits_80_columns(vhid: dict[str, Any]) -> None:
    """Whatever is in it; and nothing of it is cut off, nor anything else by the colour."""
    text = render(status({}, vhid))
    assert max(map(len, text.splitlines())) <= 80
    for address in vhid.get("addresses", []):
        assert address in text
    if vhid.get("master"):
        assert vhid["master"]["source"] in text
    painted = render(status({}, vhid), paint=lambda state: f"<{state}>")
    assert painted.replace("<", "").replace(">", "") == text.replace(">", "")
