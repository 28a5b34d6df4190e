"""Whether the failing of a check could ever move an address, as far as configuration files tell.

::

    [check web] demote = 50      this host: advskew 0 -> 50 while it fails      --> warning
                                 peer:      advskew 100, still the slower one

A check that fails only adds to the advskew. Whether that makes another host take over depends on preempt, on what is
left to add up to 240, and on the other host's advskew, which is known only where its file is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from carptwist.config.health import CheckConfig
from carptwist.config.schema import Configuration, Dialect, VirtualHostConfig
from carptwist.configuration import Problem, Reading
from carptwist.vhost.forecast import THIS_HOST, contender, foresee, same


def futile_checks(file: str, reading: Reading, peers: Mapping[str, Configuration]) -> list[Problem]:
    """A warning for each check whose failing changes nothing. ``peers``: the other hosts' configurations, by name."""
    found = []
    for check in reading.configuration.checks:
        place = f"[check {check.name}]"
        for reason in _reasons(check, reading.configuration, peers):
            found.append(Problem(file, reading.named_lines[place], f"{place} moves no address: {reason}"))
    return found


def _reasons(check: CheckConfig, ours: Configuration, peers: Mapping[str, Configuration]) -> Iterable[str]:
    if check.demote == 0:
        yield "demote = 0 makes no difference"
        return
    preempted = [vhid for vhid in ours.vhids if vhid.dialect is not Dialect.OPENBSD]
    if preempted and not ours.knobs.preempt:
        # The hosts of a group have the same settings here; and whose preempt is off does not hinder others.
        told = f"with preempt = no another host leaves a demoted master alone ({_listed(preempted)})"
        yield f"{told}; all need preempt = yes"
        return
    slowest = [vhid for vhid in preempted if _interval(ours, vhid, 0) == _interval(ours, vhid, check.demote)]
    if slowest:
        yield f"{_listed(slowest)} cannot get slower than with advskew 240 or above"
    for vhid in ours.vhids:
        if vhid not in slowest:
            yield from _against_peers(check, ours, vhid, peers)


def _against_peers(
    check: CheckConfig, ours: Configuration, vhid: VirtualHostConfig, peers: Mapping[str, Configuration]
) -> Iterable[str]:
    others = [contender(name, theirs, same(vhid, theirs)) for name, theirs in peers.items()]
    others = [other for other in others if other.settings is not None]
    if not others:
        return
    well = contender(THIS_HOST, ours, vhid)
    foreseen = foresee(well, well._replace(demotion=check.demote), others, THIS_HOST)
    # Whom another one precedes anyhow has nothing to lose.
    if foreseen.before == foreseen.after == THIS_HOST:
        names = ", ".join(f"{other.name} (advskew {other.settings.advskew})" for other in others if other.settings)
        yield f"demoted by {check.demote}, advskew {vhid.advskew} of {vhid.name} still holds against {names}"


def _interval(ours: Configuration, vhid: VirtualHostConfig, demotion: int) -> int | None:
    return contender(THIS_HOST, ours, vhid, demotion).interval


def _listed(vhids: Iterable[VirtualHostConfig]) -> str:
    return ", ".join(vhid.name for vhid in vhids)
