"""No client is ever answered by two hosts: once each what :mod:`tests.benches.one_owner` does many times.

What is claimed for a quiet machine is in docs/guard.md; here it may be busy, and is allowed for that.
"""

from __future__ import annotations

from carptwist.lab.scene import virtual_mac
from tests.benches.one_owner import Outcome, go_on, kill, kill_both, nothing, once, stop, stop_both
from tests.lab.crowd import PORTS, WAYS, Run, Seen
from tests.lab.support import ALLOWED_SECONDS, SceneTestCase
from tests.lab.test_guard import TOGETHER_SECONDS

VIRTUAL = frozenset({virtual_mac(1)})
#: Of b, the BACKUP.
TIMEOUT_SECONDS = 3 + 100 / 256


class OneOwnerTests(SceneTestCase):
    """Three clients ask by ARP, ND and UDP every 5 ms."""

    def assert_one_owner(self, outcome: Outcome, *, apart: bool = True, macs: frozenset[str] = VIRTUAL) -> None:
        """Everybody had answers before and after, with these MACs alone, and never of both hosts."""
        self.assertEqual(outcome.offences, [])
        self.assertEqual(outcome.macs, macs)
        self.assertEqual(set(outcome.gap), {*WAYS, *PORTS})
        self.assertLess(max(outcome.gap.values()), TIMEOUT_SECONDS + 1)
        if apart:
            self.assertEqual(outcome.doubles, [])
            self.assertLess(outcome.together, 0)
        self.assertLess(outcome.together, TOGETHER_SECONDS)

    def test_the_daemon_is_killed(self) -> None:
        """The other one is MASTER within 100 ms."""
        outcome = once(kill, nothing)
        self.assert_one_owner(outcome)
        self.assertLess(outcome.master, 0.1 + ALLOWED_SECONDS + outcome.waited)

    def test_on_the_other_plane(self) -> None:
        """There each host answers with its interface's own MAC, and its kernel goes on to answer ARP."""
        outcome = once(kill, nothing, "interface")
        self.assert_one_owner(outcome, macs=frozenset({"02:00:00:00:01:01", "02:00:00:00:02:01"}))
        self.assertLess(outcome.master, 0.1 + ALLOWED_SECONDS + outcome.waited)

    def test_the_daemon_is_killed_with_its_guard(self) -> None:
        """Two own an address for 0.3 s at most."""
        outcome = once(kill_both, nothing)
        self.assert_one_owner(outcome, apart=False)
        self.assertLess(outcome.said, TIMEOUT_SECONDS + ALLOWED_SECONDS + outcome.waited)

    def test_the_daemon_is_stopped_and_goes_on(self) -> None:
        """It is replaced by the protocol's own bound, and a thousand questions that waited for it stay unanswered."""
        outcome = once(stop, go_on(5))
        self.assert_one_owner(outcome)
        self.assertLess(outcome.said, TIMEOUT_SECONDS + ALLOWED_SECONDS + outcome.waited)

    def test_daemon_and_guard_are_stopped_and_go_on(self) -> None:
        """As on a host that was suspended: the addresses expire, and nobody wakes up as MASTER."""
        outcome = once(stop_both, go_on(5))
        self.assert_one_owner(outcome, apart=False)
        self.assertLess(outcome.said, TIMEOUT_SECONDS + ALLOWED_SECONDS + outcome.waited)


class SeenTests(SceneTestCase):
    """How doubles are told."""

    def test_a_double(self) -> None:
        """A host that answers again after another one had; for each client and way by itself, and over all."""
        runs = [
            Run("client1", "arp", "a", "m", 0.0, 1.0, 9),
            Run("client1", "arp", "b", "m", 1.1, 2.0, 9),
            Run("client2", "arp", "a", "m", 0.0, 1.3, 9),
            Run("client2", "arp", "b", "n", 1.4, 2.0, 9),
        ]
        clean = Seen(runs, 0, 0.0)
        self.assertEqual(clean.doubles(), [])
        self.assertAlmostEqual(clean.together("a", "b"), 0.2)
        self.assertAlmostEqual(clean.gap("a", "b")["arp"], 0.1)
        self.assertEqual(clean.macs(), {"m", "n"})
        self.assertEqual((clean.first("b"), clean.last("a")), (1.4, 1.3))
        (double,) = Seen([*runs, Run("client1", "arp", "a", "m", 1.5, 1.7, 3)], 0, 0.0).doubles()
        self.assertEqual((double.client, double.way, double.hosts), ("client1", "arp", ("a", "b")))
        self.assertAlmostEqual(double.seconds, 0.6)
