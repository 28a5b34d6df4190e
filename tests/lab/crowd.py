"""Several clients that ask for the shared addresses all the time, by all that clients use, and who answered them.

::

    a: echo service --[ port, tapped ]---+
    b: echo service --[ port, tapped ]---[ switch ]--- client1, client2, client3:
                                                         every 5 ms each: ARP, ND, UDP over IPv4, UDP over IPv6

ARP and ND answers look the same from whichever host they come, since the virtual MAC is the same: only the port at
which they enter the switch tells. UDP answers name their host, and count as received when the client's socket has them.

All sockets are made by the lab; to ask and to listen is the work of a process of its own, which is this file run as a
program. Times are the kernel's, seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, NamedTuple

from carptwist.lab.host import Host
from carptwist.lab.kerneltime import ANCILLARY_OCTETS, ask_for_times, received_at
from carptwist.lab.namespaces import LabError
from carptwist.lab.scene import SHARED4, SHARED6, Scene
from carptwist.wire import arp, neighbor
from carptwist.wire.ethernet import ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, format_mac, parse_mac

INTERVAL_SECONDS = 0.005
ECHO_PORT = 7
SERVED_SECONDS = 30.0
#: How clients ask.
WAYS = ("arp", "nd", "udp4", "udp6")
#: And UDP answers as they enter the switch, accepted by a client or not.
PORTS = ("port4", "port6")

# linux/if_packet.h, linux/if_ether.h, linux/in.h, linux/in6.h
_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_IP_FREEBIND, _IPV6_FREEBIND = 15, 78
_SERVED = (
    (socket.AF_INET, socket.IPPROTO_IP, _IP_FREEBIND, SHARED4),
    (socket.AF_INET6, socket.IPPROTO_IPV6, _IPV6_FREEBIND, SHARED6),
)
_BUFFER_OCTETS = 8 << 20
_SO_RCVBUFFORCE = 33

_UDP = 17
_ICMPV6 = 58

#: Answers with the name of the host; a number and a name for each socket. Ends with its standard input.
_ECHO = """
import select, socket, sys
ready, sockets = select.poll(), {}
ready.register(0, select.POLLIN)
for number, name in zip(sys.argv[1::2], sys.argv[2::2]):
    sockets[int(number)] = socket.socket(fileno=int(number)), name.encode()
    ready.register(int(number), select.POLLIN)
while True:
    for number, _ in ready.poll():
        if number == 0:
            sys.exit()
        sock, name = sockets[number]
        try:
            question, asker = sock.recvfrom(100)
            sock.sendto(name, asker)
        except OSError:
            pass
"""


class Run(NamedTuple):
    """Answers of one host in a row, to one client's asking in one way, with one MAC for the shared address."""

    client: str
    way: str
    host: str
    mac: str
    first: float
    last: float
    count: int


class Double(NamedTuple):
    """A host answered again after another one had: for how many seconds both did."""

    client: str
    way: str
    hosts: tuple[str, str]
    seconds: float


class Seen:
    """What a crowd has seen."""

    def __init__(self, runs: Iterable[Run], asked: int, late: float) -> None:
        self.runs = sorted(runs, key=lambda run: run.first)
        self.asked = asked
        self.late = late

    def doubles(self) -> list[Double]:
        """For which clients a host still, or again, answered after another one had that came later."""
        found = []
        for (client, way), runs in self._by_asking().items():
            hosts = list(dict.fromkeys(run.host for run in runs))
            for former, later in itertools.combinations(hosts, 2):
                begins = next(run.first for run in runs if run.host == later)
                ends = max(run.last for run in runs if run.host == former)
                if ends > begins:
                    found.append(Double(client, way, (former, later), ends - begins))
        return found

    def together(self, former: str, later: str) -> float:
        """For how long one host still answered anybody after another one had answered anybody, in seconds; negative
        if nobody was answered meanwhile."""
        ends = self.last(former)
        begins = min((run.first for run in self.runs if run.host == later), default=float("inf"))
        return ends - begins

    def macs(self) -> set[str]:
        """All that anybody was told, or answered from, in the place of the shared addresses."""
        return {run.mac for run in self.runs if run.mac}

    def gap(self, former: str, later: str) -> dict[str, float]:
        """For each way the longest time for which a client was without an answer when one host took over from another;
        infinite if a client was not answered by both."""
        longest: dict[str, float] = {}
        for (_, way), runs in self._by_asking().items():
            ends = max((run.last for run in runs if run.host == former), default=float("-inf"))
            begins = min((run.first for run in runs if run.host == later), default=float("inf"))
            longest[way] = max(longest.get(way, 0.0), begins - ends)
        return longest

    def first(self, host: str) -> float:
        """When the last of the clients had its first answer of a host, whatever it had asked; infinite if one had
        none."""
        return max(
            min((run.first for run in runs if run.host == host), default=float("inf"))
            for runs in self._by_asking().values()
        )

    def last(self, host: str) -> float:
        """When a host answered anybody for the last time."""
        return max((run.last for run in self.runs if run.host == host), default=float("-inf"))

    def _by_asking(self) -> dict[tuple[str, str], list[Run]]:
        found: dict[tuple[str, str], list[Run]] = {}
        for run in self.runs:
            found.setdefault((run.client, run.way), []).append(run)
        return found


class Crowd:
    """Clients at a scene's LAN, and echo services in its hosts. :meth:`begin` and :meth:`end` may take turns."""

    def __init__(self, scene: Scene, clients: int = 3) -> None:
        self._scene = scene
        self._clients: list[Host] = []
        for number in range(clients):
            client = scene.lab.host(f"client{number + 1}")
            scene.lan.connect(client, "em0", [f"192.0.2.{200 + number}/24", f"2001:db8::{200 + number:x}/64"])
            self._clients.append(client)
        self._echo = self._serve()
        self._process: subprocess.Popen[str] | None = None

    def _serve(self) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as opened:
            words = []
            for name, host in self._scene.hosts.items():
                for family, level, option, shared in _SERVED:
                    sock = opened.enter_context(host.socket(family, socket.SOCK_DGRAM))
                    # Whether the host has the address or not: it is a service like any other.
                    sock.setsockopt(level, option, 1)
                    sock.bind((shared, ECHO_PORT))
                    words += [str(sock.fileno()), name]
            return subprocess.Popen(
                [sys.executable, "-c", _ECHO, *words], pass_fds=list(map(int, words[::2])), stdin=subprocess.PIPE
            )

    def begin(self) -> None:
        """Let the clients ask; when this returns each has been answered in each way."""
        with contextlib.ExitStack() as opened:
            taps = [[name, opened.enter_context(self._tap(name)).fileno()] for name in self._scene.hosts]
            clients = [self._sockets(client, opened) for client in self._clients]
            numbers = [number for _, number in taps]
            numbers += [number for client in clients for number in client["sockets"].values()]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.lab.crowd", json.dumps({"taps": taps, "clients": clients})],
                pass_fds=numbers,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
            )
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], SERVED_SECONDS)[0]:
            raise LabError(f"not all clients were answered within {SERVED_SECONDS:g} s")
        self._process.stdout.readline()

    def end(self) -> Seen:
        """Let them stop; gives what they have seen since they began."""
        assert self._process is not None
        told, _ = self._process.communicate("", timeout=60)
        self._process = None
        seen = json.loads(told)
        return Seen([Run(*run) for run in seen["runs"]], seen["asked"], seen["late"])

    def close(self) -> None:
        """End whatever is still asking, and who answers."""
        for process in (self._process, self._echo):
            if process is not None:
                process.kill()
                process.communicate()

    def _tap(self, name: str) -> socket.socket:
        lan = self._scene.lan
        sock = lan.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        ask_for_times(sock)
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_OCTETS)
        with lan.namespace:
            sock.bind((lan.ports[name].name, _ETH_P_ALL))
        return sock

    def _sockets(self, client: Host, opened: contextlib.ExitStack) -> dict[str, Any]:
        packet = opened.enter_context(client.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        with client.namespace:
            packet.bind(("em0", 0))
        sockets = {"packet": packet.fileno()}
        for way, family, shared in (("udp4", socket.AF_INET, SHARED4), ("udp6", socket.AF_INET6, SHARED6)):
            sock = opened.enter_context(client.socket(family, socket.SOCK_DGRAM))
            ask_for_times(sock)
            sock.connect((shared, ECHO_PORT))
            sockets[way] = sock.fileno()
        own = sorted(map(str, client.addresses()), key=len)
        return {
            "name": client.name,
            "mac": format_mac(packet.getsockname()[4]),
            "own4": next(each for each in own if each.startswith("192.0.2.")),
            "own6": next(each for each in own if each.startswith("2001:db8:")),
            "sockets": sockets,
        }


class _Client:
    """In the process that asks: one client, and its four questions."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name: str = told["name"]
        mac, own4, own6 = parse_mac(told["mac"]), ip_address(told["own4"]).packed, ip_address(told["own6"]).packed
        self.mac = mac
        sockets = {way: socket.socket(fileno=number) for way, number in told["sockets"].items()}
        self.udp = {way: sock for way, sock in sockets.items() if way != "packet"}
        for sock in self.udp.values():
            sock.setblocking(False)
        self._questions = [
            (sockets["packet"], arp.request(ip_address(SHARED4).packed, mac, own4)),
            (
                sockets["packet"],
                neighbor.solicitation(
                    ip_address(SHARED6).packed,
                    source=own6,
                    source_mac=mac,
                    destination_mac=b"\x33\x33\xff" + ip_address(SHARED6).packed[-3:],
                    link_address=mac,
                ),
            ),
            *((sock, b"who") for sock in self.udp.values()),
        ]

    def ask(self) -> None:
        for sock, question in self._questions:
            with contextlib.suppress(OSError):
                sock.send(question)


class _Record:
    """In the process that asks: runs of answers, as they grow."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, str], list[list[Any]]] = {}

    def answered(self, client: str, way: str, host: str, mac: str, at: float) -> None:
        runs = self._runs.setdefault((client, way), [])
        if runs and runs[-1][:2] == [host, mac]:
            runs[-1][3] = at
            runs[-1][4] += 1
        else:
            runs.append([host, mac, at, at, 1])

    def __len__(self) -> int:
        """How many clients' ways were answered."""
        return len(self._runs)

    def runs(self) -> list[list[Any]]:
        return [[*key, *run] for key, runs in self._runs.items() for run in runs]


def _answer(frame: bytes) -> tuple[str, bytes] | None:
    """How a frame that enters the switch at the port of a host answers for a shared address, and with which MAC."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == ETHERTYPE_ARP:
        said = arp.read(frame)
        if isinstance(said, arp.Arp) and said.operation == arp.REPLY and said.sender == ip_address(SHARED4).packed:
            return "arp", said.sender_mac if said.sender_mac == said.source_mac else said.source_mac
    elif ethertype == ETHERTYPE_IPV4 and frame[23] == _UDP and frame[26:30] == ip_address(SHARED4).packed:
        return "port4", frame[6:12]
    elif ethertype == ETHERTYPE_IPV6 and frame[20] == _UDP and frame[22:38] == ip_address(SHARED6).packed:
        return "port6", frame[6:12]
    elif ethertype == ETHERTYPE_IPV6 and frame[20] == _ICMPV6:
        told = neighbor.read(frame)
        if isinstance(told, neighbor.NeighborAdvertisement) and told.target == ip_address(SHARED6).packed:
            return "nd", told.link_address if told.link_address == frame[6:12] else frame[6:12]
    return None


def main(told: dict[str, Any]) -> None:
    """Ask until standard input ends; then print what was seen."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    clients = [_Client(each) for each in told["clients"]]
    names = {client.mac: client.name for client in clients}
    taps = {}
    record, asked, late = _Record(), 0, 0.0
    ready = select.poll()
    ready.register(0, select.POLLIN)
    for host, number in told["taps"]:
        taps[number] = (host, socket.socket(fileno=number))
        taps[number][1].setblocking(False)
        ready.register(number, select.POLLIN)
    sockets = {sock.fileno(): (client, way, sock) for client in clients for way, sock in client.udp.items()}
    for number in sockets:
        ready.register(number, select.POLLIN)
    due = time.monotonic()
    ends = float("inf")
    told_so = False
    while time.monotonic() < ends:
        now = time.monotonic()
        if now >= due and ends == float("inf"):
            late = max(late, now - due)
            for client in clients:
                client.ask()
            asked += len(clients) * len(WAYS)
            if not told_so and len(record) == len(clients) * len(WAYS + PORTS):
                told_so = True
                late = 0.0
                print("all are served", flush=True)
            due = max(due + INTERVAL_SECONDS, now)
        for number, _ in ready.poll(max(0.0, due - time.monotonic()) * 1000):
            if number == 0:
                ready.unregister(0)
                ends = time.monotonic() + 0.2  # what is on its way still counts
                due = ends
            elif number in taps:
                host, tap = taps[number]
                with contextlib.suppress(BlockingIOError):
                    while True:
                        frame, extras, _, _ = tap.recvmsg(2048, ANCILLARY_OCTETS)
                        asker, said = names.get(frame[:6]), _answer(frame)
                        if asker is not None and said is not None:
                            record.answered(asker, said[0], host, format_mac(said[1]), received_at(extras))
            else:
                client, way, sock = sockets[number]
                with contextlib.suppress(OSError):
                    while True:
                        text, extras, _, _ = sock.recvmsg(100, ANCILLARY_OCTETS)
                        record.answered(client.name, way, text.decode(), "", received_at(extras))
    print(json.dumps({"runs": record.runs(), "asked": asked, "late": late}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
