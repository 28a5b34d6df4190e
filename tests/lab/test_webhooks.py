"""Webhooks of real daemons."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from carptwist.lab.children import Child
from carptwist.lab.scene import Scene
from tests.http.certificates import self_signed
from tests.lab.support import ALLOWED_SECONDS, SceneTestCase, configuration

#: Writes the body of each POST into a file, one on a line; with arguments it speaks TLS.
SERVER = """
import http.server, ssl, sys
class Told(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("told", "ab") as told:
            told.write(body + b"\\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8443), Told)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[1:])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class WebhookTests(SceneTestCase):
    """A server on the host itself."""

    def serve(self, scene: Scene, *files: str) -> Child:
        return scene.hosts["a"].run([sys.executable, "-c", SERVER, *files], log="server.log")

    def told(self, scene: Scene) -> list[dict[str, Any]]:
        path = scene.hosts["a"].directory / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def certificate(self, scene: Scene, name: str, *hosts: str) -> tuple[str, str]:
        pair = self_signed(*hosts)
        paths = []
        for kind, text in (("certificate", pair.certificate), ("key", pair.key)):
            path = Path(scene.hosts["a"].directory, f"{name}.{kind}")
            path.write_text(text)
            paths.append(str(path))
        return paths[0], paths[1]

    def test_everything_in_order_from_a_server_that_was_away(self) -> None:
        """What happened meanwhile comes later, up to the INIT of a daemon that is stopped; nobody waits for it."""
        scene = self.scene(1)
        a = scene.daemon("a", configuration(more="[webhook ops]\nurl = http://127.0.0.1:8443/carp\n"))
        scene.await_master("a")
        a.expect("carp: webhook ops: Connection was refused by other side")
        self.serve(scene)
        scene.wait(lambda: len(self.told(scene)) == 2, "the server was told of both changes")
        a.carpctl("demote", "10", "--owner", "test", "--reason", "because")
        scene.wait(lambda: len(self.told(scene)) == 3, "the server was told of the demotion")
        a.stop()
        told = self.told(scene)
        self.assertEqual([each["sequence"] for each in told], [1, 2, 3, 4])
        self.assertEqual(
            [(each["event"], each["state"], each["demotion"]) for each in told],
            [("state", "BACKUP", 0), ("state", "MASTER", 0), ("demotion", "", 10), ("state", "INIT", 10)],
        )
        self.assertEqual({each["subsystem"] for each in told if each["vhid"]}, {"1@em0"})

    def test_a_reload_exchanges_what_is_beside_the_vhids(self) -> None:
        """Webhooks, programs that synchronise, devd's pipe: live, and the vhids notice nothing of it. What an unchanged
        webhook has to tell stays, what a changed one has to tell goes where it says now."""
        scene = self.scene(1)
        directory = scene.hosts["a"].directory
        fast = {"advbase": 0, "advskew": 24}  # ten advertisements a second
        ops = "[webhook ops]\nurl = http://127.0.0.1:8443/ops\n"
        wrong = '[webhook moved]\nurl = http://127.0.0.1:8442/moved\nbody = {"moved": "$sequence"}\n'
        states = f"[sync states]\nunix = {directory}/sync.sock\nstartup = 3600\n"
        a = scene.daemon("a", configuration(**fast, more=ops + wrong + states))
        scene.await_master("a")
        self.assertEqual(a.status()["demotion"], 240)
        pipe = f"[devd]\nunix = {directory}/devd.pipe\n"
        right, elsewhere = wrong.replace("8442", "8443"), states.replace("sync.sock", "other.sock")
        a.configure(configuration(**fast, more=ops + right + elsewhere + pipe))
        began = time.time()
        told = a.carpctl("reload").splitlines()
        self.assertEqual(
            told, ["1@em0: unchanged", "[webhook]: moved changed", "[sync]: states changed", "[devd]: added"]
        )
        self.assertEqual(a.status()["demotion"], 240)
        self.assertTrue(Path(directory, "devd.pipe").is_socket())
        self.assertFalse(Path(directory, "sync.sock").exists())
        self.assertEqual(a.carpctl("sync", "done", "states"), "demotion: 0\n")
        self.serve(scene)
        scene.wait(lambda: len(self.told(scene)) == 8, "both webhooks have told of all four changes")
        everything = self.told(scene)
        self.assertEqual([each["moved"] for each in everything if "moved" in each], ["1", "2", "3", "4"])
        self.assertEqual([each["sequence"] for each in everything if "sequence" in each], [1, 2, 3, 4])
        a.configure(configuration(**fast))
        self.assertIn("[webhook]: ops removed, moved removed", a.carpctl("reload"))
        self.assertFalse(Path(directory, "devd.pipe").exists())
        self.assertFalse(Path(directory, "other.sock").exists())
        self.assertEqual(a.status()["vhids"][0]["transitions"], 2)
        heard = [each for each in scene.watcher.heard("a", 1, began) if each.family == 4]
        self.assertGreater(len(heard), 10)
        for former, later in pairwise(heard):
            self.assertLess(later.at - former.at, former.interval + ALLOWED_SECONDS + scene.uncertainty(later.at))

    def test_a_wrong_certificate_is_told_nothing(self) -> None:
        """A right one is."""
        scene = self.scene(1)
        wrong = self.certificate(scene, "wrong", "127.0.0.1")
        right = self.certificate(scene, "right", "127.0.0.1")
        server = self.serve(scene, *wrong)
        more = f"[webhook ops]\nurl = https://127.0.0.1:8443/carp\nca_file = {right[0]}\ntype = MASTER\n"
        a = scene.daemon("a", configuration(more=more))
        scene.await_master("a")
        a.expect("carp: webhook ops: TLS: certificate verify failed: trying again")
        self.assertEqual(self.told(scene), [])
        server.kill()
        self.serve(scene, *right)
        scene.wait(lambda: len(self.told(scene)) == 1, "the right server was told")
        self.assertEqual(self.told(scene)[0]["state"], "MASTER")

    def test_a_server_that_hangs_delays_neither_election_nor_end(self) -> None:
        """Beyond the seconds that the end grants it."""
        scene = self.scene()
        for name in ("a", "b"):
            listen = "import socket, time; s = socket.create_server(('127.0.0.1', 8443)); time.sleep(1000)"
            scene.hosts[name].run([sys.executable, "-c", listen], log="server.log")
        more = "[webhook ops]\nurl = http://127.0.0.1:8443/carp\n"
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100, more=more))
        began = time.time()
        scene.daemons["a"].child.signal(15)  # type: ignore[union-attr]
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        scene.daemons["a"].child.wait(limit=20)  # type: ignore[union-attr]
        self.assertIn("carp: webhook ops: not delivered before the end: 3", scene.daemons["a"].text())
