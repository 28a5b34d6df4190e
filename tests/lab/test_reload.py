"""A daemon that reads its configuration again: what a client and the other hosts notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.lab.support import (
    ALLOWED_SECONDS,
    PHRASE,
    USUAL_SECONDS,
    Scene,
    SceneTestCase,
    configuration,
    environment,
)

SECOND = "192.0.2.7"


def second(vhid: int = 2, *, advskew: int = 0, address: str = SECOND) -> str:
    """The section of another virtual host on em0."""
    return f"[vhid {vhid}@em0]\naddress = {address}/24\npass = {PHRASE}\nadvskew = {advskew}\n"


class ReloadTests(SceneTestCase):
    """With SIGHUP."""

    def reload(self, scene: Scene, name: str, text: str) -> None:
        """Give a daemon another file, and wait until it has done what that says."""
        daemon = scene.daemons[name]
        daemon.configure(text)
        done = daemon.text().count(" vhids unchanged")
        daemon.hang_up()
        scene.wait(lambda: daemon.text().count(" vhids unchanged") > done, f"{name} has reloaded")

    def assert_steady(self, scene: Scene, name: str, vhid: int, since: float) -> None:
        """No advertisement of a vhid was late, and none was without cause: nearly all came when they were due, none was
        left out, and there are not more of them than that makes."""
        for family in (4, 6):
            heard = [each for each in scene.watcher.heard(name, vhid, since) if each.family == family]
            self.assertGreater(len(heard), 10)
            off = []
            for former, later in pairwise(heard):
                late = scene.uncertainty(later.at)
                off.append(later.at - former.at - former.interval)
                self.assertLessEqual(off[-1], ALLOWED_SECONDS + late)
            self.assertLess(sum(abs(each) > USUAL_SECONDS for each in off), max(3, len(off) / 5), off)
            self.assertLessEqual(len(off), (heard[-1].at - heard[0].at + ALLOWED_SECONDS) / heard[0].interval)

    def test_a_hundred_reloads_in_a_row(self) -> None:
        """A vhid that is unchanged loses no packet and sends no advertisement late or early, while another one gets
        another advskew each time, and another address every tenth time."""
        scene = self.scene()
        first = {"advbase": 0, "advskew": 24}  # ten advertisements a second
        self.start_pair(
            scene,
            configuration(**first, more=second()),
            configuration(advbase=0, advskew=64, more=second(advskew=200)),
        )
        scene.await_master("a", 2)
        began = time.time()
        for number in range(100):
            address = SECOND if number // 10 % 2 else "192.0.2.8"
            self.reload(scene, "a", configuration(**first, more=second(advskew=number + 1, address=address)))
        ended = time.time()
        scene.wait(lambda: time.time() > ended + 2.5, "a few advertisements more")
        for address in scene.prober.addresses:
            self.assertEqual(scene.prober.lost(address, began, ended + 1), 0)
        self.assert_steady(scene, "a", 1, began)
        self.assertEqual(scene.daemons["a"].text().count("carp: 1@em0: "), 2)  # INIT -> BACKUP -> MASTER, as before
        last = scene.watcher.last("a", 2)
        assert last is not None
        self.assertEqual(last.advskew, 100)

    def test_a_bad_file_changes_nothing(self) -> None:
        """Not even the good part of it; every error is in the log, and no pass phrase."""
        scene = self.scene(1)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        before = daemon.status()
        daemon.configure(configuration(advskew=300, knobs=["dscp = 5"], more=second()).replace("[carp]", "[crap]"))
        daemon.hang_up()
        daemon.expect("carp: reload: refused, nothing is changed")
        self.assertIn("[vhid 1@em0] advskew = 300: must be 0 to 254", daemon.text())
        self.assertIn("[crap] is no section", daemon.text())
        self.assertNotIn(PHRASE, daemon.text())
        after = daemon.status()
        self.assertEqual([vhid["since"] for vhid in after["vhids"]], [vhid["since"] for vhid in before["vhids"]])
        self.assertEqual(after["sysctl"], before["sysctl"])
        # And it is not stuck: a good one is taken afterwards.
        self.reload(scene, "a", configuration(knobs=["dscp = 5"]))
        self.assertEqual(daemon.status()["sysctl"]["dscp"], 5)

    def test_a_file_that_cannot_be_read_to_its_end(self) -> None:
        """Nobody writes to the pipe that pass_file names, or the server of the file is gone: nothing waits, not
        even the end of the daemon. The MASTER bows out."""
        scene = self.scene(1)
        daemon = scene.daemon("a", configuration())
        scene.await_master("a")
        pipe = scene.hosts["a"].directory / "pipe"
        os.mkfifo(pipe)
        daemon.configure(configuration().replace(f"pass = {PHRASE}", f"pass_file = {pipe}"))
        daemon.hang_up()
        daemon.expect("carp: reload: SIGHUP")
        self.assertEqual(daemon.status()["vhids"][0]["state"], "MASTER")
        began = time.time()
        daemon.stop()
        self.assertLess(time.time() - began, 5.0)
        self.assertTrue(any(each.bows_out for each in scene.watcher.heard("a", 1, since=began)))
        self.assertNotIn("Traceback", daemon.text())

    def test_vhids_come_and_go(self) -> None:
        """A vhid that is removed bows out, and the other host takes over at once; one that is added takes part. With
        the last one of an interface its device and its sockets are gone as well."""
        scene = self.scene(shared={"192.0.2.1": 1, "2001:db8::1": 1, SECOND: 2}, pinged=["192.0.2.1"])
        self.start_pair(scene, b=configuration(advskew=100, more=second(advskew=100)))
        scene.await_master("b", 2)
        self.reload(scene, "a", configuration(more=second()))
        scene.await_master("a", 2)
        began = time.time()
        self.reload(scene, "a", configuration(vhid=2, addresses=[f"{SECOND}/24"]))
        scene.await_master("b", 1, since=began)
        self.assert_brief(scene, began)
        self.assertTrue(any(each.bows_out for each in scene.watcher.heard("a", 1, since=began)))
        self.assertEqual([vhid["vhid"] for vhid in scene.daemons["a"].status()["vhids"]], [2])

        sockets = self.packet_sockets(scene, "a")
        elsewhere = configuration(vhid=2, addresses=[f"{SECOND}/24"]).replace("@em0", "@em9")
        self.reload(scene, "a", elsewhere)
        scene.await_master("b", 2)
        self.assertEqual(scene.hosts["a"].interfaces(), ["lo", "em0"])
        self.assertGreater(sockets, 0)
        self.assertEqual(self.packet_sockets(scene, "a"), 0)
        self.reload(scene, "a", configuration())
        scene.await_master("a", 1)

    def test_an_address_moves(self) -> None:
        """From one vhid to another, and two vhids exchange theirs: nothing is left behind, both serve."""
        scene = self.scene(1, judged=False, pinged=["192.0.2.1"])
        first, other = [["192.0.2.1/24", "192.0.2.5/24"], ["192.0.2.7/24"]], [["192.0.2.1/24"], ["192.0.2.5/24"]]
        for plane in ("macvlan", "interface"):
            text = [
                "\n".join(
                    [
                        "[carp]",
                        *(
                            f"[vhid {vhid}@em0]\nplane = {plane}\npass = x\naddress =\n  " + "\n  ".join(addresses)
                            for vhid, addresses in enumerate(both, 1)
                        ),
                        "",
                    ]
                )
                for both in (first, other, other[::-1])
            ]
            daemon = scene.daemon("a", text[0])
            scene.await_master("a", 2)
            for wanted, expected in ((text[1], other), (text[2], other[::-1])):
                self.reload(scene, "a", wanted)
                self.assertNotIn("failed", daemon.text())
                self.await_both(scene)
                found = {vhid["vhid"]: vhid["addresses"] for vhid in daemon.status()["vhids"]}
                self.assertEqual(found, dict(enumerate(expected, 1)))
                scene.wait(lambda: scene.prober.flowing("192.0.2.1"), "the address answers")
            there = {str(address) for address in scene.hosts["a"].addresses()}
            self.assertEqual(there & {"192.0.2.1", "192.0.2.5", "192.0.2.7"}, {"192.0.2.1", "192.0.2.5"})
            daemon.stop()
            self.assertEqual(scene.leftovers(), [])

    def test_what_the_host_cannot_carry(self) -> None:
        """The vhid keeps its former settings, the others get theirs, and the log says what to do."""
        scene = self.scene(1, judged=False)
        text = configuration(more=second())
        daemon = scene.daemon("a", text)
        scene.await_master("a")
        scene.await_master("a", 2)
        # The host's own address cannot be shared.
        wrong = configuration(advskew=7, more=second(address="192.0.2.2", advskew=9))
        self.reload(scene, "a", wrong)
        self.assertRegex(daemon.text(), r"carp: reload: 2@em0: .*: failed: .*192\.0\.2\.2")
        status = {vhid["vhid"]: vhid for vhid in daemon.status()["vhids"]}
        self.assertEqual((status[1]["advskew"], status[1]["state"]), (7, "MASTER"))
        self.assertEqual((status[2]["addresses"], status[2]["state"]), ([f"{SECOND}/24"], "MASTER"))

    def test_carpctl(self) -> None:
        """Plans what it does, does what it planned, and tells a bad file and a failed step by its exit code."""
        scene = self.scene()
        self.start_pair(scene, more := configuration(more=second()), configuration(advskew=100))
        scene.await_master("a", 2)
        daemon, other = scene.daemons["a"], scene.daemons["b"]
        self.assertEqual(daemon.carpctl("reload").splitlines(), ["1@em0: unchanged", "2@em0: unchanged"])

        daemon.configure(configuration(advskew=150, knobs=["dscp = 5"], more=second(advskew=3)))
        planned = daemon.carpctl("plan")
        steps = ["[carp]: dscp 56 -> 5", "1@em0: advskew 0 -> 150", "2@em0: advskew 0 -> 3"]
        self.assertEqual(planned.splitlines()[:4], [*steps, ""])
        self.assertIn("1@em0: this host stays MASTER; own interval 1.000 s -> 1.586 s: a host with advbase 1", planned)
        self.assertEqual(daemon.status()["sysctl"]["dscp"], 56)
        (scene.lab.directory / "faster.ini").write_text(configuration(advskew=0, advbase=0))
        text = other.carpctl("plan", str(scene.lab.directory / "faster.ini"))
        self.assertIn("1@em0: this host becomes MASTER (master timed out)", text)

        began = time.time()
        self.assertEqual(daemon.carpctl("reload").splitlines(), steps)
        scene.await_master("b", since=began)  # as planned: advskew 100 is within 1 to 149
        self.assert_brief(scene, began)

        daemon.configure(more.replace("advskew = 0", "advskew = 300"))
        for verb in ("reload", "plan"):
            code, complaint = self.carpctl(scene, "a", verb)
            self.assertEqual(code, 2)
            self.assertIn("carp.ini:9: [vhid 1@em0] advskew = 300: must be 0 to 254", complaint)
        # The host's own address cannot be shared.
        daemon.configure(configuration(more=second(address="192.0.2.2")))
        code, complaint = self.carpctl(scene, "a", "reload", "--json")
        self.assertEqual((code, complaint), (1, "carpctl: 1 of 3 steps failed\n"))

    def test_changes_made_at_run_time(self) -> None:
        """Are told apart in the status, are written into the file with --save, with its comments, and are there after
        a start; those that were not saved are undone by a reload, without the vhid that was not changed noticing."""
        scene = self.scene(1)
        text = configuration(more="# the lab's own\n" + second())
        daemon = scene.daemon("a", text)
        scene.await_master("a")
        scene.await_master("a", 2)
        daemon.carpctl("ifconfig", "em0", "vhid", "2", "advskew", "9")
        daemon.carpctl("ifconfig", "em0", "add", "vhid", "3", "pass", PHRASE, "192.0.2.9/24")
        configured = {vhid["vhid"]: vhid["configured"] for vhid in daemon.status()["vhids"]}
        self.assertEqual(configured, {1: "file", 2: "changed", 3: "not in the configuration"})
        self.assertIn("3@em0 is not in the configuration", daemon.carpctl("status"))
        undone = " (a change made at run time is undone)"
        self.assertEqual(
            daemon.carpctl("reload").splitlines(),
            [f"3@em0: removed{undone}", "1@em0: unchanged", f"2@em0: advskew 9 -> 0{undone}"],
        )

        before = daemon.configuration.read_text()
        saved = daemon.carpctl("ifconfig", "--save", "em0", "vhid", "2", "advskew", "7")
        self.assertIn(f"{daemon.configuration}: 2@em0: advskew 0 -> 7", saved)
        self.assertEqual(daemon.configuration.read_text(), before.replace(second(), second(advskew=7)))
        self.assertEqual(daemon.configuration.stat().st_mode & 0o777, 0o600)
        self.assertIn("net.inet.carp.log: 1 -> 2", daemon.carpctl("sysctl", "--save", "net.inet.carp.log=2"))
        daemon.carpctl("ifconfig", "em0", "add", "vhid", "3", "pass", PHRASE, "192.0.2.9/24")
        self.assertIn("3@em0: added with 192.0.2.9/24", daemon.carpctl("save"))
        self.assertIn("nothing is to be written", daemon.carpctl("save"))
        self.assertNotIn("configuration", daemon.carpctl("status"))
        self.assertIn("# the lab's own\n", daemon.configuration.read_text())
        daemon.configuration.write_text(daemon.configuration.read_text().replace("advskew = 7", "advskew = 8"))
        code, complaint = self.carpctl(scene, "a", "ifconfig", "em0", "vhid", "2", "advskew", "5", "--save")
        self.assertEqual(code, 1)
        self.assertIn("done, but not saved: ", complaint)
        self.assertIn("was changed since it was read", complaint)

        daemon.stop()
        daemon.start()
        scene.await_master("a", 3)
        status = daemon.status()
        self.assertEqual([(vhid["vhid"], vhid["advskew"]) for vhid in status["vhids"]], [(1, 0), (2, 8), (3, 0)])
        self.assertEqual(status["sysctl"]["log"], 2)
        self.assertEqual(status["unsaved"], [])

    @staticmethod
    def carpctl(scene: Scene, name: str, *words: str) -> tuple[int, str]:
        """The exit code of carpctl, and what it says on stderr."""
        program = [sys.executable, "-m", "carptwist.tools.carpctl"]
        child = scene.hosts[name].run(
            [*program, "--socket", str(scene.daemons[name].control_socket), *words],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _, complaint = child.process.communicate(timeout=30)
        return child.process.returncode, complaint.decode()

    @staticmethod
    def await_both(scene: Scene) -> None:
        """Wait until both vhids of a are MASTER."""
        daemon = scene.daemons["a"]
        scene.wait(lambda: [vhid["state"] for vhid in daemon.status()["vhids"]] == ["MASTER", "MASTER"], "both serve")

    @staticmethod
    def packet_sockets(scene: Scene, name: str) -> int:
        """How many packet sockets there are on a host's interfaces. The guard's is on none, and hears nothing."""
        with scene.hosts[name].namespace:
            _, *sockets = Path("/proc/thread-self/net/packet").read_text().splitlines()
        return sum(line.split()[4] != "0" for line in sockets)  # sk, RefCnt, Type, Proto, Iface
