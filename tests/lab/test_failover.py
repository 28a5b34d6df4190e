"""Two real daemons on a real LAN: what a client notices when one of them is cut off, stopped, killed or isolated.

At the end of each test the rules of :mod:`carptwist.lab.rules` are held against all that was on the wire.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from carptwist.lab.lan import Partition
from tests.lab.support import USUAL_SECONDS, Scene, SceneTestCase, configuration, drop_capabilities, environment


class CrashTests(SceneTestCase):
    def crash_again_and_again(self, scene: Scene, times: int, *, advbase: int, advskew: int) -> None:
        """The preferred host dies, is replaced in time, and comes back."""
        excess = []
        for _ in range(times):
            began = time.time()
            self.crash(scene, "a")
            scene.await_master("b", since=began)
            excess += self.assert_timely(scene, gone="a", since=began, advbase=advbase, advskew=advskew)
            self.assert_caches(scene)
            back = time.time()
            self.recover(scene, "a")
            scene.await_master("a", since=back)
            self.await_backup(scene, "b")
        self.assertLessEqual(median(excess), USUAL_SECONDS, excess)

    def test_crash(self) -> None:
        """A master that is killed and cut off is replaced after 3 x advbase + advskew/256 s, counted from its last
        advertisement, and at most 50 ms later, as a rule, the addresses answer. What it has left behind is removed when
        it is started again."""
        scene = self.scene()
        self.start_pair(scene)
        self.crash_again_and_again(scene, 3, advbase=1, advskew=100)

    def test_fast_crash(self) -> None:
        """The same with advbase 0, ten times of ten."""
        scene = self.scene()
        self.start_pair(scene, configuration(advbase=0, advskew=24), configuration(advbase=0, advskew=64))
        self.crash_again_and_again(scene, 10, advbase=0, advskew=64)

    def test_backup_crash(self) -> None:
        """That a backup dies is not noticed by a client."""
        scene = self.scene()
        self.start_pair(scene)
        began = time.time()
        self.crash(scene, "b")
        scene.await_master("a", since=began + 2)
        self.assert_brief(scene, began)


class OrderlyTests(SceneTestCase):
    def test_stop(self) -> None:
        """A master that is stopped bows out and is replaced at once; when it is back it takes over again at once."""
        scene = self.scene()
        self.start_pair(scene)
        for _ in range(3):
            began = time.time()
            scene.daemons["a"].stop()
            scene.await_master("b", since=began)
            self.assert_brief(scene, began)
            self.assertTrue(any(each.bows_out for each in scene.watcher.heard("a", since=began)))
            self.assert_caches(scene)
            back = time.time()
            scene.daemons["a"].start()
            scene.await_master("a", since=back)
            self.assert_brief(scene, back)
            self.await_backup(scene, "b")

    def test_nothing_is_left(self) -> None:
        """After an orderly end there is nothing on the hosts but what was there before."""
        scene = self.scene()
        before = {name: self.everything(scene, name) for name in "ab"}
        self.start_pair(scene)
        self.assertNotEqual(self.everything(scene, "a"), before["a"])
        for name in "ab":
            scene.daemons[name].stop()
        self.assertEqual(scene.leftovers(), [])
        for name in "ab":
            self.assertEqual(self.everything(scene, name), before[name])

    def test_nothing_is_left_after_a_crash(self) -> None:
        """What a killed daemon leaves behind is gone after the next one's orderly end."""
        scene = self.scene()
        before = self.everything(scene, "a")
        self.start_pair(scene)
        scene.daemons["a"].kill()
        self.assertNotEqual(self.everything(scene, "a"), before)
        began = time.time()
        scene.daemons["a"].start()
        scene.await_master("a", since=began)
        scene.daemons["a"].stop()
        self.assertEqual(self.everything(scene, "a"), before)

    @staticmethod
    def everything(scene: Scene, name: str) -> dict[str, object]:
        """All on a host that a daemon might change."""
        host = scene.hosts[name]
        route = host.namespace.route
        return {
            "interfaces": host.interfaces(),
            "addresses": sorted(map(str, host.addresses())),
            "rules": sorted(
                (rule["family"], rule.get("priority", 0), rule["table"])
                for each in (2, 10)
                for rule in route.get_rules(each)
            ),
            "routes": sorted(
                (entry["family"], entry.get("table"), str(entry.get("dst")), entry["type"])
                for each in (2, 10)
                for entry in route.get_routes(each)
                # Routes to neighbours come and go with their use.
                if not entry["flags"] & 0x200
            ),
            "sysctls": {
                f"{family}.{interface}.{key}": host.namespace.sysctl(f"{family}.conf.{interface}.{key}")
                for interface in ("all", "default", "em0")
                for family, keys in (
                    ("ipv4", ("arp_ignore", "arp_announce", "rp_filter", "arp_filter", "accept_local", "arp_notify")),
                    ("ipv6", ("accept_dad", "keep_addr_on_down", "disable_ipv6", "accept_ra", "forwarding")),
                )
                for key in keys
            },
        }


class LinkTests(SceneTestCase):
    def test_cut_and_heal(self) -> None:
        """A master whose link is cut is replaced in time and, where it is preferred, takes over when it is healed,
        without an outage; the other one gives way."""
        scene = self.scene()
        self.start_pair(scene)
        began = time.time()
        scene.lan.cut(scene.hosts["a"])
        scene.daemons["a"].expect("1@em0: MASTER -> INIT")
        scene.await_master("b", since=began)
        self.assert_timely(scene, gone="a", since=began)
        healed = time.time()
        scene.lan.heal(scene.hosts["a"])
        scene.await_master("a", since=healed)
        self.assert_brief(scene, healed)
        self.await_backup(scene, "b")
        self.assert_caches(scene)

    def test_without_preempt(self) -> None:
        """Without preempt whoever is master stays master."""
        scene = self.scene()
        self.start_pair(scene, configuration(preempt=False), configuration(advskew=100, preempt=False))
        scene.lan.cut(scene.hosts["a"])
        began = time.time()
        scene.await_master("b", since=began)
        scene.lan.heal(scene.hosts["a"])
        self.await_backup(scene, "a")
        settled = time.time()
        scene.await_master("b", since=settled + 3)
        self.assertEqual(scene.watcher.heard("a", since=settled), [])

    def test_backup_cut(self) -> None:
        """A backup whose link is cut and healed is noticed by nobody."""
        scene = self.scene()
        self.start_pair(scene)
        began = time.time()
        scene.lan.cut(scene.hosts["b"])
        scene.daemons["b"].expect("1@em0: BACKUP -> INIT")
        scene.await_master("a", since=began + 2)
        scene.lan.heal(scene.hosts["b"])
        self.await_backup(scene, "b")
        self.assert_brief(scene, began)
        self.assertEqual(scene.watcher.heard("b"), [])


class PartitionTests(SceneTestCase):
    def heals(self, partitioned: str, partition: Partition) -> None:
        """However a host was isolated: afterwards the preferred one is master, the other one is not, clients are
        served, and each has what it should have."""
        scene = self.scene()
        self.start_pair(scene)
        began = time.time()
        scene.lan.isolate(scene.hosts[partitioned], partition)
        scene.wait(lambda: scene.logged_state("b") == "MASTER", "b believes that a has died")
        self.assertEqual(scene.logged_state("a"), "MASTER")
        time.sleep(0.5)
        healed = time.time()
        scene.lan.heal(scene.hosts[partitioned])
        scene.wait(lambda: scene.logged_state("b") == "BACKUP", "b has heard a")
        scene.await_master("a", since=healed)
        self.await_backup(scene, "b")
        self.assertEqual(scene.logged_state("a"), "MASTER")
        self.assert_caches(scene)
        self.assertGreater(healed, began)

    def test_isolated_master(self) -> None:
        """A switch drops everything of the master, whose link stays up: there are two masters, until it is over."""
        self.heals("a", Partition.BOTH)

    def test_mute_master(self) -> None:
        """The master hears the backup, which hears nothing."""
        self.heals("a", Partition.MUTE)

    def test_deaf_backup(self) -> None:
        """The backup hears nothing, and is heard."""
        self.heals("b", Partition.DEAF)

    def test_deaf_master(self) -> None:
        """A master that hears nothing is heard: nothing changes."""
        scene = self.scene()
        self.start_pair(scene)
        scene.lan.isolate(scene.hosts["a"], Partition.DEAF)
        time.sleep(4)
        scene.lan.heal(scene.hosts["a"])
        scene.await_master("a")
        self.assertEqual((scene.logged_state("a"), scene.logged_state("b")), ("MASTER", "BACKUP"))


class StatusTests(SceneTestCase):
    def test_status(self) -> None:
        """Both daemons tell the same as the wire does."""
        scene = self.scene()
        self.start_pair(scene)
        (mine,) = scene.daemons["a"].status()["vhids"]
        (other,) = scene.daemons["b"].status()["vhids"]
        self.assertEqual((mine["vhid"], mine["interface"], mine["state"]), (1, "em0", "MASTER"))
        self.assertEqual((other["vhid"], other["interface"], other["state"]), (1, "em0", "BACKUP"))
        self.assertEqual(other["virtual_mac"], "00:00:5e:00:01:01")
        self.assertEqual((other["master"]["advbase"], other["master"]["advskew"]), (1, 0))


class DemoTests(SceneTestCase):
    def test_demo(self) -> None:
        """``carptwist lab demo`` without root: all goes as it should, and its report says so."""
        verb = "import sys; from carptwist.tools.carptwist import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", verb, "lab", "demo", "--json"],
            preexec_fn=drop_capabilities,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        report = json.loads(done.stdout)
        self.assertTrue(report["good"])
        self.assertLess(report["seconds"], 90)
        self.assertEqual(
            [(event["event"], event["master"]) for event in report["events"]],
            [
                ("the link of a is cut", "b"),
                ("the link of a is healed", "a"),
                ("a is stopped in good order", "b"),
                ("a is started again", "a"),
                ("b, the backup, is killed and cut off", "a"),
                ("a, the master, is killed and cut off", "b"),
                ("a is started again and healed", "a"),
            ],
        )
        for event in report["events"]:
            self.assertEqual([each["address"] for each in event["measurements"]], ["192.0.2.1", "2001:db8::1"])
        for words in ("a bows out of vhid 1", "BACKUP -> MASTER (master timed out)", "192.0.2.1 is silent"):
            self.assertIn(words, done.stderr)
