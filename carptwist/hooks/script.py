"""Commands that run when a vhid changes its state: devd(8)'s notifications, under the names of devd.conf(5).

::

    change of 1@em0 --> lane of 1@em0: [hook a], then [hook b] ... one after the other, on a thread
    change of 1@em0 --> waits in the lane; a later one takes its place
    change of 2@em0 --> lane of 2@em0, at the same time

The hooks of one vhid see its changes in order. While they run, only the latest change is remembered: of a storm
they see the beginning and the end. A hook's failure, or its slowness, never touches the elections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from string import Template
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, DeferredList, inlineCallbacks
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from carptwist.config.reactions import HookConfig
from carptwist.hooks.action import run

#: Hooks of so many vhids run at the same time.
THREADS = 8


class Change(NamedTuple):
    """A vhid has entered a state. All text, as a command sees it.

    :ivar vhid: its number
    :ivar interface: where it is
    :ivar previous: ``INIT``, ``BACKUP`` or ``MASTER``
    :ivar state: the new one
    :ivar reason: as the log has it
    """

    vhid: str
    interface: str
    previous: str
    state: str
    reason: str

    @property
    def subsystem(self) -> str:
        """``VHID@INTERFACE``, as devd(8) calls it."""
        return f"{self.vhid}@{self.interface}"

    def variables(self) -> dict[str, str]:
        """What ``$name`` stands for in an action, and what is in its environment."""
        return {
            "system": "CARP",
            "subsystem": self.subsystem,
            "type": self.state,
            "vhid": self.vhid,
            "interface": self.interface,
            "previous": self.previous,
            "reason": self.reason,
        }


class Ended(Protocol):
    """How a reaction ended; its text says so."""

    @property
    def succeeded(self) -> bool: ...


class Target(Protocol):
    """What a hook does that is no command."""

    def changed(self, change: Change) -> Deferred[Any]:
        """Do it. Fires with how it ended, an :class:`Ended`, and never fails."""

    def stop(self) -> Deferred[None]:
        """Nothing more comes."""


def _nothing_else(hook: HookConfig) -> Target:
    raise NotImplementedError(f"[hook {hook.name}] has a plug-in, and there are none")


class Hooks:
    """Runs the hooks of a configuration. Between :meth:`start` and :meth:`finish`.

    :param make: makes what a hook does that is no command.
    """

    _log = Logger()

    def __init__(
        self, reactor: Any, hooks: Sequence[HookConfig], make: Callable[[HookConfig], Target] = _nothing_else
    ) -> None:
        self._reactor = reactor
        self._make = make
        self._targets: dict[HookConfig, Target] = {}
        self._stopping: list[Deferred[None]] = []
        self.replace(hooks)
        self._pool = ThreadPool(minthreads=0, maxthreads=THREADS, name="carptwist hooks")
        self._busy: set[str] = set()  # the vhids whose hooks are at work
        self._waiting: dict[str, Change] = {}
        self._idle: list[Deferred[None]] = []

    def replace(self, hooks: Sequence[HookConfig]) -> None:
        """From the next change on these hooks; what is at work for a change is not interrupted."""
        self._hooks = [(hook, re.compile(hook.match), re.compile(hook.type)) for hook in hooks]
        self._stop_former()

    def _stop_former(self) -> None:
        current = [hook for hook, _, _ in self._hooks]
        for hook in [hook for hook in self._targets if hook not in current]:
            self._stopping = [each for each in self._stopping if not each.called]
            self._stopping.append(self._targets.pop(hook).stop())

    def start(self) -> None:
        """Be ready to run."""
        self._pool.start()

    def changed(self, change: Change) -> None:
        """Run what matches, soon."""
        if not self._matching(change):
            return
        lane = change.subsystem
        if lane in self._busy:
            self._waiting[lane] = change
            return
        self._busy.add(lane)
        self._work(change).addErrback(self._failed).addCallback(self._done, lane)

    def finish(self) -> Deferred[None]:
        """Fires when all that was begun has ended, each within its timeout, and no thread is left."""
        finished: Deferred[None] = Deferred()
        self._idle.append(finished)
        self._tell_if_idle()
        return finished.addCallback(lambda _: self._end())

    def _end(self) -> Deferred[None]:
        self._pool.stop()
        self._hooks = []
        ending = [*self._stopping, *(target.stop() for target in self._targets.values())]
        return DeferredList(ending).addCallback(lambda _: None)

    @inlineCallbacks
    def _work(self, change: Change) -> Generator[Deferred[Any], Any, None]:
        latest: Change | None = change
        while latest is not None:
            for hook in self._matching(latest):
                if hook.plugin is not None:
                    outcome = yield self._target(hook).changed(latest)
                    self._report(hook, latest, outcome, "")
                    continue
                words = command(hook, latest)
                outcome = yield deferToThreadPool(
                    self._reactor, self._pool, run, words, latest.variables(), hook.timeout
                )
                said = outcome.output and outcome.code is not None
                self._report(hook, latest, outcome, f": {outcome.output}" if said else "")
            self._stop_former()  # made for this change, after others had taken their place
            latest = self._waiting.pop(latest.subsystem, None)

    def _target(self, hook: HookConfig) -> Target:
        # By all its settings: one of the same name may have taken its place meanwhile.
        if hook not in self._targets:
            self._targets[hook] = self._make(hook)
        return self._targets[hook]

    def _done(self, _: None, lane: str) -> None:
        self._busy.discard(lane)
        self._tell_if_idle()

    def _tell_if_idle(self) -> None:
        if self._busy:
            return
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)

    def _matching(self, change: Change) -> list[HookConfig]:
        # From the first character to the last, as devd(8) matches: 1@em0 is not 11@em0.
        return [
            hook
            for hook, match, kind in self._hooks
            if match.fullmatch(change.subsystem) and kind.fullmatch(change.state)
        ]

    def _report(self, hook: HookConfig, change: Change, outcome: Ended, output: str) -> None:
        log = self._log.info if outcome.succeeded else self._log.warn
        log(
            "carp: hook {hook}: {subsystem} {type}: {outcome}{output}",
            hook=hook.name,
            subsystem=change.subsystem,
            type=change.state,
            outcome=outcome,
            output=output,
        )

    def _failed(self, failure: Failure) -> None:
        self._log.failure("carp: running hooks", failure)


def command(hook: HookConfig, change: Change) -> list[str]:
    """The words of a hook's command for a change.

    Without a shell each ``$name`` is replaced within its word, so that no value ever becomes a second word. A shell
    finds the same names in its environment.
    """
    if hook.shell:
        return ["/bin/sh", "-c", hook.action[0]]
    return [Template(word).safe_substitute(change.variables()) for word in hook.action]
