"""Hosts in a simulated world: the daemon's own code, on virtual time, with everything that can happen to it."""

from __future__ import annotations

import errno
from ipaddress import ip_interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from carptwist.config.reactions import HookConfig
from carptwist.config.schema import Configuration, Knobs, Phrase, VirtualHostConfig
from carptwist.election.state import State
from carptwist.interfaces import IVoice
from carptwist.simulation.history import Kind
from carptwist.simulation.host import Nature
from carptwist.simulation.ownership import Fault, FaultKind
from carptwist.simulation.world import World
from carptwist.wire.carp import virtual_mac

HOOK = HookConfig("log", ("logger", "$subsystem is $type"), type="MASTER")


def configuration(
    advskew: int = 0, *, preempt: bool = False, interfaces: tuple[str, ...] = ("em0",), guarded: bool = True
) -> Configuration:
    vhids = tuple(
        VirtualHostConfig(
            number,
            interface,
            (ip_interface(f"192.168.{number}.1/24"), ip_interface(f"2001:db8:{number}::1/64")),
            (Phrase(b"mekmitasdigoat"),),
            advskew=advskew,
        )
        for number, interface in enumerate(interfaces, 1)
    )
    return Configuration(Knobs(preempt=preempt, guard=guarded, expire=guarded), vhids, hooks=(HOOK,))


class WorldCase(SynchronousTestCase):
    """a (advskew 0) and b (advskew 100) on one LAN, a being MASTER since a while."""

    preempt = False
    interfaces: tuple[str, ...] = ("em0",)
    guarded = True
    advskews = (0, 100)
    nature = Nature()

    def setUp(self) -> None:
        self.world = World(7)
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        wiring = {interface: interface.replace("em", "lan") for interface in self.interfaces}
        for name, advskew in zip("ab", self.advskews, strict=True):
            part = configuration(advskew, preempt=self.preempt, interfaces=self.interfaces, guarded=self.guarded)
            self.world.add(name, part, wiring, self.nature)
        self.a, self.b = self.world.hosts["a"], self.world.hosts["b"]
        self.lan = self.world.segments["lan0"]
        self.a.start()
        self.world.run(1)
        self.b.start()
        self.world.run(9)
        self.began = self.world.now

    def faults(self) -> list[Fault]:
        """What went wrong since the test began, longer than a handover takes."""
        self.world.finish()
        return [
            fault
            for ownership in self.world.ownerships.values()
            for fault in ownership.faults
            if fault.begin >= self.began and fault.seconds > 0.01
        ]

    def owners(self) -> list[tuple[str, ...]]:
        return [ownership.owners for ownership in self.world.ownerships.values()]


class MuteTests(WorldCase):
    """Nothing that a sends leaves it, while it hears everything; three failures take longer than b waits."""

    advskews = (50, 100)

    def silence(self, frames: int) -> None:
        self.a.fail_sending("em0", [OSError(errno.ENOBUFS, "No buffer space available")] * frames)

    def hear_again(self) -> None:
        assert self.a.system is not None
        for port in self.a.system.ports:
            port.failures.clear()

    def test_a_master_that_can_send_nothing_ends_before_another_takes_over(self) -> None:
        """At the end of its lease, demoted; it comes back when it is needed."""
        self.silence(200)
        self.world.run(20)
        self.assertEqual(self.owners(), [("b",)])
        assert self.a.node is not None
        self.assertEqual(self.a.node.roster.ledger.sum, 240)
        for fault in self.faults():  # none where the guard finds a way to bow out
            self.assertIs(fault.kind, FaultKind.OUTAGE)
            self.assertLess(fault.seconds, 1.0)  # of the 3.4 s for which b waits: a has served until then
        self.hear_again()
        self.b.crash()
        self.world.run(20)
        self.assertEqual(self.owners(), [("a",)])
        self.assertEqual(self.a.node.roster.ledger.sum, 0)

    def test_what_is_not_sent_once_or_twice_costs_nothing(self) -> None:
        """It is tried once more before the lease ends, which nobody else notices."""
        for times in (1, 2):
            self.silence(2 * times)
            self.world.run(20)
            self.hear_again()
        self.assertEqual((self.owners(), self.faults()), ([("a",)], []))

    def test_nothing_was_ever_sent(self) -> None:
        """Nor is a MASTER that nobody has heard yet one for longer than a lease; its kernel knows how long that is."""
        assert self.a.node is not None
        (vhost,) = self.a.node.roster.all()
        self.b.crash()
        self.silence(2000)
        vhost.asked(State.BACKUP)
        since = self.until(State.MASTER)
        self.assertLess(self.until(State.BACKUP) - since, 3.0)
        self.until(State.MASTER)
        self.world.run(0.5)
        self.assertEqual(self.owners(), [("a",)])
        self.a.kill(guard=True)
        self.world.run(3)
        self.assertEqual(self.owners(), [() if self.guarded else ("a",)])  # what is not guarded does not expire here

    def until(self, state: State) -> float:
        """When a is in this state, after 20 s at the latest."""
        for _ in range(200):
            if self.a.state("1@em0") is state:
                return self.world.now
            self.world.run(0.1)
        raise AssertionError(f"a has not become {state.value}")

    def test_one_family_that_is_not_heard_is_as_good_as_none(self) -> None:
        """Its timeout alone makes another one MASTER."""
        assert self.a.node is not None
        (vhost,) = self.a.node.roster.all()
        proper = vhost.connection.voice
        assert proper is not None

        @implementer(IVoice)
        class Half:
            def advertise(self, vhost: Any, family: int, what: Any) -> None:
                if family == 4:
                    raise OSError(errno.ENOBUFS, "No buffer space available")
                proper.advertise(vhost, family, what)

            def __getattr__(self, name: str) -> Any:
                return getattr(proper, name)

        vhost.connection.voice = Half()
        self.world.run(20)
        self.assertEqual(self.owners(), [("b",)])
        self.assertNotIn(FaultKind.DOUBLE, [fault.kind for fault in self.faults()])


class MuteWithoutGuardTests(MuteTests):
    """Nor does it take a guard."""

    guarded = False


class MutePreferredTests(MuteTests):
    """Nor is it taken back, where it preempts, by whoever would not be heard."""

    preempt = True


class FailureTests(WorldCase):
    def test_a_quiet_lan(self) -> None:
        """The better host is MASTER, and nothing happens any more."""
        self.world.run(1000)
        self.assertEqual(self.owners(), [("a",)])
        self.assertEqual(self.faults(), [])
        self.assertIs(self.a.state("1@em0"), State.MASTER)
        self.assertIs(self.b.state("1@em0"), State.BACKUP)

    def test_crash(self) -> None:
        """The other takes over after 3 x advbase + advskew/256 s, counted from the last advertisement."""
        self.a.crash()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        (fault,) = self.faults()
        self.assertIs(fault.kind, FaultKind.OUTAGE)
        self.assertEqual(fault.cause, "a crashed")
        self.assertEqual(fault.ended, "b became MASTER of 1@em0 (master timed out)")
        self.assertLessEqual(fault.seconds, 3 + 100 / 256 + 0.02)
        self.assertGreaterEqual(fault.seconds, 2 + 100 / 256)
        self.assertIsNone(self.a.state("1@em0"))

    def test_stop_and_start(self) -> None:
        """A host that says goodbye is relieved at once; when it is back it waits, without preempt."""
        self.a.stop()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.a.start()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.assertEqual(self.faults(), [])

    def test_kill(self) -> None:
        """A daemon that is killed is ended by its guard, whose bow-out makes another one MASTER at once."""
        self.a.kill()
        self.world.run(0.05)
        self.assertEqual(self.owners(), [("b",)])
        self.a.start()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.assertEqual(self.faults(), [])

    def test_kill_with_guard(self) -> None:
        """The kernel removes the addresses of both, before another one takes over by its timeout."""
        self.a.kill(guard=True)
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        (fault,) = self.faults()
        self.assertIs(fault.kind, FaultKind.OUTAGE)
        self.assertLess(fault.seconds, 2.5)

    def test_cable(self) -> None:
        """A lost link is INIT and a demoted host, both taken back with the link."""
        self.a.set_carrier("em0", False)
        self.world.run(10)
        self.assertIs(self.a.state("1@em0"), State.INIT)
        assert self.a.node is not None
        self.assertEqual(self.a.node.roster.ledger.sum, 240)
        self.assertEqual(self.owners(), [("b",)])
        self.a.set_carrier("em0", True)
        self.world.run(10)
        self.assertEqual(self.a.node.roster.ledger.sum, 0)
        self.assertIs(self.a.state("1@em0"), State.BACKUP)
        (fault,) = self.faults()
        self.assertEqual((fault.kind, fault.cause), (FaultKind.OUTAGE, "em0 of a has lost its link"))

    def test_partition(self) -> None:
        """Each island has its MASTER, which is no fault; when it heals there is one again, and the better one."""
        self.lan.partition([["a"], ["b"]])
        self.world.network_changed("the LAN is divided")
        self.world.run(10.5)
        self.assertEqual(self.owners(), [("a", "b")])
        self.lan.heal()
        self.world.network_changed("the LAN is whole")
        self.world.run(10)
        self.assertEqual(self.owners(), [("a",)])
        outage, double = self.faults()
        self.assertEqual((outage.kind, outage.cause), (FaultKind.OUTAGE, "the LAN is divided"))
        self.assertIs(double.kind, FaultKind.DOUBLE)
        self.assertLessEqual(double.seconds, 1.1)

    def test_a_daemon_that_stands_still(self) -> None:
        """Its guard ends it and bows out before any other one's timeout is over. When it goes on it hears of that, and
        does not speak as MASTER any more."""
        self.a.stall()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.a.resume()
        self.world.run(0.1)
        self.assertIs(self.a.state("1@em0"), State.BACKUP)
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.assertEqual(self.faults(), [])

    def test_a_machine_that_is_frozen(self) -> None:
        """Nobody reaches it meanwhile, and what was sent to it is lost."""
        self.a.freeze()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.a.resume()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        self.assertEqual(next(fault.kind for fault in self.faults()), FaultKind.OUTAGE)

    def test_hooks_are_written_down(self) -> None:
        """With the words that would have run; and the log's warnings are."""
        hooks = self.world.history.of(Kind.HOOK)
        self.assertEqual([(hook.host, hook.text) for hook in hooks], [("a", "[hook log] logger 1@em0 is MASTER")])
        self.lan.blocked.add(("a", "b"))
        self.world.run(10)
        self.assertEqual(self.world.history.of(Kind.BUG), [])


class ThreeHostsTests(WorldCase):
    nature = Nature(jitter=0.0)

    def test_two_take_over_at_once(self) -> None:
        """Both have heard the bow-out, and refuse replays: the worse one hears the better one all the same."""
        self.world.add("c", configuration(200), {"em0": "lan0"}, self.nature)
        self.world.hosts["c"].start()
        self.world.run(5)
        self.began = self.world.now
        self.a.stop()
        self.world.run(0.05)
        self.assertEqual(self.owners(), [("b",)])
        self.world.run(5)
        self.assertEqual(self.owners(), [("b",)])
        self.assertEqual(self.faults(), [])


class UnguardedTests(WorldCase):
    """``guard = no`` and ``expire = no``."""

    guarded = False

    def test_kill(self) -> None:
        """A daemon that is killed leaves the addresses where they are, until the next one starts there."""
        self.a.kill()
        self.world.run(10)
        self.assertEqual(self.owners(), [("a", "b")])
        self.a.start()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        (fault,) = self.faults()
        self.assertIs(fault.kind, FaultKind.DOUBLE)
        self.assertIn("a has no daemon", fault.circumstances)

    def test_a_daemon_that_stands_still(self) -> None:
        """Its addresses stay up while another takes over. When it goes on it knows that it was away, and does not speak
        as MASTER any more."""
        self.a.stall()
        self.world.run(10)
        self.assertEqual(self.owners(), [("a", "b")])
        self.a.resume()
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",)])
        (double,) = self.faults()
        self.assertIn("a stands still", double.circumstances)


class GroupTests(WorldCase):
    """The manual page's pair of firewalls: two LANs, and preempt."""

    preempt = True
    interfaces = ("em0", "em1")

    def test_group_failover(self) -> None:
        """A host that loses one LAN gives up the other as well, and has both back after."""
        self.a.set_carrier("em1", False)
        self.world.run(10)
        self.assertEqual(self.owners(), [("b",), ("b",)])
        self.a.set_carrier("em1", True)
        self.world.run(10)
        self.assertEqual(self.owners(), [("a",), ("a",)])


class NegativeDemotionTests(WorldCase):
    """A skew 0, B skew 100, both preempt: FreeBSD's PR 259528."""

    preempt = True

    def test_on_either(self) -> None:
        """A demotion of -1 never makes two masters, whichever host has it, and changes nobody's rank."""
        for host in (self.a, self.b, self.a):
            assert host.node is not None
            host.node.roster.demote("sysctl", -1, "sysctl")
            self.world.run(30)
            self.assertEqual(self.owners(), [("a",)])
        self.assertEqual(self.faults(), [])


class DeterminismTests(SynchronousTestCase):
    def test_the_same_seed(self) -> None:
        """Gives the same history, to the last digit, and the same frames; another seed gives another one."""

        def run(seed: int) -> tuple[object, object]:
            with World(seed, keep_frames=True) as world:
                for number, name in enumerate("abcd"):
                    world.add(name, configuration(10 * number, preempt=True), {"em0": "lan"})
                for host in world.hosts.values():
                    host.start()
                world.run(10)
                world.hosts["a"].crash()
                world.run(10)
                return world.history.happenings, world.segments["lan"].passed

        self.assertEqual(run(1), run(1))
        self.assertNotEqual(run(1)[0], run(2)[0])

    def test_advertisements_are_the_daemons_own(self) -> None:
        """They leave with the virtual MAC, once an interval and family."""
        with World(1, keep_frames=True) as world:
            world.add("a", configuration(), {"em0": "lan"}).start()
            world.run(13.5)
            frames = [
                passed.frame
                for passed in world.segments["lan"].passed
                if passed.frame[:3] in (b"\x01\x00\x5e", b"\x33\x33\x00")
            ]
        self.assertEqual({frame[6:12] for frame in frames}, {virtual_mac(1)})
        carp = [frame for frame in frames if frame[23:24] == b"\x70" or frame[20:21] == b"\x70"]
        self.assertEqual(len(carp), 2 * 11)
