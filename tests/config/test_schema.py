"""A configuration made by hand is within the same ranges as one that was read."""

from __future__ import annotations

import pytest

from carptwist.config.ranges import interface_name_fault
from carptwist.config.schema import Knobs, Phrase, VirtualHostConfig


@pytest.mark.parametrize(
    ("name", "value"), [("dscp", 64), ("log", 8), ("ifdown_demotion_factor", -1), ("senderr_demotion_factor", 256)]
)
def test_knobs_refuse_what_is_out_of_range(name: str, value: int) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        Knobs(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("vhid", 0), ("vhid", 256), ("advbase", 256), ("advskew", 255)])
def test_virtual_hosts_refuse_what_is_out_of_range(name: str, value: int) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        VirtualHostConfig(**{"vhid": 1, "interface": "em0", "addresses": (), name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["em0", "x" * 15, "br-lan.100", "eth0@if3", "\u00e9" * 7])
def test_names_that_the_kernel_takes_are_interfaces(name: str) -> None:
    """Fifteen octets of anything visible."""
    assert interface_name_fault(name) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\u00a0b", "a\0", "\udc80", "x" * 16, "\u00e9" * 8]
)
def test_names_that_the_kernel_refuses_are_refused(name: str) -> None:
    """Each with its reason, by the configuration as a whole too."""
    assert interface_name_fault(name)
    with pytest.raises(ValueError, match="interface = "):
        VirtualHostConfig(1, name, ())


def test_a_phrase_never_shows_itself() -> None:
    """Neither str nor repr of a phrase, nor of what holds it, has any of it."""
    host = VirtualHostConfig(1, "em0", (), (Phrase(b"mekmitasdigoat"),))
    for text in (str(host), repr(host), str(host.phrases[0]), f"{host.phrases}"):
        assert "mek" not in text
    with pytest.raises(ValueError) as caught:
        Phrase(b"mekmitasdigoat-mekmitasdigoat")
    assert "mek" not in str(caught.value)
