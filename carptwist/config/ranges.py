"""What values of a configuration may be: the ranges of numbers, the names that things can have.

A *fault* is why a value cannot be, in words that say what it must be, or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

#: Octets of an interface's name: the kernel's IFNAMSIZ without the closing zero.
LONGEST_INTERFACE_NAME = 15

#: Lowest and highest value of every number.
RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "vhid": (1, 255),
    "advbase": (0, 255),
    "advskew": (0, 254),
    "dscp": (0, 63),
    "log": (0, 7),
    "ifdown_demotion_factor": (0, 255),
    "senderr_demotion_factor": (0, 255),
    "recorder": (0, 4096),
    "timeout": (1, 3600),
    "demote": (0, 255),
    "startup": (0, 3600),
    "interval": (1, 3600),
    "rise": (1, 100),
    "fall": (1, 100),
}


def within(**numbers: int) -> None:
    """:raises ValueError: the first one that is not in its range."""
    for name, value in numbers.items():
        lowest, highest = RANGES[name]
        if not lowest <= value <= highest:
            raise ValueError(f"{name} = {value}: must be {lowest} to {highest}")


def interface_name_fault(name: str) -> str | None:
    """Why no network device can have this name, or None: the kernel's ``dev_valid_name``, and nothing invisible."""
    if not name:
        return "the name of the interface is missing"
    if name in (".", "..") or any(character in "/:" or character.isspace() for character in name):
        return "an interface's name holds no slash, colon or space, and is not a dot or two"
    if not name.isprintable():
        return "an interface's name holds printable characters only"
    if len(name.encode()) > LONGEST_INTERFACE_NAME:
        return f"an interface's name has at most {LONGEST_INTERFACE_NAME} characters"
    return None


def group_name_fault(name: str) -> str | None:
    """Why no group of virtual hosts can have this name, or None."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", name):
        return "must be 1 to 32 letters, digits, dots, hyphens and underscores, a letter or digit first"
    return None


def plugin_name_fault(name: str) -> str | None:
    """Why no plug-in can have this name, or None."""
    return group_name_fault(name)


def plugin_fault(plugin: str | None, argument: tuple[str, ...]) -> str | None:
    """Why a plug-in cannot be asked for like this, with the key before a colon, or None."""
    if plugin is None:
        return "argument: of use with plugin alone, which is missing" if argument else None
    fault = plugin_name_fault(plugin)
    return f"plugin = {plugin}: {fault}" if fault is not None else None


class StatusRange(NamedTuple):
    """The HTTP status codes that are good, both ends included. It prints as one writes it: ``200-299``, or ``204``.

    :ivar lowest: 100 to 599
    :ivar highest: not below ``lowest``
    """

    lowest: int
    highest: int

    def __str__(self) -> str:
        return str(self.lowest) if self.lowest == self.highest else f"{self.lowest}-{self.highest}"
