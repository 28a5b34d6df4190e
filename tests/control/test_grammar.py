"""The words of ifconfig(8) and sysctl(8)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carptwist.config.schema import Phrase
from carptwist.config.values import address
from carptwist.control import grammar
from carptwist.control.grammar import Assignment, GrammarError, IfconfigChange
from carptwist.election.state import State

SECRET = "s3cr3t-phrase"


def understood(line: str) -> IfconfigChange:
    interface, *words = line.split()
    return grammar.ifconfig(interface, words)


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (
            "em0 vhid 1 advskew 100 pass x 192.168.1.1/24",
            IfconfigChange(vhid=1, advskew=100, phrase=Phrase(b"x"), addresses=(address("192.168.1.1/24"),)),
        ),
        (
            "em0 inet 192.168.1.1 netmask 255.255.255.0 vhid 1 alias",
            IfconfigChange(vhid=1, addresses=(address("192.168.1.1/24"),)),
        ),
        (
            "em0 add vhid 1 inet 192.168.1.1 netmask 0xffffff00 broadcast 192.168.1.255",
            IfconfigChange(vhid=1, addresses=(address("192.168.1.1/24"),)),
        ),
        (
            "em0 inet6 2001:db8::1 prefixlen 64 vhid 3 advbase 2",
            IfconfigChange(vhid=3, advbase=2, addresses=(address("2001:db8::1/64"),)),
        ),
        ("em0 vhid 1", IfconfigChange(vhid=1)),
        ("em0 vhid 1 state MASTER", IfconfigChange(vhid=1, state=State.MASTER)),
        ("em0 vhid 1 peer 192.0.2.7", IfconfigChange(vhid=1, peers=(IPv4Address("192.0.2.7"),))),
        ("em0 vhid 1 peer6 2001:db8::7", IfconfigChange(vhid=1, peers6=(IPv6Address("2001:db8::7"),))),
        ("em0 vhid 1 mcast mcast6", IfconfigChange(vhid=1, peers=(), peers6=())),
        ("em0 -vhid 1", IfconfigChange(vhid=1, remove=True)),
        ("em0 vhid 1 delete", IfconfigChange(vhid=1, remove=True)),
        ("em0 192.168.1.1 delete", IfconfigChange(removed=(IPv4Address("192.168.1.1"),))),
        ("em0 -alias 192.168.1.1/24", IfconfigChange(removed=(IPv4Address("192.168.1.1"),))),
        ("em0 inet6 2001:db8::1 -alias vhid 4", IfconfigChange(vhid=4, removed=(IPv6Address("2001:db8::1"),))),
    ],
)
def test_what_a_freebsd_administrator_types(line: str, change: IfconfigChange) -> None:
    """Every form of ifconfig(8) for CARP, in any order of the words."""
    assert understood(line) == change


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("em0 vhid", "vhid: what is to follow it is missing"),
        ("em0 vhid 0", "vhid 0: must be 1 to 255"),
        ("em0 vhid 256", "must be 1 to 255"),
        ("em0 vhid 1 vhid 2", "vhid is given twice"),
        ("em0 vhid 1 advskew 255", "advskew 255: must be 0 to 254"),
        ("em0 vhid 1 advbase -1", "must be 0 to 255"),
        ("em0 advskew 100", "vhid NUMBER is missing"),
        ("em0 vhid 1 192.168.1.1", "no prefix length: write 192.168.1.1/24"),
        ("em0 vhid 1 192.168.1.0/24", "the address of the network"),
        ("em0 vhid 1 192.168.1.1 netmask 255.0.255.0", "netmask 255.0.255.0: is none"),
        ("em0 vhid 1 state init", "state init: must be master or backup"),
        ("em0 vhid 1 state master advskew 1", "give it alone"),
        ("em0 -vhid 1 advskew 3", "removed can be given nothing else"),
        ("em0 delete", "name an address"),
        ("em0 alias", "vhid NUMBER is missing"),
        ("em0 vhid 1 peer em0", "peer em0: is no IPv4 address"),
        ("em0 vhid 1 peer6 192.0.2.1", "is no IPv6 address"),
        ("em0 up", "ip link set dev INTERFACE up"),
        ("em0 vhid 1 adskew 3", "'adskew' is not understood: expected vhid, advbase"),
        ("em0 -k", "never shown"),
        ("em0/x vhid 1", "no slash"),
    ],
)
def test_what_is_not_understood_is_named(line: str, reason: str) -> None:
    """With what was expected in its place."""
    with pytest.raises(GrammarError) as refused:
        understood(line)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("line", "modern"),
    [
        ("carp0 create", "carpctl ifconfig em0 vhid 1 pass PHRASE 192.168.1.1/24"),
        (
            f"carp0 vhid 7 advskew 100 pass {SECRET} 10.0.0.1/16",
            "carpctl ifconfig em0 vhid 7 advskew 100 pass PHRASE 10.0.0.1/16",
        ),
        (
            f"carp0 10.0.0.1/16 carpdev re0 pass {SECRET} vhid 7",
            "carpctl ifconfig re0 vhid 7 pass PHRASE 10.0.0.1/16",
        ),
        ("carp1 destroy", "carpctl ifconfig em0 -vhid 1"),
    ],
)
def test_the_pseudo_interface_of_2005(line: str, modern: str) -> None:
    """Is answered with the modern form of the same words, without the phrase."""
    with pytest.raises(GrammarError) as refused:
        understood(line)
    assert str(refused.value).endswith(modern)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        f"em0 vhid 1 pass {SECRET} and more",
        f"em0 vhid 1 pass a {SECRET}",
        f"em0 vhid 1 pass {SECRET * 4}",
        f"em0 pass {SECRET} pass {SECRET}",
        f"em0 vhid 1 pass {SECRET} advskew 999",
        f"em0 pass {SECRET}",
    ],
)
def test_no_reason_repeats_a_phrase(line: str) -> None:
    """Nor a word that may be a piece of one."""
    with pytest.raises(GrammarError) as refused:
        understood(line)
    assert SECRET not in str(refused.value)


def test_a_change_does_not_show_its_phrase() -> None:
    """Whoever prints it."""
    assert SECRET not in f"{understood(f'em0 vhid 1 pass {SECRET}')!r}"


_WORDS = st.sampled_from(
    ["vhid", "-vhid", "1", "300", "advbase", "advskew", "pass", "state", "master", "peer", "peer6", "10.0.0.1/8"]
    + ["delete", "alias", "inet", "netmask", "prefixlen", "2001:db8::1", "64", "create", "carpdev", "", "é", "\0", "-"]
)


@given(st.sampled_from(["em0", "carp0", "", "a b"]), st.lists(_WORDS | st.text(max_size=8), min_size=1, max_size=12))
def test_any_words_are_a_change_or_an_error(interface: str, words: list[str]) -> None:
    """Never another exception."""
    try:
        change = grammar.ifconfig(interface, words)
        assert change.vhid is not None or change.removed
    except GrammarError as error:
        assert str(error)


def test_sysctl() -> None:
    """A name, or a name and a value."""
    assert grammar.sysctl("net.inet.carp.preempt") == Assignment("preempt", None)
    assert grammar.sysctl("net.inet.carp.preempt=1") == Assignment("preempt", "1")
    assert grammar.sysctl("net.inet.carp.demotion = -240") == Assignment("demotion", "-240")
    for word in ("preempt=1", "net.inet.ip.ttl", "net.inet.carp.", "net.inet.carp.preempt=", ""):
        with pytest.raises(GrammarError):
            grammar.sysctl(word)


def test_virtual_host_name() -> None:
    """VHID@INTERFACE."""
    assert grammar.virtual_host_name("12@br0.7") == (12, "br0.7")
    for text in ("12", "0@em0", "256@em0", "x@em0", "1@", "1@a/b", "@", ""):
        with pytest.raises(GrammarError):
            grammar.virtual_host_name(text)
