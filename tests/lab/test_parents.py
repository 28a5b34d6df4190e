"""Which interfaces of a host a virtual host can be on."""

from __future__ import annotations

import subprocess

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase, configuration


class ParentTests(SceneTestCase):
    """Host a serves the addresses from an interface other than the veth that the lab gives it."""

    def ip(self, scene: Scene, *commands: str) -> None:
        """Run ip(8) in host a."""
        for command in commands:
            child = scene.hosts["a"].run(["ip", *command.split()], stderr=subprocess.PIPE)
            _, complaint = child.process.communicate(timeout=30)
            self.assertEqual(child.process.returncode, 0, f"{command}: {complaint.decode()}")

    def on(self, name: str, **options: object) -> str:
        return configuration(**options).replace("@em0]", f"@{name}]")  # type: ignore[arg-type]

    def test_a_bridge(self) -> None:
        """As on a host of virtual machines: the bridge has the addresses, em0 is a port of it."""
        scene = self.scene()
        self.ip(
            scene,
            "link add br0 address 02:00:00:00:01:77 type bridge forward_delay 0 mcast_snooping 0",
            "link set em0 master br0",
            "link set br0 up",
            "address flush dev em0",
            "address add 192.0.2.2/24 dev br0",
            "address add 2001:db8::2/64 dev br0 nodad",
        )
        self.start_pair(scene, self.on("br0"))
        scene.daemons["a"].stop()
        scene.await_master("b")

    def test_a_macvlan(self) -> None:
        """A device of its own on em0, in bridge mode."""
        scene = self.scene()
        self.ip(
            scene,
            "link add link em0 name mv0 address 02:00:00:00:01:78 type macvlan mode bridge",
            "link set mv0 up",
            "address flush dev em0",
            "address add 192.0.2.2/24 dev mv0",
            "address add 2001:db8::2/64 dev mv0 nodad",
        )
        self.start_pair(scene, self.on("mv0"))
        scene.daemons["a"].stop()
        scene.await_master("b")

    def takeover_without(self, flag: str) -> None:
        scene = self.scene()
        for host in scene.hosts.values():
            self.assertEqual(host.run(["ip", "link", "set", "em0", flag, "off"]).wait(), 0)
        self.start_pair(scene)
        scene.daemons["a"].stop()
        scene.await_master("b")

    def test_an_interface_without_arp(self) -> None:
        """NOARP is the kernel's own: the addresses are on another device, and who answers for them is no kernel."""
        self.takeover_without("arp")

    def test_an_interface_without_the_multicast_flag(self) -> None:
        """Frames to groups go out and come in, through a switch that snoops on memberships as well."""
        self.takeover_without("multicast")

    def test_a_tap_device(self) -> None:
        """Nobody is at its other end: it is taken for Ethernet, and waits for its link."""
        scene = self.scene(1)
        self.ip(scene, "tuntap add tap0 mode tap", "link set tap0 up")
        daemon = scene.daemon("a", self.on("tap0"))
        daemon.expect("interface down tap0")
        self.assertNotIn("not an Ethernet interface", daemon.text())

    def refused(self, scene: Scene, name: str, what: str) -> None:
        daemon = scene.daemon("a", self.on(name))
        reason = f"{name} is {what}, not an Ethernet interface: name the one that the LAN is on"
        daemon.expect(f"carp: {reason}")
        scene.wait(lambda: bool(daemon.control_socket and daemon.control_socket.exists()), "it listens")
        (vhid,) = daemon.status()["vhids"]
        self.assertEqual((vhid["state"], vhid["reason"]), ("INIT", reason))
        self.assertNotIn("cannot open", daemon.text())

    def test_the_loopback_interface(self) -> None:
        """Is refused with its name, in the log and in the status."""
        self.refused(self.scene(1), "lo", "the loopback interface")

    def test_a_tun_device(self) -> None:
        """As of a VPN; it has no addresses of links."""
        scene = self.scene(1)
        self.ip(scene, "tuntap add tun0 mode tun", "link set tun0 up")
        self.refused(scene, "tun0", "a device without link addresses (tun or WireGuard, for example)")
