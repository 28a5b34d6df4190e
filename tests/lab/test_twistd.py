"""``twistd carp`` as a user meets it: what it says, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.lab.support import SceneTestCase, configuration, drop_capabilities, environment

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", "carp"]
SAMPLE = Path(__file__).parents[2] / "conf" / "carp.ini"


def twistd(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*TWISTD, *words], env=environment(), capture_output=True, text=True, timeout=60, check=False, **options
    )


class TwistdTests(SceneTestCase):
    """Start and end."""

    def test_a_bad_configuration_is_refused_as_a_whole(self) -> None:
        """Every error with its place, on standard error, and exit code 2."""
        path = self.scene(1).lab.directory / "bad.ini"
        path.write_text("[carp]\nprempt = yes\n[vhid 1@em0]\naddress = 192.0.2.1/24\npass = x\nadvskew = 300\n")
        ended = twistd("--config", str(path))
        self.assertEqual(ended.returncode, 2)
        self.assertIn(f"{path}:2: [carp] prempt", ended.stderr)
        self.assertIn("preempt", ended.stderr)
        self.assertIn(f"{path}:6: [vhid 1@em0] advskew = 300: must be 0 to 254", ended.stderr)

    def test_a_missing_configuration(self) -> None:
        """Is named."""
        ended = twistd("--config", "/nowhere/carp.ini")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("/nowhere/carp.ini", ended.stderr)

    def test_without_privileges(self) -> None:
        """One line says which are missing, and exit code 1."""
        path = self.scene(1).lab.directory / "carp.ini"
        path.write_text(configuration())
        ended = twistd("--config", str(path), preexec_fn=drop_capabilities)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertIn("CAP_NET_RAW and CAP_NET_ADMIN", ended.stderr)

    def test_the_sample_on_a_host_without_its_interfaces(self) -> None:
        """One clear line names the interfaces that there are, and the daemon waits."""
        scene = self.scene(1, shared={}, pinged=[])
        text = SAMPLE.read_text().replace("em0", "em7").replace("em1", "em8")
        text = text.replace("/run/carptwist/", "/run/carptwist-lab/").replace(
            "/var/lib/carptwist", "/run/carptwist-lab/state"
        )
        daemon = scene.daemon("a", text)
        daemon.expect("carp: waiting for interfaces em7, em8: this host has lo, em0")
        self.assertEqual(daemon.text().count("waiting for"), 1)
        daemon.stop()

    def test_an_interface_that_appears_is_used(self) -> None:
        """And one that goes away is waited for again."""
        scene = self.scene(1)
        host = scene.hosts["a"]
        route = host.namespace.route
        index = host.index("em0")
        route.link("set", index=index, state="down")
        route.link("set", index=index, ifname="later")
        daemon = scene.daemon("a", configuration())
        daemon.expect("carp: waiting for interface em0: this host has lo, later")
        daemon.expect("carp: demoted by 240 to 240 (no interface em0)")
        route.link("set", index=index, ifname="em0", state="up")
        route.addr("add", index=index, address="2001:db8::2", prefixlen=64)
        scene.await_master("a")
        route.link("set", index=index, state="down")
        daemon.expect("MASTER -> INIT (interface down em0)")
        route.link("set", index=index, ifname="gone")
        route.link("set", index=index, ifname="em0", state="up")
        route.addr("add", index=index, address="2001:db8::2", prefixlen=64)
        scene.await_master("a")
