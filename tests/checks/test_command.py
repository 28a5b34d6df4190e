"""The check that is a command, on real processes."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, TimeoutError, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from carptwist.checks.command import CommandProbe
from carptwist.checks.health import Result
from carptwist.output import KEPT_OUTPUT
from carptwist.patience import within


def probe(*words: str) -> CommandProbe:
    return CommandProbe(reactor, words, {"check": "test"})


def shell(text: str) -> CommandProbe:
    return probe("/bin/sh", "-c", text)


def runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


class CommandTests(TestCase):
    """One command after the other."""

    timeout = 60

    @inlineCallbacks
    def until(self, condition: Callable[[], bool]) -> Any:
        while not condition():
            yield deferLater(reactor, 0.01)

    @inlineCallbacks
    def test_the_exit_code_says(self) -> Any:
        """0 is good; what it said is kept for the log."""
        found = yield probe("/bin/true")()
        self.assertEqual(found, Result(True, "exit code 0"))
        found = yield shell('echo "$check $0"; echo no luck >&2; exit 3')()
        self.assertEqual(found, Result(False, "exit code 3", "test /bin/sh\nno luck"))

    @inlineCallbacks
    def test_words_stay_words(self) -> Any:
        """No shell looks at them."""
        found = yield probe("/bin/echo", "a  b", "$HOME;", "-n", '"')()
        self.assertEqual(found.output, 'a  b $HOME; -n "')

    @inlineCallbacks
    def test_a_signal_is_bad(self) -> Any:
        """And named."""
        found = yield shell("kill -TERM $$")()
        self.assertEqual(found, Result(False, "ended by SIGTERM"))

    @inlineCallbacks
    def test_what_does_not_exist_is_bad(self) -> Any:
        """With the path in what is told."""
        found = yield probe("/nonexistent/probe")()
        self.assertEqual((found.good, found.text), (False, "exit code 127"))
        self.assertIn("/nonexistent/probe", found.output)

    @inlineCallbacks
    def test_at_the_timeout_the_whole_group_is_killed(self) -> Any:
        """Children that it has started as well; the next run finds nothing in its way."""
        child = Path(self.mktemp()).absolute()
        hanging = shell(f"sleep 1000 & echo $! > {child}; wait")
        with self.assertRaises(TimeoutError):
            yield within(0.5, reactor, hanging())
        yield self.until(lambda: not runs(int(child.read_text())))
        yield self.until(lambda: not hanging.busy)
        again = hanging()
        self.assertFalse(again.called)
        again.cancel()
        again.addErrback(lambda _: None)
        yield self.until(lambda: not hanging.busy)

    @inlineCallbacks
    def test_what_cannot_be_started_is_bad(self) -> Any:
        """The next run is another attempt."""
        impossible = probe("/bin/echo", "x" * 10_000_000)
        for _ in range(2):
            found = yield impossible()
            self.assertEqual(found, Result(False, "could not be started: [Errno 7] Argument list too long"))

    @inlineCallbacks
    def test_what_nobody_wants_any_more_when_it_is_started(self) -> Any:
        """Is killed then."""
        began = time.monotonic()
        hanging = probe("sleep", "1000")
        for _ in range(10):
            running = hanging()
            running.addErrback(lambda _: None)
            running.cancel()
            self.assertTrue(hanging.busy)
            yield self.until(lambda: not hanging.busy)
        self.assertLess(time.monotonic() - began, 30)

    @inlineCallbacks
    def test_a_run_that_does_not_end_is_joined_by_no_other(self) -> Any:
        """It is bad at once instead."""
        slow = shell("sleep 0.5")
        first = slow()
        second = yield slow()
        self.assertEqual(second, Result(False, "killed, but has not ended"))
        found = yield first
        self.assertTrue(found.good)

    @inlineCallbacks
    def test_a_child_that_keeps_the_output_open_is_not_waited_for(self) -> Any:
        """The command has ended when it has ended."""
        began = time.monotonic()
        found = yield shell("echo here; sleep 3 & exit 0")()
        self.assertEqual(found, Result(True, "exit code 0", "here"))
        self.assertLess(time.monotonic() - began, 2.5)

    @inlineCallbacks
    def test_much_output_is_cut_and_does_not_stop_the_command(self) -> Any:
        """A megabyte goes through."""
        found = yield shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 4")()
        self.assertEqual((found.text, found.output), ("exit code 4", KEPT_OUTPUT * "x"))

    @inlineCallbacks
    def test_a_flood_of_output_keeps_the_reactor_free(self) -> Any:
        """It stands still in the pipe: this process uses little of its time for it."""
        flooding = probe("yes")
        began = time.process_time()
        with self.assertRaises(TimeoutError):
            yield within(1, reactor, flooding())
        self.assertLess(time.process_time() - began, 0.5)
        yield self.until(lambda: not flooding.busy)

    @inlineCallbacks
    def test_many_hang_at_the_same_time_without_a_thread(self) -> Any:
        """And without leaving a descriptor behind."""
        yield probe("/bin/true")()
        yield deferLater(reactor, 0.1)  # all of it has been let go
        before = len(os.listdir("/proc/self/fd"))
        threads = len(os.listdir("/proc/self/task"))
        probes = [probe("sleep", "1000") for _ in range(50)]
        running = [each() for each in probes]
        yield self.until(lambda: len(os.listdir("/proc/self/task")) == threads)
        for each in running:
            each.addErrback(lambda _: None)
            each.cancel()
        yield self.until(lambda: not any(each.busy for each in probes))
        yield self.until(lambda: len(os.listdir("/proc/self/fd")) == before)
        done: list[Deferred[Result]] = [probe("/bin/true")() for _ in range(50)]
        found = yield DeferredList(done)
        self.assertTrue(all(result.good for _, result in found))
        yield self.until(lambda: len(os.listdir("/proc/self/fd")) == before)

    @inlineCallbacks
    def test_nothing_is_left_to_the_garbage_collector(self) -> Any:
        """Which stops everything for a while: neither by those that have ended, nor by those that were killed."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for text in ("exit 0", "echo here; exit 1", "sleep 1000", "yes", "/nonexistent"):
            each = shell(text)
            for _ in range(5):
                yield within(0.2, reactor, each()).addErrback(lambda failure: failure.trap(TimeoutError) and None)
                yield self.until(lambda each=each: not each.busy)  # type: ignore[misc]
        yield deferLater(reactor, 0.05)
        del each
        left = [found for found in gc.get_objects() if type(found).__module__ == "carptwist.checks.command"]
        self.assertEqual(left, [])

    @inlineCallbacks
    def test_one_that_begins_when_another_one_ends_is_left_alone(self) -> Any:
        """Whatever the reactor still has to say of the descriptors of the former one."""
        for number in range(100):
            found = yield shell(f"echo {number}; exit 3")()
            self.assertEqual(found, Result(False, "exit code 3", f"{number}"))
