"""How late advertisements leave while checks and webhooks are at work, on good targets and on bad ones.

Run as ``python -m tests.benches.checks [--seconds N] [--checks N] [--only LOAD]``. One daemon is MASTER in a lab.
Prints for each load by how much the time between advertisements exceeds what they promise (median, 99th part,
longest), the daemon's CPU, and its memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from carptwist.lab.scene import Scene
from tests.lab.support import configuration

_SERVER = """
import socketserver, sys, time
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 500
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        if self.server.server_address[1] == 8001:
            time.sleep(1000)
        try:
            while self.server.server_address[1] == 8002:
                self.request.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 1000)
        except OSError:
            return
        self.request.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
Server(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
GOOD, HANGING, FLOODING = 8000, 8001, 8002


def check(number: int, line: str) -> str:
    return f"[check c{number}]\n{line}\ninterval = 1\ndemote = 0\n"


def mixed(number: int) -> str:
    """A load of checks of every kind."""
    kinds = (f"url = http://127.0.0.1:{GOOD}/", "command = /bin/true", "interface = em0", "file = /etc/passwd")
    return "".join(check(each, kinds[each % 4]) for each in range(number))


def repeated(line: str) -> Callable[[int], str]:
    return lambda number: "".join(check(each, line) for each in range(number))


def webhook(port: int) -> str:
    return f"[webhook w]\nurl = http://127.0.0.1:{port}/\n[check flaps]\nfile = /nonexistent\ninterval = 1\n"


def hook(action: str) -> str:
    return f"[hook h]\naction = {action}\ntimeout = 3600\n"


LOADS: dict[str, Callable[[int], str]] = {
    "nothing": lambda number: "",
    "checks, mixed": mixed,
    "HTTP, good": repeated(f"url = http://127.0.0.1:{GOOD}/"),
    "HTTP, hanging": repeated(f"url = http://127.0.0.1:{HANGING}/"),
    "HTTP, flooding (tenth)": lambda number: repeated(f"url = http://127.0.0.1:{FLOODING}/")(number // 10),
    "commands, good": repeated("command = /bin/true"),
    "commands, hanging": repeated("command = sleep 1000"),
    "commands, flooding (tenth)": lambda number: repeated("command = yes")(number // 10),
    "webhook, hanging": lambda number: webhook(HANGING),
    "webhook, flooding": lambda number: webhook(FLOODING),
    "hook, hanging": lambda number: hook("sleep 1000"),
    "hook, flooding": lambda number: hook("timeout 60 yes"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--checks", type=int, default=200)
    parser.add_argument("--only", default="", help="loads whose name contains this")
    arguments = parser.parse_args()
    print(f"{arguments.checks} checks at 1 s; {arguments.seconds} s each; load average {os.getloadavg()[0]:.1f}")
    print(f"{'':28}{'median':>10}{'99 %':>10}{'longest':>10}{'CPU':>8}{'memory':>10}")
    for name, load in LOADS.items():
        if arguments.only in name:
            print(f"{name:28}{measured(load(arguments.checks), arguments.seconds)}", flush=True)
    return 0


def measured(more: str, seconds: int) -> str:
    """One line for one load."""
    with Scene(1) as scene:
        for port in (GOOD, HANGING, FLOODING):
            scene.hosts["a"].run([sys.executable, "-c", _SERVER, str(port)], log=f"{port}.log")
        daemon = scene.daemon("a", configuration(more=more))
        scene.await_master("a")
        time.sleep(2)
        assert daemon.child is not None
        process = Path("/proc", str(daemon.child.pid))
        busy, began = _cpu(process), time.time()
        until = began + seconds
        # The lab's own clock ticks meanwhile.
        scene.wait(lambda: time.time() >= until, "the time is over", limit=seconds + 30.0)
        busy = (_cpu(process) - busy) / (time.time() - began)
        resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        heard = [each for each in scene.watcher.heard(vhid=1) if each.at >= began and each.family == 4]
    late = sorted(later.at - earlier.at - earlier.interval for earlier, later in pairwise(heard))
    shown = (statistics.median(late), late[int(len(late) * 0.99)], late[-1])
    return "".join(f"{1000 * each:>7.1f} ms" for each in shown) + f"{busy:>8.0%}{resident / 2**20:>7.0f} MiB"


def _cpu(process: Path) -> float:
    """Seconds that a process has computed, without its children."""
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
