"""What a client notices when the host that serves it goes: ``python -m tests.benches.handover [ROUNDS]``.

Two hosts with ``twist web --listen carp:1@em0:…``, and a client that asks for a page every 20 ms, on a connection of
its own each time. The master is stopped in good order, or dies: daemon, guard and server by SIGKILL, and its link
at once."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from os import getloadavg

from carptwist.lab.scene import Scene
from tests.lab.support import configuration
from tests.lab.twisted_support import Asker, Programs

ROUNDS = 10
#: By which b knows that a is dead: three times advbase and its own advskew.
BOUND_SECONDS = 3 + 100 / 256


def served(scene: Scene) -> Asker:
    """The client, while a serves it and b is waiting."""
    scene.daemon("a", configuration(advskew=0)).expect("INIT -> BACKUP")
    scene.daemon("b", configuration(advskew=100))
    scene.await_master("a")
    scene.await_backup("b")
    scene.servers = Programs().serve_names(scene)  # type: ignore[attr-defined]
    asker = Asker(scene)
    scene.wait(lambda: asker.last_text() == "a" and len(asker.answered()) > 20, "a answers")
    return asker


def orderly() -> tuple[float, int, float]:
    """The longest time between two answers, how many requests were let in and lost, and what of it may be due to the
    machine that everything runs on."""
    with Scene() as scene:
        asker = served(scene)
        began = time.time()
        scene.daemons["a"].stop()
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        scene.wait(lambda: len(asker.answered(time.time() - 0.5)) > 10, "b goes on answering")
        gap, at = asker.gap(began)
        return gap, len(asker.lost()), scene.uncertainty(at)


def crash() -> tuple[float, float]:
    """From the last advertisement of a to the first answer of b, beyond the protocol's bound; the machine's part."""
    with Scene() as scene:
        asker = served(scene)
        began = time.time()
        scene.servers["a"].kill()  # type: ignore[attr-defined]
        scene.daemons["a"].kill_with_guard()
        scene.lan.cut(scene.hosts["a"])
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        last = scene.watcher.last("a", family=4)
        assert last is not None
        first = min(each.ended for each in asker.answered(began) if each.text == "b")
        return first - last.at - BOUND_SECONDS, scene.uncertainty(first)


def report(what: str, seconds: Sequence[float]) -> None:
    """One line of measurements."""
    low, middle, high = (1000 * figure for figure in (min(seconds), statistics.median(seconds), max(seconds)))
    print(f"{what:<62} min {low:6.1f}  median {middle:6.1f}  max {high:6.1f} ms  (n = {len(seconds)})", flush=True)


def main(rounds: int = ROUNDS) -> None:
    gaps = [orderly() for _ in range(rounds)]
    report("orderly stop: longest time without an answer", [gap for gap, _, _ in gaps])
    report("  of it at most due to what else the machine did", [late for _, _, late in gaps])
    print(f"  requests that were let in and not answered: {sum(lost for _, lost, _ in gaps)}")
    crashes = [crash() for _ in range(rounds)]
    report("crash: beyond the protocol's bound", [beyond for beyond, _ in crashes])
    report("  of it at most due to what else the machine did", [late for _, late in crashes])
    print(f"  load {getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
