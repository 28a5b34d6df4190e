"""From one configuration to another: which steps, in which order, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from carptwist.config import reload
from carptwist.config.health import SyncConfig
from carptwist.config.keys import SECTIONS
from carptwist.config.reactions import DevdConfig, Hidden, HookConfig, WebhookConfig
from carptwist.config.reload import LIVE, Add, Change, Keep, Knob, Later, Remove, described, line, steps
from carptwist.config.schema import (
    Configuration,
    ControlConfig,
    Dialect,
    Knobs,
    Phrase,
    PlaneKind,
    ReplayMode,
    VirtualHostConfig,
)
from carptwist.config.shells import ManholeConfig
from carptwist.config.spelling import field_of


def host(vhid: int, *addresses: str, interface: str = "em0", **settings: Any) -> VirtualHostConfig:
    return VirtualHostConfig(vhid, interface, tuple(map(ip_interface, addresses)), **settings)


ONE = host(1, "192.0.2.1/24", advskew=100, phrases=(Phrase(b"first secret"),))
TWO = host(2, "192.0.2.2/24")
BOTH = Configuration(vhids=(ONE, TWO))


def told(before: Configuration, after: Configuration, loaded: Configuration | None = None) -> list[str]:
    return [line(step) for step in steps(before, after, loaded)]


def test_nothing_changes() -> None:
    """Every vhid is told, and none is touched."""
    assert steps(BOTH, BOTH) == (Keep(ONE), Keep(TWO))
    assert told(BOTH, BOTH) == ["1@em0: unchanged", "2@em0: unchanged"]


def test_settings_are_told_as_they_are_written() -> None:
    """Old and new, in the words of the file."""
    after = replace(ONE, advskew=50, dialect=Dialect.OPENBSD)
    assert told(BOTH, Configuration(vhids=(after, TWO))) == [
        "2@em0: unchanged",
        "1@em0: advskew 100 -> 50, dialect freebsd -> openbsd",
    ]


def test_a_group_is_joined_and_left_while_it_runs() -> None:
    """State and timers go on."""
    after = replace(ONE, group="edge")
    assert told(BOTH, Configuration(vhids=(after, TWO))) == ["2@em0: unchanged", "1@em0: group none -> edge"]
    assert told(Configuration(vhids=(after,)), Configuration(vhids=(ONE,))) == ["1@em0: group edge -> none"]


def test_a_pass_phrase_is_never_told() -> None:
    """Only that it has changed."""
    after = replace(ONE, phrases=(Phrase(b"second secret"), Phrase(b"third secret")))
    (step,) = steps(Configuration(vhids=(ONE,)), Configuration(vhids=(after,)))
    assert line(step) == "1@em0: pass changed"
    assert "secret" not in f"{step!r} {step} {described(step)}"


def test_addresses_are_told_one_by_one() -> None:
    """Which came and which went; a mere exchange of places is told as such."""
    before = host(1, "192.0.2.1/24", "192.0.2.2/24")
    after = host(1, "192.0.2.2/24", "192.0.2.3/24")
    assert line(Change(before, after)) == "1@em0: address 192.0.2.3/24 added, address 192.0.2.1/24 removed"
    assert line(Change(before, host(1, "192.0.2.2/24", "192.0.2.1/24"))) == "1@em0: address: another order"


def test_what_cannot_be_carried_on_begins_anew() -> None:
    """Another plane is another device; every field that nobody has said otherwise of is taken for such."""
    (step,) = steps(Configuration(vhids=(ONE,)), Configuration(vhids=(replace(ONE, plane=PlaneKind.NONE),)))
    assert line(step) == "1@em0: plane macvlan -> none: begins anew"
    assert described(step)["action"] == "restart"
    assert {field.name for field in fields(VirtualHostConfig)} >= LIVE


def test_knobs_come_first_and_one_by_one() -> None:
    """For they hold for what is added."""
    after = Configuration(Knobs(preempt=True, dscp=7), (ONE, TWO, host(3, "192.0.2.3/24")))
    assert told(BOTH, after) == [
        "[carp]: preempt no -> yes",
        "[carp]: dscp 56 -> 7",
        "1@em0: unchanged",
        "2@em0: unchanged",
        "3@em0: added with 192.0.2.3/24",
    ]


def test_what_takes_a_start_is_told_so() -> None:
    """And no step does anything about it."""
    after = replace(BOTH, knobs=Knobs(state_dir="/elsewhere"), control=ControlConfig("/elsewhere.sock"))
    found = [step for step in steps(BOTH, after) if not isinstance(step, Keep)]
    assert all(isinstance(step, Later) for step in found)
    assert [line(step) for step in found] == [
        "[carp]: state_dir /var/lib/carptwist -> /elsewhere: takes effect at the next start",
        "[control]: changed: takes effect at the next start",
    ]


@pytest.mark.parametrize("name", [field.name for field in fields(Configuration)])
def test_no_part_of_a_configuration_is_overlooked(name: str) -> None:
    """Whatever field a configuration has: that it is another one makes a step."""
    different = object()
    others = {
        "knobs": Knobs(log=2),
        "vhids": (),
        "hooks": (HookConfig("a", ("true",)),),
    }
    after = replace(BOTH, **{name: others.get(name, different)})
    assert [step for step in steps(BOTH, after) if not isinstance(step, Keep)]


def test_a_part_is_told_by_the_name_of_its_section() -> None:
    """As it stands in the file, whatever the field is called."""
    after = replace(BOTH, syncs=(SyncConfig("conntrack"),), manhole=ManholeConfig(authorized_keys="/x"))
    assert [line(step) for step in steps(BOTH, after) if not isinstance(step, Keep)] == [
        "[sync]: conntrack added",
        "[manhole]: changed: takes effect at the next start",
    ]


def test_a_section_without_a_name_is_added_changed_and_removed() -> None:
    """There is one of it at most."""
    none, one, other = (replace(BOTH, devd=devd) for devd in (None, DevdConfig(), DevdConfig("/run/other.pipe")))
    found = [steps(*pair)[-1] for pair in ((none, one), (one, other), (other, none))]
    assert list(map(line, found)) == ["[devd]: added", "[devd]: changed", "[devd]: removed"]


def test_what_is_exchanged_as_a_whole_is_told_by_name() -> None:
    """And never what is in it: an address may be a secret."""
    a, b, c = (WebhookConfig(name, Hidden(f"https://{name}.example/s3cret")) for name in "abc")
    before = replace(BOTH, webhooks=(a, b))
    after = replace(BOTH, webhooks=(replace(b, timeout=3), c))
    assert line(steps(before, after)[-1]) == "[webhook]: a removed, c added, b changed"
    assert line(steps(before, replace(BOTH, webhooks=(b, a)))[-1]) == "[webhook]: another order"


def test_a_part_of_tomorrow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that this code has never heard of takes effect at the next start, and is told so."""
    tomorrow = make_dataclass("Tomorrow", [("web", str, "a")], bases=(Configuration,), frozen=True)
    monkeypatch.setattr(reload, "Configuration", tomorrow)
    assert told(tomorrow(), tomorrow(web="b")) == ["[web]: changed: takes effect at the next start"]


def test_hooks_are_told_by_name() -> None:
    """Which came, went, changed, or changed places."""
    a, b, c = (HookConfig(name, ("true",)) for name in "abc")
    assert told(Configuration(hooks=(a, b)), Configuration(hooks=(replace(b, timeout=3), c))) == [
        "[hook]: a removed, c added, b changed"
    ]
    assert told(Configuration(hooks=(a, b)), Configuration(hooks=(b, a))) == ["[hook]: another order"]


# What was changed at run time


def test_changes_made_at_run_time_are_undone_and_told() -> None:
    """Settings, vhids that were added or removed, and knobs go back to what the file says."""
    running = Configuration(Knobs(log=3), (replace(ONE, advskew=7), host(9, "192.0.2.9/24")))
    undone = " (a change made at run time is undone)"
    assert told(running, BOTH, BOTH) == [
        f"[carp]: log 3 -> 1{undone}",
        f"9@em0: removed{undone}",
        f"1@em0: advskew 7 -> 100{undone}",
        f"2@em0: added with 192.0.2.2/24{undone}",
    ]


def test_what_agrees_with_the_new_file_stays() -> None:
    """A change made at run time that the file has taken over is no change any more."""
    running = Configuration(vhids=(replace(ONE, advskew=7),))
    assert steps(running, running, Configuration(vhids=(ONE,))) == (Keep(running.vhids[0]),)


# The order of addresses


@dataclass
class Ownership:
    """Carries steps out, and holds that no address ever has two owners."""

    hosts: dict[str, VirtualHostConfig]

    def perform(self, step: Any) -> None:
        if isinstance(step, Remove):
            del self.hosts[step.config.name]
        elif isinstance(step, Add):
            assert step.config.name not in self.hosts
            self.hosts[step.config.name] = step.config
        elif isinstance(step, Change):
            assert self.hosts[step.before.name] == step.before
            self.hosts[step.after.name] = step.after
        owned = [address.ip for each in self.hosts.values() for address in each.addresses]
        assert len(owned) == len(set(owned)), step


A, B, C = "192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([host(1, A, B), host(2, C)], [host(1, A), host(2, C, B)], id="moves down"),
        pytest.param([host(1, C), host(2, A, B)], [host(1, C, B), host(2, A)], id="moves up"),
        pytest.param([host(1, A, B)], [host(2, B), host(1, A)], id="to a new one"),
        pytest.param([host(1, A), host(2, B)], [host(2, A)], id="from a removed one"),
        pytest.param([host(1, A), host(2, B)], [host(1, B), host(2, A)], id="exchange"),
        pytest.param([host(1, A), host(2, B), host(3, C)], [host(1, B), host(2, C), host(3, A)], id="circle"),
        pytest.param([host(1, A), host(2, B)], [host(1, B), host(2, A), host(3, C)], id="exchange and new"),
        pytest.param([host(1, A), host(2, B)], [host(1, B), host(2, C), host(3, A)], id="chain to a new one"),
    ],
)
def test_no_address_has_two_owners_at_any_time(before: list[VirtualHostConfig], after: list[VirtualHostConfig]) -> None:
    """It is given up before it is taken, in whatever order the file has the sections; at the end all is as wanted."""
    world = Ownership({each.name: each for each in before})
    for step in steps(Configuration(vhids=tuple(before)), Configuration(vhids=tuple(after))):
        world.perform(step)
    assert world.hosts == {each.name: each for each in after}


def test_balancing_begins_before_addresses_are_shared_and_ends_after() -> None:
    """While two vhids have the same address it is allowed; and a vhid that keeps it holds nobody up."""
    apart = Configuration(vhids=(host(1, A), host(2, B)))
    together = Configuration(Knobs(arpbalance=True), (host(1, A), host(2, B, A)))
    assert told(apart, together) == [
        "[carp]: arpbalance no -> yes",
        "1@em0: unchanged",
        f"2@em0: address {A} added",
    ]
    assert told(together, apart) == [
        "1@em0: unchanged",
        f"2@em0: address {A} removed",
        "[carp]: arpbalance yes -> no",
    ]


def test_every_key_of_a_vhid_is_told_by_its_own_name() -> None:
    """As it stands in the file, whatever the field is called."""
    known = {field_of(key) for key in SECTIONS["vhid"].keys} - {"pass_file"}
    assert known == {field.name for field in fields(VirtualHostConfig)} - {"vhid", "interface"}
    before, after = host(1, A), host(1, A, peers=(ip_address("192.0.2.9"),), replay=ReplayMode.OFF)
    assert line(Change(before, after)) == "1@em0: replay enforce -> off, peer 192.0.2.9 added"


def test_an_exchange_tells_why_a_vhid_begins_anew() -> None:
    """One of the two; the other one goes on."""
    before = Configuration(vhids=(host(1, A), host(2, B)))
    after = Configuration(vhids=(host(1, B), host(2, A)))
    assert told(before, after) == [
        "1@em0: removed, to exchange addresses",
        f"2@em0: address {A} added, address {B} removed",
        f"1@em0: added with {B}",
    ]


def test_link_local_addresses_are_each_links_own() -> None:
    """fe80::1 of one interface is no other's."""
    before = Configuration(vhids=(host(1, "fe80::1/64"), host(1, "fe80::2/64", interface="em1")))
    after = Configuration(vhids=(host(1, "fe80::2/64"), host(1, "fe80::1/64", interface="em1")))
    assert [type(step) for step in steps(before, after)] == [Change, Change]


def test_every_step_has_an_action() -> None:
    """For programs that read JSON."""
    running = Configuration(vhids=(ONE, TWO), hooks=(HookConfig("a", ("true",)),))
    wanted = Configuration(Knobs(log=2), (replace(ONE, advskew=1), host(3, C)), ControlConfig("/x"))
    found = {type(step).__name__: described(step)["action"] for step in steps(running, wanted)}
    assert found == {
        "Knob": "set", "Remove": "remove", "Change": "change", "Add": "add", "Part": "set", "Later": "later"
    }  # fmt: skip
    assert described(Keep(ONE)) == {"action": "keep", "subject": "1@em0", "text": "unchanged", "undoes": False}
    assert line(Knob("log", 1, 2)) == "[carp]: log 1 -> 2"
