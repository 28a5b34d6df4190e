"""How punctual a MASTER is, and how long a takeover takes, next to ucarp: ``python -m tests.benches.takeover``.

Everything is measured on the wire of a lab, by the kernel's time stamps: real daemons, veth pairs, a bridge.
"""

from __future__ import annotations

import select
import socket
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from carptwist.lab import kerneltime
from carptwist.lab.host import Host
from carptwist.lab.scene import SHARED4, Scene
from carptwist.wire import arp, neighbor
from carptwist.wire.advertisement import Heard, read
from tests.lab.support import configuration
from tests.lab.test_ucarp import UCARP, Ucarp, of_one_family

ROUNDS = 5
ADVERTISEMENTS = 30
MILLISECONDS = 1000


class Tap:
    """All frames that a host sees, with the times at which its kernel saw them."""

    def __init__(self, host: Host) -> None:
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        kerneltime.ask_for_times(self._socket)
        self.frames: list[tuple[float, bytes]] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ends.is_set():
            if select.select([self._socket], [], [], 0.1)[0]:
                frame, ancillary, _, _ = self._socket.recvmsg(2048, 1024)
                self.frames.append((kerneltime.received_at(ancillary), frame))

    def close(self) -> None:
        self._ends.set()
        self._thread.join()
        self._socket.close()


def report(what: str, seconds: Sequence[float]) -> None:
    """One line of measurements."""
    low, middle, high = (figure * MILLISECONDS for figure in (min(seconds), statistics.median(seconds), max(seconds)))
    print(f"{what:<62} min {low:7.2f}  median {middle:7.2f}  max {high:7.2f} ms  (n = {len(seconds)})")


def punctuality() -> None:
    """One vhid, an idle machine: how late after its due time an advertisement is on the wire."""
    with Scene(1, shared={SHARED4: 1}) as scene:
        scene.daemon("a", of_one_family(advskew=0))
        scene.await_master("a")
        began = time.time()
        scene.wait(lambda: len(scene.watcher.heard("a", since=began)) >= ADVERTISEMENTS, "advertisements", 60)
        times = [each.at for each in scene.watcher.heard("a", since=began)]
    offsets = [moment - number for number, moment in enumerate(times)]
    # They are due at whole intervals from one another; the earliest one was not late.
    report("advertisement after its due time, 1 vhid", [offset - min(offsets) for offset in offsets])


def announced_in(addresses: Sequence[str]) -> list[float]:
    """From the frame that decides a takeover (a bow-out) to the last announcement, for so many addresses."""
    measured = []
    with Scene(2, shared={SHARED4: 1}, pinged=[SHARED4]) as scene:
        master = scene.daemon("a", configuration(advskew=0, addresses=addresses))
        scene.await_master("a")
        scene.daemon("b", configuration(advskew=100, addresses=addresses))
        for _ in range(ROUNDS):
            scene.await_backup("b", limit=60)
            tap = Tap(scene.client)
            began = time.time()
            master.stop()
            scene.await_master("b", since=began)
            time.sleep(0.7)
            tap.close()
            measured.append(_span(tap.frames, len(addresses)))
            began = time.time()
            master.start()  # the preferred host comes back by itself
            scene.await_master("a", since=began, limit=60)
    return measured


def _span(frames: Sequence[tuple[float, bytes]], addresses: int) -> float:
    decided = next(
        at for at, frame in frames if isinstance(said := read(frame), Heard) and said.advertisement.advbase == 255
    )
    announcements = [
        at
        for at, frame in frames
        if at > decided
        and (
            (isinstance(claim := arp.read(frame), arp.Arp) and claim.is_announcement)
            or (isinstance(told := neighbor.read(frame), neighbor.NeighborAdvertisement) and not told.solicited)
        )
    ]
    return announcements[addresses - 1] - decided


def crash_lateness(kind: str) -> list[float]:
    """How long after the protocol's timeout the successor's first advertisement is on the wire."""
    measured = []
    bound = 3 + 100 / 256
    for _ in range(3):
        with Scene(2, shared={SHARED4: 1}) as scene:
            master = scene.daemon("a", of_one_family(advskew=0))
            scene.await_master("a")
            if kind == "ucarp":
                peer = Ucarp(scene, "b", advskew=100)
                peer.start()
                peer.expect("BACKUP")
                time.sleep(2.5)  # until it has heard the master
            else:
                scene.daemon("b", of_one_family(advskew=100))
                scene.await_backup("b")
            master.kill()
            scene.lan.cut(scene.hosts["a"])
            scene.wait(lambda: scene.watcher.last("b") is not None, "a takeover")
            last, first = scene.watcher.last("a"), scene.watcher.heard("b")[0]
            assert last is not None
            measured.append(first.at - last.at - bound)
    return measured


def memory() -> None:
    """Proportional set sizes, side by side."""
    with Scene(2, shared={SHARED4: 1}) as scene:
        daemon = scene.daemon("a", of_one_family(advskew=0))
        scene.await_master("a")
        peer = Ucarp(scene, "b", advskew=100)
        peer.start()
        peer.expect("BACKUP")
        assert daemon.child is not None
        assert peer.child is not None
        ours, theirs = (_pss(child.process.pid) for child in (daemon.child, peer.child))
    print(
        f"memory (PSS), 1 vhid: carptwist {ours / 1024:.1f} MiB, ucarp {theirs / 1024:.1f} MiB: {ours / theirs:.1f} x"
    )


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError(pid)


def main() -> None:
    punctuality()
    report("takeover to the last announcement, 1 address", announced_in([f"{SHARED4}/24"]))
    many = [f"{SHARED4}/24", *(f"198.51.100.{number}/24" for number in range(1, 200))]
    report("takeover to the last announcement, 200 IPv4 addresses", announced_in(many))
    mixed = [f"{SHARED4}/24", *(f"198.51.100.{number}/24" for number in range(1, 100))]
    mixed += [f"2001:db8:1::{number:x}/64" for number in range(1, 101)]
    report("takeover to the last announcement, 100 IPv4 and 100 IPv6", announced_in(mixed))
    ours = crash_lateness("carptwist")
    report("crash: first advertisement after the timeout, carptwist", ours)
    if UCARP is None:
        print("ucarp is not installed: nothing to stand beside it")
        return
    theirs = crash_lateness("ucarp")
    report("crash: first advertisement after the timeout, ucarp", theirs)
    print(f"crash, carptwist / ucarp: {statistics.median(ours) / statistics.median(theirs):.2f} x")
    memory()


if __name__ == "__main__":
    main()
