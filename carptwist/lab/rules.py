"""What must hold on a LAN with virtual hosts, whatever happens: judged over all that a watcher has seen.

1. :func:`leaks`: no frame ties a shared address to another MAC than the virtual one.
2. :func:`strays`: no frame leaves with the virtual MAC from a host that is not MASTER.
3. :func:`usurpers`: no host advertises while it hears a better master.

From outside a host is MASTER from its advertisement on until it bows out, until it has heard a better advertisement, or
until it has been silent for three of its intervals. What the kernel and the daemon need for a change is allowed for
by ``GRACE_SECONDS``. Where a master has just gone or come, several may take over, each of which brings its device up,
and whose kernel says so; those that are overtaken before their own first word were MASTER for that moment all the same.
A host that is cut off or isolated hears nobody: while it is, rules 2 and 3 say nothing about
what it should have heard.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from ipaddress import ip_address

from carptwist.lab.lan import Lan
from carptwist.lab.watcher import Address, Advertised, Claim, Sighting, Watcher

#: A host may act on what it hears so much later, and may use its addresses so long before its first advertisement.
GRACE_SECONDS = 0.3


def leaks(watcher: Watcher, virtual_macs: Mapping[str, str]) -> list[str]:
    """The frames that tie a shared address (key) to another MAC than its virtual one (value), as text."""
    expected: dict[Address, str] = {ip_address(address): mac.lower() for address, mac in virtual_macs.items()}
    unwatched = expected.keys() - watcher.shared
    if unwatched:
        raise ValueError(f"the watcher has not watched {', '.join(map(str, unwatched))}")
    return [str(claim) for claim in watcher.claims if _is_leak(claim, expected)]


def strays(watcher: Watcher, late: Callable[[float], float] = lambda at: 0.0) -> list[str]:
    """The frames with a virtual MAC as Ethernet source that came from a host that was not MASTER, as text.

    :param late: by how many seconds an advertisement at a moment may have left too late because this machine was busy.
    """
    return [
        f"{sighting.host} sent {sighting.what} with the virtual MAC of vhid {sighting.vhid}, {why}"
        for vhid in sorted({sighting.vhid for sighting in watcher.sightings})
        for sighting, why in _judge(watcher, vhid, late)
    ]


def usurpers(watcher: Watcher) -> list[str]:
    """The advertisements that a host sent although it had heard a better one a moment before, as text."""
    found = []
    spoken: dict[int, list[Advertised]] = {}
    for each in watcher.advertisements:
        spoken.setdefault(each.vhid, []).append(each)
    for together in spoken.values():
        times = [each.at for each in together]
        for mine in together:
            if mine.bows_out:
                continue
            # Whoever was better but has said nothing for that long may have been timed out.
            begin = bisect_right(times, mine.at - 3 * mine.advbase)
            # A host's last word counts, in either family: one that was demoted since is no longer better, though who
            # hears that by IPv4 may be MASTER before it has said so by IPv6.
            latest = {other.host: other for other in together[begin : bisect_left(times, mine.at)]}
            better = next((other for other in latest.values() if _usurps(watcher, mine, other)), None)
            if better is not None and better.at < mine.at - GRACE_SECONDS:
                found.append(
                    f"{mine.host} advertised vhid {mine.vhid} every {mine.interval:.2f} s, {mine.at - better.at:.2f} s "
                    f"after {better.host} had, every {better.interval:.2f} s"
                )
    return found


def _usurps(watcher: Watcher, mine: Advertised, other: Advertised) -> bool:
    return (
        mine.host != other.host
        and _yields(mine, other)
        and not _bowed_out(watcher, other, mine.at)
        and _both_connected(watcher.lan, mine, other, mine.at)
    )


def _is_leak(claim: Claim, expected: Mapping[Address, str]) -> bool:
    return claim.mac != expected.get(claim.address, claim.mac)


def _judge(watcher: Watcher, vhid: int, late: Callable[[float], float]) -> list[tuple[Sighting, str]]:
    spoken = watcher.heard(vhid=vhid)
    by_host: dict[str, list[Advertised]] = {}
    for each in spoken:
        by_host.setdefault(each.host, []).append(each)
    found = []
    for sighting in watcher.sightings:
        if sighting.vhid == vhid:
            why = _stray(watcher.lan, sighting, by_host.get(sighting.host, []), spoken, late)
            if why is not None:
                found.append((sighting, why))
    return found


def _stray(
    lan: Lan,
    sighting: Sighting,
    own: list[Advertised],
    all_of_vhid: list[Advertised],
    late: Callable[[float], float],
) -> str | None:
    """Why a host was not MASTER when it sent a frame; None where it was."""
    times = [each.at for each in own]
    after = bisect_left(times, sighting.at)
    if after < len(own) and not own[after].bows_out:
        first = own[after].at
        if first - sighting.at <= GRACE_SECONDS or first - sighting.at <= GRACE_SECONDS + late(first):
            return None
    before = bisect_right(times, sighting.at) - 1
    if before < 0:
        return None if _was_open(lan, sighting, all_of_vhid, late) else "and had never advertised"
    last = own[before]
    age = sighting.at - last.at
    if last.bows_out or age > 3 * last.interval + GRACE_SECONDS:
        if age > 2 * GRACE_SECONDS and _was_open(lan, sighting, all_of_vhid, late):
            return None
        if not last.bows_out:
            return f"{age:.2f} s after its last advertisement"
        return f"{age:.3f} s after it bowed out" if age > 0 else None
    for other in all_of_vhid:
        heard_for = sighting.at - other.at
        if (
            other.host != sighting.host
            and other.at > last.at
            and heard_for > GRACE_SECONDS
            and _yields(last, other)
            and _both_connected(lan, last, other, sighting.at)
        ):
            return f"{heard_for:.2f} s after {other.host} had advertised every {other.interval:.2f} s"
    return None


def _was_open(lan: Lan, sighting: Sighting, all_of_vhid: list[Advertised], late: Callable[[float], float]) -> bool:
    """Whether just before another host that is heard there bowed out, or began to be master."""
    before: Advertised | None = None
    since = sighting.at - GRACE_SECONDS - late(sighting.at)
    for each in all_of_vhid:
        if each.at > sighting.at:
            break
        if each.host == sighting.host or not all(
            lan.ports[host].connected(each.at, sighting.at) for host in (each.host, sighting.host)
        ):
            continue
        begins = before is None or before.bows_out or before.host != each.host
        if (begins or each.bows_out) and each.at >= since:
            return True
        before = each
    return False


def _yields(mine: Advertised, other: Advertised) -> bool:
    """Whether a MASTER that advertises like ``mine`` gives way to ``other``."""
    return not other.bows_out and other.interval <= mine.interval


def _bowed_out(watcher: Watcher, whose: Advertised, until: float) -> bool:
    return any(
        each.bows_out and whose.at <= each.at <= until for each in watcher.heard(whose.host, whose.vhid, whose.at)
    )


def _both_connected(lan: Lan, one: Advertised, other: Advertised, until: float) -> bool:
    return all(lan.ports[host].connected(other.at - GRACE_SECONDS, until) for host in (one.host, other.host))
