"""``carpctl explain``: why a vhid is in its state, what was compared with what, and what would change it.

The answer is one object: ``vhid``, ``state``, ``since``, ``reason`` as in the status, and ``parts``, a list of
``{"title": …, "sentences": […]}`` for people. What an advertisement would do is not told from a second set of rules:
the vhid's own machine is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from carptwist.election.bearing import Bearing
from carptwist.election.effects import Became
from carptwist.election.machine import Machine
from carptwist.election.precedence import (
    UNITS_PER_SECOND,
    interval,
    interval_seconds,
    is_bow_out,
    master_down_seconds,
)
from carptwist.election.state import State
from carptwist.vhost.peers import Peer
from carptwist.vhost.roster import Roster
from carptwist.vhost.virtualhost import VirtualHost
from carptwist.wire.diagnosis import RIGHT

Time = Callable[[float], str]

#: What a refusal means, and what to do about it.
MEANINGS = {
    "badif": "the sender is none of this vhid's peers, or the packet came in where it does not belong",
    "badttl": "its TTL was not 255: it came through a router, or from a program that is not CARP",
    "hdrops": "it was too short to be one",
    "badsum": "its checksum is wrong: damaged on its way, or made by a faulty program",
    "badver": "it is of another version of CARP than 2",
    "badlen": "its length is not that of an advertisement",
    "badauth": "its digest is wrong: the pass phrase or the list of addresses differs from ours",
    "badvhid": "there is no such vhid here",
    "replay": "it was heard before: somebody repeats recorded advertisements, or a switch loops them",
    "vrrp": "it is VRRP: a router with this number has the same virtual MAC, and the two collide",
}


def explain(vhost: VirtualHost, roster: Roster, *, now: float, time: Time) -> dict[str, Any]:
    """The object of ``carpctl explain --json``.

    :param time: a moment of the vhid's clock as ISO 8601.
    """
    machine = vhost.machine
    parts = (
        ("state", _state(vhost, roster, now)),
        ("last advertisement heard", _comparison(vhost, now)),
        ("what would change it", _changes(vhost, roster, now)),
        ("demotion", _demotion(roster, now)),
        ("others on the wire", _others(vhost, now)),
        ("refused", _refused(vhost, now)),
    )
    return {
        "vhid": vhost.name,
        "state": vhost.state.value,
        "since": time(machine.since),
        "reason": machine.reason,
        "parts": [{"title": title, "sentences": list(sentences)} for title, sentences in parts],
    }


def _state(vhost: VirtualHost, roster: Roster, now: float) -> Iterator[str]:
    machine = vhost.machine
    yield f"{vhost.name} has been {vhost.state.value} for {_span(now - machine.since)}: {machine.reason}."
    if vhost.state is State.INIT:
        for obstacle in vhost.obstacles:
            yield f"It does not take part: {obstacle}."
    if vhost.state is State.MASTER and not vhost.holding:
        yield "Its addresses are not reachable here yet: the plane is at work, or has failed (see the log)."
    settings = machine.settings
    configured, effective = settings.advskew, machine.effective_advskew
    skew = f"advskew {configured}"
    if configured != effective:
        skew += f", with the demotion of {roster.ledger.sum} an effective advskew of {effective}"
    if machine.bearing is Bearing.YIELDING:
        every = interval_seconds(settings.advbase, effective)
        yield f"It advertises, or would, every {every:.3f} s, advbase {settings.advbase}, {skew}, but to be replaced."
    else:
        yield f"It advertises, or would, every {_seconds(machine.own_interval)}: advbase {settings.advbase}, {skew}."
    yield from _group(vhost)
    if machine.last_resort:
        yield "This host is in maintenance: it is MASTER only where nobody else is."


def _group(vhost: VirtualHost) -> Iterator[str]:
    bearing, why = vhost.order
    told = f"group {vhost.config.group}: {why}"
    if bearing is Bearing.MODEST:
        yield f"Held back: {told}: it preempts nobody."
    elif bearing is Bearing.INSISTING:
        yield f"Urged: {told}: it takes over from a slower master."
    elif bearing is Bearing.YIELDING and vhost.state is State.MASTER:
        yield f"Held back: {told}: whoever can takes its addresses at once, and until then they are served here."
    elif bearing is Bearing.YIELDING:
        yield f"Held back: {told}."


def _comparison(vhost: VirtualHost, now: float) -> Iterator[str]:
    last = vhost.peers.last
    if last is None:
        yield "None since this daemon started: no other node has advertised this vhid where this host can hear it."
        return
    heard = last.hearing
    source = ip_address(heard.source)
    yield (
        f"From {source} ({heard.implementation}), {_ago(now - last.last_heard)}: advbase {heard.advbase}, advskew "
        f"{heard.advskew}{_demote(vhost, heard.demote)}."
    )
    if is_bow_out(heard.advbase, heard.advskew):
        yield "That was a farewell: it has stopped being MASTER in good order."
        return
    ours, theirs = vhost.machine.own_interval, interval(heard.advbase, heard.advskew)
    relation = "shorter than" if theirs < ours else "longer than" if theirs > ours else "equal to"
    yield f"Its interval of {_seconds(theirs)} is {relation} ours of {_seconds(ours)}; the shorter one wins."
    if vhost.state is not State.INIT:
        yield f"Heard once more now, {_would(vhost.machine, now, last)}."


def _demote(vhost: VirtualHost, demote: int) -> str:
    return f", demote count {demote} (ours is {vhost.machine.demote})" if vhost.machine.settings.counts_demotion else ""


def _would(machine: Machine, now: float, peer: Peer) -> str:
    """What the rules make of an advertisement."""
    heard = peer.hearing
    effects = machine.foresee(now, heard.family, heard.advbase, heard.advskew, heard.demote)
    became = next((effect for effect in effects if isinstance(effect, Became)), None)
    if became is not None:
        return f"it would make this host {became.state.value} ({became.reason})"
    if machine.state is State.MASTER:
        return "it would change nothing: this host stays MASTER, and announces its addresses again"
    if machine.bearing in (Bearing.YIELDING, Bearing.MODEST):
        return "it would start the timeout anew: this host is held back by its group, and waits"
    if machine.preempts and not machine.last_resort:
        return "it would start the timeout anew: this host is not the faster one, and waits"
    return "it would start the timeout anew: this host does not preempt, and waits until the master is silent"


def _changes(vhost: VirtualHost, roster: Roster, now: float) -> Iterator[str]:
    machine = vhost.machine
    settings = machine.settings
    if vhost.state is State.INIT:
        yield "It becomes BACKUP as soon as nothing is in the way any more."
        return
    if vhost.state is State.BACKUP:
        for family, due in sorted(machine.master_down_at.items()):
            yield f"MASTER: no advertisement over IPv{family} for {max(0.0, due - now):.1f} s from now."
        if machine.last_resort:
            yield "Nothing else makes it MASTER but `carpctl maintenance off` or `carpctl state`."
            return
        if machine.bearing is Bearing.YIELDING:
            yield "MASTER: a farewell after which nobody else advertises."
            yield f"MASTER by request, but to be replaced: carpctl state {vhost.name} master."
            return
        if machine.preempts:
            yield (
                f"MASTER at once: an advertisement of a slower master, whose interval is longer than "
                f"{_seconds(machine.own_interval)} (this host preempts)."
            )
        elif machine.preempt:
            yield "It does not preempt now (its group): a slower master that is alive stays MASTER."
        else:
            yield "It does not preempt (net.inet.carp.preempt = 0): a slower master that is alive stays MASTER."
        if settings.advbase:
            limit = master_down_seconds(settings.advbase, machine.effective_advskew)
            yield f"MASTER at once: a farewell, or any other advertisement with an interval longer than {limit:.3f} s."
        yield f"MASTER by request: carpctl state {vhost.name} master."
        return
    yield f"BACKUP: an advertisement with an interval of {_seconds(machine.own_interval)} or less."
    if machine.advertise_at is not None:
        yield f"Its own next advertisement is due in {max(0.0, machine.advertise_at - now):.2f} s."
    yield f"BACKUP by request: carpctl state {vhost.name} backup."
    yield f"INIT: {vhost.config.interface} goes down, its last address is removed, or net.inet.carp.allow is set to 0."


def _demotion(roster: Roster, now: float) -> Iterator[str]:
    entries = roster.ledger.entries
    if not entries:
        yield "None: the ledger is empty."
    for entry in entries:
        until = "" if entry.expires is None else f" now, {_span(entry.expires - now)} more"
        yield f"{entry.value:+d} by {entry.owner}, for {_span(now - entry.since)}{until}: {entry.reason}."
    if len(entries) > 1:
        yield f"Together {roster.ledger.sum:+d}."


def _others(vhost: VirtualHost, now: float) -> Iterator[str]:
    peers = vhost.peers.all()
    if not peers:
        yield "No other node was heard. A node that is BACKUP says nothing: there may be some."
    for peer in peers:
        heard = peer.hearing
        what = (
            "a farewell" if is_bow_out(heard.advbase, heard.advskew) else f"{_interval(heard.advbase, heard.advskew)}"
        )
        yield (
            f"{ip_address(heard.source)} ({heard.implementation}): {peer.heard} heard, the last one "
            f"{_ago(now - peer.last_heard)}, {what}."
        )
    yield from _mishaps(vhost)


def _mishaps(vhost: VirtualHost) -> Iterator[str]:
    if vhost.conflicts:
        yield (
            f"Others have claimed its addresses, {_times(vhost.conflicts)} since this daemon started: carpctl events "
            f"{vhost.name} tells their MAC addresses."
        )
    if vhost.sending.errors:
        yield f"{vhost.sending.errors} advertisements could not be sent since this daemon started."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _refused(vhost: VirtualHost, now: float) -> Iterator[str]:
    kept = vhost.turned_away.all()
    if not kept:
        yield "Nothing for this vhid."
    for each in reversed(kept):
        source = f"from {ip_address(each.source)}" if each.source else "from an unknown sender"
        yield (
            f"{each.count} {source} as {each.cause}, the last one {_ago(now - each.last)}: "
            f"{MEANINGS.get(each.cause, 'it was not valid')}."
        )
        likeliest = each.diagnose()
        if likeliest == RIGHT:
            yield "By now it would be accepted: the settings have been changed since."
        elif likeliest:
            yield f"Likeliest: {ip_address(each.source)}: {likeliest}."


def _interval(advbase: int, advskew: int) -> str:
    return f"every {_seconds(interval(advbase, advskew))} (advbase {advbase}, advskew {advskew})"


def _seconds(units: int) -> str:
    return f"{units / UNITS_PER_SECOND:.3f} s"


def _ago(seconds: float) -> str:
    """``12.3 s ago``, ``5 min ago``."""
    return f"{_span(seconds)} ago"


def _span(seconds: float) -> str:
    """``12.3 s``, ``5 min``."""
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
