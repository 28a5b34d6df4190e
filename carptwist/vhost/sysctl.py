"""``net.inet.carp.*``: the host-wide settings of a running node under the names that sysctl(8) has for them.

==========================  =========================================================================
allow, preempt, log, dscp,  the knobs; a value that is written is in force when :meth:`write` returns
``*_demotion_factor`` ...
demotion                    read: the sum of the ledger. Written: the signed value is *added*, as the
                            entry of owner ``sysctl`` (carp(4) of 2018)
suppress_preempt            read only: how many troubles demote this host now (carp(4) of 2005)
stats                       read only: the counters
==========================  =========================================================================
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from carptwist.config.schema import Knobs
from carptwist.vhost.roster import Roster

PREFIX = "net.inet.carp."
#: What the daemon keeps for itself, not a knob that sysctl(8) would know.
_NOT_KNOBS = ("state_dir", "guard", "expire", "recorder")
_LARGEST_DEMOTION = 2**31 - 1


class SysctlError(ValueError):
    """No such name, or not a value for it. The text is for the operator."""


class Sysctls:
    """The knobs of one roster, to be read and written by name."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def names(self) -> list[str]:
        """The short names, sorted."""
        return sorted([*_KNOBS, "demotion", "stats", "suppress_preempt"])

    def read(self, name: str) -> int | dict[str, int]:
        """The value of a short name: a number, but for ``stats``.

        :raises SysctlError: there is no such name.
        """
        if name == "demotion":
            return self._roster.ledger.sum
        if name == "suppress_preempt":
            return self._roster.problems
        if name == "stats":
            return self._roster.counters.as_dict()
        if name in _KNOBS:
            return int(getattr(self._roster.knobs, name))
        raise SysctlError(f"unknown oid '{PREFIX}{name}'")

    def write(self, name: str, text: str) -> tuple[int, int]:
        """Give a short name another value; gives what it reads as before and after.

        :raises SysctlError: there is no such name, it is read only, or this is no value for it.
        """
        before = self.read(name)
        if not isinstance(before, int) or name == "suppress_preempt":
            raise SysctlError(f"oid '{PREFIX}{name}' is read only")
        number = _number(name, text)
        if name == "demotion":
            self._roster.add_demotion(number)
        else:
            self._roster.set_knobs(self._with(name, number))
        after = self.read(name)
        assert isinstance(after, int)
        return before, after

    def _with(self, name: str, number: int) -> Knobs:
        switch = isinstance(getattr(Knobs, name), bool)
        if switch and number not in (0, 1):
            raise SysctlError(f"{PREFIX}{name} = {number}: must be 0 or 1")
        changed: dict[str, Any] = {name: bool(number) if switch else number}
        try:
            return replace(self._roster.knobs, **changed)
        except ValueError as error:
            raise SysctlError(f"{PREFIX}{error}") from None


def _number(name: str, text: str) -> int:
    digits = text.strip()
    unsigned = digits.lstrip("+-")
    if not (unsigned.isascii() and unsigned.isdigit() and len(digits) - len(unsigned) <= 1):
        raise SysctlError(f"{PREFIX}{name} = {text}: must be a whole number")
    if len(unsigned.lstrip("0")) > 10 or abs(int(digits)) > _LARGEST_DEMOTION:
        raise SysctlError(f"{PREFIX}{name} = {text}: too large")
    return int(digits)


_KNOBS = [field.name for field in fields(Knobs) if field.name not in _NOT_KNOBS]
