"""Scenario files: what is in one, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from carptwist.config.problems import ConfigurationError
from carptwist.config.schema import Configuration
from carptwist.election.state import State
from carptwist.simulation import scenario as of
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.library import load_scenario, read_text
from carptwist.simulation.script import read

VHID = "[vhid 1@em0]\naddress = 192.0.2.1/24\npass = secret\n"
HOSTS = f'configuration = """\n{VHID}"""\n[hosts.a]\n[hosts.b]\nadvskew = 100\n'


def reading(text: str) -> of.Scenario:
    def no_file(name: str) -> Configuration:
        raise AssertionError(name)

    return read(text, "x.toml", no_file, read_text)


def errors(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        reading(text)
    return [str(error) for error in refused.value.errors]


def events(text: str) -> list[of.Event]:
    return [scheduled.event for scheduled in reading(HOSTS + text).events]


def test_hosts_and_their_wiring() -> None:
    """A configuration for all, advskew for each; an interface leads to the segment of its name, or where it is told."""
    found = reading(
        HOSTS + '[hosts.c]\ninterfaces = { em0 = "lan" }\nstart = "never"\nclock = 0.5\nhold = "20ms"\njitter = "1us"\n'
    )
    assert [part.name for part in found.parts] == ["a", "b", "c"]
    assert [part.configuration.vhids[0].advskew for part in found.parts] == [0, 100, 0]
    assert [dict(part.wiring) for part in found.parts] == [{"em0": "em0"}, {"em0": "em0"}, {"em0": "lan"}]
    assert [part.start for part in found.parts] == [0.0, 0.0, None]
    assert (found.parts[2].nature.rate, found.parts[2].nature.hold, found.parts[2].nature.jitter) == (0.5, 0.02, 1e-6)
    assert (found.duration, found.seed, found.title) == (60.0, 1, "x.toml")


def test_every_event() -> None:
    """Each word makes its event, in the order of time."""
    text = """
[[events]]
at = "2min"
heal = true
[[events]]
at = 1
crash = ["a", "b"]
[[events]]
at = "2s"
unplug = "a:em0"
[[events]]
at = "3s"
partition = [["a"], ["b"]]
[[events]]
at = "4s"
block = { from = "a", to = "b" }
[[events]]
at = "5s"
network = { loss = 0.5, delay = "1ms" }
to = "b"
[[events]]
at = "6s"
demote = { host = "a", by = -1, for = "10s", reason = "why" }
[[events]]
at = "7s"
undemote = { host = "a" }
[[events]]
at = "8s"
state = { host = "a", vhid = "1@em0", state = "master" }
[[events]]
at = "9s"
send_errors = { host = "a", interface = "em0", frames = 3 }
"""
    assert events(text) == [
        of.HostEvent(of.Order.CRASH, "a"),
        of.HostEvent(of.Order.CRASH, "b"),
        of.CableEvent(of.Cable.UNPLUG, "a", "em0"),
        of.Divide("em0", (("a",), ("b",))),
        of.Block("em0", "a", "b"),
        of.Weather("em0", Conditions(loss=0.5, delay=0.001), "b"),
        of.Demote("a", -1, "sysctl", "why", 10.0),
        of.Demote("a", None, "sysctl", "taken back"),
        of.Ask("a", "1@em0", State.MASTER),
        of.FailSending("a", "em0", 3),
        of.Heal(None),
    ]


@pytest.mark.parametrize("word", [order.value for order in of.Order])
def test_orders(word: str) -> None:
    """All that can happen to a host as a whole."""
    assert events(f'[[events]]\nat = "1s"\n{word} = "b"\n') == [of.HostEvent(of.Order(word), "b")]


def test_expectations() -> None:
    """An owner at a time, or at the end; limits, of all or of one."""
    found = reading(
        HOSTS
        + '[[expect]]\nowner = "a"\n[[expect]]\nowner = ["a", "b"]\nat = "5s"\n[[expect]]\nowner = "nobody"\n'
        + '[[expect]]\nafter = "10s"\noutage_below = "4s"\ndouble_below = "10ms"\nvhid = 1\n'
    )
    assert found.expectations == (
        of.OwnerExpected(60.0, "em0", 1, ("a",)),
        of.OwnerExpected(5.0, "em0", 1, ("a", "b")),
        of.OwnerExpected(60.0, "em0", 1, ()),
        of.LimitExpected(False, 4.0, 10.0, None, 1),
        of.LimitExpected(True, 0.01, 10.0, None, 1),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title = ", "x.toml:1: not TOML: Invalid value"),
        ('title = "x"\n', "x.toml:1: [hosts] there are no hosts: each is a table such as [hosts.a]"),
        ("[hosts.a]\n", "x.toml:1: [hosts.a] there is no configuration: "),
        (HOSTS + "[hosts.c]\nadvskew = 300\n", "x.toml:10: [hosts.c] advskew: advskew = 300: must be 0 to 254"),
        (HOSTS + "[hosts.c]\nspeed = 1\n", "x.toml:10: [hosts.c] speed: is unknown: there are config, "),
        (
            HOSTS + '[[events]]\nat = "1s"\ncrash = "x"\n',
            "x.toml:11: [[events]] crash: there is no host x: there are a, b",
        ),
        (HOSTS + '[[events]]\nat = "soon"\ncrash = "a"\n', "x.toml:10: [[events]] at: 'soon': must be a time such as"),
        (HOSTS + '[[events]]\ncrash = "a"\n', 'x.toml:9: [[events]] at = "5s" is missing'),
        (HOSTS + '[[events]]\nat = "1s"\n', "x.toml:9: [[events]] nothing happens: there are start, "),
        (
            HOSTS + '[[events]]\nat = 1\ncrash = "a"\n[[events]]\nat = 2\nplug = "a:em1"\n',
            "x.toml:14: [[events]] plug: a has no interface em1: it has em0",
        ),
        (HOSTS + "[network]\nloss = 2\n", "x.toml:10: [network] loss: 2: must be 0 to 1"),
        (HOSTS + "[segments.dmz]\nloss = 0.5\n", "x.toml:9: [segments.dmz] no host is on it: there are em0"),
        (HOSTS + '[[expect]]\nowner = "a"\nvhid = 2\n', "x.toml:11: [[expect]] vhid: nobody has vhid 2 on em0"),
        (HOSTS + "[[expect]]\nafter = 2\n", "x.toml:9: [[expect]] expects nothing: there are owner, "),
        (
            '[hosts.a]\nconfiguration = "[vhid 1@em0]"\n',
            "x.toml: configuration of hosts.a:1: [vhid 1@em0] ",
        ),
    ],
)
def test_what_is_wrong(text: str, expected: str) -> None:
    """File, line, table and key, and what to do."""
    (error, *_) = errors(text)
    assert error.startswith(expected)


def test_all_errors_at_once() -> None:
    """In the order of the lines."""
    found = errors(HOSTS + '[[events]]\nat = "1s"\ncrash = "x"\n[[events]]\nat = "2s"\ncrash = "y"\n')
    assert [error.split(" ")[0] for error in found] == ["x.toml:11:", "x.toml:14:"]


def test_a_configuration_beside_it(tmp_path: Path) -> None:
    """Is found from where the scenario is; its errors are its own; a missing one is told of."""
    (tmp_path / "a.ini").write_text(VHID)
    scenario = tmp_path / "x.toml"
    scenario.write_text('[hosts.a]\nconfig = "a.ini"\n')
    assert load_scenario(scenario).parts[0].configuration.vhids[0].name == "1@em0"
    (tmp_path / "a.ini").write_text(VHID + "advskew = 300\n")
    with pytest.raises(ConfigurationError, match=r"a\.ini:4: \[vhid 1@em0\] advskew = 300"):
        load_scenario(scenario)
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read"):
        load_scenario(tmp_path / "none.toml")
