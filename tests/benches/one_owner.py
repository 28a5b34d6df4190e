"""Whether two hosts ever answer when a MASTER dies and its host lives: ``python -m tests.benches.one_owner``.

Many times each: the daemon is killed; it is killed together with its guard; it is stopped, and goes on; it is stopped
together with its guard, and both go on. Three clients ask by ARP, ND and UDP over both families every 5 ms all the
while, and a tap at the port of each host tells who answered. Arguments say how many times, for how many seconds the
daemon is stopped, and on which plane::

    python -m tests.benches.one_owner 3 5 interface
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from carptwist.lab.scene import Scene, virtual_mac
from tests.lab.crowd import WAYS, Crowd, Double
from tests.lab.support import configuration

TIMES = 20
STOPPED_SECONDS = 30.0
BOTH_STOPPED_SECONDS = 6.0
#: Between the start of the asking and what happens, and after it: more than a lifetime and a lease.
BEFORE_SECONDS, AFTER_SECONDS = 1.5, 1.5


class Outcome(NamedTuple):
    """Of one time; in seconds. ``master`` is when the other one advertised, after ``began``; ``said`` after the last
    advertisement of the former one; ``served`` when all clients had answers of it to all that they ask."""

    master: float
    said: float
    served: float
    gap: dict[str, float]
    together: float
    doubles: list[Double]
    macs: set[str]
    offences: list[str]
    asked: int
    late: float
    waited: float
    load: float


def once(act: Callable[[Scene], object], after: Callable[[Scene, float], object], plane: str = "macvlan") -> Outcome:
    """a is MASTER, b is BACKUP with advskew 100, and something is done to a's daemon."""
    more = f"plane = {plane}"
    with Scene(2) as scene:
        crowd = Crowd(scene)
        try:
            scene.daemon("a", configuration(preempt=False, more=more))
            scene.await_master("a")
            scene.daemon("b", configuration(preempt=False, advskew=100, more=more))
            scene.await_backup("b")
            crowd.begin()
            _pause(scene, BEFORE_SECONDS)
            began = time.time()
            act(scene)
            scene.await_master("b", since=began)
            after(scene, began)
            _pause(scene, AFTER_SECONDS)
            # With the interface's own MAC the rules about the virtual one have nothing to say. Judged before the crowd
            # is asked: nobody reads what is on the wire meanwhile, for so long that some of it is lost.
            offences = scene.offences() if plane == "macvlan" else []
            seen = crowd.end()
        finally:
            crowd.close()
        first = next(each for each in scene.watcher.heard("b", since=began) if not each.bows_out).at
        last = max(each.at for each in scene.watcher.heard("a") if not each.bows_out and each.at < first)
        return Outcome(
            master=first - began,
            said=first - last,
            served=seen.first("b") - began,
            gap=seen.gap("a", "b"),
            together=seen.together("a", "b"),
            doubles=seen.doubles(),
            macs=seen.macs(),
            offences=offences,
            asked=seen.asked,
            late=seen.late,
            waited=scene.uncertainty(first),
            load=os.getloadavg()[0],
        )


def _pause(scene: Scene, seconds: float) -> None:
    end = time.monotonic() + seconds
    scene.wait(lambda: time.monotonic() >= end, "time passes", seconds + 30)


def kill(scene: Scene) -> None:
    """The daemon is killed."""
    scene.daemons["a"].kill()


def kill_both(scene: Scene) -> None:
    """The daemon is killed together with its guard."""
    scene.daemons["a"].kill_with_guard()


def stop(scene: Scene) -> None:
    """The daemon runs no more, for a time."""
    _signal(scene, signal.SIGSTOP)


def stop_both(scene: Scene) -> None:
    """Nor does its guard: as if the host were suspended, but for its kernel."""
    for guard in scene.daemons["a"].guards():
        os.kill(guard, signal.SIGSTOP)
    stop(scene)


def nothing(scene: Scene, began: float) -> None:
    """It stays as it is."""


def go_on(seconds: float) -> Callable[[Scene, float], None]:
    """Whatever was stopped goes on so many seconds after it was, and finds that it was replaced."""

    def after(scene: Scene, began: float) -> None:
        _pause(scene, began + seconds - time.time())
        _signal(scene, signal.SIGCONT)
        for guard in scene.daemons["a"].guards():
            os.kill(guard, signal.SIGCONT)
        scene.daemons["a"].expect("1@em0: MASTER -> BACKUP (")
        _pause(scene, 1.5)
        assert scene.logged_state("a") == "BACKUP", scene.daemons["a"].tail()

    return after


def _signal(scene: Scene, number: signal.Signals) -> None:
    daemon = scene.daemons["a"].child
    assert daemon is not None
    daemon.signal(number)


def _line(what: str, figures: Sequence[float], unit: str = "ms", scale: float = 1000) -> str:
    low, middle, high = (each * scale for each in (min(figures), statistics.median(figures), max(figures)))
    return f"   {what:<58} min {low:8.1f}  median {middle:8.1f}  max {high:8.1f} {unit}"


def report(what: str, outcomes: Sequence[Outcome]) -> None:
    """What happened."""
    doubles = [double for each in outcomes for double in each.doubles]
    print(f"{what}: {len(outcomes)} times, {sum(each.asked for each in outcomes)} questions of 3 clients")
    print(_line("the other one is MASTER, after it was done", [each.master for each in outcomes]))
    print(_line("... after the last advertisement of the former one", [each.said for each in outcomes]))
    print(_line("all clients are served by it, in all ways, after it was done", [each.served for each in outcomes]))
    for way in WAYS:
        print(_line(f"longest time without an answer, {way}", [each.gap[way] for each in outcomes]))
    print(_line("both answered somebody (negative: nobody for so long)", [each.together for each in outcomes]))
    longest = max((double.seconds for double in doubles), default=0.0)
    print(f"   clients that two hosts answered: {len(doubles)}, for {longest * 1000:.1f} ms at most")
    print(f"   MACs seen: {', '.join(sorted(set().union(*(each.macs for each in outcomes))))}")
    for offence in sorted({offence for each in outcomes for offence in each.offences})[:10]:
        print(f"   against the lab's rules: {offence}")
    print(_line("what the machine itself took", [each.waited for each in outcomes]))
    print(_line("the longest delay of the asking", [each.late for each in outcomes]))
    print(_line("load of the machine", [each.load for each in outcomes], "  ", 1))
    sys.stdout.flush()


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else TIMES
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else STOPPED_SECONDS
    plane = sys.argv[3] if len(sys.argv) > 3 else "macvlan"
    print(f"plane = {plane}; virtual MAC {virtual_mac(1)}; advbase 1, advskew 0 and 100; clients ask every 5 ms")
    for what, act, after in (
        ("SIGKILL of the daemon", kill, nothing),
        ("SIGKILL of daemon and guard", kill_both, nothing),
        (f"SIGSTOP of the daemon for {seconds:g} s", stop, go_on(seconds)),
        (f"SIGSTOP of daemon and guard for {BOTH_STOPPED_SECONDS:g} s", stop_both, go_on(BOTH_STOPPED_SECONDS)),
    ):
        outcomes = []
        for number in range(times):
            outcomes.append(once(act, after, plane))
            each = outcomes[-1]
            print(
                f"   {number + 1}: MASTER after {each.master * 1000:.0f} ms, together {each.together * 1000:.1f} ms, "
                f"{len(each.doubles)} doubles, load {each.load:.1f}, machine late by {each.waited * 1000:.0f} ms",
                file=sys.stderr,
            )
        report(what, outcomes)


if __name__ == "__main__":
    main()
