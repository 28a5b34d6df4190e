"""Changes written into the text of a configuration: as few as can be, and never anything else."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface
from typing import Any

import pytest

from carptwist.config.reader import read
from carptwist.config.saving import SavingError, saved
from carptwist.config.schema import Configuration, Dialect, Knobs, Phrase, PlaneKind, VirtualHostConfig

TEXT = """\
# The office's routers.

[carp]
preempt=yes
# nobody needs more
log = 1

; the first one
[vhid 1@em0]
address = 192.0.2.1/24
          # kept for the printers
          2001:DB8::1/64
pass = mekmitasdigoat
#plane = macvlan

# the second one
[vhid 2@em0]
address =
    192.0.2.7/24
pass_file = phrases
advskew = 10

[control]
unix = /run/a.sock
"""
FILES = {"phrases": "first\nsecond\n"}


def configuration(text: str = TEXT) -> Configuration:
    return read(text, "carp.ini", FILES.__getitem__).configuration


def save(wanted: Configuration, text: str = TEXT) -> str:
    return saved(text, "carp.ini", FILES.__getitem__, wanted)


def changed(number: int, **settings: Any) -> Configuration:
    """The configuration, with other settings in one of its vhids."""
    before = configuration()
    return replace(
        before, vhids=tuple(replace(each, **settings) if each.vhid == number else each for each in before.vhids)
    )


def difference(wanted: Configuration, text: str = TEXT) -> tuple[list[str], list[str]]:
    """The lines that go, and those that come."""
    before, after = text.split("\n"), save(wanted, text).split("\n")
    return [each for each in before if each not in after], [each for each in after if each not in before]


def test_without_a_change_the_text_is_the_same() -> None:
    """To the octet."""
    assert save(configuration()) == TEXT
    assert save(configuration(), "\ufeff" + TEXT.replace("\n", "\r\n")) == "\ufeff" + TEXT.replace("\n", "\r\n")
    assert save(configuration(), TEXT.rstrip("\n")) == TEXT.rstrip("\n")


def test_a_value_is_exchanged_in_its_line() -> None:
    """Written as the line was."""
    assert difference(changed(2, advskew=20)) == (["advskew = 10"], ["advskew = 20"])
    assert difference(replace(configuration(), knobs=Knobs(preempt=False))) == (["preempt=yes"], ["preempt=no"])


def test_a_new_setting_comes_after_the_others_of_its_section() -> None:
    """Before the comments that follow them."""
    after = save(changed(1, advbase=2, plane=PlaneKind.NONE))
    assert "pass = mekmitasdigoat\nadvbase = 2\nplane = none\n#plane = macvlan\n" in after
    assert len(after.split("\n")) == len(TEXT.split("\n")) + 2


def test_addresses_come_and_go_line_by_line() -> None:
    """What stays is not rewritten, though we would write it otherwise; comments between stay where they are."""
    six, more = ip_interface("2001:db8::1/64"), ip_interface("192.0.2.9/24")
    assert difference(changed(1, addresses=(ip_interface("192.0.2.1/24"), six, more))) == (
        [],
        ["          192.0.2.9/24"],
    )
    after = save(changed(1, addresses=(six,)))
    assert "address = \n          # kept for the printers\n          2001:DB8::1/64\n" in after
    after = save(changed(1, addresses=(more, ip_interface("192.0.2.1/24"), six)))
    assert (
        "address = 192.0.2.9/24\n          # kept for the printers\n          192.0.2.1/24\n          2001:db8" in after
    )
    after = save(changed(2, addresses=(more, ip_interface("192.0.2.7/24"))))
    assert "address =\n    192.0.2.9/24\n    192.0.2.7/24\n" in after


def test_a_vhid_that_goes_leaves_its_comments() -> None:
    """And all else as it was."""
    before = configuration()
    assert difference(replace(before, vhids=before.vhids[1:]))[0] == [
        "[vhid 1@em0]",
        "address = 192.0.2.1/24",
        "          2001:DB8::1/64",
        "pass = mekmitasdigoat",
    ]


def test_a_vhid_that_comes_is_at_the_end() -> None:
    """With all of its settings that are not the default."""
    new = VirtualHostConfig(
        9,
        "em1",
        (ip_interface("10.0.0.1/8"), ip_interface("10.0.0.2/8")),
        (Phrase(b"a"), Phrase(b"b c")),
        advskew=7,
        dialect=Dialect.OPENBSD,
    )
    before = configuration()
    expected = (
        "\n[vhid 9@em1]\naddress = 10.0.0.1/8\n          10.0.0.2/8\npass = a\n          b c\nadvskew = 7\n"
        "dialect = openbsd\n"
    )
    assert save(replace(before, vhids=(new, *before.vhids))) == TEXT + expected
    windows = TEXT.replace("\n", "\r\n")
    assert save(replace(before, vhids=(*before.vhids, new)), windows) == windows + expected.replace("\n", "\r\n")
    unended = TEXT.rstrip("\n")
    assert save(replace(before, vhids=(*before.vhids, new)), unended) == TEXT + expected.rstrip("\n")


def test_knobs_without_a_section_get_one() -> None:
    """Above the first section and its comments, below the file's own."""
    text = "# mine\n\n# the first\n[vhid 1@em0]\naddress = 192.0.2.1/24\npass = x\n"
    wanted = replace(configuration(text), knobs=Knobs(preempt=True, log=2))
    assert save(wanted, text).startswith("# mine\n\n[carp]\npreempt = yes\nlog = 2\n\n# the first\n[vhid 1@em0]\n")
    text = text.replace("\n\n", "\n")
    assert save(wanted, text).startswith("# mine\n# the first\n[carp]\npreempt = yes\nlog = 2\n\n[vhid 1@em0]\n")


def test_pass_phrases_are_exchanged_one_by_one() -> None:
    """The first one signs; without any the setting goes."""
    assert difference(changed(1, phrases=(Phrase(b"new"), Phrase(b"mekmitasdigoat")))) == (
        ["pass = mekmitasdigoat"],
        ["pass = new", "          mekmitasdigoat"],
    )
    assert difference(changed(1, phrases=())) == (["pass = mekmitasdigoat"], [])


def test_new_lines_do_not_get_between_a_setting_and_its_values() -> None:
    """Though both come after the same line."""
    text = "[vhid 1@em0]\npass = a\naddress = 192.0.2.1/24\n"
    two = (ip_interface("192.0.2.1/24"), ip_interface("192.0.2.2/24"))
    before = configuration(text)
    wanted = replace(before, vhids=(replace(before.vhids[0], addresses=two, advskew=1),))
    assert save(wanted, text) == text + "          192.0.2.2/24\nadvskew = 1\n"


# What is refused


def test_phrases_of_a_pass_file_stay_there() -> None:
    """The vhid is changed in all else; other phrases belong into that file, and it says so without showing any."""
    assert difference(changed(2, advskew=20))[1] == ["advskew = 20"]
    with pytest.raises(SavingError, match="2@em0 takes its pass phrases from the file that pass_file names") as caught:
        save(changed(2, phrases=(Phrase(b"QXZQXZ"),)))
    assert "QXZ" not in str(caught.value)


@pytest.mark.parametrize("phrases", [(" QXZ",), ("QXZ\t",), ("a", "# QXZ"), ("a", "advskew = QXZ")])
def test_a_phrase_that_pass_cannot_say(phrases: tuple[str, ...]) -> None:
    """Is refused rather than written as another one, or as none; no error shows it."""
    with pytest.raises(SavingError) as caught:
        save(changed(1, phrases=tuple(Phrase(phrase.encode()) for phrase in phrases)))
    assert "QXZ" not in str(caught.value)
    assert "1@em0" in str(caught.value)


def test_a_vhid_without_an_address() -> None:
    """As ifconfig can make one; and a file without any vhid."""
    with pytest.raises(SavingError, match="1@em0 has no address"):
        save(changed(1, addresses=()))
    with pytest.raises(SavingError, match="no virtual host would be left"):
        save(replace(configuration(), vhids=()))
