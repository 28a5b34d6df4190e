"""How a vhid bears itself in its election for the sake of its group.

::

    bearing      as MASTER                       as BACKUP
    FREE         as without a group              as without a group
    MODEST       as without a group              preempts nobody, whatever ``preempt`` says
    YIELDING     serves on, and offers what it   takes over from silence alone, and after a farewell when nobody
                 has to whoever takes it         else was faster
    INSISTING    as without a group              preempts a slower master, whatever ``preempt`` says

An offer is an advertisement of an interval beyond every patience: a BACKUP that hears one takes over at once, by the
oldest rule of the kernels ("master will time out"), and the MASTER that has made it hears that and yields. Where there
is nobody to take it, nobody misses the addresses for a moment: that is what an offer has and a farewell has not.
"""

from __future__ import annotations

from enum import Enum

from carptwist.election.precedence import BOW_OUT

#: The advbase of an offer. Less than that of a last resort: whoever offers has what that one must not keep. An offer
#: has the vhid's own advskew, so that of two that offer one stays MASTER.
OFFER_ADVBASE = 254
#: Where advbase is 0 no interval is beyond a patience, for none are compared. A BACKUP that preempts takes it all the
#: same.
FAST_OFFER = (0, BOW_OUT - 1)
#: How long a yielding BACKUP leaves an abandoned address to others, and 1/256 s more for each advskew.
GRACE_SECONDS = 0.25


class Bearing(Enum):
    """See the table above."""

    FREE = "free"
    MODEST = "modest"
    YIELDING = "yielding"
    INSISTING = "insisting"


def offer(advbase: int, advskew: int) -> tuple[int, int]:
    """The advbase and advskew that a yielding MASTER advertises."""
    return (OFFER_ADVBASE, advskew) if advbase else FAST_OFFER
