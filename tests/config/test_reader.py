"""A text becomes a whole configuration, or the list of everything that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from carptwist.config.health import SyncConfig
from carptwist.config.keys import SECTIONS
from carptwist.config.reactions import DevdConfig, FileMode, HookConfig
from carptwist.config.reader import ConfigurationError, Problem, Reading, Secret, read
from carptwist.config.schema import (
    Configuration,
    ControlConfig,
    Dialect,
    Knobs,
    Phrase,
    PlaneKind,
    TlsListen,
    VirtualHostConfig,
)

HOST = "[vhid 1@em0]\naddress = 192.168.1.1/24\npass = secret\n"


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def reading(text: str, **files: str) -> Reading:
    """Read ``conf/carp.ini`` next to ``files``."""

    def read_file(path: str) -> str:
        name = path.removeprefix("conf/")
        return files[name] if name in files else no_file(path)

    return read(text, "conf/carp.ini", read_file)


def errors(text: str, **files: str) -> list[str]:
    """The errors of the text as they are printed, without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        reading(text, **files)
    assert str(caught.value) == "\n".join(str(error) for error in caught.value.errors)
    assert all(error.file == "conf/carp.ini" for error in caught.value.errors)
    return [f"{error.line}: {error.text}" for error in caught.value.errors]


def warnings(text: str, **files: str) -> list[str]:
    return [f"{warning.line}: {warning.text}" for warning in reading(text, **files).warnings]


def test_everything_at_once() -> None:
    """Every section and key that there is arrives in its field."""
    text = """[carp]
allow = off
preempt = yes
dscp = 48
log = 2
arpbalance = yes
ndbalance = yes
ifdown_demotion_factor = 1
senderr_demotion_factor = 2
state_dir = /srv/carp
[vhid 7@br-lan]
address = 192.168.1.1/24
          2001:db8:1::1/64
pass = old
       new phrase
advbase = 2
advskew = 100
plane = none
[control]
unix = /tmp/carp
"""
    host = VirtualHostConfig(
        7,
        "br-lan",
        (ip_interface("192.168.1.1/24"), ip_interface("2001:db8:1::1/64")),
        (Phrase(b"old"), Phrase(b"new phrase")),
        2,
        100,
        PlaneKind.NONE,
    )
    knobs = Knobs(False, True, 48, 2, 1, 2, "/srv/carp", arpbalance=True, ndbalance=True)
    assert reading(text) == Reading(
        Configuration(knobs, (host,), ControlConfig("/tmp/carp")), (), {"7@br-lan": 11}, (Secret("conf/carp.ini", 14),)
    )


def test_what_is_not_said_has_the_default() -> None:
    """A virtual host with an address and a phrase is a whole configuration."""
    host = VirtualHostConfig(1, "em0", (ip_interface("192.168.1.1/24"),), (Phrase(b"secret"),))
    assert reading(HOST).configuration == Configuration(Knobs(), (host,), ControlConfig())


def test_a_problem_prints_its_place() -> None:
    """FILE:LINE: text; without a line where the file as a whole is meant."""
    assert str(Problem("conf/carp.ini", 12, "text")) == "conf/carp.ini:12: text"
    assert str(Problem("conf/carp.ini", 0, "text")) == "conf/carp.ini: text"


def test_all_errors_in_the_order_of_the_lines() -> None:
    """One reading tells of everything: syntax, names, values and what lines are to one another."""
    text = """junk
[carp]
preempt = maybe
dscp = 64   # too much
advskew = 1
[vhid 300@em0]
address = 192.168.1.1
advskew = 300
[vhid 1@em0]
adress = 192.168.1.1/24
advbase =
plane = bridge
[vhid 2@em0]
pass = x

[bogus]
listen = tcp:80
[carp]
log = 8
"""
    assert errors(text) == [
        (
            "1: neither [section] nor `key = value` nor a comment: is the equals sign missing, or should the line be "
            "indented, as one more value?"
        ),
        "3: [carp] preempt = maybe: must be yes or no",
        "4: [carp] dscp = 64   # too much: must be a whole number, 0 to 63; a comment stands on a line of its own",
        (
            "5: [carp] advskew is an unknown key: there are allow, preempt, dscp, log, arpbalance, ndbalance, "
            "ifdown_demotion_factor, senderr_demotion_factor, state_dir, guard, expire, recorder"
        ),
        "6: [vhid 300@em0] the number of a virtual host must be 1 to 255",
        (
            "7: [vhid 300@em0] address = 192.168.1.1: no prefix length: write 192.168.1.1/24, if 24 is what the "
            "interface's own address has"
        ),
        "8: [vhid 300@em0] advskew = 300: must be 0 to 254",
        "10: [vhid 1@em0] adress is an unknown key: did you mean address?",
        "11: [vhid 1@em0] advbase has no value",
        "12: [vhid 1@em0] plane = bridge: must be macvlan, interface, none or plugin",
        "13: [vhid 2@em0] address is missing: a virtual host has at least one",
        "16: [bogus] is an unknown section: there are " + ", ".join(kind.example for kind in SECTIONS.values()),
        "18: [carp] a second time: add to the one on line 2",
        "19: [carp] log = 8: must be 0 to 7",
    ]


def test_an_empty_devd_section_opens_the_socket() -> None:
    """Without the section there is none; the mode is as chmod(1) has it, and prints so."""
    assert reading(HOST).configuration.devd is None
    assert reading(HOST + "[devd]").configuration.devd == DevdConfig("/run/carptwist/devd.pipe", FileMode(0o666))
    devd = reading(HOST + "[devd]\nunix = /tmp/x\nmode = 640\n").configuration.devd
    assert devd == DevdConfig("/tmp/x", FileMode(0o640))
    assert str(devd.mode) == "0640"


@pytest.mark.parametrize("mode", ["", "8", "66", "0o666", "1777", "rw-rw-rw-", "-666"])
def test_what_is_no_mode(mode: str) -> None:
    """Is refused with an example."""
    (error,) = errors(HOST + f"[devd]\nmode = {mode}\n")
    assert error.startswith("5: [devd] mode")
    assert "such as 0660" in error or not mode


def test_two_sockets_have_two_paths() -> None:
    """Whether the other one is written or the default."""
    taken = "is the socket of [control] already"
    written = "[control]\nunix = /tmp/x\n[devd]\nunix = /tmp/x\n"
    assert errors(HOST + written) == [f"6: [devd] unix = /tmp/x: {taken}"]
    default = "[devd]\nunix = /run/carptwist/control.sock\n"
    assert errors(HOST + default) == [f"4: [devd] unix = /run/carptwist/control.sock: {taken}"]


def test_hooks_are_words_or_a_text_for_a_shell() -> None:
    """In the order of the file, quoted as for sh(1)."""
    text = HOST + "[hook a]\naction = /bin/x '$type of' $vhid\nmatch = 1@em0\n[hook b]\naction = x | y\nshell = yes\n"
    assert reading(text).configuration.hooks == (
        HookConfig("a", ("/bin/x", "$type of", "$vhid"), match="1@em0"),
        HookConfig("b", ("x | y",), shell=True),
    )


def test_syncs_have_names_of_their_own() -> None:
    """All that they have beside it has a default."""
    text = HOST + "[sync a]\n[sync b]\nunix = /run/b\ndemote = 10\nstartup = 0\n"
    assert reading(text).configuration.syncs == (SyncConfig("a"), SyncConfig("b", "/run/b", 10, 0))
    assert errors(HOST + "[sync a]\nstartup = 3601\n[sync a]\n") == [
        "5: [sync a] startup = 3601: must be 0 to 3600",
        "6: [sync a] a second time: each sync has a name of its own",
    ]


def test_a_password_in_an_address_is_not_repeated() -> None:
    """What is wrong with it is said all the same."""
    text = HOST + "[check a]\nurl = http://admin:hunter2@192.0.2.9/\n"
    (complaint,) = errors(text)
    assert "no user or password stands in the address" in complaint
    assert "hunter2" not in complaint


def test_what_a_hook_can_get_wrong() -> None:
    """Each error with its place."""
    text = HOST + "[hook a]\naction = x 'y\n[hook b]\nmatch = (\naction = x\n[hook b]\naction = x\n"
    text += "[hook c]\ntimeout = 0\n[hook]\n"
    assert errors(text) == [
        "5: [hook a] action: no closing quotation",
        "7: [hook b] match = (: is no regular expression: missing ), unterminated subpattern at position 0",
        "9: [hook b] a second time: each hook has a name of its own",
        "11: [hook c] action or plugin is missing",
        "12: [hook c] timeout = 0: must be 1 to 3600",
        "13: [hook] is no section: did you mean [hook NAME]?",
    ]


def test_ucarp_shares_one_ipv4_address() -> None:
    """The error stands at the dialect, whatever the order of the keys."""
    text = "[vhid 1@em0]\npass = x\ndialect = ucarp\naddress = 192.168.1.1/24\n  192.168.1.2/24\n"
    assert errors(text) == ["3: [vhid 1@em0] dialect: ucarp shares exactly one IPv4 address in each virtual host"]
    assert reading(text.replace("  192.168.1.2/24\n", "")).configuration.vhids[0].dialect is Dialect.UCARP


def test_errors_come_with_the_warnings_found_on_the_way() -> None:
    """Whoever mends the errors sees at once what else there is."""
    with pytest.raises(ConfigurationError) as caught:
        reading("[vhid 1@em0]\naddress = 10.0.0.1/8\nadvskew = 300\n")
    assert [warning.line for warning in caught.value.warnings] == [1]


@pytest.mark.parametrize("text", ["", "# nothing\n", "[carp]\n"])
def test_a_configuration_has_a_virtual_host(text: str) -> None:
    """A file without any is refused."""
    assert errors(text) == ["1: no virtual host: at least one section such as [vhid 1@em0] is needed"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("[vhid]", "is no section: did you mean [vhid NUMBER@INTERFACE]?"),
        ("[vhid1@em0]", "is no section: did you mean [vhid NUMBER@INTERFACE]?"),
        ("[1@em0]", "is no section: did you mean [vhid NUMBER@INTERFACE]?"),
        ("[VHID 1@em0]", "is no section: did you mean [vhid NUMBER@INTERFACE]?"),
        ("[vhid 1]", "names no interface: write [vhid NUMBER@INTERFACE], as [vhid 1@em0]"),
        ("[vhid em0@1]", "the number of a virtual host must be 1 to 255"),
        ("[vhid 0@em0]", "the number of a virtual host must be 1 to 255"),
        ("[vhid 256@em0]", "the number of a virtual host must be 1 to 255"),
        ("[vhid \u0661@em0]", "the number of a virtual host must be 1 to 255"),
        ("[vhid 1@]", "the name of the interface is missing"),
        ("[vhid 1@a/b]", "an interface's name holds no slash, colon or space, and is not a dot or two"),
        ("[vhid 1@a b]", "an interface's name holds no slash, colon or space, and is not a dot or two"),
        ("[vhid 1@sixteen-letters-]", "an interface's name has at most 15 characters"),
        ("[vhid 1@a\x1bb]", "an interface's name holds printable characters only"),
    ],
)
def test_a_bad_header_is_one_error_and_its_settings_are_read(header: str, reason: str) -> None:
    """What is in the brackets is wrong once; the settings below it are judged all the same."""
    told = header.replace("\x1b", "\\x1b")
    assert errors(header + "\naddress = 192.168.1.1/24\npass = x\nadvskew = 300\n") == [
        f"1: {told} {reason}",
        f"4: {told} advskew = 300: must be 0 to 254",
    ]


@pytest.mark.parametrize(
    ("header", "meant"), [("[crap]", "[carp]"), ("[Carp]", "[carp]"), ("[carp 1]", "[carp]"), ("[contol]", "[control]")]
)
def test_a_misspelt_section_is_recognised(header: str, meant: str) -> None:
    """The error says what was probably meant."""
    assert errors(HOST + header + "\n") == [f"4: {header} is no section: did you mean {meant}?"]


@pytest.mark.parametrize(
    ("key", "meant"), [("advskw", "advskew"), ("ADVBASE", "advbase"), ("addresses", "address"), ("plain", "plane")]
)
def test_a_misspelt_key_is_recognised(key: str, meant: str) -> None:
    """The error says what was probably meant."""
    assert errors(f"{HOST}# so that it does not follow the phrase\n{key} = 1\n") == [
        f"5: [vhid 1@em0] {key} is an unknown key: did you mean {meant}?"
    ]


def test_a_key_is_there_once() -> None:
    """The second one is refused with the line of the first, and with how several values are written."""
    assert errors(HOST + "address = 192.168.1.2/24\nadvskew = 1\nadvskew = 2\npass = more\n") == [
        "4: [vhid 1@em0] address a second time, after line 2: several values are indented lines below one key",
        "6: [vhid 1@em0] advskew a second time, after line 5: leave one of them",
        "7: [vhid 1@em0] pass a second time, after line 3: several values are indented lines below one key",
    ]


def test_a_single_value_takes_no_second_line() -> None:
    """An indented line below a key with one value is an error, and its text is not repeated."""
    assert errors(HOST + "advskew = 1\n  something\n") == [
        "5: [vhid 1@em0] advskew takes one value, and this indented line adds another"
    ]


def test_an_indented_setting_does_not_become_a_phrase() -> None:
    """A setting that was indented by mistake is refused, not taken for one more phrase that is then accepted."""
    assert errors(HOST + "   advskew = 100\n") == [
        "4: [vhid 1@em0] an indented line that looks like a setting: begin it at the margin"
    ]


def test_a_vhid_is_once_on_an_interface() -> None:
    """The same number is refused a second time however it is written, and welcome on another interface."""
    again = HOST.replace("1@em0", "01@em0").replace("1.1/", "1.2/")
    other = HOST.replace("1@em0", "1@em1").replace("1.1/", "1.3/")
    assert errors(HOST + again + other) == ["4: [vhid 01@em0] a second time: vhid 1 of em0 is on line 1"]
    assert [host.name for host in reading(HOST + other).configuration.vhids] == ["1@em0", "1@em1"]


def test_an_address_has_one_virtual_host() -> None:
    """Twice in one virtual host and once in two are refused, whatever the prefix lengths."""
    text = """[vhid 1@em0]
address = 10.0.0.1/24
          10.0.0.1/16
          2001:db8::1/64
[vhid 2@em1]
address = 2001:db8:0::1/48
"""
    assert errors(text) == [
        "3: [vhid 1@em0] address = 10.0.0.1/16: a second time, after line 2",
        (
            "6: [vhid 2@em1] address = 2001:db8::1/48: belongs to [vhid 1@em0] already, on line 4: an address has one "
            "virtual host"
        ),
    ]


BALANCED = """[carp]
arpbalance = yes
ndbalance = yes
[vhid 1@em0]
address = 10.0.0.1/24
          2001:db8::1/64
pass = x
[vhid 2@em0]
address = 10.0.0.1/24
          2001:db8::1/64
pass = x
"""


def test_a_balanced_address_has_several_virtual_hosts() -> None:
    """Of one interface, when the knob of its family is on; wherever in the file that is said."""
    assert [host.name for host in reading(BALANCED).configuration.vhids] == ["1@em0", "2@em0"]
    knobs, hosts = BALANCED.split("[vhid 1@em0]")
    assert [host.name for host in reading(f"[vhid 1@em0]{hosts}{knobs}").configuration.vhids] == ["1@em0", "2@em0"]


def test_without_the_knob_it_has_one_and_the_knob_is_named() -> None:
    """Each family has its own."""
    assert errors(BALANCED.replace("arpbalance = yes", "arpbalance = no")) == [
        (
            "9: [vhid 2@em0] address = 10.0.0.1/24: belongs to [vhid 1@em0] already, on line 5: an address has one "
            "virtual host, unless arpbalance = yes divides its clients among several of one interface"
        )
    ]
    assert errors(BALANCED.replace("ndbalance = yes\n", "\n")) == [
        (
            "10: [vhid 2@em0] address = 2001:db8::1/64: belongs to [vhid 1@em0] already, on line 6: an address has one "
            "virtual host, unless ndbalance = yes divides its clients among several of one interface"
        )
    ]


def test_an_address_is_balanced_on_one_interface() -> None:
    """Clients of different networks have nothing to divide; and twice in one virtual host helps nobody."""
    (first, second) = errors(BALANCED.replace("2@em0", "2@em1"))
    assert first.endswith("on line 5: an address has one virtual host")
    assert second.endswith("on line 6: an address has one virtual host")
    assert errors(BALANCED.replace("          2001:db8::1/64\npass = x\n[", "          10.0.0.1/16\npass = x\n[")) == [
        "6: [vhid 1@em0] address = 10.0.0.1/16: a second time, after line 5"
    ]
    third = "[vhid 3@em0]\naddress = 10.0.0.1/24\n          10.0.0.1/24\npass = x\n"
    assert errors(BALANCED + third) == ["14: [vhid 3@em0] address = 10.0.0.1/24: a second time, after line 13"]


def test_a_link_local_address_is_not_balanced() -> None:
    """What is sent from it must leave where it is."""
    (error,) = errors(BALANCED.replace("2001:db8::1/64", "fe80::1/64"))
    assert error.endswith("an address has one virtual host; a link-local one cannot be balanced")


def test_a_balanced_address_needs_a_virtual_mac() -> None:
    """The interface has one MAC, by which nothing can be divided; the other addresses of the vhid do not matter."""
    text = BALANCED.replace("2001:db8::1/64\npass = x\n[", "2001:db8::2/64\npass = x\nplane = interface\n[")
    assert errors(text) == [
        (
            "8: [vhid 1@em0] plane = interface: arpbalance divides the clients of 10.0.0.1 among virtual MACs: macvlan "
            "or none"
        )
    ]
    assert len(reading(BALANCED + "plane = none\n").configuration.vhids) == 2
    alone = "[vhid 3@em0]\naddress = 10.0.0.3/24\npass = x\nplane = interface\n"
    assert len(reading(BALANCED + alone).configuration.vhids) == 3


def test_each_link_has_its_own_link_local_addresses() -> None:
    """fe80::1 of two interfaces are two addresses, and of one interface are one."""
    first = "[vhid 1@em0]\naddress = fe80::1/64\npass = x\n"
    assert len(reading(first + first.replace("em0", "em1")).configuration.vhids) == 2
    assert len(errors(first + first.replace("1@em0", "2@em0"))) == 1


# Pass phrases


def test_phrases_are_verbatim_but_for_the_blanks_around_them() -> None:
    """Whatever looks like syntax behind the equals sign belongs to the phrase."""
    text = "[vhid 1@em0]\naddress = 10.0.0.1/8\npass =  # a = [b] ; c  \n  two  words\n"
    assert reading(text).configuration.vhids[0].phrases == (Phrase(b"# a = [b] ; c"), Phrase(b"two  words"))


def test_no_phrase_is_warned_about() -> None:
    """With no key and with an empty one; the line is where it would be said."""
    told = "[vhid 1@em0] no pass phrase: anyone on the LAN can take the addresses"
    bare = "[vhid 1@em0]\naddress = 10.0.0.1/8\n"
    assert (warnings(bare), warnings(bare + "pass =\n")) == ([f"1: {told}"], [f"3: {told}"])
    assert reading(bare + "pass =\n").configuration.vhids[0].phrases == ()
    assert reading(bare + "pass =\n").secrets == ()


def test_a_phrase_that_ifconfig_cuts_is_warned_about() -> None:
    """Exactly twenty octets; nineteen are fine."""
    assert warnings(HOST.replace("secret", 19 * "x")) == []
    assert warnings(HOST.replace("secret", 20 * "x")) == [
        "3: [vhid 1@em0] pass: 20 octets: ifconfig of FreeBSD, OpenBSD and NetBSD keeps only the first 19"
    ]
    assert warnings(HOST.replace("pass = secret", "pass_file = p"), p="one\n" + 20 * "x") == [
        (
            "3: [vhid 1@em0] pass_file = p: line 2: 20 octets: ifconfig of FreeBSD, OpenBSD and NetBSD keeps only the "
            "first 19"
        )
    ]


def test_timings_that_surprise_are_warned_about() -> None:
    """advbase 0, and an advskew that counts as another; what is usual is not."""
    assert warnings(HOST + "advskew = 240\nadvbase = 1\n[carp]\npreempt = no\n") == []
    assert warnings(HOST + "advskew = 241\nadvbase = 0\n") == [
        "4: [vhid 1@em0] advskew = 241: counts as 240 on FreeBSD and here: all hosts from 240 to 254 are equally slow",
        (
            "5: [vhid 1@em0] advbase = 0: failover within 3 x advskew/256 s: OpenBSD and carptwist can do that, "
            "FreeBSD cannot be set to it"
        ),
    ]


def test_groups() -> None:
    """A name is a word. A group of one is probably a mistake; a group may have members on any interfaces."""
    second = HOST.replace("1@em0", "2@em1").replace(".1.1", ".2.1") + "group = edge\n"
    together = reading(HOST + "group = edge\n" + second)
    assert [vhid.group for vhid in together.configuration.vhids] == ["edge", "edge"]
    assert together.warnings == ()
    assert reading(HOST).configuration.vhids[0].group is None
    assert warnings(HOST + second) == ["7: [vhid 2@em1] group = edge: no other virtual host is in it"]
    must = "must be 1 to 32 letters, digits, dots, hyphens and underscores, a letter or digit first"
    for name in ("two words", "-a", "é", "a" * 33, "a/b"):
        assert errors(HOST + f"group = {name}\n") == [f"4: [vhid 1@em0] group = {name}: {must}"]
    with pytest.raises(ValueError, match="group = two words: must be 1 to 32"):
        replace(together.configuration.vhids[0], group="two words")


def test_a_phrase_file_is_beside_the_configuration() -> None:
    """One phrase per line, blanks, comment signs and all; the file is named as the secret that it is."""
    text = HOST.replace("pass = secret", "pass_file = phrases")
    found = reading(text, phrases="\ufeffone\r\n\r\n# two\n advskew = 1 \n")
    assert found.configuration.vhids[0].phrases == (Phrase(b"one"), Phrase(b"# two"), Phrase(b" advskew = 1 "))
    assert found.secrets == (Secret("conf/phrases", 3),)
    assert [f"{warning.line}: {warning.text}" for warning in found.warnings] == [
        "3: [vhid 1@em0] pass_file = phrases: line 4: the blanks around the phrase belong to it"
    ]


@pytest.mark.parametrize(
    ("filename", "path", "whole"),
    [
        ("conf/carp.ini", "p", "conf/p"),
        ("carp.ini", "p", "p"),
        ("/etc/carp.ini", "a/p", "/etc/a/p"),
        ("/etc/carp.ini", "/run/p", "/run/p"),
    ],
)
def test_relative_paths_begin_where_the_configuration_is(filename: str, path: str, whole: str) -> None:
    """Not where the daemon was started."""
    asked: list[str] = []

    def read_file(name: str) -> str:
        asked.append(name)
        return "x"

    read(HOST.replace("pass = secret", f"pass_file = {path}"), filename, read_file)
    assert asked == [whole]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (None, "cannot read conf/phrases: No such file or directory"),
        ("", "conf/phrases holds no pass phrase"),
        ("\n\n", "conf/phrases holds no pass phrase"),
        (
            "good\n" + 21 * "x",
            (
                "line 2: 21 octets: a pass phrase has at most 20 (what follows it on the line, such as a comment, "
                "belongs to it)"
            ),
        ),
    ],
)
def test_a_phrase_file_that_is_none_is_an_error_at_its_setting(contents: str | None, reason: str) -> None:
    """The place is the line of the configuration that names the file."""
    files = {} if contents is None else {"phrases": contents}
    text = HOST.replace("pass = secret", "pass_file = phrases")
    assert errors(text, **files) == [f"3: [vhid 1@em0] pass_file = phrases: {reason}"]


def test_a_phrase_file_that_is_not_text_is_an_error_without_its_octets() -> None:
    """What the decoder says is a part of the file, and is not told."""

    def read_file(path: str) -> str:
        return b"sec\xffret".decode()

    with pytest.raises(ConfigurationError) as caught:
        read(HOST.replace("pass = secret", "pass_file = /p"), "carp.ini", read_file)
    assert str(caught.value) == "carp.ini:3: [vhid 1@em0] pass_file = /p: /p is not UTF-8 text"


def test_a_phrase_has_one_source() -> None:
    """pass and pass_file in one virtual host are refused, at the second of them."""
    assert errors(HOST + "pass_file = phrases\n", phrases="x") == [
        "4: [vhid 1@em0] pass and pass_file together: leave one of them"
    ]


BARE = "[vhid 1@em0]\naddress = 192.168.1.1/24\n"


@pytest.mark.parametrize(
    "text",
    [
        BARE + "pass = hunter2hunter2hunter2hunter2\n",
        BARE + "pass = first\n  hunter2hunter2hunter2hunter2\n",
        BARE + "pass = hunter2\x00\n",
        BARE + "pass hunter2\n",
        BARE + "pass hunter2 = x\n",
        BARE + "pass: hunter2\n",
        BARE + "passhunter2 = x\n",
        BARE + "Pass = hunter2\n",
        BARE + "passphrase = hunter2\n",
        BARE + "hunter2\n",
        BARE + "pass = first\nhunter2\n",
        BARE + "pass = first\nhunter2=x\n",
        BARE + "pass = first\n  second\nhunter2 = x\n",
        BARE + "pass = first\n[hunter2]\n",
        BARE + "pass = first\n[hunter@2]\n",
        BARE + "  hunter2\n",
        BARE + "pass = x\nadvskew = 1\n  hunter2\n",
        BARE + "pass = x\nadvskew = 1 pass = hunter2\n",
        "pass = hunter2\n" + BARE,
        "  hunter2\n" + BARE,
        BARE + "pass = hunter2\npass = hunter2\n",
        BARE + "pass = first\n  advskew = hunter2\n",
    ],
)
def test_no_part_of_a_phrase_is_ever_told(text: str) -> None:
    """However a phrase is misplaced or its key misspelt, neither errors nor warnings repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        reading(text)
    told = [str(problem) for problem in (*caught.value.errors, *caught.value.warnings)]
    assert not any("hunter" in line for line in (*told, str(caught.value), repr(caught.value)))


def test_what_is_shown_fits_into_a_line_of_a_terminal() -> None:
    """Escape sequences are spelt out and long values cut."""
    assert errors(HOST + "plane = \x1b[31m" + 100 * "x" + "\n")[0].startswith("4: [vhid 1@em0] plane = \\x1b[31mxxxx")
    assert len(errors(HOST + "plane = " + 5000 * "x" + "\n")[0]) < 150


def test_tls_needs_its_files_and_they_need_it() -> None:
    """One error says what is missing; a value that is not understood has its own error alone."""
    assert errors(f"{HOST}[control]\ntls = ssl:8112\nkey = /k\n") == [
        "4: [control] tls: certificate, clients missing: `carptwist certs` makes them all"
    ]
    assert errors(f"{HOST}[control]\nkey = /k\n") == ["4: [control] key: of use with tls alone, which is missing"]
    assert [line.partition(":")[0] for line in errors(f"{HOST}[control]\ntls = 8112\nkey = /k\n")] == ["5"]
    whole = f"{HOST}[control]\ntls = ssl:8112\ncertificate = /c\nkey = /k\nclients = /a\n"
    assert str(reading(whole).configuration.control.tls) == "ssl:port=8112"
    with pytest.raises(ValueError, match="certificate, key, clients missing"):
        ControlConfig(tls=TlsListen(8112))
