"""Which interfaces carry a virtual host, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carptwist.vhost.hardware import ETHERNET, NAMES, hardware_fault
from tests.vhost.fakes import UP


def test_ethernet_is_good() -> None:
    """VLAN interfaces, bridges, bonds, veth and tap devices are of that type as well."""
    assert hardware_fault(UP) is None


@pytest.mark.parametrize("number", NAMES)
def test_every_other_hardware_is_named_with_the_remedy(number: int) -> None:
    """The interface, what it is, and what to do."""
    fault = hardware_fault(replace(UP, name="x0", hardware=number))
    assert number != ETHERNET
    assert fault == f"x0 is {NAMES[number]}, not an Ethernet interface: name the one that the LAN is on"


def test_hardware_without_a_name_has_its_number() -> None:
    """For whoever looks it up in linux/if_arp.h."""
    fault = hardware_fault(replace(UP, hardware=4711))
    assert fault is not None
    assert "hardware of type 4711" in fault
