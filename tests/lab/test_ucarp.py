"""Real daemons against ucarp, in both roles."""

from __future__ import annotations

import shutil
import time
import unittest

import pytest

from carptwist.lab.children import Child
from carptwist.lab.scene import SHARED4, Scene
from tests.lab.support import ALLOWED_SECONDS, PHRASE, SceneTestCase, configuration

#: Debian puts it where not everybody's PATH leads.
UCARP = shutil.which("ucarp") or shutil.which("ucarp", path="/usr/sbin:/usr/local/sbin")


def of_one_family(*, advskew: int, phrase: str = PHRASE, log: int = 1, more: str = "") -> str:
    """A configuration that ucarp can be a peer of: one IPv4 address."""
    addresses = [f"{SHARED4}/24"]
    return configuration(advskew=advskew, addresses=addresses, phrase=phrase, knobs=[f"log = {log}"], more=more)


class Ucarp:
    """ucarp in a host of a scene, with scripts that put the address on its interface."""

    def __init__(self, scene: Scene, name: str, *, advskew: int, phrase: str = PHRASE) -> None:
        assert UCARP is not None
        host = self.host = scene.hosts[name]
        own = f"192.0.2.{host.number + 1}"
        for script, command in (("up", "add"), ("down", "del")):
            path = host.directory / f"{script}.sh"
            path.write_text(f"#!/bin/sh\nexec ip address {command} {SHARED4}/24 dev em0\n")
            path.chmod(0o700)
        self.argv = [
            UCARP,
            *("--interface=em0", f"--srcip={own}", f"--addr={SHARED4}", "--vhid=1", f"--pass={phrase}"),
            *("--advbase=1", f"--advskew={advskew}", "--preempt", "--shutdown"),
            *(f"--upscript={host.directory}/up.sh", f"--downscript={host.directory}/down.sh"),
        ]
        self.child: Child | None = None

    def start(self) -> None:
        self.child = self.host.run(self.argv, log="ucarp.log")

    def expect(self, state: str) -> None:
        """Wait until it says that it switches to a state."""
        assert self.child is not None
        self.child.expect(f"Switching to state: {state}")

    def die(self, scene: Scene) -> None:
        """Without a word, its address gone with it."""
        assert self.child is not None
        self.child.kill()
        scene.lan.cut(self.host)
        scene.lab.hosts[self.host.name].run([str(self.host.directory / "down.sh")]).stop()


@pytest.mark.lab
@unittest.skipIf(UCARP is None, "ucarp is not installed")
class UcarpTests(SceneTestCase):
    """One shared IPv4 address. ucarp ties it to its own MAC, which is its way; it is not judged."""

    def mixed(self) -> Scene:
        return self.scene(judged=False, shared={SHARED4: 1})

    def answers(self, scene: Scene, since: float) -> None:
        scene.wait(lambda: scene.prober.answered(SHARED4, since), f"{SHARED4} answers")

    def test_a_ucarp_backup_takes_over_and_gives_back(self) -> None:
        """carptwist is MASTER and dies; ucarp has the address; carptwist comes back, preempts, and ucarp yields."""
        scene = self.mixed()
        daemon = scene.daemon("a", of_one_family(advskew=0))
        scene.await_master("a")
        ucarp = Ucarp(scene, "b", advskew=100)
        ucarp.start()
        ucarp.expect("BACKUP")
        self.crash(scene, "a")
        ucarp.expect("MASTER")
        self.answers(scene, time.time())
        scene.lan.heal(scene.hosts["a"])
        daemon.start()
        daemon.expect("BACKUP -> MASTER (preempting a slower master)")
        scene.await_master("a")
        peers = daemon.status()["vhids"][0]["peers"]
        self.assertEqual([(peer["source"], peer["implementation"]) for peer in peers], [("192.0.2.3", "ucarp")])
        scene.wait(lambda: SHARED4 not in map(str, ucarp.host.addresses()), "ucarp has given the address back")
        self.assertEqual(daemon.status()["stats"]["badauth"], 0)

    def test_carptwist_takes_over_from_ucarp_and_gives_back(self) -> None:
        """ucarp is MASTER and dies; carptwist has the address in time; ucarp comes back, and carptwist yields."""
        scene = self.mixed()
        ucarp = Ucarp(scene, "b", advskew=0)
        ucarp.start()
        ucarp.expect("MASTER")
        daemon = scene.daemon("a", of_one_family(advskew=100))
        self.await_backup(scene, "a")
        began = time.time()
        ucarp.die(scene)
        scene.await_master("a", since=began)
        last = scene.watcher.last("b")
        first = next(each for each in scene.watcher.heard("a", since=began))
        assert last is not None
        self.assertGreaterEqual(first.at - last.at, 3 + 100 / 256)
        self.assertLess(first.at - last.at, 3 + 100 / 256 + ALLOWED_SECONDS + scene.uncertainty(first.at))
        self.assert_caches(scene)
        scene.lan.heal(scene.hosts["b"])
        ucarp.start()
        ucarp.expect("MASTER")
        daemon.expect("MASTER -> BACKUP (more frequent advertisement received)")
        scene.wait(lambda: "carp2-1" in scene.hosts["a"].interfaces(), "the device is prepared for the next time")
        self.answers(scene, time.time())

    def test_in_its_own_dialect_and_manner(self) -> None:
        """dialect = ucarp, plane = interface: ucarp's link source, and the interface's MAC for the address."""
        scene = self.mixed()
        host = scene.hosts["a"]
        daemon = scene.daemon("a", of_one_family(advskew=0, more="dialect = ucarp\nplane = interface"))
        scene.await_master("a")
        self.assertEqual(host.interfaces(), ["lo", "em0"])
        ucarp = Ucarp(scene, "b", advskew=100)
        ucarp.start()
        ucarp.expect("BACKUP")
        self.crash(scene, "a")
        ucarp.expect("MASTER")
        self.answers(scene, time.time())
        scene.lan.heal(host)
        daemon.start()
        # The address itself has expired by then.
        daemon.expect("removed what a former daemon had left behind")
        daemon.expect("BACKUP -> MASTER (preempting a slower master)")
        ucarp.expect("BACKUP")
        scene.await_master("a")
        daemon.stop()
        self.assertNotIn(SHARED4, map(str, host.addresses()))

    def test_an_orderly_stop_is_understood_by_ucarp(self) -> None:
        """Our bow-out makes it take over at once."""
        scene = self.mixed()
        daemon = scene.daemon("a", of_one_family(advskew=0))
        scene.await_master("a")
        ucarp = Ucarp(scene, "b", advskew=100)
        ucarp.start()
        ucarp.expect("BACKUP")
        scene.wait(lambda: len(scene.watcher.heard("a")) > 2, "ucarp has heard the master")
        began = time.time()
        daemon.stop()
        ucarp.expect("MASTER")
        self.assertLess(time.time() - began, 3.0)
        self.answers(scene, began)

    def test_it_does_not_hear_unicast(self) -> None:
        """A group with ucarp stays with multicast, as docs/unicast.md says: else there are two masters."""
        scene = self.mixed()
        daemon = scene.daemon("a", of_one_family(advskew=0, more="peer = 192.0.2.3"))
        daemon.expect("BACKUP -> MASTER")
        ucarp = Ucarp(scene, "b", advskew=100)
        ucarp.start()
        ucarp.expect("BACKUP")
        scene.wait(lambda: len(scene.watcher.heard("a")) > 2, "it is sent to")
        ucarp.expect("MASTER")
        # The other way round it works: it is in the list, and sends to the group.
        scene.wait(lambda: daemon.status()["vhids"][0]["received"] > 1, "ucarp is heard")
        self.assertEqual(daemon.status()["stats"]["badif"], 0)

    def test_a_wrong_phrase_leaves_two_masters_and_a_hint(self) -> None:
        """Neither believes the other; our log names the likeliest cause, and no phrase."""
        scene = self.mixed()
        daemon = scene.daemon("a", of_one_family(advskew=0, log=2))
        scene.await_master("a")
        ucarp = Ucarp(scene, "b", advskew=100, phrase="somethingelse")
        ucarp.start()
        ucarp.expect("MASTER")
        daemon.expect("carp: 1@em0: bad digest from 192.0.2.3: ")
        scene.wait(lambda: daemon.status()["stats"]["badauth"] >= 3, "three refusals")
        self.assertEqual(daemon.status()["vhids"][0]["state"], "MASTER")
        log = daemon.text()
        self.assertRegex(log, r"bad digest from 192\.0\.2\.3: .*pass phrase")
        self.assertEqual(log.count("bad digest"), 1)
        for phrase in (PHRASE, "somethingelse"):
            self.assertNotIn(phrase, log)
