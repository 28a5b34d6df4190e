"""Intervals and timeouts, and how two nodes' are compared.

Nodes compare how often they (would) advertise: the smaller interval wins. All comparisons are made
in whole 1/256 s, the unit of advskew, so that no rounding ever decides an election::

    interval     = advbase x 256 + advskew          what travels in an advertisement
    own interval = advbase x 256 + effective advskew,  effective = clamp(advskew + demotion, 0, 240)
    master down  = 3 x advbase x 256 + advskew      the patience of a BACKUP

Demotion counts in an own interval, never in the patience of a BACKUP. With advbase 0 (sub-second
failover, as in OpenBSD) the patience is three times advskew, and where both are 0 timers run on the
unit itself; there it has to follow demotion, and the master that is heard (:mod:`carptwist.election.machine`).

Source: ip_carp.c of FreeBSD (DEMOTE_ADVSKEW, carp_setrun) and of OpenBSD (advbase 0).
"""

from __future__ import annotations

UNITS_PER_SECOND = 256
#: CARP_MAXSKEW of the kernels: an effective advskew never exceeds it.
MAX_SKEW = 240
#: The demote count of the OpenBSD dialect is an octet.
MAX_DEMOTE = 255
#: advbase and advskew of the last advertisement of a MASTER that stops in good order.
BOW_OUT = 255


#: A MASTER ends so long before the least patient of the others takes over; but at most a quarter of its patience.
MARGIN_SECONDS = 0.25
#: But never before its next advertisement is late by this.
LEAST_LATENESS_SECONDS = 0.1


def effective_advskew(advskew: int, demotion: int) -> int:
    """The advskew that this node sends and compares, 0 to 240, in 1/256 s."""
    return max(0, min(MAX_SKEW, advskew + demotion))


def interval(advbase: int, advskew: int) -> int:
    """An advertisement interval in 1/256 s, as the rules compare it."""
    return advbase * UNITS_PER_SECOND + advskew


def patience(advbase: int, effective: int) -> int:
    """The interval in 1/256 s beyond which a heard master counts as timing out.

    Unlike the timeout itself this takes the *effective* advskew: so do FreeBSD and NetBSD.
    """
    return 3 * advbase * UNITS_PER_SECOND + effective


def interval_seconds(advbase: int, advskew: int) -> float:
    """How long a MASTER waits between two advertisements. Never zero: the least is 1/256 s."""
    return max(1, interval(advbase, advskew)) / UNITS_PER_SECOND


def master_down_seconds(advbase: int, advskew: int) -> float:
    """How long a BACKUP waits for the next advertisement. Never zero: the least is 3/256 s."""
    if advbase == 0:
        return 3 * max(1, advskew) / UNITS_PER_SECOND
    return (3 * advbase * UNITS_PER_SECOND + advskew) / UNITS_PER_SECOND


def lease_seconds(advbase: int, advskew: int, effective: int) -> float:
    """For how long after an advertisement a MASTER may count on being the only one.

    The others' advskew is not known while they are silent; the least that it can be is 0. With advbase 0 that would be
    no time at all: there they are taken to be as patient as we are ourselves.
    """
    least = float(3 * advbase) if advbase else master_down_seconds(0, advskew)
    lease = least - min(MARGIN_SECONDS, least / 4)
    return max(lease, interval_seconds(advbase, effective) + LEAST_LATENESS_SECONDS)


def lifetime_seconds(advbase: int) -> int:
    """How long the addresses of a MASTER stay with the kernel if nobody refreshes them: whole seconds, and one less
    than the least patience of the others, because it is not at once that the kernel notices."""
    return max(2, 3 * advbase - 1)


def is_bow_out(advbase: int, advskew: int) -> bool:
    """Whether these values say "I am leaving"."""
    return advbase == BOW_OUT and advskew == BOW_OUT
