"""What the control protocol costs: a status of 255 vhids, and 1,000 of them a second beside the elections.

Run it with ``python -m tests.benches.control``. The daemon is a real one in a network namespace, with 255 vhids that
are all MASTER; the advertisements are timed by the watcher in the switch, the calls by the client.

=====================================================  =================
a status call, 255 vhids, client and daemon            within 50 ms
an advertisement while 1,000 calls a second are made   at most 10 ms later than without
=====================================================  =================

Who asks, and who answers, want processors as well, and so do others on this machine. So a second daemon, just like the
first, is on another LAN, and rounds of three parts alternate: nobody is asked; the other one is; the one that is
measured is. What the second part has and the first has not is the machine's; what the third adds is the daemon's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from itertools import pairwise

from carptwist.lab.daemon import Daemon
from carptwist.lab.scene import Scene, addresses_of
from tests.lab.support import PHRASE, environment

VHIDS = range(1, 256)
ROUNDS = 4
SECONDS = 5.0
CALLS_PER_SECOND = 1000
CONNECTIONS = 10

_CALLER = """
import sys, time
from twisted.internet import defer, endpoints, task
from carptwist.control.client import connect

@defer.inlineCallbacks
def main(reactor, path, rate, seconds, connections):
    rate, seconds = int(rate), float(seconds)
    clients = []
    for _ in range(int(connections)):
        clients.append((yield connect(endpoints.UNIXClientEndpoint(reactor, path))))
    taken, begun, calls = [], time.perf_counter(), []
    def answered(octets, began):
        taken.append(time.perf_counter() - began)
    def call():
        # Catches up with the clock: what was late is made up for.
        while len(calls) < (time.perf_counter() - begun) * rate:
            client = clients[len(calls) % len(clients)]
            # The octets alone: to read their JSON is the client's business, and would be measured with it.
            calls.append(client.snapshot().addCallback(answered, time.perf_counter()))
    calling = task.LoopingCall(call)
    calling.start(0.002)
    yield task.deferLater(reactor, seconds)
    calling.stop()
    made = len(calls)
    yield defer.gatherResults(calls)
    taken.sort()
    print(made / seconds, taken[len(taken) // 2], taken[int(len(taken) * 0.99)], taken[-1])

task.react(main, sys.argv[1:])
"""


def configuration() -> str:
    """255 vhids that change nothing on the host: the elections and the control protocol are what is measured."""
    sections = ["[carp]"]
    for vhid in VHIDS:
        address = f"198.51.{100 + vhid // 200}.{vhid % 200 + 1}/24"
        sections += [f"[vhid {vhid}@em0]", f"address = {address}", f"pass = {PHRASE}", "plane = none"]
    return "\n".join(sections) + "\n"


def calls(socket: str, rate: int, seconds: float, connections: int) -> tuple[float, ...]:
    """Calls per second that were made, and their median, 99th percentile and longest, in seconds."""
    ended = subprocess.run(
        [sys.executable, "-c", _CALLER, socket, str(rate), str(seconds), str(connections)],
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return tuple(map(float, ended.stdout.split()))


def lateness(scene: Scene, since: float, until: float) -> list[float]:
    """By how much each interval between two advertisements of a vhid was longer than 1 s, in seconds, sorted."""
    late = []
    for vhid in VHIDS:
        heard = [each.at for each in scene.watcher.heard(vhid=vhid, since=since) if each.at <= until]
        late += [max(0.0, after - before - 1.0) for before, after in pairwise(heard)]
    return sorted(late)


def told(what: str, values: list[float]) -> str:
    """Median, 99th percentile and maximum in milliseconds."""
    middle, most = statistics.median(values), values[int(len(values) * 0.99)]
    return f"{what:<46} {middle * 1e3:8.2f} {most * 1e3:8.2f} {values[-1] * 1e3:8.2f}"


def another(scene: Scene) -> Daemon:
    """The second daemon, on a LAN of its own."""
    host = scene.lab.host("b")
    scene.lab.lan().connect(host, "em0", addresses_of(host))
    daemon = Daemon(host, configuration())
    daemon.start()
    return daemon


def main() -> None:
    with Scene(1, shared={}, pinged=[]) as scene:
        daemon, other = scene.daemon("a", configuration()), another(scene)
        for each in (daemon, other):
            each.expect("255@em0: BACKUP -> MASTER", 60)
        time.sleep(5)
        _, *seldom = calls(str(daemon.control_socket), 4, 5.0, 1)
        late: dict[str, list[float]] = {"nobody is asked": [], "another daemon is": [], "this daemon is": []}
        often: list[tuple[float, ...]] = []
        for _ in range(ROUNDS):
            for who, asked in zip(late, (None, other, daemon), strict=True):
                began = time.time()
                if asked is None:
                    time.sleep(SECONDS)
                else:
                    made = calls(str(asked.control_socket), CALLS_PER_SECOND, SECONDS, CONNECTIONS)
                    often += [made] if asked is daemon else []
                late[who] += lateness(scene, began, time.time())
    rate, *busy = (statistics.median(values) for values in zip(*often, strict=True))
    print(f"{'milliseconds':<46} {'median':>8} {'99 %':>8} {'longest':>8}")
    for each, times in ((4.0, seldom), (rate, busy)):
        row = " ".join(f"{value * 1e3:8.2f}" for value in times)
        print(f"{f'status, 255 vhids, {each:.0f} a second':<46} {row}")
    for who, values in late.items():
        print(told(f"advertisements later than 1 s, {who}", sorted(values)))


if __name__ == "__main__":
    main()
