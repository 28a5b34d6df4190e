"""Rise and fall: a row of single results -> passing or failing.

::

    results   bad bad good bad bad bad          good bad good good
    fall = 3   1   2   -    1   2   3 failing    1    -   1    2  passing (rise = 2)

The first result of all decides alone: nothing is known yet that a row would have to overthrow. A single result
that differs otherwise never decides, unless rise or fall is 1, so that one lost packet moves no address, and an
address that has moved comes back only to what stays well.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Standing(Enum):
    """What is held of something that is checked."""

    UNKNOWN = "unknown"
    PASSING = "passing"
    FAILING = "failing"


class Result(NamedTuple):
    """What one check has found. ``output``: what was said besides, for the log.

    :ivar good: whether all is well
    :ivar text: why, in a few words for an operator
    :ivar output: for the log alone
    """

    good: bool
    text: str
    output: str = ""


class Health:
    """What is held of one thing. ``row``: how many results there were in a row that are as the last one."""

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self.standing = Standing.UNKNOWN
        self.last: Result | None = None
        self.row = 0

    def heard(self, result: Result) -> bool:
        """Take a result; whether the standing is another one now."""
        alike = self.last is not None and self.last.good == result.good
        self.row = self.row + 1 if alike else 1
        self.last = result
        became = Standing.PASSING if result.good else Standing.FAILING
        enough = self._rise if result.good else self._fall
        if self.standing is became or (self.standing is not Standing.UNKNOWN and self.row < enough):
            return False
        self.standing = became
        return True
