"""Somebody on the LAN records what a master says and sends it again, against real daemons.

The attacker is a host of the LAN with a packet socket and without the pass phrase. It sends from its own MAC address:
what frames from the virtual one do to a switch is no matter of CARP. The rules of the lab do not hold where somebody
lies, so these scenes are not judged by them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import unittest
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from carptwist.lab.scene import SHARED4, Scene
from carptwist.links import membership
from carptwist.wire.advertisement import Heard, frame4, frame6, read
from tests.lab.support import ALLOWED_SECONDS, SceneTestCase, configuration
from tests.lab.test_ucarp import UCARP, Ucarp, of_one_family

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23

Recording = Sequence[tuple[float, bytes]]

#: advbase 0: sixty advertisements a second of the master, and a timeout of 0.56 s of the backup.
MASTER_SKEW, BACKUP_SKEW = 8, 48
TIMEOUT_SECONDS = 3 * BACKUP_SKEW / 256


class Attacker:
    """A host that hears the advertisements of the LAN and sends them again, within a ``with`` block."""

    def __init__(self, scene: Scene, name: str) -> None:
        host = scene.hosts[name]
        self.heard: list[tuple[float, bytes]] = []
        self._ends = threading.Event()
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        index = host.index("em0")
        with host.namespace:
            self._socket.bind(("em0", _ETH_P_ALL))
            self._leave = membership.join("em0", index)
            self._mac = self._socket.getsockname()[4]
        self._socket.settimeout(0.05)
        self._thread = threading.Thread(target=self._listen, name="attacker")

    def __enter__(self) -> Attacker:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ends.set()
        self._thread.join()
        self._leave()
        self._socket.close()

    def _listen(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(TimeoutError):
                frame = self._socket.recv(2048)
                if isinstance(read(frame), Heard):
                    self.heard.append((time.monotonic(), frame))

    def of(self, number: int) -> list[tuple[float, bytes]]:
        """What was heard from 192.0.2.NUMBER and from the IPv6 addresses of that host."""
        own4 = ip_address(f"192.0.2.{number}").packed
        said = [(at, frame, read(frame)) for at, frame in tuple(self.heard)]
        macs = {bytes((2, 0, 0, 0, number - 1))}
        return [
            (at, frame)
            for at, frame, each in said
            if isinstance(each, Heard)
            and (each.source == own4 or (each.family == 6 and _interface_id(each.source) in macs))
        ]

    def send(self, frame: bytes) -> None:
        self._socket.send(frame[:6] + self._mac + frame[12:])

    @contextlib.contextmanager
    def replaying(self, recording: Recording) -> Iterator[None]:
        """Send a recording, at its own pace, for as long as this block lasts or as it is long."""
        over = threading.Event()

        def work() -> None:
            begin = time.monotonic()
            for at, frame in recording:
                if over.wait(max(0.0, begin + (at - recording[0][0]) - time.monotonic())):
                    return
                self.send(frame)

        thread = threading.Thread(target=work, name="replay")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _interface_id(packed: bytes) -> bytes:
    """The first octets of the MAC that a link-local address was made of."""
    return bytes((packed[8] ^ 2, *packed[9:11], *packed[13:15]))


def forged(frame: bytes, *, source4: str = "192.0.2.77", source6: str = "fe80::77") -> bytes:
    """The same counter and digest from another source, with the shortest interval that there is."""
    heard = read(frame)
    assert isinstance(heard, Heard)
    lie = heard.advertisement._replace(advbase=0, advskew=0)
    make, source = (frame4, source4) if heard.family == 4 else (frame6, source6)
    return make(lie, source_mac=heard.source_mac, source=ip_address(source).packed)


class ReplayCase(SceneTestCase):
    def attacked(self, mode: str) -> tuple[Scene, Attacker]:
        """a is MASTER, b is BACKUP, and c listens."""
        scene = self.scene(3, judged=False)
        attacker = Attacker(scene, "c")
        attacker.__enter__()
        self.addCleanup(attacker.__exit__)
        skews = {"a": MASTER_SKEW, "b": BACKUP_SKEW}
        texts = [configuration(advbase=0, advskew=skew, more=f"replay = {mode}") for skew in skews.values()]
        self.start_pair(scene, *texts)
        attacker.heard.clear()  # b cannot know what was said before it listened
        return scene, attacker

    def await_recording(self, scene: Scene, attacker: Attacker, number: int, count: int) -> Recording:
        scene.wait(lambda: len(attacker.heard) >= count, f"{count} advertisements", 120)
        scene.wait(lambda: len(attacker.of(number)) >= count, f"{count} advertisements of one host", 120)
        return attacker.of(number)[-count:]

    def await_service(self, scene: Scene, name: str, since: float) -> None:
        """A host advertises, and all addresses answer, whatever the attacker says meanwhile."""

        def serves() -> bool:
            last = scene.watcher.last(name)
            return last is not None and last.at >= since and all(map(scene.prober.flowing, scene.shared))

        scene.wait(serves, f"{name} serves")

    def replays(self, scene: Scene, name: str) -> int:
        return int(scene.daemons[name].status()["stats"]["replay"])

    def states(self, scene: Scene, name: str) -> int:
        return scene.daemons[name].text().count(" -> ")


class EnforceTests(ReplayCase):
    def test_a_dead_master_stays_dead(self) -> None:
        """Its last thousand advertisements, at their own pace, keep nobody from taking over in time; they do not
        dethrone who has, forged or not; nor do our own, mirrored; and a restart changes nothing of that."""
        scene, attacker = self.attacked("enforce")
        recording = self.await_recording(scene, attacker, 2, 1000)
        began = time.time()
        self.crash(scene, "a")
        with attacker.replaying(recording):
            self.await_service(scene, "b", began)
            self.assert_timely(scene, gone="a", since=began, advbase=0, advskew=BACKUP_SKEW)
            time.sleep(2)
            self.assertEqual(scene.logged_state("b"), "MASTER")
        self.assertGreater(self.replays(scene, "b"), 100)
        self.assertIn("carp: 1@em0: advertisement that was heard before from", scene.daemons["b"].text())

        changes = self.states(scene, "b")
        for _, frame in recording[-20:]:
            attacker.send(frame)
            attacker.send(forged(frame))
            attacker.send(forged(frame, source4="192.0.2.3", source6="fe80::ff:fe00:201"))
            time.sleep(0.02)
        heard_before = self.replays(scene, "b")
        for _, frame in attacker.of(3)[-20:]:
            attacker.send(frame)
            attacker.send(forged(frame))
            time.sleep(0.02)
        self.assertEqual(self.replays(scene, "b") - heard_before, 40)
        self.assertEqual(self.states(scene, "b"), changes)
        self.assertIn("advertisement of our own heard", scene.daemons["b"].text())

        scene.daemons["b"].kill()
        self.assertGreater((scene.hosts["b"].directory / "state" / "replay" / "1@em0").stat().st_size, 0)
        with attacker.replaying(recording):
            scene.daemons["b"].start()
            scene.wait(lambda: scene.logged_state("b") == "BACKUP", "b is back")
            restarted = time.time()
            scene.wait(lambda: scene.logged_state("b") == "MASTER", "b takes over")
            self.assertLess(time.time() - restarted, TIMEOUT_SECONDS + 1)
            self.await_service(scene, "b", restarted)
        self.assertGreater(self.replays(scene, "b"), 10)


class HonestTests(SceneTestCase):
    """Nobody attacks, and nobody notices that replays are refused."""

    def test_a_pair(self) -> None:
        """A crash, a return, a bow-out and another return: all in time, and nothing is taken for a replay."""
        scene = self.scene()
        self.start_pair(scene, *(configuration(advskew=skew, more="replay = enforce") for skew in (0, 100)))
        began = time.time()
        self.crash(scene, "a")
        scene.await_master("b", since=began)
        self.assert_timely(scene, gone="a", since=began)
        back = time.time()
        self.recover(scene, "a")
        scene.await_master("a", since=back)
        self.await_backup(scene, "b")
        began = time.time()
        scene.daemons["a"].stop()
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        back = time.time()
        scene.daemons["a"].start()
        scene.await_master("a", since=back)
        self.assert_brief(scene, back)
        for name in "ab":
            status = scene.daemons[name].status()
            self.assertEqual(status["stats"]["replay"], 0, name)
            self.assertEqual({peer["replay_protection"] for peer in status["vhids"][0]["peers"]}, {"protected"})

    @unittest.skipIf(UCARP is None, "ucarp is not installed")
    def test_a_kernel_like_peer(self) -> None:
        """ucarp counts as the kernels do: it takes over, and is taken over from, as ever."""
        scene = self.scene(judged=False, shared={SHARED4: 1})
        ucarp = Ucarp(scene, "b", advskew=0)
        ucarp.start()
        ucarp.expect("MASTER")
        daemon = scene.daemon("a", of_one_family(advskew=100, more="replay = enforce"))
        self.await_backup(scene, "a")
        for _ in range(2):
            began = time.time()
            ucarp.die(scene)
            scene.await_master("a", since=began)
            last = scene.watcher.last("b")
            first = next(each for each in scene.watcher.heard("a", since=began))
            assert last is not None
            self.assertLess(first.at - last.at, 3 + 100 / 256 + ALLOWED_SECONDS + scene.uncertainty(first.at))
            scene.lan.heal(scene.hosts["b"])
            back = time.time()
            ucarp.start()
            ucarp.expect("MASTER")
            scene.wait(lambda: scene.logged_state("a") == "BACKUP", "a has yielded")
            scene.wait(lambda since=back: scene.watcher.heard("b", since=since) != [], "ucarp advertises")
            self.await_backup(scene, "a")
        (vhid,) = daemon.status()["vhids"]
        self.assertEqual({peer["replay_protection"] for peer in vhid["peers"]}, {"protected"})
        self.assertEqual(vhid["replay"]["heard"], 0)


class ObserveTests(ReplayCase):
    def test_a_dead_master_goes_on_for_ever(self) -> None:
        """The same attack holds the backup down until it ends, and dethrones a master, as it does kernels; but it is
        counted, and told."""
        scene, attacker = self.attacked("observe")
        recording = self.await_recording(scene, attacker, 2, 500)
        began = time.time()
        with attacker.replaying(recording):
            self.crash(scene, "a")
            scene.wait(lambda: time.time() > began + 8 * TIMEOUT_SECONDS, "nothing")
            self.assertEqual(scene.logged_state("b"), "BACKUP")
            self.assertEqual(scene.watcher.heard("b", since=began), [])
        self.assertGreater(self.replays(scene, "b"), 50)
        ended = time.time()
        self.await_service(scene, "b", ended)
        (vhid,) = scene.daemons["b"].status()["vhids"]
        self.assertEqual({peer["replay_protection"] for peer in vhid["peers"]}, {"not enforced"})

        attacker.send(forged(recording[-1][1]))
        scene.wait(lambda: scene.logged_state("b") == "BACKUP", "one forged advertisement dethrones b", 5)
        self.assertIn("believed all the same (replay = observe)", scene.daemons["b"].text())
