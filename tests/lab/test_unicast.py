"""Advertisements from host to host, by the files in conf/examples/unicast: real daemons, and all that is sent."""

from __future__ import annotations

import socket
import tempfile
import time
from ipaddress import ip_address
from pathlib import Path

from scapy.layers.inet import ICMP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapReader

from carptwist.lab.host import Host
from carptwist.lab.scene import SHARED4, SHARED6, Scene
from carptwist.wire import carp
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from carptwist.wire.authentication import Authenticator
from carptwist.wire.ethernet import format_mac
from tests.lab.support import PHRASE, SceneTestCase, configuration

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "unicast"
CONFIGURATIONS = {name: (EXAMPLES / f"{name}.ini").read_text() for name in ("a", "b")}
OWN = {"a": ("192.0.2.2", "2001:db8::2"), "b": ("192.0.2.3", "2001:db8::3")}
VIRTUAL = carp.virtual_mac(1)


def mac_of(host: Host) -> str:
    return f"02:00:00:00:{host.number:02x}:01"


def forged(host: Host, *, to: str, family: int) -> bytes:
    """An advertisement of a host with the right phrase, better than all others, to another host alone."""
    shared = [ip_address(SHARED4), ip_address(SHARED6)]
    said = carp.Advertisement(1, 0, 1, 0, 77, Authenticator(PHRASE.encode(), 1, shared).sign(77))
    frame = frame4 if family == 4 else frame6
    own = {4: f"192.0.2.{host.number + 1}", 6: f"2001:db8::{host.number + 1:x}"}[family]
    octets = bytes.fromhex(mac_of(host).replace(":", ""))
    peer = ip_address(OWN[to][family == 6])
    number = {"a": 1, "b": 2}[to]
    return frame(
        said,
        source_mac=octets,
        source=ip_address(own).packed,
        destination=peer.packed,
        destination_mac=bytes((2, 0, 0, 0, number, 1)),
    )


class UnicastTests(SceneTestCase):
    """a is the preferred host."""

    def pair(self, hosts: int = 2, *, judged: bool = True) -> Scene:
        """The two daemons, with a capture of the whole LAN in ``self.capture``."""
        directory = tempfile.TemporaryDirectory(prefix="carptwist-lab-unicast-")
        self.addCleanup(directory.cleanup)
        self.capture = Path(directory.name) / "all.pcap"
        scene = self.scene(hosts, judged=judged, pcap=self.capture)
        self.start_pair(scene, CONFIGURATIONS["a"], CONFIGURATIONS["b"])
        return scene

    def frames(self, scene: Scene) -> list[bytes]:
        """Everything that was on the wire so far. The watcher has seen enough then."""
        scene.watcher.__exit__()
        with PcapReader(str(self.capture)) as packets:
            return [bytes(packet) for packet in packets]

    def assert_unicast(self, scene: Scene) -> list[Heard]:
        """Every advertisement went to the MAC and the address of the other host, from the right one and the virtual
        MAC, with TTL 255; and no kernel complained. Gives the advertisements."""
        everything = self.frames(scene)
        found = [(frame, heard) for frame in everything if isinstance(heard := read(frame), Heard)]
        macs = {name: mac_of(scene.hosts[name]) for name in "ab"}
        ends = {(OWN[one][family], OWN[other][family]): macs[other] for one, other in ("ab", "ba") for family in (0, 1)}
        for frame, heard in found:
            source, destination = str(ip_address(heard.source)), str(ip_address(heard.destination))
            self.assertEqual(format_mac(frame[:6]), ends.get((source, destination)), (source, destination))
            self.assertEqual(heard.source_mac, VIRTUAL)
            self.assertEqual(frame[22] if heard.family == 4 else frame[21], 255)
        # 3: destination unreachable; 4: parameter problem.
        self.assertEqual(
            [each.summary() for each in map(Ether, everything) if ICMP in each and each[ICMP].type == 3], []
        )
        wrong = [
            each for each in map(Ether, everything) if IPv6 in each and each[IPv6].nh == 58 and frame_type(each) < 128
        ]
        self.assertEqual([each.summary() for each in wrong], [])
        return [heard for _, heard in found]

    def test_a_crash_and_a_return(self) -> None:
        """The backup takes over within the protocol's bound, and gives back when the preferred host returns; both reach
        one another by unicast alone, over both families."""
        scene = self.pair()
        began = time.time()
        self.crash(scene, "a")
        scene.await_master("b", since=began)
        self.assert_timely(scene, gone="a", advskew=100, since=began)
        self.assert_caches(scene)
        returned = time.time()
        self.recover(scene, "a")
        scene.await_master("a", since=returned)
        self.await_backup(scene, "b")
        self.assertIn("BACKUP -> MASTER (preempting a slower master)", scene.daemons["a"].text())
        self.assertIn("MASTER -> BACKUP (more frequent advertisement received)", scene.daemons["b"].text())
        self.assertEqual(scene.daemons["b"].status()["stats"]["badif"], 0)
        sources = {str(ip_address(heard.source)) for heard in self.assert_unicast(scene)}
        self.assertEqual(sources, {*OWN["a"], *OWN["b"]})

    def test_an_orderly_stop(self) -> None:
        """The farewell is heard, and the backup takes over at once."""
        scene = self.pair()
        began = time.time()
        scene.daemons["a"].stop()
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        self.assertIn("BACKUP -> MASTER (preempting a slower master)", scene.daemons["b"].text())
        self.assertTrue(any(heard.advertisement.advbase == 255 for heard in self.assert_unicast(scene)))

    def test_a_switch_learns_the_virtual_mac(self) -> None:
        """At the master's port, and at the other one's after a takeover."""
        scene = self.pair()
        self.assertEqual(self.learned_at(scene), scene.lan.ports["a"].index)
        began = time.time()
        scene.daemons["a"].stop()
        scene.await_master("b", since=began)
        self.assertEqual(self.learned_at(scene), scene.lan.ports["b"].index)

    def learned_at(self, scene: Scene) -> int | None:
        """The port of the switch that leads to the virtual MAC."""
        entries = scene.lan.namespace.route.get_neighbours(family=socket.AF_BRIDGE)
        return next((each["ifindex"] for each in entries if each.get("lladdr") == format_mac(VIRTUAL)), None)

    def test_a_host_that_is_no_peer_is_refused(self) -> None:
        """Though it knows the phrase and is as good: the master stays, the backup counts on as before."""
        scene = self.pair(hosts=3, judged=False)
        stranger = scene.hosts["c"]
        with stranger.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
            port.bind(("em0", 0))
            for family in (4, 6):
                for to in ("a", "b"):
                    port.send(forged(stranger, to=to, family=family))
        for name in ("a", "b"):
            scene.wait(
                lambda name=name: scene.daemons[name].status()["stats"]["badif"] == 2, f"{name} has refused both"
            )
        states = [scene.daemons[name].status()["vhids"][0] for name in ("a", "b")]
        self.assertEqual([state["state"] for state in states], ["MASTER", "BACKUP"])
        self.assertEqual([state["transitions"] for state in states], [2, 1])
        heard_by_b = {peer["source"] for peer in states[1]["peers"]}
        self.assertEqual(heard_by_b, set(OWN["a"]))

    def test_a_group_changes_over_while_it_runs(self) -> None:
        """The master's file first: the backup hears it all the time, and nobody changes its state."""
        scene = self.scene()
        self.start_pair(scene)
        for name in ("a", "b"):
            daemon = scene.daemons[name]
            daemon.configure(CONFIGURATIONS[name])
            daemon.hang_up()
            daemon.expect(f"peer {OWN['b' if name == 'a' else 'a'][0]} added")
        changed = time.time()
        scene.wait(lambda: len(scene.watcher.heard("a", since=changed + 0.1)) > 8, "the master goes on")
        self.assertEqual({str(each.source) for each in scene.watcher.heard("a", since=changed + 0.1)}, set(OWN["a"]))
        states = [scene.daemons[name].status()["vhids"][0] for name in ("a", "b")]
        self.assertEqual([(each["state"], each["transitions"]) for each in states], [("MASTER", 2), ("BACKUP", 1)])
        began = time.time()
        self.crash(scene, "a")
        scene.await_master("b", since=began)
        self.assert_timely(scene, gone="a", advskew=100, since=began)

    def test_three_hosts_with_one_list(self) -> None:
        """Each has all of them in it, itself included. The second takes over, and the third waits for it to die."""
        scene = self.scene(3)
        peers = "\n ".join(f"192.0.2.{number}" for number in (2, 3, 4))
        peers6 = "\n ".join(f"2001:db8::{number}" for number in (2, 3, 4))
        everybody = configuration(more=f"peer = {peers}\npeer6 = {peers6}")
        for advskew, name in ((0, "a"), (50, "b"), (100, "c")):
            scene.daemon(name, everybody.replace("advskew = 0", f"advskew = {advskew}"))
        scene.await_master("a")
        for name in ("b", "c"):
            self.await_backup(scene, name)
        for gone, heir, advskew in (("a", "b", 50), ("b", "c", 100)):
            began = time.time()
            self.crash(scene, gone)
            scene.await_master(heir, since=began)
            self.assert_timely(scene, gone=gone, advskew=advskew, since=began)
        self.assertEqual(scene.logged_state("c"), "MASTER")
        self.assertEqual(scene.daemons["c"].text().count(" -> MASTER"), 1)

    def test_a_host_that_comes_later_follows(self) -> None:
        """The master has never known its MAC; it is found, and hears the master long before it would take over."""
        # Nobody is there to advertise to at first: a watcher takes such a master for none.
        scene = self.scene(judged=False)
        late = scene.hosts["b"]
        scene.lan.cut(late)
        master = scene.daemon("a", CONFIGURATIONS["a"])
        master.expect("carp: 1@em0: BACKUP -> MASTER")
        master.expect("carp: em0: nobody answers for the peer 192.0.2.3: advertisements cannot be sent to it")
        daemon = scene.daemon("b", CONFIGURATIONS["b"])
        scene.wait(lambda: bool(daemon.control_socket and daemon.control_socket.exists()), "b is up")
        scene.lan.heal(late)
        self.await_backup(scene, "b")
        master.expect("carp: em0: the peer 192.0.2.3 answers, at 02:00:00:00:02:01")
        time.sleep(4)
        self.assertNotIn("-> MASTER", daemon.text())
        self.assertEqual({peer["source"] for peer in daemon.status()["vhids"][0]["peers"]}, set(OWN["a"]))

    def test_a_source_that_is_not_there_is_waited_for(self) -> None:
        """A host without its source stays in INIT, says so, and takes part as soon as the address is there."""
        scene = self.scene()
        text = CONFIGURATIONS["b"].replace("source = 192.0.2.3", "source = 192.0.2.33")
        scene.daemon("a", CONFIGURATIONS["a"].replace("peer = 192.0.2.3", "peer = 192.0.2.33"))
        scene.await_master("a")
        daemon = scene.daemon("b", text)
        daemon.expect("carp: 1@em0: no source address 192.0.2.33 on em0: waiting for it")
        self.assertEqual(daemon.status()["vhids"][0]["state"], "INIT")
        host = scene.hosts["b"]
        host.namespace.route.addr("add", index=host.index("em0"), address="192.0.2.33", prefixlen=24)
        self.await_backup(scene, "b")
        host.namespace.route.addr("del", index=host.index("em0"), address="192.0.2.33", prefixlen=24)
        daemon.expect("carp: 1@em0: BACKUP -> INIT (no source address 192.0.2.33 on em0)")


def frame_type(packet: Ether) -> int:
    """The type of an ICMPv6 message, directly behind the IPv6 header."""
    return int(bytes(packet)[54])
