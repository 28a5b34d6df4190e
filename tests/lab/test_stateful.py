"""Two routers with NAT and conntrackd, from the files in conf/examples/conntrackd: connections survive their master."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import pytest

from carptwist.lab.namespaces import LabError
from carptwist.lab.routers import SHARED, Routers, require_programs
from carptwist.lab.stateful import IN_SYNC, TAKES_OVER
from carptwist.lab.transfer import PIECE, Arrived, Transfer, piece
from tests.lab.support import SceneTestCase, drop_capabilities, environment

ROOT = Path(__file__).parents[2]
VERB = "import sys; from carptwist.tools.carptwist import main; sys.exit(main())"


def why_not() -> str | None:
    """Why there can be no such routers here; None where there can."""
    try:
        require_programs()
    except LabError as error:
        return str(error)
    return None


MISSING = why_not()


class ShippedTests(unittest.TestCase):
    def test_the_lab_has_what_the_example_has(self) -> None:
        """The files that the demo runs with, installed or not, are those of conf/examples/conntrackd."""
        example, packaged = (
            {path.name: (path.read_text(), os.access(path, os.X_OK)) for path in directory.iterdir()}
            for directory in (ROOT / "conf/examples/conntrackd", ROOT / "carptwist/lab/conntrackd")
        )
        self.assertEqual(example, packaged)
        self.assertTrue(example["carptwist-conntrackd.sh"][1])

    def test_missing_programs(self) -> None:
        """Without conntrackd and nft the demo says in one line what to install, and runs nothing."""
        with tempfile.TemporaryDirectory() as nothing, self.assertRaises(LabError) as raised:
            require_programs(nothing)
        self.assertEqual(
            str(raised.exception), "conntrackd and nft are not installed: apt-get install conntrackd nftables"
        )

    def test_the_script_wants_a_state(self) -> None:
        """Anything else is bad usage, and nothing is touched."""
        script = ROOT / "conf/examples/conntrackd/carptwist-conntrackd.sh"
        for words in ([], ["master"], ["1@em0", "MASTER"]):
            with self.subTest(words):
                done = subprocess.run([str(script), *words], capture_output=True, text=True)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn("MASTER|BACKUP|INIT", done.stderr)


class ArrivedTests(unittest.TestCase):
    """What tells a good transfer from a bad one."""

    def test_in_order(self) -> None:
        """Octets in order are taken, however they are cut."""
        stream = b"".join(piece(number) for number in range(4))
        self.assertEqual(stream[:24], bytes(7) + b"\0" + bytes(7) + b"\1" + bytes(7) + b"\2")
        for cut in (1, 7, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE):
            arrived = Arrived()
            for begin in range(0, len(stream), cut):
                self.assertTrue(arrived.take(stream[begin : begin + cut]))
            self.assertEqual(arrived.octets, len(stream))
            self.assertEqual(arrived.digest.digest(), hashlib.sha256(stream).digest())

    def test_anything_else(self) -> None:
        """A gap, a repetition, another order and a changed bit are noticed."""
        arrived = Arrived()
        self.assertTrue(arrived.take(piece(0)))
        changed = bytearray(piece(1))
        changed[-1] ^= 1
        for wrong in (piece(2), piece(0), piece(1)[1:], piece(1)[8:], bytes(changed)):
            self.assertFalse(arrived.take(wrong))
        self.assertEqual(arrived.octets, PIECE)


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
class StatefulTests(SceneTestCase):
    """a is preferred, and MASTER at first; a transfer runs from the server to the client."""

    def routers(self) -> Routers:
        routers = Routers(self.scene(shared=SHARED))
        for name in "ab":
            routers.start(name)
        routers.await_master("a")
        routers.scene.await_master("a")
        return routers

    def begin(self, routers: Routers) -> Transfer:
        transfer = routers.transfer()
        self.addCleanup(transfer.close)
        self.get_on(routers, transfer)
        if "b" in routers.conntrackds:
            # On a busy machine a may die before it has sent anything of this connection: then that is lost with it.
            routers.scene.wait(lambda: routers.known("b") > 0, "b knows of the transfer", limit=60)
        return transfer

    def get_on(self, routers: Routers, transfer: Transfer) -> None:
        before = transfer.received
        routers.scene.wait(
            lambda: transfer.broken or transfer.received > before + 500_000, "the transfer gets on", limit=60
        )

    def assert_in_sync_first(self, routers: Routers) -> None:
        """a has become MASTER only after its table was in sync."""
        before, found, _ = routers.scene.daemons["a"].text().partition(TAKES_OVER)
        self.assertTrue(found)
        self.assertIn(IN_SYNC, before)

    def test_a_transfer_outlives_the_master(self) -> None:
        """The power of a fails: what was under way goes on through b, complete and in order. a comes back with an empty
        table, and is MASTER again only when that is in sync; the transfer goes on through a."""
        routers = self.routers()
        transfer = self.begin(routers)
        began = time.time()
        routers.die("a")
        self.assertEqual(routers.connections("a"), 0)
        routers.await_master("b")
        self.get_on(routers, transfer)
        self.assertGreater(transfer.pause(began), 2.0)  # it was b's timeout, and not another way
        self.assertGreater(routers.connections("b"), 0)
        routers.boot("a")
        routers.await_master("a")
        self.assert_in_sync_first(routers)
        self.get_on(routers, transfer)
        outcome = transfer.finish()
        self.assertTrue(outcome.good, outcome)

    def test_a_host_without_conntrackd_is_not_preferred(self) -> None:
        """a comes back, but its conntrackd does not: b stays MASTER although a is there. When conntrackd runs at last,
        a has its table, and then the traffic."""
        routers = self.routers()
        transfer = self.begin(routers)
        routers.die("a")
        routers.await_master("b")
        routers.boot("a", conntrackd=False)
        scene = routers.scene
        scene.await_backup("a")
        a = scene.daemons["a"]
        heard = a.status()["vhids"][0]["received"]
        scene.wait(lambda: a.status()["vhids"][0]["received"] > heard + 4, "a has had its chance to preempt")
        self.assertEqual(a.status()["demotion"], 240)
        self.assertEqual(routers.states("a"), ("BACKUP", "BACKUP"))
        self.get_on(routers, transfer)
        routers.start_conntrackd("a")
        routers.await_master("a")
        self.assert_in_sync_first(routers)
        self.get_on(routers, transfer)
        outcome = transfer.finish()
        self.assertTrue(outcome.good, outcome)

    def test_a_transfer_outlives_the_daemon(self) -> None:
        """The daemon of a is killed, and a lives on: the transfer goes on through b at once, and nothing of it that a
        still knows does harm when a is back."""
        routers = self.routers()
        transfer = self.begin(routers)
        routers.scene.daemons["a"].kill()
        routers.await_master("b")
        self.get_on(routers, transfer)
        routers.scene.daemons["a"].start()
        routers.await_master("a")
        self.assert_in_sync_first(routers)
        self.get_on(routers, transfer)
        outcome = transfer.finish()
        self.assertTrue(outcome.good, outcome)

    def test_nobody_to_ask(self) -> None:
        """A host that comes up alone becomes MASTER all the same, and what it has counts as in sync."""
        routers = Routers(self.scene(shared=SHARED))
        routers.start("a")
        routers.await_master("a")
        a = routers.scene.daemons["a"]
        a.expect(f"carp: demoted by -240 to 0 {IN_SYNC}")
        transfer = self.begin(routers)
        self.assertTrue(transfer.finish().good)

    def test_demo(self) -> None:
        """``carptwist lab demo --stateful`` without root: all goes as it should, and its report says so."""
        done = subprocess.run(
            [sys.executable, "-c", VERB, "lab", "demo", "--stateful", "--json"],
            preexec_fn=drop_capabilities,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertTrue(report["good"])
        self.assertEqual(
            [(event["event"], event["master"]) for event in report["events"]],
            [
                ("a, the master, loses its power", "b"),
                ("a is back, its table empty", "a"),
                ("the daemon of a is killed", "b"),
                ("the daemon of a is started again", "a"),
            ],
        )
        for event in report["events"]:
            self.assertLess(event["before"], event["after"])
        self.assertEqual(report["transfer"]["sent_sha256"], report["transfer"]["received_sha256"])
        for words in ("the server sees 198.51.100.1", IN_SYNC):
            self.assertIn(words, done.stderr)
