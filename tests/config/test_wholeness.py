"""Configurations that a program has built."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_interface

import pytest

from carptwist.config.problems import ConfigurationError
from carptwist.config.reactions import DevdConfig, HookConfig
from carptwist.config.schema import Configuration, ControlConfig, Knobs, PlaneKind, VirtualHostConfig
from carptwist.config.wholeness import demand_whole

ONE = VirtualHostConfig(1, "em0", (ip_interface("192.0.2.1/24"),))
TWO = VirtualHostConfig(2, "em0", (ip_interface("192.0.2.2/24"),))


def faults(configuration: Configuration) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        demand_whole(configuration)
    return str(raised.value).splitlines()


def test_what_goes_together() -> None:
    """Is not complained about; no vhid at all goes, too: they may come later."""
    demand_whole(Configuration(vhids=(ONE, TWO)))
    demand_whole(Configuration())


def test_everything_at_once() -> None:
    """What the reader of a file would refuse, in its words."""
    both = replace(TWO, vhid=3, addresses=(*ONE.addresses, ip_interface("127.0.0.1/8")))
    hook = HookConfig("pager", ("/bin/true",))
    assert faults(
        Configuration(
            vhids=(ONE, TWO, replace(ONE, addresses=()), both),
            hooks=(hook, hook),
            control=ControlConfig(unix="/run/a"),
            devd=DevdConfig(unix="/run/a"),
        )
    ) == [
        "configuration: [vhid 3@em0] address = 127.0.0.1/8: a loopback address never leaves its host",
        "configuration: [hook pager] a second time: each hook has a name of its own",
        "configuration: [devd] unix = /run/a: is the socket of [control] already",
        "configuration: [vhid 1@em0] a second time: vhid 1 of em0 is there already, as number 1",
        (
            "configuration: [vhid 3@em0] address = 192.0.2.1/24: belongs to [vhid 1@em0] already: an address has one "
            "virtual host, unless arpbalance = yes divides its clients among several of one interface"
        ),
    ]


def test_balancing() -> None:
    """Is judged as in a file."""
    shared = replace(TWO, addresses=ONE.addresses)
    demand_whole(Configuration(Knobs(arpbalance=True), (ONE, shared)))
    (told,) = faults(Configuration(Knobs(arpbalance=True), (ONE, replace(shared, plane=PlaneKind.INTERFACE))))
    assert "[vhid 2@em0] plane = interface" in told
