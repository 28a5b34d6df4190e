"""Services in programs that are not ours: one in each of two hosts, and two in one process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from carptwist.lab.children import Child
from carptwist.lab.host import Host
from tests.lab import asker as asker_program
from tests.lab import two_services
from tests.lab.support import environment, processes_with
from tests.lab.test_leftovers import belongings, settings
from tests.lab.twisted_support import Asker, TwistedTestCase

EXAMPLE = Path(__file__).parents[2] / "conf" / "examples" / "twisted" / "embedded.py"


class ExampleTests(TwistedTestCase):
    """The program of docs/embedding.md on two hosts."""

    def test_two_hosts_share_the_address_that_the_program_brings(self) -> None:
        """The one with the lower advskew serves; when it is ended the other one does, and nothing is left behind."""
        scene = self.scene()
        programs = {}
        for name, advskew in (("a", "0"), ("b", "100")):
            programs[name] = scene.hosts[name].run(
                [sys.executable, str(EXAMPLE), advskew],
                log="embedded.log",
                env={**environment(), "EMBEDDED_DIRECTORY": str(scene.hosts[name].directory)},
            )
            programs[name].expect("1@em0: INIT -> BACKUP")
        programs["a"].expect("1@em0: BACKUP -> MASTER")
        asker = Asker(scene)
        scene.wait(lambda: len(asker.answered()) > 3, "the client is served")
        began = time.time()
        programs["a"].stop()
        programs["b"].expect("1@em0: BACKUP -> MASTER")
        scene.wait(lambda: len(asker.answered(since=began + 0.5)) > 3, "the client is served again")
        self.assertNotIn("Traceback (most recent", programs["a"].text() + programs["b"].text())
        programs["b"].stop()
        self.assertEqual([each for each in scene.leftovers() if str(asker_program.__file__) not in each], [])


class TwoServicesTests(TwistedTestCase):
    """In one process."""

    def start(self) -> None:
        self.s = self.scene(1, shared={"192.0.2.1": 1, "192.0.2.61": 2}, pinged=["192.0.2.1", "192.0.2.61"])
        self.host: Host = self.s.hosts["a"]
        self.before = self.everything()
        self.program = self.run_program()

    def run_program(self) -> Child:
        return self.host.run(
            [sys.executable, str(two_services.__file__)],
            log="services.log",
            stdin=subprocess.PIPE,
            env=environment(),
        )

    def everything(self) -> object:
        return belongings(self.host)

    def file(self, name: str, vhid: int, address: str, *, directory: str = "") -> Path:
        """The configuration of a service, with a directory of its own."""
        own = self.host.directory / (directory or name)
        own.mkdir(exist_ok=True)
        path = self.host.directory / f"{name}.ini"
        path.write_text(
            f"[carp]\nstate_dir = {own}/state\n"
            f"[vhid {vhid}@em0]\naddress = {address}/24\npass = mekmitasdigoat\nadvbase = 0\nadvskew = 80\n"
            f"[control]\nunix = {own}/control.sock\n"
        )
        path.chmod(0o600)
        return path

    def order(self, words: str, answer: str, *, within: Child | None = None) -> str:
        """Tell the program something, and wait for its answer, which is returned whole."""
        program = within or self.program
        assert program.process.stdin is not None
        length = len(program.text())
        program.process.stdin.write(f"{words}\n".encode())
        program.process.stdin.flush()
        self.s.wait(lambda: f"\n{answer}" in f"\n{program.text()[length:]}", f"{words}: {answer}\n{program.tail()}")
        said = f"\n{program.text()[length:]}"
        return said[said.index(f"\n{answer}") + 1 :].partition("\n")[0]

    def serves(self, address: str, vhid: int) -> None:
        """Wait until an address answers, and its vhid is MASTER on the wire."""
        self.s.wait(
            lambda: self.s.watcher.master(vhid) == "a" and self.s.prober.flowing(address), f"{address} is served"
        )

    def end(self) -> None:
        """The input has ended."""
        assert self.program.process.stdin is not None
        self.program.process.stdin.close()
        self.assertEqual(self.program.wait(), 0)
        self.assertNotIn("Traceback (most recent", self.program.text())
        self.assertEqual(self.everything(), self.before)

    def test_each_leaves_the_other_alone(self) -> None:
        """One is started, stopped and started again while the other one serves: that one's address is never away, its
        device, guard and settings are there throughout; after the last one's end everything is as it was."""
        self.start()
        one = self.file("one", 1, "192.0.2.1")
        two = self.file("two", 2, "192.0.2.61")
        self.order(f"start one {one}", "started one")
        self.serves("192.0.2.1", 1)
        since = time.time()
        changed = settings(self.host)
        guards = self.guards("one")
        self.assertEqual(len(guards), 1)
        for _ in range(2):
            self.order(f"start two {two}", "started two")
            self.serves("192.0.2.61", 2)
            self.assertIn("carp2-1", self.host.interfaces())
            self.order("stop two", "stopped two")
            self.assertNotIn("carp2-2", self.host.interfaces())
            self.assertEqual(settings(self.host), changed)
            self.assertEqual((self.guards("one"), self.guards("two")), (guards, []))
        self.assert_never_away("192.0.2.1", since)
        # The other way round: who had made the settings goes first.
        self.order(f"start two {two}", "started two")
        self.serves("192.0.2.61", 2)
        since = time.time()
        self.order("stop one", "stopped one")
        self.assertEqual(settings(self.host), changed)
        self.assertNotIn("carp2-1", self.host.interfaces())
        self.s.wait(lambda: time.time() > since + 1.5, "its addresses would have expired by now")
        self.assert_never_away("192.0.2.61", since)
        self.assertNotIn("removed what a former daemon", self.program.text())
        self.end()

    def guards(self, name: str) -> list[str]:
        """The command lines of the guards of a service."""
        return processes_with(f"{self.host.directory}/{name}/state/guard-")

    def assert_never_away(self, address: str, since: float) -> None:
        outage = self.s.outage(address, since)
        self.assertTrue(outage is None or outage.seconds < 0.1, str(outage))

    def test_no_two_have_the_same(self) -> None:
        """A vhid, an address, a state_dir, a socket: the second service does not start, and says which; a reload does
        not get them either. Nothing of the first one changes."""
        self.start()
        self.order(f"start one {self.file('one', 1, '192.0.2.1')}", "started one")
        self.serves("192.0.2.1", 1)
        since = time.time()
        for file, what in (
            (self.file("vhid", 1, "192.0.2.61"), "1@em0"),
            (self.file("address", 2, "192.0.2.1"), "192.0.2.1"),
            (self.file("place", 2, "192.0.2.61", directory="one"), f"state_dir {self.host.directory}/one/state"),
        ):
            said = self.order(f"start two {file}", "failed two")
            self.assertIn("another CarpService of this process has", said)
            self.assertIn(what, said)
        self.assertIn(f"socket {self.host.directory}/one/control.sock", said)
        # What it would be put back by after a crash has not gone with those that failed.
        self.assertEqual(len(list((self.host.directory / "one" / "state").glob("sysctls-*.json"))), 1)
        self.order(f"start two {self.file('two', 2, '192.0.2.61')}", "started two")
        self.serves("192.0.2.61", 2)
        self.file("two", 1, "192.0.2.61")
        said = self.order("reload two", "reloaded two")
        self.assertIn("1@em0: added with 192.0.2.61/24: failed: another CarpService of this process has 1@em0", said)
        self.file("two", 2, "192.0.2.61")
        self.order("reload two", "reloaded two")
        self.serves("192.0.2.61", 2)
        self.assert_never_away("192.0.2.1", since)
        self.end()

    def test_after_a_crash(self) -> None:
        """The first service that is started removes what both had left, and the second one what the first one made is
        not taken for that; in whichever order they are started, everything is put back at the end."""
        self.start()
        one, two = self.file("one", 1, "192.0.2.1"), self.file("two", 2, "192.0.2.61")
        self.order(f"start one {one}", "started one")
        self.order(f"start two {two}", "started two")
        self.serves("192.0.2.1", 1)
        self.serves("192.0.2.61", 2)
        self.program.kill()
        self.program = self.run_program()
        self.order(f"start two {two}", "started two")
        self.assertIn("removed what a former daemon had left behind", self.program.text())
        self.serves("192.0.2.61", 2)
        since = time.time()
        self.order(f"start one {one}", "started one")
        self.serves("192.0.2.1", 1)
        self.assert_never_away("192.0.2.61", since)
        other = self.run_program()
        said = self.order(f"start three {self.file('three', 3, '192.0.2.71')}", "failed three", within=other)
        self.assertIn(f"another carptwist daemon runs on this host (process {self.program.pid})", said)
        self.end()
