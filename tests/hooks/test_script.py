"""Hooks: which run, with what, in which order, and how long."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from carptwist.config.reactions import HookConfig
from carptwist.hooks.action import run
from carptwist.hooks.script import Change, Hooks, command
from carptwist.output import KEPT_OUTPUT
from carptwist.plugins.hook import Outcome

MASTER = Change("1", "em0", "BACKUP", "MASTER", "master timed out; rm -rf /")


def shell(text: str, **settings: object) -> HookConfig:
    """A hook whose action is for sh(1)."""
    return HookConfig("test", (text,), shell=True, **settings)  # type: ignore[arg-type]


class CommandTests(SynchronousTestCase):
    """From the action to the words of a command."""

    def test_variables_are_replaced_within_words(self) -> None:
        """A value with blanks or worse stays within its word."""
        hook = HookConfig("test", ("/bin/notify", "$subsystem", "$type:${previous}", "why=$reason", "$HOME", "$"))
        self.assertEqual(
            command(hook, MASTER),
            ["/bin/notify", "1@em0", "MASTER:BACKUP", "why=master timed out; rm -rf /", "$HOME", "$"],
        )

    def test_a_shell_gets_the_text_as_it_is(self) -> None:
        """It finds the variables in its environment."""
        self.assertEqual(command(shell("echo $type"), MASTER), ["/bin/sh", "-c", "echo $type"])


class ActionTests(SynchronousTestCase):
    """One command."""

    def test_exit_codes_and_output(self) -> None:
        """Both streams, the beginning of them, and the environment."""
        outcome = run(["/bin/sh", "-c", "echo $subsystem; echo $reason >&2; exit 3"], MASTER.variables(), 10)
        self.assertEqual((outcome.code, str(outcome), outcome.succeeded), (3, "exit code 3", False))
        self.assertEqual(outcome.output, "1@em0\nmaster timed out; rm -rf /")

    def test_a_flood_of_output_is_cut(self) -> None:
        """Only its beginning is kept."""
        outcome = run(["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], {}, 30)
        self.assertEqual(outcome.output, KEPT_OUTPUT * "x")
        self.assertTrue(outcome.succeeded)

    def test_a_flood_without_end_is_killed_at_the_timeout(self) -> None:
        """It stands still in the pipe, and takes nothing of the disk, and of the daemon's time little."""
        descriptors = len(os.listdir("/proc/self/fd"))
        began = time.process_time()
        outcome = run(["yes"], {}, 1)
        self.assertLess(time.process_time() - began, 0.5)
        self.assertTrue(outcome.timed_out)
        self.assertLess(outcome.seconds, 5)
        self.assertEqual(outcome.output, (KEPT_OUTPUT // 2 * "y\n").strip())
        self.assertEqual(len(os.listdir("/proc/self/fd")), descriptors)

    def test_a_child_that_keeps_the_output_open_is_not_waited_for(self) -> None:
        """The command has ended when it has ended."""
        outcome = run(["/bin/sh", "-c", "echo here; sleep 30 & exit 5"], {}, 20)
        self.assertEqual((outcome.code, outcome.output), (5, "here"))
        self.assertLess(outcome.seconds, 10)

    def test_an_output_that_is_closed(self) -> None:
        """Is not the end."""
        outcome = run(["/bin/sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 6"], {}, 20)
        self.assertEqual((outcome.code, outcome.output), (6, ""))

    def test_what_does_not_exist(self) -> None:
        """Is no exception."""
        outcome = run(["/nonexistent/program"], {}, 10)
        self.assertEqual(outcome.code, 127)
        self.assertIn("/nonexistent/program", outcome.output)

    def test_what_cannot_be_started(self) -> None:
        """Nor is that."""
        outcome = run(["/bin/echo", "x" * 10_000_000], {}, 10)
        self.assertIsNone(outcome.code)
        self.assertEqual(str(outcome), "could not be started: [Errno 7] Argument list too long")

    def test_a_signal(self) -> None:
        """Is named."""
        self.assertEqual(str(run(["/bin/sh", "-c", "kill -TERM $$"], {}, 10)), "ended by SIGTERM")

    def test_a_timeout_kills_the_whole_group(self) -> None:
        """Children that the command has started as well."""
        with tempfile.TemporaryDirectory() as directory:
            child = Path(directory, "child")
            outcome = run(["/bin/sh", "-c", f"sleep 1000 & echo $! > {child}; wait"], {}, 1)
            self.assertTrue(outcome.timed_out)
            self.assertIn("killed after", str(outcome))
            pid = int(child.read_text())
            deadline = time.monotonic() + 10
            while _runs(pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertFalse(_runs(pid))


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class _Target:
    """Takes down what it is told."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.told: list[str] = []

    def changed(self, change: Change) -> Deferred[Outcome]:
        self.told.append(f"{self._name} {change.state}")
        return succeed(Outcome(None, 0.0))

    def stop(self) -> Deferred[None]:
        self.told.append(f"{self._name} stop")
        return succeed(None)


def _plugged(name: str) -> HookConfig:
    """A hook with a plug-in, and its settings."""
    return HookConfig("shop", (), plugin="it", argument=(name,))


class HooksTests(TestCase):
    """Real commands on real threads."""

    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.written = self.directory / "written"
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)

    def _observe(self, event: dict[str, object]) -> None:
        text = str(event.get("log_format", "")).format(**event)
        if text.startswith("carp: hook"):
            self.logged.append(text)

    def hooks(self, *hooks: HookConfig) -> Hooks:
        made = Hooks(reactor, hooks)
        made.start()
        return made

    def note(self, **settings: object) -> HookConfig:
        """A hook that writes down what it is told."""
        return shell(f"echo $subsystem $type >> {self.written}", **settings)

    def lines(self) -> list[str]:
        return self.written.read_text().splitlines() if self.written.exists() else []

    def test_what_matches_runs(self) -> None:
        """The whole subsystem and the whole type must match."""
        hooks = self.hooks(self.note(match="[0-9]+@em0", type="MASTER|INIT"))
        hooks.changed(MASTER)
        hooks.changed(MASTER._replace(interface="em01", vhid="2"))
        hooks.changed(MASTER._replace(vhid="3", state="BACKUP"))
        hooks.changed(MASTER._replace(vhid="4", state="INIT"))
        return hooks.finish().addCallback(
            lambda _: self.assertEqual(sorted(self.lines()), ["1@em0 MASTER", "4@em0 INIT"])
        )

    def test_other_hooks_take_their_place(self) -> None:
        """From the next change on, that of a vhid whose former hook is still at work included: it waits for that."""
        hooks = self.hooks(shell(f"sleep 0.3; echo former $type >> {self.written}"))
        hooks.changed(MASTER)
        hooks.replace([shell(f"echo later $type >> {self.written}")])
        hooks.changed(MASTER._replace(state="BACKUP"))
        return hooks.finish().addCallback(lambda _: self.assertEqual(self.lines(), ["former MASTER", "later BACKUP"]))

    def test_a_plug_in_that_is_exchanged_while_a_hook_before_it_is_at_work(self) -> None:
        """Is called once more as it was before, and then no more: the next change is the new one's."""
        made: list[_Target] = []

        def make(hook: HookConfig) -> _Target:
            made.append(_Target(hook.argument[0]))
            return made[-1]

        slow = shell("sleep 0.2")
        hooks = Hooks(reactor, [slow, _plugged("former")], make)
        hooks.start()
        hooks.changed(MASTER)
        hooks.replace([slow, _plugged("later")])
        hooks.changed(MASTER._replace(state="BACKUP"))

        def judge(_: object) -> None:
            self.assertEqual(
                [each.told for each in made], [["former MASTER", "former stop"], ["later BACKUP", "later stop"]]
            )

        return hooks.finish().addCallback(judge)

    def test_in_order_and_coalesced_to_the_latest(self) -> None:
        """Of a storm a slow hook sees the beginning and the end."""
        hooks = self.hooks(shell(f"sleep 0.3; echo $type >> {self.written}"))
        hooks.changed(MASTER)
        for number in range(20):
            hooks.changed(MASTER._replace(state="BACKUP" if number % 2 else "MASTER"))
        hooks.changed(MASTER._replace(state="INIT"))
        return hooks.finish().addCallback(lambda _: self.assertEqual(self.lines(), ["MASTER", "INIT"]))

    def test_several_hooks_run_in_the_order_of_the_file(self) -> None:
        """One after the other."""
        first, second = shell(f"sleep 0.2; echo 1 >> {self.written}"), shell(f"echo 2 >> {self.written}")
        hooks = self.hooks(first, second)
        hooks.changed(MASTER)
        return hooks.finish().addCallback(lambda _: self.assertEqual(self.lines(), ["1", "2"]))

    def test_a_failure_is_logged_and_stops_nothing(self) -> None:
        """Neither the next hook nor the next change."""
        hooks = self.hooks(shell("echo no luck; exit 7"), HookConfig("gone", ("/nonexistent",)), self.note())
        hooks.changed(MASTER)

        def check(_: object) -> None:
            self.assertEqual(self.lines(), ["1@em0 MASTER"])
            self.assertEqual(self.logged[0], "carp: hook test: 1@em0 MASTER: exit code 7: no luck")
            self.assertIn("carp: hook gone: 1@em0 MASTER: exit code 127: ", self.logged[1])

        return hooks.finish().addCallback(check)

    def test_the_reactor_is_not_held_up(self) -> None:
        """It turns while a hook sleeps."""
        hooks = self.hooks(shell("sleep 0.5"))
        hooks.changed(MASTER)
        began = reactor.seconds()
        turned: Deferred[float] = Deferred()
        reactor.callLater(0.01, lambda: turned.callback(reactor.seconds() - began))
        turned.addCallback(lambda seconds: self.assertLess(seconds, 0.4))
        return turned.addCallback(lambda _: hooks.finish())
