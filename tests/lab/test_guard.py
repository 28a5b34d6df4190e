"""Never two owners: daemons that die, hang and wake up again, with and without their guards.

Judged from outside: who answers a client's pings, what is on the wire, and by the rules of :mod:`carptwist.lab.rules`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from ipaddress import ip_address
from typing import NamedTuple

from carptwist.lab.daemon import Daemon
from carptwist.lab.scene import SHARED4, SHARED6, Scene
from tests.lab.support import ALLOWED_SECONDS, PHRASE, SceneTestCase, configuration
from tests.lab.test_leftovers import belongings

#: The lease with advbase 1, from the last advertisement on.
LEASE_SECONDS = 2.75
#: The lifetime of addresses with advbase 1, and by how much the kernel is late at most when nothing else expires.
LIFETIME_SECONDS, KERNEL_LATE_SECONDS = 2, 0.3
#: For how long two hosts may have them where guard and daemon are killed at once.
TOGETHER_SECONDS = 0.3
#: How long after its own advertisement the last refreshing may be.
LATEST_REFRESH_SECONDS = 1.1

PLANES = ("macvlan", "interface")

TEN = range(1, 11)
#: From any moment on, what is left of the master-down timeout of a BACKUP that hears its master every second.
LEAST_PATIENCE_SECONDS = 2.3


def on_plane(plane: str, advskew: int, *addresses: str) -> str:
    """A configuration with a vhid on a plane, with both shared addresses unless others are given."""
    shared = addresses or (f"{SHARED4}/24", f"{SHARED6}/64")
    return configuration(advskew=advskew, addresses=shared, more=f"plane = {plane}")


class Ownership(NamedTuple):
    """Who had shared addresses from one look to another, in seconds since the epoch."""

    who: str
    first: float
    last: float


def retransmitted(connection: socket.socket) -> int:
    """How many segments a TCP connection has sent again: tcpi_total_retrans of tcp(7)."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(told[100:104], sys.byteorder)


class GuardCase(SceneTestCase):
    def reachable(self, scene: Scene, name: str) -> set[str]:
        """The shared addresses that a host would answer for: on a device that is up."""
        host = scene.hosts[name]
        route = host.namespace.route
        up = {link["index"] for link in route.get_links() if link.get("state") == "up"}
        there = {entry.get("address") for entry in route.get_addr() if entry["index"] in up}
        return there & {SHARED4, SHARED6}

    def await_gone(self, scene: Scene, name: str) -> float:
        """Wait until a host has no shared address any more; gives when."""
        scene.wait(lambda: not self.reachable(scene, name), f"the addresses of {name} have gone")
        return time.time()

    def await_end(self, scene: Scene, pid: int) -> None:
        """Wait until a process is no more."""
        scene.wait(lambda: not os.path.exists(f"/proc/{pid}"), f"process {pid} has ended")

    def await_words(self, scene: Scene, name: str, words: str) -> None:
        """Wait until something is in the log of a daemon, dead or alive."""
        daemon = scene.daemons[name]
        scene.wait(lambda: words in daemon.text(), f"the log of {name} says: {words}")

    def pause(self, scene: Scene, seconds: float) -> None:
        """Let time pass while no daemon ends."""
        end = time.monotonic() + seconds
        scene.wait(lambda: time.monotonic() >= end, "time passes")

    def last_word(self, scene: Scene, name: str) -> float:
        """When a host has advertised last, bow-outs apart."""
        last = scene.watcher.last(name)
        assert last is not None
        return last.at

    def owners_over_time(self, scene: Scene, names: str = "ab") -> list[Ownership]:
        """Look who has the addresses every time that the scene waits: a list that grows with each change.

        Hosts are looked at one after the other. Two have them at a moment if each has them before it and after it.
        """
        seen: list[Ownership] = []

        def look() -> None:
            before = [name for name in names if self.reachable(scene, name)]
            at = time.time()
            who = "".join(name for name in before if len(before) == 1 or self.reachable(scene, name))
            if seen and seen[-1].who == who:
                seen[-1] = seen[-1]._replace(last=at)
            else:
                seen.append(Ownership(who, at, at))

        scene.tick = look
        return seen

    def longest_together(self, seen: list[Ownership]) -> float:
        """For how long two certainly had them."""
        return max((each.last - each.first for each in seen if len(each.who) > 1), default=0.0)


class DeathTests(GuardCase):
    """The daemon is killed while its host lives on."""

    def test_the_daemon_is_killed(self) -> None:
        """Its guard ends it within milliseconds; the others take over at once; the guard ends, and the next daemon
        tells what it did. On either plane."""
        for plane in PLANES:
            # With the interface's own MAC the rules about the virtual one have nothing to say.
            scene = self.scene(judged=plane == "macvlan")
            self.start_pair(scene, on_plane(plane, 0), on_plane(plane, 100))
            (guard,) = scene.daemons["a"].guards()
            seen = self.owners_over_time(scene)
            began = time.time()
            scene.daemons["a"].kill()
            self.await_gone(scene, "a")
            told = "carp: guard: 1@em0: the daemon has ended: addresses taken away and bowed out in"
            self.await_words(scene, "a", told)
            scene.await_master("b", since=began)
            self.assertEqual(len([each for each in scene.watcher.heard("a", since=began) if each.bows_out]), 2)
            if plane == "macvlan":
                self.assert_brief(scene, began)
                self.assert_caches(scene)
            self.assertLess(self.longest_together(seen), 0.1)
            self.await_end(scene, guard)
            back = time.time()
            scene.daemons["a"].start()
            scene.daemons["a"].expect("what the guard of a former daemon did: ")
            scene.await_master("a", since=back)

    def test_many_go_at_once(self) -> None:
        """All devices of ten virtual hosts, and those who wait for none are MASTER long before they would have called
        anybody dead. The next daemon starts from what the guard has left."""
        shared = {f"192.0.2.{100 + vhid}": vhid for vhid in TEN} | {f"2001:db8::a:{vhid:x}": vhid for vhid in TEN}
        scene = self.scene(shared=shared)
        before = belongings(scene.hosts["a"])
        for name, advskew in (("a", 0), ("b", 100)):
            lines = ["[carp]", "preempt = no"]
            for vhid in TEN:
                lines += [f"[vhid {vhid}@em0]", f"address = 192.0.2.{100 + vhid}/24", f" 2001:db8::a:{vhid:x}/64"]
                lines += [f"pass = {PHRASE}", f"advskew = {advskew}"]
            scene.daemon(name, "\n".join(lines))
        for vhid in TEN:
            scene.await_master("a", vhid)
        self.await_backups(scene, "b")
        killed = time.time()
        scene.daemons["a"].kill()
        for vhid in TEN:
            scene.await_master("b", vhid, since=killed)
        last = max(scene.watcher.heard("b", vhid, since=killed)[0].at for vhid in TEN)
        self.assertLess(last - killed, LEAST_PATIENCE_SECONDS)
        self.assertEqual([name for name in scene.hosts["a"].interfaces() if name.startswith("carp")], [])
        scene.daemons["a"].start()
        scene.daemons["a"].expect("removed what a former daemon had left behind")
        self.await_backups(scene, "a")
        stopped = time.time()
        scene.daemons["b"].stop()
        for vhid in TEN:
            scene.await_master("a", vhid, since=stopped)
        scene.daemons["a"].stop()
        self.assertEqual(belongings(scene.hosts["a"]), before)

    def await_backups(self, scene: Scene, name: str) -> None:
        """Wait until a host is BACKUP of all ten, and has heard their master."""
        scene.wait(lambda: all(scene.logged_state(name, vhid) == "BACKUP" for vhid in TEN), f"{name} is BACKUP of all")
        for vhid in (TEN[0], TEN[-1]):
            scene.await_backup(name, vhid)

    def test_daemon_and_guard_are_killed(self) -> None:
        """The kernel removes the addresses by itself, before the others take over."""
        for plane in PLANES:
            scene = self.scene(judged=plane == "macvlan")
            self.start_pair(scene, on_plane(plane, 0), on_plane(plane, 100))
            self.pause(scene, 1.5)
            seen = self.owners_over_time(scene)
            began = time.time()
            scene.daemons["a"].kill_with_guard()
            gone = self.await_gone(scene, "a")
            said = self.last_word(scene, "a")
            bound = LATEST_REFRESH_SECONDS + LIFETIME_SECONDS + KERNEL_LATE_SECONDS
            self.assertLess(gone - said, bound + ALLOWED_SECONDS + scene.uncertainty(gone))
            scene.await_master("b", since=began)
            self.assertLess(self.longest_together(seen), TOGETHER_SECONDS, seen)
            self.assertEqual(scene.daemons["a"].guards(), [])

    def test_not_one_packet_after(self) -> None:
        """Whose IPv6 address has expired does not take packets for it any more, though the device is still up, and
        was so for a moment only when the daemon was killed."""
        scene = self.scene(1)
        scene.daemon("a", configuration())
        scene.await_master("a")
        scene.daemons["a"].kill_with_guard()
        self.await_gone(scene, "a")
        self.assertIn("carp2-1", scene.hosts["a"].interfaces(only_up=True))
        self.pause(scene, 0.3)
        began = time.time()
        self.pause(scene, 1)
        for address in (SHARED4, SHARED6):
            self.assertFalse(scene.prober.answered(address, began), address)

    def test_an_orderly_end(self) -> None:
        """Leaves no guard behind, and the guard has nothing to say."""
        scene = self.scene()
        self.start_pair(scene)
        self.assertEqual(len(scene.daemons["a"].guards()), 1)
        scene.daemons["a"].stop()
        self.assertEqual(scene.daemons["a"].guards(), [])
        self.assertNotIn("guard:", scene.daemons["a"].text())


class HangTests(GuardCase):
    """The daemon does not run, and runs again."""

    def test_stopped_and_continued(self) -> None:
        """The guard ends it when its lease does; when it goes on it finds itself in BACKUP, and says nothing with the
        virtual MAC until it is MASTER again."""
        scene = self.scene()
        self.start_pair(scene, configuration(advskew=0, preempt=False), configuration(advskew=100, preempt=False))
        self.pause(scene, 1.5)
        daemon = scene.daemons["a"].child
        assert daemon is not None
        seen = self.owners_over_time(scene)
        began = time.time()
        daemon.signal(signal.SIGSTOP)
        self.addCleanup(daemon.signal, signal.SIGCONT)
        daemon.expect("1@em0: the daemon does not run: addresses taken away and bowed out in")
        gone = self.await_gone(scene, "a")
        said = self.last_word(scene, "a")
        self.assertLess(gone - said, LEASE_SECONDS + ALLOWED_SECONDS + scene.uncertainty(gone))
        self.assertGreater(gone - said, LEASE_SECONDS - 0.3)
        scene.await_master("b", since=began)
        self.pause(scene, 10 - (time.time() - began))
        woke = time.time()
        daemon.signal(signal.SIGCONT)
        daemon.expect("1@em0: MASTER -> BACKUP (")
        daemon.expect("timers were late by ")
        self.pause(scene, 3)
        self.assertEqual(scene.logged_state("a"), "BACKUP")
        self.assertEqual([each for each in scene.watcher.sightings if each.host == "a" and each.at > woke], [])
        self.assertEqual(scene.watcher.heard("a", since=woke), [])
        self.assertEqual(self.longest_together(seen), 0.0, seen)
        self.assert_brief(scene, woke)
        # It is as good as new.
        scene.daemons["b"].stop()
        scene.await_master("a", since=woke)
        self.assert_caches(scene)
        self.assertTrue(scene.daemons["a"].status()["lateness"]["times"])

    def test_stopped_with_its_guard(self) -> None:
        """As if the host were suspended. The guard, which goes on first, finds that it is too late for a bow-out: it
        would dethrone the one that has taken over, and a third one would be MASTER beside it."""
        scene = self.scene(3)
        self.start_pair(scene, configuration(preempt=False), configuration(advskew=100, preempt=False))
        scene.daemon("c", configuration(advskew=250, preempt=False))
        self.await_backup(scene, "c")
        daemon = scene.daemons["a"]
        (guard,) = daemon.guards()
        assert daemon.child is not None
        began = time.time()
        os.kill(guard, signal.SIGSTOP)
        daemon.child.signal(signal.SIGSTOP)
        scene.await_master("b", since=began)
        self.pause(scene, 0.5)
        woke = time.time()
        os.kill(guard, signal.SIGCONT)
        self.await_words(scene, "a", "carp: guard: 1@em0: the daemon does not run: addresses taken away in ")
        daemon.child.signal(signal.SIGCONT)
        daemon.expect("1@em0: MASTER -> BACKUP (")
        self.pause(scene, 1.5)
        self.assertEqual(scene.watcher.heard("a", since=woke) + scene.watcher.heard("c", since=began), [])
        self.assertEqual(scene.logged_state("b"), "MASTER")

    def test_a_short_stop(self) -> None:
        """Shorter than a lease is nothing to anybody."""
        scene = self.scene()
        self.start_pair(scene)
        daemon = scene.daemons["a"].child
        assert daemon is not None
        began = time.time()
        daemon.signal(signal.SIGSTOP)
        self.pause(scene, 1.2)
        daemon.signal(signal.SIGCONT)
        self.pause(scene, 3)
        self.assertEqual(scene.logged_state("a"), "MASTER")
        self.assertEqual([each for each in scene.watcher.heard("b", since=began) if not each.bows_out], [])


class ReplacementTests(GuardCase):
    """The guard is killed alone."""

    def test_another_one_is_started(self) -> None:
        """At once; nobody is demoted for good, no client notices; and the new guard does its work."""
        scene = self.scene()
        self.start_pair(scene)
        daemon = scene.daemons["a"]
        (first,) = daemon.guards()
        began = time.time()
        os.kill(first, signal.SIGKILL)
        scene.wait(lambda: daemon.guards() not in ([], [first]), "there is another guard")
        self.pause(scene, 1)
        self.assertEqual(daemon.status()["ledger"], [])
        self.assertEqual(len(daemon.guards()), 1)
        self.assert_brief(scene, began)
        died = time.time()
        daemon.kill()
        scene.await_master("b", since=died)
        self.assert_brief(scene, died)

    def test_killed_again_and_again(self) -> None:
        """Five in a row, each as soon as it is there, are replaced each time, and no client notices. Then it may take a
        second; and the last one does its work like the first."""
        scene = self.scene()
        self.start_pair(scene)
        daemon = scene.daemons["a"]
        began = time.time()
        for _ in range(5):
            (guard,) = daemon.guards()
            os.kill(guard, signal.SIGKILL)
            scene.wait(lambda guard=guard: daemon.guards() not in ([], [guard]), "there is another guard")
        scene.wait(lambda: len(daemon.guards()) == 1 and not daemon.status()["ledger"], "all is well")
        self.assertEqual(daemon.text().count("carp: the guard has ended ("), 5)
        self.assertEqual(scene.logged_state("a"), "MASTER")
        self.assert_brief(scene, began)
        died = time.time()
        daemon.kill()
        scene.await_master("b", since=died)
        self.assert_brief(scene, died)

    def test_it_cannot_be_started(self) -> None:
        """The Python that runs it is gone: the host is demoted, says so, and another one takes over at once; when there
        is a guard again it takes back."""
        scene = self.scene()
        python = scene.hosts["a"].directory / "python"
        python.symlink_to(sys.executable)
        daemon = scene.daemons["a"] = Daemon(scene.hosts["a"], configuration(advskew=0))
        daemon.python = str(python)
        daemon.start()
        scene.await_master("a")
        scene.daemon("b", configuration(advskew=100))
        self.await_backup(scene, "b")
        away = python.with_name("away")
        python.rename(away)
        began = time.time()
        (guard,) = daemon.guards()
        os.kill(guard, signal.SIGKILL)
        daemon.expect("carp: the guard does not start: ")
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        (entry,) = daemon.status()["ledger"]
        self.assertEqual((entry["owner"], entry["value"]), ("guard", 240))
        self.assertIn("the guard does not start", entry["reason"])
        self.assertIn("guard", daemon.carpctl("status"))
        self.assertIn("carp: demoted by 240 to 240 (the guard does not start", daemon.text())
        back = time.time()
        away.rename(python)
        daemon.expect("carp: there is a guard again")
        scene.await_master("a", since=back)
        self.assert_brief(scene, back)
        self.assertEqual(daemon.status()["ledger"], [])
        died = time.time()
        daemon.kill()
        scene.await_master("b", since=died)


class ExpiryTests(GuardCase):
    """Addresses that are refreshed."""

    def test_a_connection_through_a_held_address(self) -> None:
        """A transfer over TCP for several lifetimes comes through whole, and no route changes meanwhile."""
        for shared, family in ((SHARED4, socket.AF_INET), (SHARED6, socket.AF_INET6)):
            scene = self.scene(1)
            scene.daemon("a", configuration())
            scene.await_master("a")
            self.pause(scene, 1.5)
            host = scene.hosts["a"]
            listener = host.socket(family, socket.SOCK_STREAM)
            self.addCleanup(listener.close)
            listener.bind((shared, 7))
            listener.listen(1)
            client = scene.client.socket(family, socket.SOCK_STREAM)
            self.addCleanup(client.close)
            client.settimeout(10)
            client.connect((shared, 7))
            served, _ = listener.accept()
            self.addCleanup(served.close)
            served.settimeout(10)
            routes = self.routes(scene)
            sent, received = bytearray(), bytearray()
            end = time.monotonic() + 3.5 * LIFETIME_SECONDS
            while time.monotonic() < end:
                piece = os.urandom(1000)
                sent += piece
                served.sendall(piece)
                while len(received) < len(sent):
                    received += client.recv(65536)
                time.sleep(0.002)
            self.assertEqual(received, sent)
            self.assertEqual((retransmitted(served), retransmitted(client)), (0, 0))
            self.assertEqual(self.routes(scene), routes)
            self.assertIn(ip_address(shared), host.addresses())
            self.assertNotIn("putting it back", scene.daemons["a"].text())

    @staticmethod
    def routes(scene: Scene) -> list[str]:
        """Of all tables, but for those to neighbours, which come and go with their use."""
        route = scene.hosts["a"].namespace.route
        return sorted(
            f"{entry['family']} {entry.get('table')} {entry.get('dst')} {entry.get('priority')} {entry.get('oif')}"
            for family in (socket.AF_INET, socket.AF_INET6)
            for entry in route.get_routes(family=family)
            if not entry["flags"] & 0x200
        )

    def test_lifetimes_only_while_master(self) -> None:
        """A BACKUP's addresses wait for as long as need be; without ``expire`` a MASTER's stay for good."""
        scene = self.scene()
        scene.daemon("a", configuration(advskew=0, preempt=False))
        scene.await_master("a")
        scene.daemon("b", configuration(advskew=100, preempt=False, knobs=["expire = no"]))
        scene.await_backup("b")
        self.pause(scene, 1.5)
        self.assertEqual(self.lifetimes(scene, "a"), {"mortal"})
        self.assertEqual(self.lifetimes(scene, "b"), {"for good"})
        began = time.time()
        scene.daemons["a"].carpctl("state", "1@em0", "backup")
        scene.await_master("b", since=began)
        self.pause(scene, 0.3)
        self.assertEqual(self.lifetimes(scene, "a"), {"for good"})
        self.pause(scene, 1.5)
        self.assertEqual(self.lifetimes(scene, "b"), {"for good"})

    @staticmethod
    def lifetimes(scene: Scene, name: str) -> set[str]:
        host = scene.hosts[name]
        entries = [entry for entry in host.namespace.route.get_addr() if entry.get("address") in (SHARED4, SHARED6)]
        return {"for good" if entry.get("IFA_CACHEINFO")["ifa_valid"] == 0xFFFFFFFF else "mortal" for entry in entries}
