"""Checks of real daemons: what fails moves the address, and what hangs or floods does nobody any harm."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from carptwist.lab.scene import SHARED4, Scene
from tests.lab.support import ALLOWED_SECONDS, SceneTestCase, configuration, processes_with

#: A server whose answer is in the file `answer` of its directory, unless that is to hang, to flood or to come and go.
_SERVER = """
import pathlib, socketserver, time
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    asked = 0
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        answer = pathlib.Path("answer").read_bytes()
        if answer == b"alternate":
            self.server.asked += 1
            pathlib.Path("asked").write_text(str(self.server.asked))
            answer = b"503 No" if self.server.asked % 2 else b"200 OK"
        if answer == b"hang":
            time.sleep(1000)
        while answer == b"flood":
            self.request.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 1000)
        self.request.sendall(b"HTTP/1.1 %s\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n" % answer)
Server(("127.0.0.1", 8000), Answer).serve_forever()
"""

INTERVAL, TIMEOUT, RISE, FALL = 1, 1, 2, 2


def check(name: str, *lines: str) -> str:
    return "\n".join([f"[check {name}]", f"interval = {INTERVAL}", f"fall = {FALL}", f"rise = {RISE}", *lines, ""])


WEB = check("web", "url = http://127.0.0.1:8000/healthz", "demote = 150")


class CheckCase(SceneTestCase):
    """a is preferred to b by 100, and demoted by more than that while its check fails."""

    def pair(self, more: str) -> Scene:
        scene = self.scene()
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100))
        return scene

    def assert_within_bound(self, scene: Scene, host: str, began: float) -> None:
        """The address has moved within fall x interval + 1 s of what happened."""
        self.assert_spoken(scene, host, began, FALL * INTERVAL + 1)

    def assert_spoken(self, scene: Scene, host: str, began: float, limit: float) -> None:
        """A host has become MASTER within ``limit`` seconds of a moment, and serves now."""
        scene.await_master(host, since=began)
        first = next(each.at for each in scene.watcher.heard(host, since=began) if not each.bows_out)
        self.assertLess(first - began, limit + ALLOWED_SECONDS + scene.uncertainty(first))

    def settle(self, scene: Scene) -> None:
        """Wait until b is forgotten: the lab's rules take whoever speaks after a better master for a usurper."""
        scene.await_backup("b")
        time.sleep(3.5)

    def assert_calm(self, scene: Scene, host: str, seconds: float) -> None:
        """A host's vhid changes no state for so long."""
        before = scene.daemons[host].status()["vhids"][0]["transitions"]
        time.sleep(seconds)
        self.assertEqual(scene.daemons[host].status()["vhids"][0]["transitions"], before)


class WebTests(CheckCase):
    """A service behind a's address."""

    def served(self, more: str = WEB) -> tuple[Scene, Path]:
        scene = self.scene()
        a = scene.hosts["a"]
        answer = a.directory / "answer"
        answer.write_text("200 OK")
        a.run([sys.executable, "-c", _SERVER], log="server.log")
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100))
        return scene, answer

    def test_a_service_that_fails_moves_the_address(self) -> None:
        """In time; one that recovers gets it back when it has been well for a while, and it does not flap."""
        scene, answer = self.served()
        a = scene.daemons["a"]
        self.assertEqual(a.status()["checks"][0]["state"], "passing")
        began = time.time()
        answer.write_text("503 Service Unavailable")
        self.assert_within_bound(scene, "b", began)
        a.expect("carp: check web: failing: HTTP 503 (2 times in a row)")
        a.expect("carp: demoted by 150 to 150 (check web: HTTP 503)")
        status = a.status()
        self.assertEqual(status["ledger"][0]["owner"], "check web")
        self.assertEqual((status["checks"][0]["state"], status["checks"][0]["result"]), ("failing", "HTTP 503"))
        self.assert_brief(scene, began)
        # Well only now and then: that is not well.
        transitions = a.status()["vhids"][0]["transitions"]
        answer.write_text("alternate")
        asked = answer.with_name("asked")
        scene.wait(lambda: asked.exists() and asked.read_text() >= "6", "looks, good and bad ones in turn")
        answer.write_text("503 Service Unavailable")
        self.assertEqual(a.status()["vhids"][0]["transitions"], transitions)
        recovered = time.time()
        answer.write_text("200 OK")
        self.assert_spoken(scene, "a", recovered, RISE * INTERVAL + 1)
        self.assert_calm(scene, "a", 3)

    def test_a_service_that_hangs_or_floods_moves_the_address(self) -> None:
        """As one that says that it fails does."""
        scene, answer = self.served()
        for trouble in ("hang", "flood"):
            began = time.time()
            answer.write_text(trouble)
            self.assert_within_bound(scene, "b", began)
            recovered = time.time()
            answer.write_text("200 OK")
            scene.await_master("a", since=recovered)
            self.settle(scene)
        scene.daemons["a"].expect("carp: check web: failing: no answer within 0.9 s (2 times in a row)")

    def test_a_host_that_starts_with_a_failing_service_does_not_preempt(self) -> None:
        """It is demoted until it knows better."""
        scene = self.scene()
        scene.daemon("b", configuration(advskew=100))
        scene.await_master("b")
        began = time.time()
        a = scene.daemon("a", configuration(advskew=0, more=WEB))
        a.expect("carp: demoted by 150 to 150 (check web: no result yet)")
        a.expect("carp: check web: failing: Connection was refused")
        scene.wait(lambda: a.status()["vhids"][0]["received"] > 3, "a has heard b, and leaves it be")
        self.assertEqual(a.status()["vhids"][0]["transitions"], 1)  # INIT -> BACKUP
        self.assertIsNone(scene.outage(SHARED4, began))


class OtherTests(CheckCase):
    """What else can be looked at."""

    def test_a_command_that_hangs_is_killed_with_its_children(self) -> None:
        """The address moves; the others of the checks are looked at in time."""
        token = f"carptwist-child-{time.monotonic_ns()}"
        scene = self.scene()
        directory = scene.hosts["a"].directory
        trouble = directory / "trouble"
        probe = directory / "probe.sh"
        probe.write_text(f"#!/bin/sh\ntest -e {trouble} || exit 0\nsh -c 'sleep 1000; : {token}' &\nsleep 1000\n")
        probe.chmod(0o700)
        more = check("probe", f"command = {probe}", "demote = 150") + check("well", "command = /bin/true")
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100))
        began = time.time()
        trouble.touch()
        self.assert_within_bound(scene, "b", began)
        a = scene.daemons["a"]
        a.expect("carp: check probe: failing: no answer within 0.9 s (2 times in a row)")
        # Never more of them than belong to one run, which lives for a second.
        self.assertLessEqual(len(processes_with(token)), 1)
        self.assertEqual([each["state"] for each in a.status()["checks"]], ["failing", "passing"])
        trouble.unlink()
        scene.await_master("a")
        scene.wait(lambda: not processes_with(token), "all that was started is gone")

    def test_a_file_that_says_otherwise_moves_the_address(self) -> None:
        """And one that is not there."""
        scene = self.scene()
        ready = scene.hosts["a"].directory / "ready"
        ready.write_text("ready\n")
        more = check("ready", f"file = {ready}", "content = ^ready", "demote = 150")
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100))
        for trouble in (lambda: ready.write_text("not yet\n"), ready.unlink):
            began = time.time()
            trouble()
            self.assert_within_bound(scene, "b", began)
            ready.write_text("ready\n")
            scene.await_master("a")
            self.settle(scene)

    def test_an_address_that_is_gone_moves_the_shared_one(self) -> None:
        """An interface that has a link may lack what it is there for."""
        scene = self.scene()
        a = scene.hosts["a"]
        a.run(["ip", "address", "add", "10.9.9.9/32", "dev", "lo"]).wait()
        more = check("inside", "interface = lo", "address = 10.9.9.9", "demote = 150")
        self.start_pair(scene, configuration(advskew=0, more=more), configuration(advskew=100))
        self.assertNotIn("failing", scene.daemons["a"].text())
        began = time.time()
        a.run(["ip", "address", "del", "10.9.9.9/32", "dev", "lo"]).wait()
        self.assert_within_bound(scene, "b", began)
        scene.daemons["a"].expect("carp: check inside: failing: lo does not have 10.9.9.9 (2 times in a row)")

    def test_a_reload_exchanges_checks(self) -> None:
        """While the daemon runs: what fails is forgotten when it is not asked for any more."""
        scene = self.scene()
        self.start_pair(scene, configuration(advskew=0), configuration(advskew=100))
        a = scene.daemons["a"]
        failing = check("gone", f"file = {scene.hosts['a'].directory}/gone", "demote = 150")
        a.configure(configuration(advskew=0, more=failing))
        began = time.time()
        self.assertIn("[check]: gone added", a.carpctl("reload"))
        scene.await_master("b", since=began)
        a.configure(configuration(advskew=0))
        self.assertIn("[check]: gone removed", a.carpctl("reload"))
        scene.await_master("a")
        self.assertEqual(a.status()["checks"], [])
