"""The control protocol over TLS, from another host, with certificates of ``carptwist certs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from carptwist.lab.scene import Scene
from tests.lab.support import SceneTestCase, configuration, environment
from tests.lab.test_carpctl import CARPCTL


class TlsTests(SceneTestCase):
    """A daemon at 192.0.2.2, port 8112, and a client that is another host."""

    def setUp(self) -> None:
        self.open = self.scene(1)
        self.directory = self.open.lab.directory / "tls"
        self.make(self.directory, "--server", "192.0.2.2,a.example", "--client", "alice")
        self.make(self.directory / "other", "--server", "192.0.2.2", "--client", "mallory")
        text = configuration(
            more="\n".join(
                [
                    "[control]",
                    f"unix = {self.open.hosts['a'].directory}/control.sock",
                    "tls = ssl:port=8112:interface=192.0.2.2",
                    f"certificate = {self.directory}/192.0.2.2.crt",
                    f"key = {self.directory}/192.0.2.2.key",
                    f"clients = {self.directory}/ca.crt",
                ]
            )
        )
        self.open.daemon("a", text)
        self.open.await_master("a")

    def make(self, directory: Path, *words: str) -> None:
        program = [sys.executable, "-m", "carptwist.tools.carptwist", "certs", str(directory)]
        subprocess.run([*program, *words], env=environment(), check=True, capture_output=True, timeout=60)

    def carpctl(self, *words: str, who: str = "alice", of: str = "", ca: str = "") -> tuple[int, str, str]:
        """Exit code, output and complaint of carpctl on the client, with somebody's certificate."""
        own = self.directory / of / who
        options = ["--certificate", f"{own}.crt", "--key", f"{own}.key", "--ca", f"{self.directory / ca}/ca.crt"]
        return self.run_on_client([*CARPCTL, "--socket", "ssl:192.0.2.2:8112", *options, *words])

    def run_on_client(self, argv: list[str], **options: Any) -> tuple[int, str, str]:
        child = self.open.client.run(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        out, complaint = child.process.communicate(timeout=60)
        return child.process.returncode, out.decode(errors="replace"), complaint.decode(errors="replace")

    def test_who_is_let_in_and_who_is_not(self) -> None:
        """A client of our CA is, and is named in the log with what it changes; nobody else is, and that is one line."""
        scene: Scene = self.open
        code, out, _ = self.carpctl("status")
        self.assertEqual(code, 0)
        self.assertIn("MASTER", out)
        self.assertEqual(self.carpctl("sysctl", "net.inet.carp.preempt=0")[0], 0)
        scene.daemons["a"].expect("carp: control: alice (certificate, from 192.0.2.254): sysctl")
        for _ in range(3):
            code, out, complaint = self.carpctl("status", who="mallory", of="other")
            self.assertEqual((code, out), (3, ""))
            self.assertEqual(len(complaint.splitlines()), 1, complaint)
            self.assertIn("no daemon lets us in at ssl:192.0.2.2:8112: it does not accept --certificate", complaint)
        self.assertEqual(scene.daemons["a"].text().count("was not let in"), 1)
        # A daemon of another CA is not believed, and its client gets no further.
        code, _, complaint = self.carpctl("status", ca="other")
        self.assertEqual(code, 3)
        self.assertIn("its certificate is not from the CA of --ca, or has expired", complaint)
        self.assertIn("certificate verify failed", complaint)
        code, _, complaint = self.run_on_client([*CARPCTL, "--socket", "tcp:192.0.2.2:8112", "status"])
        self.assertEqual(code, 3)
        self.assertIn("over TCP a daemon speaks TLS: write ssl:HOST:PORT", complaint)
        code, _, complaint = self.run_on_client([*CARPCTL, "--socket", "ssl:192.0.2.2:8112", "status"])
        self.assertEqual(code, 2)
        self.assertIn("--certificate, --key, --ca missing", complaint)
        self.assertTrue(scene.daemons["a"].status()["vhids"])

    def test_old_versions_are_refused(self) -> None:
        """TLS 1.1 is, 1.2 is not, as openssl(1) sees it."""
        own = self.directory / "alice"
        spoken = {}
        for version in ("-tls1_1", "-tls1_2", "-tls1_3"):
            argv = ["openssl", "s_client", "-connect", "192.0.2.2:8112", version, "-cipher", "DEFAULT@SECLEVEL=0"]
            argv += ["-cert", f"{own}.crt", "-key", f"{own}.key", "-CAfile", f"{self.directory}/ca.crt"]
            _, out, complaint = self.run_on_client(argv)
            spoken[version] = "Verify return code: 0" in out and "alert" not in complaint
            if version == "-tls1_1":
                self.assertIn("alert protocol version", complaint)
        self.assertEqual(spoken, {"-tls1_1": False, "-tls1_2": True, "-tls1_3": True})
