"""The manual page's example of ARP balancing, from the files in conf/examples/arpbalance: two hosts serve one address,
each a half of the clients. Its sibling for IPv6 differs in the knob and the addresses alone.

::

    a, MASTER of vhid 1  192.168.1.2 ---+                     +--- 192.168.1.20, .22: vhid 1
                                        [ switch, captured ]--+
    b, MASTER of vhid 2  192.168.1.3 ---+                     +--- 192.168.1.21, .23: vhid 2

All clients ask for 192.168.1.10 every 10 ms, and everything that crosses the switch is judged at the end.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface
from pathlib import Path

from pyroute2 import NetlinkError

from carptwist.configuration import load
from carptwist.lab.host import Host
from carptwist.lab.prober import Prober
from carptwist.lab.scene import Scene, virtual_mac
from carptwist.tools.capture import read_capture
from carptwist.wire import arp, neighbor
from carptwist.wire.ethernet import format_mac, is_group
from tests.lab.support import ALLOWED_SECONDS, SceneTestCase

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "arpbalance"
PORT = 7777
#: Of vhid 1 on b, and of vhid 2 on a: 3 x advbase + advskew/256.
TIMEOUT = 3 + 100 / 256


class Half:
    """A client, and what it may see: which vhid answers it."""

    def __init__(self, scene: Scene, name: str, network: str, number: int) -> None:
        self.host = scene.lab.host(name)
        own = ip_interface(network.format(number))
        scene.lan.connect(self.host, "em0", [str(own)])
        self.address: IPv4Address | IPv6Address = own.ip
        link = next(iter(self.host.namespace.route.get_links(self.host.index("em0"))))
        self.link_address = bytes.fromhex(link.get("address").replace(":", ""))
        self.vhid = int(own.ip) % 2 + 1
        self.mac = virtual_mac(self.vhid)


class Balancing(SceneTestCase):
    """What holds for both families."""

    shared: str
    network: str
    knobs: str

    def configuration(self, name: str) -> str:
        raise NotImplementedError

    def start(self) -> Scene:
        """a serves one half and b the other."""
        scene = self.prepare()
        for name in scene.hosts:
            scene.daemon(name, self.configuration(name))
        self.await_split(scene, {1: "a", 2: "b"})
        return scene

    def prepare(self) -> Scene:
        """The hosts and the clients, and nobody who serves them."""
        self.capture = Path(self.enterContext(tempfile.TemporaryDirectory())) / "everything.pcap"
        scene = self.scene(shared={}, pinged=[], pcap=self.capture)
        self.listeners = {}
        for number, (name, host) in enumerate(scene.hosts.items(), 2):
            own = ip_interface(self.network.format(number))
            index = host.index("em0")
            host.namespace.route.addr("add", index=index, address=str(own.ip), prefixlen=own.network.prefixlen)
            self.listeners[name] = self.listener(host)
        self.clients = [Half(scene, f"client{number}", self.network, number) for number in (20, 21, 22, 23)]
        self.probers = {
            client.address: self.enterContext(Prober(client.host, [self.shared])) for client in self.clients
        }
        return scene

    def listener(self, host: Host) -> socket.socket:
        family = socket.AF_INET if ip_address(self.shared).version == 4 else socket.AF_INET6
        listening = self.enterContext(host.socket(family, socket.SOCK_STREAM))
        listening.bind(("", PORT))
        listening.listen()
        listening.setblocking(False)
        return listening

    def server(self, client: Half) -> str | None:
        """The host that takes a connection of a client; None if none does."""
        try:
            with client.host.socket(self.listeners["a"].family, socket.SOCK_STREAM) as caller:
                caller.settimeout(1)
                caller.connect((self.shared, PORT))
        except OSError:
            return None
        taken = []
        for name, listening in self.listeners.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    listening.accept()[0].close()
                    taken.append(name)
        self.assertEqual(len(taken), 1)
        return taken[0]

    def await_split(self, scene: Scene, masters: dict[int, str]) -> None:
        """Wait until the vhids have these masters and every client is served, by the MASTER of its vhid."""
        scene.wait(
            lambda: all(scene.watcher.master(vhid) == name for vhid, name in masters.items()), f"the masters: {masters}"
        )
        for client in self.clients:
            prober = self.probers[client.address]
            scene.wait(lambda prober=prober: prober.flowing(self.shared), f"{client.address} is served")
            self.assertEqual(self.server(client), masters[client.vhid], client.address)
        self.assert_caches()

    def assert_caches(self) -> None:
        """Each client has the virtual MAC of its half."""
        for client in self.clients:
            self.assertEqual(client.host.neighbors().get(ip_address(self.shared)), client.mac, client.address)

    def outage(self, client: Half, since: float) -> float:
        """The longest time without an answer, in seconds."""
        found = self.probers[client.address].outages(self.shared, since - 0.02)
        return max((each.seconds for each in found), default=0.0)

    def assert_only_one_half_suffered(self, scene: Scene, vhid: int, since: float, limit: float) -> None:
        """The clients of the other vhid have lost nothing, those of this one no more than a takeover may take."""
        for client in self.clients:
            prober = self.probers[client.address]
            late = prober.late(since) + scene.uncertainty(time.time())
            lost = self.outage(client, since)
            self.assertLessEqual(lost, (limit if client.vhid == vhid else 0.0) + ALLOWED_SECONDS + late, client.address)

    def forget(self, hosts: list[Host]) -> None:
        """All that hosts know of their neighbours is forgotten."""
        for host in hosts:
            for address in host.neighbors():
                with contextlib.suppress(NetlinkError):  # gone, or one of those that are there for good
                    host.namespace.route.neigh("del", dst=str(address), ifindex=host.index("em0"))

    def judge(self, scene: Scene) -> None:
        """Whatever tied the shared address to a MAC was an answer to a client, with the MAC of its half."""
        scene.watcher.__exit__()
        self.assertEqual(scene.watcher.dropped, 0)
        shared = ip_address(self.shared).packed
        halves = {client.link_address: client for client in self.clients}
        questions = {client.link_address: 0 for client in self.clients}
        answers = dict(questions)
        #: Whether the half was still there, and the answers to that.
        self.asked_alone, self.answered_alone = dict(questions), dict(questions)
        alone: dict[bytes, bool] = {}
        for frame in (each.frame for each in read_capture(str(self.capture))):
            packet = arp.read(frame)
            message = neighbor.read(frame)
            if isinstance(packet, arp.Arp):
                if packet.target == shared and packet.sender != shared:
                    questions[frame[6:12]] += 1
                    alone[frame[6:12]] = not is_group(frame[:6])
                    self.asked_alone[frame[6:12]] += alone[frame[6:12]]
                if packet.sender != shared:
                    continue
                self.assertEqual(packet.operation, arp.REPLY)
                told = packet.sender_mac
            elif isinstance(message, neighbor.Solicitation):
                self.assertNotEqual(message.source, shared)
                if message.target == shared:
                    questions[frame[6:12]] += 1
                    alone[frame[6:12]] = not is_group(frame[:6])
                    self.asked_alone[frame[6:12]] += alone[frame[6:12]]
                continue
            elif isinstance(message, neighbor.NeighborAdvertisement) and message.target == shared:
                told = message.link_address
            else:
                continue
            half = halves[frame[:6]]  # to nobody else, and not to everybody
            self.assertEqual([format_mac(told), format_mac(frame[6:12])], [half.mac] * 2)
            answers[frame[:6]] += 1
            self.answered_alone[frame[:6]] += alone.get(frame[:6], False)
        for address, number in answers.items():
            self.assertGreater(number, 0, format_mac(address))
            self.assertLessEqual(number, questions[address], "more answers than questions: somebody else answers, too")


class Lives(Balancing):
    """The life of a split."""

    def test_each_client_keeps_its_half(self) -> None:
        """Whatever is forgotten and asked anew, by the clients and by the hosts that answer them."""
        scene = self.start()
        began = time.time()
        for _ in range(10):
            self.forget([client.host for client in self.clients])
            time.sleep(0.1)
            self.forget(list(scene.hosts.values()))
            time.sleep(0.1)
            for client in self.clients:
                self.assertEqual(self.server(client), "ab"[client.vhid - 1])
            self.assert_caches()
        self.assert_only_one_half_suffered(scene, 0, began, 0.0)
        self.judge(scene)

    def test_what_a_client_knows_ages(self) -> None:
        """It asks its half alone whether that is still there, is told so, and misses nothing meanwhile."""
        scene = self.start()
        version = ip_address(self.shared).version
        for client in self.clients:
            for setting, value in (("base_reachable_time_ms", 400), ("delay_first_probe_time", 1)):
                client.host.namespace.sysctl(f"ipv{version}.neigh.em0.{setting}", value)
        self.forget([client.host for client in self.clients])  # of what it knows already the age is settled
        began = time.time()
        time.sleep(6)
        self.await_split(scene, {1: "a", 2: "b"})
        self.assert_only_one_half_suffered(scene, 0, began, 0.0)
        self.judge(scene)
        for client in self.clients:
            asked, answered = (each[client.link_address] for each in (self.asked_alone, self.answered_alone))
            self.assertGreater(asked, 1, client.address)
            self.assertLessEqual(asked - answered, 1, client.address)  # the last one may be on its way

    def test_one_half_fails_over_and_returns(self) -> None:
        """The other half notices nothing of the crash of a host, nor of its return; and the caches stay as they are."""
        scene = self.start()
        caller = self.enterContext(self.clients[0].host.socket(self.listeners["a"].family, socket.SOCK_STREAM))
        caller.settimeout(5)
        caller.connect((self.shared, PORT))
        scene.wait(lambda: self.accepted("a"), "a connection to a")
        began = time.time()
        self.crash(scene, "b")
        scene.wait(lambda: scene.watcher.master(2) == "a", "a is MASTER of both")
        self.await_split(scene, {1: "a", 2: "a"})
        self.assert_only_one_half_suffered(scene, 2, began, TIMEOUT)
        for client in self.clients:
            if client.vhid == 2:
                self.assertGreater(self.outage(client, began), 2.0, "nothing has failed")
        self.forget([client.host for client in self.clients])
        self.forget([scene.hosts["a"]])
        self.await_split(scene, {1: "a", 2: "a"})
        began = time.time()
        self.recover(scene, "b")
        self.await_split(scene, {1: "a", 2: "b"})
        self.assert_only_one_half_suffered(scene, 2, began, 0.0)
        caller.sendall(b"still there")
        self.assertEqual(self.accepted_connection.recv(100), b"still there")
        scene.daemons["a"].stop()
        self.await_split(scene, {1: "b", 2: "b"})
        self.judge(scene)
        scene.daemons["b"].stop()
        self.assertEqual(scene.leftovers(), [])
        for host in scene.hosts.values():
            self.assertNotIn(ip_address(self.shared), host.addresses())

    def accepted(self, name: str) -> bool:
        try:
            self.accepted_connection = self.enterContext(self.listeners[name].accept()[0])
        except BlockingIOError:
            return False
        self.accepted_connection.settimeout(5)
        return True


class ArpBalancingTests(Lives):
    """With the files as they are shipped."""

    shared = "192.168.1.10"
    network = "192.168.1.{}/24"

    def configuration(self, name: str) -> str:
        return (EXAMPLES / f"{name}.ini").read_text()

    def test_it_begins_and_ends_while_they_run(self) -> None:
        """A second vhid gets its part of the clients when they ask anew; when it goes all are told of the first one."""
        scene = self.prepare()
        parts = {name: self.configuration(name).partition("[vhid 2@em0]") for name in scene.hosts}
        for name, (first, _, _) in parts.items():
            scene.daemon(name, first)
        began = self.await_served_by(scene, "a", 1)
        for name, (_, label, rest) in parts.items():
            self.reload(scene, name, lambda text, second=label + rest: f"{text}\n{second}")
        scene.wait(lambda: scene.watcher.master(2) == "b", "b is MASTER of the second one")
        self.await_served_by(scene, "a", 1)
        self.forget([client.host for client in self.clients])
        self.await_split(scene, {1: "a", 2: "b"})
        for name in ("b", "a"):
            self.reload(scene, name, lambda text: text.partition("[vhid 2@em0]")[0])
        self.await_served_by(scene, "a", 1)
        self.assertEqual([self.outage(client, began) > 1.0 for client in self.clients], [False] * 4)

    def await_served_by(self, scene: Scene, name: str, vhid: int) -> float:
        """Wait until one host serves all clients by one virtual MAC; gives the time."""
        for client in self.clients:
            scene.wait(
                lambda client=client: client.host.neighbors().get(ip_address(self.shared)) == virtual_mac(vhid),
                f"{client.address} is at vhid {vhid}",
            )
            prober = self.probers[client.address]
            scene.wait(lambda prober=prober: prober.flowing(self.shared), f"{client.address} is served")
            self.assertEqual(self.server(client), name, client.address)
        return time.time()

    def reload(self, scene: Scene, name: str, edit: Callable[[str], str]) -> None:
        daemon = scene.daemons[name]
        daemon.configuration.write_text(edit(daemon.configuration.read_text()))
        daemon.hang_up()

    def test_the_files_are_the_manual_pages(self) -> None:
        """Its address, phrase and advskews."""
        for name, skews in (("a", [0, 100]), ("b", [100, 0])):
            configuration = load(str(EXAMPLES / f"{name}.ini")).configuration
            self.assertTrue(configuration.knobs.arpbalance)
            self.assertEqual([vhid.vhid for vhid in configuration.vhids], [1, 2])
            self.assertEqual([vhid.advskew for vhid in configuration.vhids], skews)
            self.assertEqual({str(vhid.addresses[0]) for vhid in configuration.vhids}, {"192.168.1.10/24"})
            self.assertEqual({vhid.phrases[0].octets for vhid in configuration.vhids}, {b"mekmitasdigoat"})


class NdBalancingTests(Lives):
    """The same with an IPv6 address."""

    shared = "2001:db8:1::10"
    network = "2001:db8:1::{}/64"

    def configuration(self, name: str) -> str:
        text = (EXAMPLES / f"{name}.ini").read_text()
        return text.replace("arpbalance = yes", "ndbalance = yes").replace("192.168.1.10/24", f"{self.shared}/64")


del Lives, Balancing
