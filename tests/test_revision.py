"""The configuration of a running node is exchanged: the daemon's own code, on virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.health import SyncConfig
from carptwist.config.reactions import HookConfig
from carptwist.config.schema import Configuration, Knobs, Phrase, PlaneKind, VirtualHostConfig
from carptwist.configuration import ConfigurationError, Problem, SavingError
from carptwist.control.commands import RefusedError
from carptwist.control.revising import MOST_PLANS, Revising
from carptwist.control.revision_commands import BadConfigurationError
from carptwist.control.status import StatusReport
from carptwist.election.state import State
from carptwist.revision import Outcome, Revision
from carptwist.simulation.host import Nature
from carptwist.simulation.world import World
from carptwist.tools.status_table import render
from carptwist.wire.advertisement import Heard, read

PHRASE = "mekmitasdigoat"


def vhid(number: int, *addresses: str, **settings: Any) -> VirtualHostConfig:
    shared = addresses or (f"192.168.{number}.1/24",)
    return VirtualHostConfig(number, "em0", tuple(map(ip_interface, shared)), (Phrase(PHRASE.encode()),), **settings)


ONE, TWO = vhid(1), vhid(2)
BOTH = Configuration(Knobs(preempt=True), (ONE, TWO))


class RevisionCase(SynchronousTestCase):
    """Host a is MASTER of 1@em0 and 2@em0; b, with advskew 100, is BACKUP."""

    def setUp(self) -> None:
        self.world = World(7, keep_frames=True)
        self.world.__enter__()
        self.addCleanup(self.world.__exit__, None, None, None)
        self.a = self.world.add("a", BOTH, {"em0": "lan", "em1": "dmz"}, Nature(jitter=0.0))
        slower = replace(BOTH, vhids=tuple(replace(each, advskew=100) for each in BOTH.vhids))
        self.b = self.world.add("b", slower, {"em0": "lan", "em1": "dmz"}, Nature(jitter=0.0))
        self.lan = self.world.segments["lan"]
        self.hooks: list[Sequence[HookConfig]] = []
        self.path = Path(self.mktemp())
        self.a.start()
        self.world.run(5)
        self.b.start()
        self.world.run(5)
        assert self.a.node is not None
        assert self.a.clock is not None
        self.node = self.a.node
        self.noted: list[tuple[str, str, str]] = []
        self.revision = Revision(
            BOTH,
            node=self.node,
            exchange={"hooks": self.hooks.append},
            path=str(self.path),
            note=lambda who, vhid, what: self.noted.append((who, vhid, what)),
        )
        self.revising = Revising(self.revision, self.node.roster, self.revision.reload, self.a.clock.seconds)

    def adopt(self, wanted: Configuration) -> list[str]:
        """What an exchange says that it has done."""
        return self.told(self.revision.adopt(wanted))

    def told(self, exchanging: Deferred[list[Outcome]]) -> list[str]:
        self.world.run(0.5)
        outcomes: list[Outcome] = self.successResultOf(exchanging)
        return [outcome.text for outcome in outcomes]

    def advertised(self, number: int, station: str = "a") -> list[tuple[float, int, int]]:
        """When a host has advertised a vhid, with which advbase and advskew."""
        found = []
        for passed in self.lan.passed:
            said = read(passed.frame)
            if passed.station == station and isinstance(said, Heard) and said.advertisement.vhid == number:
                found.append((passed.at, said.advertisement.advbase, said.advertisement.advskew))
        return found

    def file(self, text: str) -> None:
        self.path.write_text(text)


class AdoptTests(RevisionCase):
    """Step by step."""

    def test_what_is_unchanged_notices_nothing(self) -> None:
        """Its advertisements leave to the microsecond when they would have left without."""
        untouched = World(7, keep_frames=True)
        host = untouched.add("a", BOTH, {"em0": "lan", "em1": "dmz"}, Nature(jitter=0.0))
        host.start()
        untouched.run(40)
        expected = [
            passed.at
            for passed in untouched.segments["lan"].passed
            if isinstance(said := read(passed.frame), Heard) and said.advertisement.vhid == 1
        ]
        for number in range(1, 50):
            address = f"192.168.2.{1 + number % 2}/24"
            self.assertEqual(
                self.adopt(Configuration(Knobs(preempt=True), (ONE, vhid(2, address, advskew=number))))[0],
                "1@em0: unchanged",
            )
        self.world.run(10)
        self.assertEqual([at for at, _, _ in self.advertised(1) if at < 30], [at for at in expected if at < 30])
        self.assertEqual(self.advertised(2)[-1][2], 49)

    def test_changed_added_and_removed(self) -> None:
        """All at once, in an order in which the address of the removed one is free for the added one."""
        wanted = Configuration(Knobs(preempt=True, dscp=4), (replace(ONE, advskew=3), vhid(3, "192.168.2.1/24")))
        self.assertEqual(
            self.adopt(wanted),
            [
                "[carp]: dscp 56 -> 4",
                "2@em0: removed",
                "1@em0: advskew 0 -> 3",
                "3@em0: added with 192.168.2.1/24",
            ],
        )
        self.world.run(5)
        self.assertIsNone(self.a.state("2@em0"))
        self.assertEqual(self.advertised(2)[-1][1:], (255, 255))
        self.assertIs(self.b.state("2@em0"), State.MASTER)
        self.assertEqual(self.advertised(1)[-1][1:], (1, 3))
        self.assertIs(self.a.state("3@em0"), State.MASTER)
        self.assertEqual(self.node.roster.knobs.dscp, 4)
        self.assertEqual(self.revision.running, wanted)
        self.assertEqual(self.revision.loaded, wanted)

    def test_another_plane_begins_anew(self) -> None:
        """The vhid bows out, and comes back with the new one."""
        wanted = replace(BOTH, vhids=(replace(ONE, plane=PlaneKind.NONE), TWO))
        self.assertIn("1@em0: plane macvlan -> none: begins anew", self.adopt(wanted))
        self.assertIn((255, 255), [said[1:] for said in self.advertised(1)])
        self.world.run(5)
        self.assertIs(self.a.state("1@em0"), State.MASTER)

    def test_the_last_vhid_of_an_interface_takes_its_ports_along(self) -> None:
        """And the first one opens them."""
        elsewhere = replace(TWO, interface="em1")
        self.adopt(replace(BOTH, vhids=(ONE, elsewhere)))
        assert self.a.system is not None
        system = self.a.system
        self.assertEqual({port.interface for port in system.ports if port.plugged_in}, {"em0", "em1"})
        self.adopt(replace(BOTH, vhids=(elsewhere,)))
        self.assertEqual({port.interface for port in system.ports if port.plugged_in}, {"em1"})
        self.assertEqual(system.members, ["em1"])

    def test_a_failing_step_leaves_the_former_settings(self) -> None:
        """Of its own vhid; the others are done, and running is not what was wanted."""
        assert self.a.system is not None
        self.a.system.planes["1@em0"].trouble = "no room for 192.168.1.9"
        wanted = replace(BOTH, vhids=(vhid(1, "192.168.1.1/24", "192.168.1.9/24"), replace(TWO, advskew=9)))
        self.assertEqual(
            self.adopt(wanted),
            [
                "1@em0: address 192.168.1.9/24 added: failed: no room for 192.168.1.9",
                "2@em0: advskew 0 -> 9",
            ],
        )
        self.assertEqual(self.revision.running.vhids, (ONE, replace(TWO, advskew=9)))
        self.assertEqual(self.revision.loaded, wanted)

    def test_changes_made_at_run_time_are_undone(self) -> None:
        """And told."""
        self.node.change(replace(ONE, advskew=77))
        self.node.roster.set_knobs(replace(self.node.roster.knobs, log=5))
        undone = " (a change made at run time is undone)"
        self.assertEqual(
            self.adopt(BOTH), [f"[carp]: log 5 -> 1{undone}", "2@em0: unchanged", f"1@em0: advskew 77 -> 0{undone}"]
        )
        self.assertEqual(self.revision.running, BOTH)

    def test_a_part_that_cannot_be_exchanged_is_tried_again(self) -> None:
        """It says why; until then it is not what holds, and no vhid has noticed anything."""
        answers: list[Deferred[None]] = []
        revision = Revision(BOTH, node=self.node, exchange={"syncs": lambda configs: answers[-1]})
        wanted = replace(BOTH, syncs=(SyncConfig("states"),))
        for trouble, told in ((OSError("in use"), ": failed: in use"), (None, "")):
            answers.append(Deferred())
            adopting = revision.adopt(wanted)
            self.world.run(1)
            self.assertNoResult(adopting)
            if trouble is None:
                answers[-1].callback(None)
            else:
                answers[-1].errback(trouble)
            self.assertEqual(
                self.told(adopting), ["1@em0: unchanged", "2@em0: unchanged", f"[sync]: states added{told}"]
            )
        self.assertEqual(revision.running, wanted)
        self.assertEqual(self.told(revision.adopt(wanted)), ["1@em0: unchanged", "2@em0: unchanged"])

    def test_hooks_are_exchanged(self) -> None:
        """And known to be there the next time."""
        hook = HookConfig("mail", ("true",))
        self.assertIn("[hook]: mail added", self.adopt(replace(BOTH, hooks=(hook,))))
        self.assertEqual(self.hooks, [(hook,)])
        self.assertNotIn("[hook]: mail added", self.adopt(replace(BOTH, hooks=(hook,))))

    def test_what_takes_a_start_is_told_each_time(self) -> None:
        """For as long as it is not in force."""
        wanted = replace(BOTH, knobs=replace(BOTH.knobs, state_dir="/elsewhere"))
        line = "[carp]: state_dir /var/lib/carptwist -> /elsewhere: takes effect at the next start"
        self.assertEqual([line in self.adopt(wanted), line in self.adopt(wanted)], [True, True])

    def test_one_exchange_at_a_time(self) -> None:
        """The second begins when the first has ended, and starts from what that has made."""
        first = self.revision.adopt(replace(BOTH, vhids=(ONE,)))
        second = self.revision.adopt(BOTH)
        self.assertEqual(self.told(first), ["2@em0: removed", "1@em0: unchanged"])
        self.assertEqual(self.told(second), ["1@em0: unchanged", "2@em0: added with 192.168.2.1/24"])

    def test_nothing_is_begun_while_the_daemon_stops(self) -> None:
        """What is at work is waited for, and nothing comes after it."""
        under_way = self.revision.adopt(Configuration(BOTH.knobs, (vhid(5), vhid(6))))
        closing = self.revision.close()
        self.assertNoResult(closing)
        self.world.run(1)
        self.successResultOf(closing)
        self.assertEqual(self.told(under_way), ["1@em0: removed"])
        self.failureResultOf(self.revision.adopt(BOTH), ValueError)

    def test_no_file_is_waited_for_while_the_daemon_stops(self) -> None:
        """One that hangs, as on a server that has gone, ends as a refusal, and what it says later is not done."""
        hanging: Deferred[Any] = Deferred()
        revision = Revision(
            BOTH, node=self.node, exchange={"hooks": self.hooks.append}, path=str(self.path), aside=lambda work: hanging
        )
        reloading = revision.reload()
        self.world.run(1)
        self.assertNoResult(reloading)
        self.successResultOf(revision.close())
        self.assertIn("is stopping", str(self.failureResultOf(reloading, ValueError).value))
        hanging.callback(None)
        self.assertEqual(len(self.node.roster.all()), 2)


class ReloadTests(RevisionCase):
    """From the file."""

    def test_the_file_is_read_again(self) -> None:
        """Each time."""
        self.file("[carp]\npreempt = yes\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\n")
        self.assertEqual(self.told(self.revision.reload()), ["2@em0: removed", "1@em0: unchanged"])

    def test_a_bad_file_changes_nothing(self) -> None:
        """Nothing at all, and all of its errors are told."""
        self.file("[carp]\ndscp = 1\nlog = 9\n[vhid 1@em0]\naddress = 192.168.1.1/24\nadvskew = 300\n")
        error = self.failureResultOf(self.revision.reload(), ConfigurationError).value
        self.assertEqual([problem.line for problem in error.errors], [3, 6])
        self.assertEqual(self.revision.running, BOTH)
        self.assertEqual(self.revision.loaded, BOTH)

    def test_without_a_file_there_is_nothing_to_read(self) -> None:
        """As in a program that has built its configuration itself."""
        revision = Revision(BOTH, node=self.node, exchange={"hooks": self.hooks.append})
        self.failureResultOf(revision.reload(), ValueError)


class SaveTests(RevisionCase):
    """What was changed at run time is written down."""

    TEXT = (
        "# mine\n[carp]\npreempt = yes\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\n"
        "[vhid 2@em0]\naddress = 192.168.2.1/24\npass = mekmitasdigoat\n"
    )

    def test_changes_are_written_and_are_none_any_more(self) -> None:
        """A reload afterwards has nothing to undo."""
        self.file(self.TEXT)
        self.node.change(replace(ONE, advskew=7))
        self.node.add(vhid(3))
        self.node.remove("2@em0")
        self.node.roster.set_knobs(replace(self.node.roster.knobs, log=2))
        self.world.run(1)
        self.assertEqual(
            self.successResultOf(self.revision.save()),
            [
                "[carp]: log 1 -> 2",
                "2@em0: removed",
                "1@em0: advskew 0 -> 7",
                "3@em0: added with 192.168.3.1/24",
            ],
        )
        self.assertEqual(
            self.path.read_text(),
            "# mine\n[carp]\npreempt = yes\nlog = 2\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\n"
            "advskew = 7\n\n[vhid 3@em0]\naddress = 192.168.3.1/24\npass = mekmitasdigoat\n",
        )
        self.assertEqual(self.told(self.revision.reload()), ["1@em0: unchanged", "3@em0: unchanged"])
        self.assertEqual(self.successResultOf(self.revision.save()), [])

    def test_what_waits_for_the_next_start_stays_in_the_file(self) -> None:
        """What runs is not what it says, and is no change of anybody's."""
        self.file(self.TEXT.replace("preempt = yes", "preempt = yes\nstate_dir = /elsewhere"))
        self.told(self.revision.reload())
        self.node.change(replace(ONE, advskew=7))
        self.assertEqual(self.successResultOf(self.revision.save()), ["1@em0: advskew 0 -> 7"])
        self.assertIn("state_dir = /elsewhere\n", self.path.read_text())

    def test_a_refusal_changes_nothing(self) -> None:
        """The file was edited, or there is none; what runs stays told apart."""
        self.file(self.TEXT.replace("168.2.1", "168.2.2"))
        self.node.change(replace(ONE, advskew=7))
        self.failureResultOf(self.revision.save(), SavingError)
        self.assertEqual(self.revision.loaded, BOTH)
        self.assertIn("192.168.2.2", self.path.read_text())
        revision = Revision(BOTH, node=self.node, exchange={"hooks": self.hooks.append})
        self.failureResultOf(revision.save(), ValueError)


class StatusTests(RevisionCase):
    """What is as the configuration says, and what is not."""

    def test_each_vhid_and_each_setting_is_told_apart(self) -> None:
        """As in the file, changed, not in it, in it and not running."""
        report = StatusReport(
            self.node.roster, host="a", seconds=lambda: 0.0, wall=lambda: 0.0, loaded=lambda: self.revision.loaded
        )
        before = report.snapshot()
        self.assertEqual([each["configured"] for each in before["vhids"]], ["file", "file"])
        self.assertEqual(before["unsaved"], [])
        self.assertNotIn("configuration", render(before))
        self.node.change(replace(ONE, advskew=7))
        self.node.add(vhid(3))
        self.node.remove("2@em0")
        self.node.roster.set_knobs(replace(self.node.roster.knobs, log=2))
        self.world.run(1)
        after = report.snapshot()
        self.assertEqual([each["configured"] for each in after["vhids"]], ["changed", "not in the configuration"])
        self.assertEqual(
            after["unsaved"],
            [
                "net.inet.carp.log is 2, in the configuration 1",
                "1@em0: advskew is 7, in the configuration 0",
                "3@em0 is not in the configuration",
                "2@em0 is in the configuration, and was removed",
            ],
        )
        for text in after["unsaved"]:
            self.assertIn(text, render(after))

    def test_what_waits_for_the_next_start_is_nobodys_change(self) -> None:
        """state_dir is no setting that anybody can change at run time."""
        report = StatusReport(
            self.node.roster, host="a", seconds=lambda: 0.0, wall=lambda: 0.0, loaded=lambda: self.revision.loaded
        )
        self.adopt(replace(BOTH, knobs=replace(BOTH.knobs, state_dir="/elsewhere")))
        self.assertEqual(report.snapshot()["unsaved"], [])


class RevisingTests(RevisionCase):
    """The answers of the control protocol."""

    def test_a_reload_tells_each_step(self) -> None:
        """What was done, and what has failed."""
        self.file("[carp]\npreempt = yes\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\n")
        answering = self.revising.reload("root")
        self.world.run(1)
        steps = self.successResultOf(answering)["steps"]
        self.assertEqual(
            steps[0],
            {"action": "remove", "subject": "2@em0", "text": "removed", "undoes": False, "trouble": None},
        )
        self.assertEqual([step["action"] for step in steps], ["remove", "keep"])

    def test_the_history_has_what_was_changed_and_by_whom(self) -> None:
        """A line for each step but for what is unchanged, and the sum of it; of a bad file the first error."""
        self.file("[carp]\ndscp = 5\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\npreempt = 9\n")
        refused = self.failureResultOf(self.revision.reload("anna"), ConfigurationError).value
        self.assertEqual(self.noted, [("anna", "", f"reload: refused, nothing is changed: {refused.errors[0]}")])
        self.file("[carp]\npreempt = yes\ndscp = x\n[vhid 1@em0]\naddress = y\n")
        self.failureResultOf(self.revision.reload("anna"), ConfigurationError)
        self.assertRegex(self.noted.pop()[2], r"dscp = x: .* \(and [12] more\)$")
        self.noted.clear()
        self.node.change(replace(TWO, advskew=7))
        self.file(f"[carp]\npreempt = yes\ndscp = 5\n[vhid 1@em0]\naddress = 192.168.1.1/24\npass = {PHRASE}\n")
        self.told(self.revision.reload("anna"))
        self.assertEqual(
            self.noted,
            [
                ("anna", "", "reload: [carp]: dscp 56 -> 5"),
                ("anna", "2@em0", "reload: removed (a change made at run time is undone)"),
                ("anna", "", "reload: 1 of 1 vhids unchanged"),
            ],
        )
        self.noted.clear()
        self.node.change(replace(ONE, advskew=9, phrases=(Phrase(b"another one"),)))
        self.successResultOf(self.revision.save("bert"))
        self.assertEqual(self.noted, [("bert", "1@em0", f"written into {self.path}: pass changed, advskew 0 -> 9")])

    def test_plans_whose_files_hang_are_few(self) -> None:
        """Each of them has a thread of its own; one that ends makes room."""
        reading: list[Deferred[Any]] = []

        def hang(work: object) -> Deferred[Any]:
            reading.append(Deferred())
            return reading[-1]

        revision = Revision(
            BOTH, node=self.node, exchange={"hooks": self.hooks.append}, path=str(self.path), aside=hang
        )
        revising = Revising(revision, self.node.roster, revision.reload, self.world.timeline.seconds)
        asked = [revising.plan("/far/away") for _ in range(MOST_PLANS)]
        self.assertIn("4 plans are being made", str(self.failureResultOf(revising.plan(""), RefusedError).value))
        reading[0].errback(ConfigurationError([Problem("/far/away", 0, "cannot be read: too late")]))
        self.failureResultOf(asked[0], BadConfigurationError)
        self.assertNoResult(revising.plan(""))

    def test_a_save_tells_what_it_has_written(self) -> None:
        """And a refusal is one of the protocol."""
        self.file(SaveTests.TEXT)
        self.assertEqual(self.successResultOf(self.revising.save("root")), {"path": str(self.path), "written": []})
        self.node.change(replace(ONE, advskew=7))
        answer = self.successResultOf(self.revising.save("root"))
        self.assertEqual(answer["written"], ["1@em0: advskew 0 -> 7"])
        self.path.unlink()
        self.node.change(replace(ONE, advskew=8))
        self.failureResultOf(self.revising.save("root"), RefusedError)

    def test_a_bad_file_is_an_error_of_its_own_kind(self) -> None:
        """So that a program can tell it from a refusal."""
        self.file("[vhid 1@em0]\naddress = x\n")
        for asking in (self.revising.reload("root"), self.revising.plan("")):
            error = self.failureResultOf(asking, BadConfigurationError).value
            self.assertIn(f"{self.path}:2: [vhid 1@em0] address = x", str(error))
        revision = Revision(BOTH, node=self.node, exchange={"hooks": self.hooks.append})
        revising = Revising(revision, self.node.roster, revision.reload, self.world.timeline.seconds)
        self.failureResultOf(revising.reload("root"), RefusedError)
        self.failureResultOf(revising.plan(""), RefusedError)

    def plan(self, text: str, of: str = "a") -> dict[str, str]:
        """What is foreseen, by vhid, with a file in which ``text`` is all of [vhid 1@em0] besides its address."""
        self.file(
            "[carp]\npreempt = yes\n"
            f"[vhid 1@em0]\naddress = 192.168.1.1/24\npass = mekmitasdigoat\n{text}\n"
            "[vhid 2@em0]\naddress = 192.168.2.1/24\npass = mekmitasdigoat\nadvskew = 100\n"
        )
        host = self.world.hosts[of]
        assert host.node is not None
        assert host.clock is not None
        revision = Revision(
            host.configuration, node=host.node, exchange={"hooks": self.hooks.append}, path=str(self.path)
        )
        revising = Revising(revision, host.node.roster, revision.reload, host.clock.seconds)
        answer = self.successResultOf(revising.plan(""))
        self.assertEqual(revision.running, host.configuration)
        return {each["name"]: each["text"] for each in answer["forecast"]}

    def test_a_backup_that_would_be_preferred(self) -> None:
        """Is foreseen to take over, and does."""
        text = "advskew = 0\nadvbase = 0"
        found = self.plan(text, "b")
        self.assertIn("this host becomes MASTER (master timed out); own interval", found["1@em0"])
        self.assertEqual(found["2@em0"], "192.168.1.101 stays MASTER")
        assert self.b.node is not None
        self.b.node.change(replace(ONE, advbase=0))
        self.world.run(2)
        self.assertIs(self.b.state("1@em0"), State.MASTER)
        self.assertIs(self.b.state("2@em0"), State.BACKUP)

    def test_a_backup_that_would_still_be_slower(self) -> None:
        """Leaves the master as it is."""
        found = self.plan("advskew = 50", "b")
        self.assertTrue(found["1@em0"].startswith("192.168.1.101 stays MASTER; own interval 1.391 s -> 1.195 s"), found)

    def test_a_master_that_knows_nobody(self) -> None:
        """Says against whom it would lose."""
        found = self.plan("advskew = 150")
        self.assertEqual(
            found["1@em0"],
            "this host stays MASTER; own interval 1.000 s -> 1.586 s: a host with advbase 1 and advskew 1 to 149 is "
            "now preferred, and takes over if it preempts",
        )
        self.assertIn("advskew 1 to 99", found["2@em0"])

    def test_a_vhid_that_is_not_there_yet(self) -> None:
        """Has to listen first."""
        self.file("[vhid 9@em0]\naddress = 192.168.9.1/24\npass = mekmitasdigoat\n")
        forecast = self.successResultOf(self.revising.plan(""))["forecast"]
        self.assertEqual(forecast[-1]["name"], "9@em0")
        self.assertIn("joins as BACKUP, and is MASTER if it hears no other for 3.000 s", forecast[-1]["text"])
        self.assertEqual(forecast[0]["text"], "another host takes over at once, if there is one")

    def test_a_vhid_that_takes_no_part(self) -> None:
        """Is told to be INIT, with the reason."""
        self.a.set_carrier("em0", False)
        self.world.run(1)
        self.assertEqual(self.plan("")["1@em0"], "INIT (interface down em0): no part in the election now")
