"""All checks of a host, on virtual time: when each looks, and what the ledger says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from carptwist.checks.checks import SPREAD_SECONDS, Checks
from carptwist.checks.health import Result
from carptwist.config.health import CheckConfig
from carptwist.config.schema import Knobs
from carptwist.vhost.roster import Roster

GOOD, BAD = Result(True, "HTTP 200"), Result(False, "HTTP 503")


def config(name: str = "web", **settings: Any) -> CheckConfig:
    return CheckConfig(name, file="/", **settings)


class Probed:
    """The probes of all checks: each answers at once with what it is set to, or never."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answers: dict[str, Result | Exception | None] = {}
        self.looked: dict[str, list[float]] = {}
        self.cancelled: list[str] = []

    def __call__(self, config: CheckConfig) -> Any:
        def look() -> Deferred[Result]:
            self.looked.setdefault(config.name, []).append(self.clock.seconds())
            answer = self.answers.get(config.name, GOOD)
            if isinstance(answer, Exception):
                raise answer
            return Deferred(lambda _: self.cancelled.append(config.name)) if answer is None else succeed(answer)

        return look


class ChecksCase(SynchronousTestCase):
    """A roster without vhids, and time that only passes when it is told to."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.roster = Roster(Knobs(), self.clock)
        self.probed = Probed(self.clock)
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, Any]) -> None:
        if str(event.get("log_format", "")).startswith("carp: "):
            self.logged.append(event["log_format"].format(**event))

    def checks(self, *configs: CheckConfig) -> Checks:
        made = Checks(
            configs,
            self.clock,
            prober=self.probed,
            demote=self.roster.demote,
            undemote=self.roster.undemote,
        )
        made.doubt()
        made.start()
        self.addCleanup(made.finish)
        return made

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0, *[0.125] * int(seconds / 0.125)])

    def ledger(self) -> dict[str, tuple[int, str]]:
        return {entry.owner: (entry.value, entry.reason) for entry in self.roster.ledger.entries}


class DemotionTests(ChecksCase):
    """What a check's standing does."""

    def test_before_the_first_result_the_host_is_demoted(self) -> None:
        """Nobody has looked yet at what it would be master for."""
        self.checks(config(demote=70))
        self.assertEqual(self.ledger(), {"check web": (70, "check web: no result yet")})
        self.clock.advance(0)
        self.assertEqual(self.ledger(), {})
        self.assertEqual(
            self.logged,
            [
                "carp: demoted by 70 to 70 (check web: no result yet)",
                "carp: check web: passing: HTTP 200 (once)",
                "carp: demoted by -70 to 0 (check web: HTTP 200)",
            ],
        )

    def test_failing_and_recovering(self) -> None:
        """After `fall` bad results in a row, and after `rise` good ones."""
        self.checks(config(interval=2, rise=2, fall=3))
        self.pass_time(1)
        self.logged.clear()
        self.probed.answers["web"] = BAD
        self.pass_time(4.5)  # looked at 2 and 4
        self.assertEqual((self.roster.ledger.sum, self.logged), (0, []))
        self.pass_time(1)
        self.assertEqual(self.ledger(), {"check web": (100, "check web: HTTP 503")})
        self.assertEqual(
            self.logged,
            [
                "carp: check web: failing: HTTP 503 (3 times in a row)",
                "carp: demoted by 100 to 100 (check web: HTTP 503)",
            ],
        )
        self.probed.answers["web"] = GOOD
        self.pass_time(2)
        self.assertEqual(self.roster.ledger.sum, 100)
        self.pass_time(2)
        self.assertEqual(self.roster.ledger.sum, 0)
        self.assertEqual(self.logged[-1], "carp: demoted by -100 to 0 (check web: HTTP 200)")

    def test_why_it_fails_is_kept_up_to_date(self) -> None:
        """Without a line in the log for each."""
        self.probed.answers["web"] = BAD
        self.checks(config(interval=1))
        self.pass_time(0.5)
        self.logged.clear()
        self.probed.answers["web"] = Result(False, "connection refused")
        self.pass_time(1)
        self.assertEqual(self.ledger(), {"check web": (100, "check web: connection refused")})
        self.assertEqual(self.logged, [])

    def test_a_single_bad_result_does_not_demote(self) -> None:
        """Nor does it leave an entry."""
        self.checks(config(interval=1))
        self.pass_time(0.5)
        self.probed.answers["web"] = BAD
        self.pass_time(1)
        self.assertEqual(self.ledger(), {})

    def test_checks_add_up(self) -> None:
        """Each has an entry of its own, and counts as a problem."""
        self.probed.answers = {"a": BAD, "b": BAD}
        self.checks(config("a", demote=10), config("b", demote=20), config("c"))
        self.pass_time(2)
        self.assertEqual(self.roster.ledger.sum, 30)
        self.assertEqual(self.roster.problems, 2)


class TimingTests(ChecksCase):
    """When a check looks."""

    def test_every_interval(self) -> None:
        """From beginning to beginning."""
        self.checks(config(interval=3))
        self.pass_time(7)
        self.assertEqual(self.probed.looked["web"], [0, 3, 6])

    def test_two_hundred_checks_are_no_volley(self) -> None:
        """Their first looks are spread evenly over a second, and so are all others."""
        names = [f"c{number}" for number in range(200)]
        self.checks(*(config(name, interval=1) for name in names))
        self.clock.pump([0.005] * 400)
        first = sorted(self.probed.looked[name][0] for name in names)
        self.assertLess(first[-1], SPREAD_SECONDS + 0.005)
        self.assertLess(max(later - earlier for earlier, later in pairwise(first)), 0.011)

    def test_what_hangs_counts_as_bad_at_its_timeout(self) -> None:
        """It is cancelled, and the others look when it is their time."""
        self.probed.answers = {"hangs": None}
        checks = self.checks(config("hangs", interval=2, timeout=1), config("well", interval=1))
        self.pass_time(1.125)
        self.assertEqual(self.ledger(), {"check hangs": (100, "check hangs: no answer within 0.9 s")})
        self.assertEqual(self.probed.cancelled, ["hangs"])
        self.pass_time(6)
        self.assertEqual(self.probed.looked["hangs"], [0, 2, 4, 6])
        self.assertEqual(len(self.probed.looked["well"]), 7)
        self.assertEqual([check["state"] for check in checks.snapshot(str)], ["failing", "passing"])

    def test_a_check_never_overlaps_itself(self) -> None:
        """Where the timeout is longer than the interval, the next look begins when the last one has ended."""
        self.probed.answers = {"web": None}
        self.checks(config(interval=1, timeout=3))
        self.pass_time(7)
        self.assertEqual(self.probed.looked["web"], [0, 3, 6])

    def test_hanging_is_found_out_within_fall_intervals_and_a_timeout(self) -> None:
        """From the moment after a good look."""
        self.checks(config(interval=2, timeout=1, fall=3))
        self.pass_time(0.125)
        self.probed.answers["web"] = None
        self.pass_time(6.75)
        self.assertEqual(self.roster.ledger.sum, 0)
        self.pass_time(0.25)  # 2 + 2 + 2 + 1
        self.assertEqual(self.roster.ledger.sum, 100)

    def test_a_probe_that_raises_is_a_bad_result(self) -> None:
        """And a bug, which is logged; the check goes on."""
        self.probed.answers["web"] = ZeroDivisionError("oh")
        self.checks(config(interval=1))
        self.pass_time(2.5)
        self.assertEqual(self.ledger(), {"check web": (100, "check web: ZeroDivisionError: oh")})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)


class ExchangeTests(ChecksCase):
    """A reload."""

    def test_what_stays_goes_on(self) -> None:
        """In its rhythm, with its row."""
        checks = self.checks(config("a", interval=2, fall=3))
        self.pass_time(1)
        self.probed.answers["a"] = BAD
        self.pass_time(3.5)  # bad at 2 and 4
        checks.replace([config("a", interval=2, fall=3), config("b")])
        self.pass_time(2)
        self.assertEqual(self.probed.looked["a"], [0, 2, 4, 6])
        self.assertEqual(self.roster.ledger.sum, 100)

    def test_what_is_added_demotes_when_it_has_failed(self) -> None:
        """Not before its first result, as at the start: this host has served until now."""
        checks = self.checks()
        self.probed.answers["web"] = None
        checks.replace([config()])
        self.pass_time(0.875)
        self.assertEqual(self.ledger(), {})
        self.pass_time(0.25)
        self.assertEqual(self.roster.ledger.sum, 100)

    def test_what_is_removed_demotes_no_more(self) -> None:
        """And looks no more; a look at work is cancelled."""
        self.probed.answers["web"] = BAD
        checks = self.checks(config(interval=1))
        self.pass_time(0.5)
        self.probed.answers["web"] = None
        self.pass_time(1)
        checks.replace([])
        self.assertEqual((self.ledger(), self.probed.cancelled), ({}, ["web"]))
        self.pass_time(5)
        self.assertEqual(len(self.probed.looked["web"]), 2)
        self.assertEqual(checks.snapshot(str), [])

    def test_what_is_changed_begins_anew_and_stays_failing_until_it_is_known(self) -> None:
        """A changed setting is no recovery."""
        self.probed.answers["web"] = BAD
        checks = self.checks(config())
        self.pass_time(0.5)
        self.probed.answers["web"] = None
        checks.replace([config(demote=50)])
        self.assertEqual(self.roster.ledger.sum, 100)
        self.pass_time(1.125)
        self.assertEqual(self.roster.ledger.sum, 50)

    def test_the_end_leaves_nothing_on_the_clock(self) -> None:
        """Neither timers nor looks."""
        self.probed.answers["web"] = None
        checks = self.checks(config(), config("other"))
        self.clock.advance(0.25)
        checks.finish()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SnapshotTests(ChecksCase):
    """For the status."""

    def test_every_check_with_what_is_known_of_it(self) -> None:
        """From the first moment on."""
        checks = self.checks(config(interval=2), config("late"))
        self.clock.advance(0.25)
        first, late = checks.snapshot(lambda moment: f"at {moment}")
        self.assertEqual(
            first,
            {
                "name": "web",
                "kind": "file",
                "state": "passing",
                "since": "at 0.25",
                "result": "HTTP 200",
                "took": 0.0,
                "demote": 100,
            },
        )
        self.assertEqual((late["state"], late["result"], late["took"]), ("unknown", None, None))
