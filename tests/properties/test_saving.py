"""Whatever a file looks like and whatever is changed: comments and order survive, and it says what is wanted."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carptwist.config import ini
from carptwist.config.reader import read
from carptwist.config.saving import saved
from carptwist.config.schema import Configuration, Phrase, ReplayMode, VirtualHostConfig
from tests.properties.test_config import KNOBS, configurations, number, planes, rendered

BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

COMMENTS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "", " ", "\t", "        "]),
    st.sampled_from(["#", ";"]),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=12),
)
BETWEEN = st.lists(st.one_of(COMMENTS, st.sampled_from(["", "  "])), max_size=3)
#: Addresses that no drawn configuration has, for those that are added.
FRESH = [ip_interface(f"198.51.100.{number}/24") for number in range(1, 9)]
PHRASES = st.lists(st.sampled_from([Phrase(f"phrase {letter}".encode()) for letter in "abc"]), max_size=3)


@st.composite
def commented(draw: st.DrawFn) -> tuple[Configuration, str, dict[str, str]]:
    """A configuration, a text of it with comments anywhere, and the files beside it."""
    configuration = draw(configurations())
    text, files = rendered(configuration)
    lines = []
    for line in text.rstrip("\n").split("\n"):
        lines += [*draw(BETWEEN), line]
    lines += draw(BETWEEN)
    end = draw(st.sampled_from(["\n", "\r\n"]))
    written = end.join(lines) + draw(st.sampled_from([end, ""]))
    return configuration, draw(st.sampled_from(["", "\ufeff"])) + written, files


@st.composite
def edited(draw: st.DrawFn, configuration: Configuration, files: dict[str, str]) -> Configuration:
    """What such a configuration may have become at run time."""
    taken = {address.ip for host in configuration.vhids for address in host.addresses}
    fresh = [address for address in FRESH if address.ip not in taken]
    hosts: list[VirtualHostConfig] = []
    for host in configuration.vhids:
        what = draw(st.sampled_from(["keep", "keep", "drop", "change", "change"]))
        if what == "keep":
            hosts.append(host)
        elif what == "change":
            addresses = draw(st.permutations(host.addresses))[: draw(st.integers(1, len(host.addresses)))]
            if fresh and draw(st.booleans()):
                addresses.insert(draw(st.integers(0, len(addresses))), fresh.pop())
            changed = replace(
                host,
                addresses=tuple(addresses),
                advbase=draw(st.one_of(st.just(host.advbase), number("advbase"))),
                advskew=draw(st.one_of(st.just(host.advskew), number("advskew"))),
                replay=draw(st.sampled_from(ReplayMode)),
                **draw(planes()),
            )
            # Those of a pass_file stay in there.
            hosts.append(changed if files else replace(changed, phrases=tuple(draw(PHRASES))))
    for vhid in draw(st.lists(number("vhid"), max_size=2, unique=True)):
        if fresh and f"{vhid}@new0" not in [host.name for host in hosts]:
            hosts.append(VirtualHostConfig(vhid, "new0", (fresh.pop(),), tuple(draw(PHRASES)), advskew=3))
    if not hosts:
        hosts = list(configuration.vhids)
    knobs = draw(st.one_of(st.just(configuration.knobs), KNOBS))
    return replace(configuration, knobs=knobs, vhids=tuple(draw(st.permutations(hosts))))


def comments(text: str) -> list[str]:
    """The comments of a text, in order, with the blanks before them."""
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    return [line for line in lines if line.strip(ini.BLANKS).startswith(ini.COMMENTS)]


def headers(text: str) -> list[str]:
    return [section.name for section in ini.parse(text, "carp.ini")[0]]


@BOUNDED
@given(st.data())
def test_comments_and_order_survive(data: st.DataObject) -> None:
    """Every comment is there, in order; so are the sections that stay; and what is read is what was wanted."""
    before, text, files = data.draw(commented())
    wanted = data.draw(edited(before, files))
    after = saved(text, "carp.ini", files.__getitem__, wanted)
    assert comments(after) == comments(text)
    stayed = {f"vhid {host.name}" for host in wanted.vhids} | {"carp", "control"}
    known = set(headers(text))
    assert [name for name in headers(after) if name in known] == [name for name in headers(text) if name in stayed]
    again = read(after, "carp.ini", files.__getitem__).configuration
    assert {host.name: host for host in again.vhids} == {host.name: host for host in wanted.vhids}
    assert replace(again, vhids=()) == replace(wanted, vhids=())


@BOUNDED
@given(commented())
def test_nothing_to_do_changes_nothing(drawn: tuple[Configuration, str, dict[str, str]]) -> None:
    """To the octet."""
    before, text, files = drawn
    assert saved(text, "carp.ini", files.__getitem__, before) == text


@BOUNDED
@given(st.data())
def test_there_and_back(data: st.DataObject) -> None:
    """Undoing a change of settings gives a text that reads as the first one did."""
    before, text, files = data.draw(commented())
    wanted = data.draw(edited(before, files))
    there = saved(text, "carp.ini", files.__getitem__, wanted)
    if {host.name for host in before.vhids} - {host.name for host in wanted.vhids} and files:
        return  # with a section its pass_file has gone, and what it held
    back = saved(there, "carp.ini", files.__getitem__, before)
    again = read(back, "carp.ini", files.__getitem__).configuration
    assert {host.name: host for host in again.vhids} == {host.name: host for host in before.vhids}
    assert comments(back) == comments(text)
