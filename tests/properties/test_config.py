"""Whatever the text: a configuration or its errors. Whatever the configuration: a text that says the same."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from carptwist.config import ini
from carptwist.config.keys import SECTIONS
from carptwist.config.ranges import RANGES, interface_name_fault, plugin_name_fault
from carptwist.config.reader import ConfigurationError, read
from carptwist.config.schema import (
    LONGEST_PHRASE,
    AddressWithPrefix,
    Configuration,
    ControlConfig,
    Knobs,
    Phrase,
    PlaneKind,
    ReplayMode,
    VirtualHostConfig,
)
from carptwist.config.values import address_fault

#: No example has a time limit, since the machine may be busy with something else.
BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PHRASE_FILE = "phrases of {}"


def number(name: str) -> st.SearchStrategy[int]:
    return st.integers(*RANGES[name])


# Text


KEYS = [key.name for kind in SECTIONS.values() for key in kind.keys]
VALUES = [
    "yes",
    "0",
    "255",
    "99999",
    "10.0.0.1/24",
    "2001:db8::1/64",
    "fe80::1%em0/64",
    "10.0.0.1",
    "/x",
    "none",
    "a = b",
]
PIECES = st.one_of(
    st.sampled_from(["[carp]", "[vhid 1@em0]", "[vhid 2@em0]", "[vhid", "[control]", "]", "[web]", "[1@em0]"]),
    st.sampled_from(
        ["\n", "\n", "\n", "\n  ", "\n\t", "\r\n", "\r", "#", ";", "=", " = ", "\ufeff", "\0", "\x0c", "\u2028"]
    ),
    st.sampled_from(KEYS + VALUES),
    st.text(max_size=8),
    st.text(alphabet=st.characters(), max_size=4),
)
PLAUSIBLE = st.builds("{} = {}\n".format, st.sampled_from(KEYS), st.sampled_from(VALUES))
TEXTS = st.one_of(st.text(), st.lists(st.one_of(PIECES, PLAUSIBLE), max_size=40).map("".join))


@BOUNDED
@example("\x0c", None)
@given(TEXTS, st.one_of(st.none(), st.text(alphabet=st.characters())))
def test_any_text_is_a_configuration_or_its_errors(text: str, contents: str | None) -> None:
    """Nothing but ConfigurationError is raised; its errors are in the order of the lines, each one line long and
    printable, at a line that the text has."""

    def read_file(path: str) -> str:
        if contents is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return contents

    lines = text.count("\n") + 1
    try:
        problems = list(read(text, "carp.ini", read_file).warnings)
    except ConfigurationError as error:
        assert error.errors
        assert list(error.errors) == sorted(error.errors, key=lambda problem: problem.line)
        problems = [*error.errors, *error.warnings]
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert str(problem).isprintable()


SECRETS = st.text(alphabet="QXZ", min_size=8, max_size=30)


@BOUNDED
@given(
    st.lists(st.one_of(PIECES.filter(lambda piece: not set(piece) & set("QXZ")), PLAUSIBLE), max_size=10).map("".join),
    SECRETS,
    st.sampled_from(
        ["\npass = {}\n", "\npass = a\n  {}\n", "\npass = a\n{}\n", "\npass {}\n", "\npass = a\n{}=b\n", "\n{}\n"]
    ),
)
def test_no_error_tells_a_phrase(text: str, secret: str, place: str) -> None:
    """No line that is or looks like a stray phrase is repeated, whatever stands around it."""
    try:
        told = [*read(text + "\n[vhid 9@em9]" + place.format(secret), "carp.ini", str).warnings]
    except ConfigurationError as error:
        told = [*error.errors, *error.warnings]
    assert not any(set(str(problem)) & set("QXZ") for problem in told)


# Configurations


def shareable(address: AddressWithPrefix) -> bool:
    return address_fault(address) is None


ADDRESSES = st.one_of(
    st.builds(lambda ip, bits: IPv4Interface((ip, bits)), st.ip_addresses(v=4), st.integers(1, 32)),
    st.builds(lambda ip, bits: IPv6Interface((ip, bits)), st.ip_addresses(v=6), st.integers(1, 128)),
).filter(shareable)
NAMES = st.one_of(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789.-_@", min_size=1, max_size=15),
    st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "S"]), min_size=1, max_size=4),
).filter(lambda name: interface_name_fault(name) is None)
PHRASES = (
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=LONGEST_PHRASE)
    .map(str.encode)
    .filter(lambda octets: len(octets) <= LONGEST_PHRASE and not octets.startswith("\ufeff".encode()))
    .map(Phrase)
)
PATHS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1, max_size=20).map(
    lambda text: f"/{text.strip(ini.BLANKS)}"
)
KNOBS = st.builds(
    Knobs,
    st.booleans(),
    st.booleans(),
    number("dscp"),
    number("log"),
    number("ifdown_demotion_factor"),
    number("senderr_demotion_factor"),
    PATHS,
)


PLUGINS = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True).filter(lambda name: plugin_name_fault(name) is None)
ARGUMENTS = st.from_regex(r"[a-z][a-z0-9 .:/]{0,9}[a-z0-9]", fullmatch=True)


@st.composite
def planes(draw: st.DrawFn) -> dict[str, Any]:
    """The fields of a virtual host that say what holds its addresses."""
    plane = draw(st.sampled_from(PlaneKind))
    if plane is not PlaneKind.PLUGIN:
        return {"plane": plane, "plugin": None, "argument": ()}
    return {"plane": plane, "plugin": draw(PLUGINS), "argument": tuple(draw(st.lists(ARGUMENTS, max_size=3)))}


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    who = draw(st.lists(st.tuples(number("vhid"), NAMES), min_size=1, max_size=4, unique=True))
    ips: set[IPv4Address | IPv6Address] = set()
    hosts = []
    for vhid, interface in who:
        addresses = draw(
            st.lists(
                ADDRESSES.filter(lambda address: address.ip not in ips),
                min_size=1,
                max_size=4,
                unique_by=lambda address: address.ip,
            )
        )
        ips.update(address.ip for address in addresses)
        hosts.append(
            VirtualHostConfig(
                vhid,
                interface,
                tuple(addresses),
                tuple(draw(st.lists(PHRASES, max_size=3))),
                draw(number("advbase")),
                draw(number("advskew")),
                replay=draw(st.sampled_from(ReplayMode)),
                **draw(planes()),
            )
        )
    return Configuration(draw(KNOBS), tuple(hosts), ControlConfig(draw(PATHS)))


def rendered(configuration: Configuration) -> tuple[str, dict[str, str]]:
    """The text of a configuration, and of the files beside it, which have the phrases that ``pass`` cannot say."""
    files: dict[str, str] = {}
    knobs = configuration.knobs
    lines = [
        "[carp]",
        f"allow = {'yes' if knobs.allow else 'no'}",
        f"preempt = {'on' if knobs.preempt else 'off'}",
        f"dscp = {knobs.dscp}",
        f"log = {knobs.log}",
        f"ifdown_demotion_factor = {knobs.ifdown_demotion_factor}",
        f"senderr_demotion_factor = {knobs.senderr_demotion_factor}",
        f"state_dir = {knobs.state_dir}",
    ]
    for host in configuration.vhids:
        lines += [
            "",
            f"[vhid {host.name}]",
            "address =",
            *(f"  {address}" for address in host.addresses),
            f"advbase = {host.advbase}",
            f"advskew = {host.advskew}",
            f"plane = {host.plane.value}",
            f"dialect = {host.dialect.value}",
            f"replay = {host.replay.value}",
        ]
        if host.plugin is not None:
            lines += [f"plugin = {host.plugin}"]
            lines += ["argument =", *(f"  {text}" for text in host.argument)] if host.argument else []
        phrases = [phrase.octets.decode() for phrase in host.phrases]
        if all(_tame(phrase) for phrase in phrases):
            lines += [f"pass = {phrases[0]}" if phrases else "", *(f"\t{phrase}" for phrase in phrases[1:])]
        else:
            name = PHRASE_FILE.format(len(files))
            lines.append(f"pass_file = {name}")
            files[name] = "\n".join(phrases) + "\n"
    lines += ["[control]", f"unix = {configuration.control.unix}"]
    return "\n".join(lines) + "\n", files


def _tame(phrase: str) -> bool:
    looks_like_more = phrase.startswith(ini.COMMENTS) or re.match(r"[a-z_]+[ \t]*=", phrase)
    return phrase == phrase.strip(ini.BLANKS) and not looks_like_more


@BOUNDED
@given(configurations())
def test_a_configuration_that_is_written_and_read_is_the_same(configuration: Configuration) -> None:
    """Every value of every field has a text that means it."""
    text, files = rendered(configuration)
    assert read(text, "carp.ini", files.__getitem__).configuration == configuration
    crlf = "\ufeff" + text.replace("\n", "\r\n")
    assert read(crlf, "carp.ini", files.__getitem__).configuration == configuration
