"""The configuration in force, and how it is exchanged for another one while everything runs.

::

    file --read--> wanted --config.reload.steps--> Step, Step, Step ... --one after the other--> Outcome, Outcome ...
                               ^
    running: what the vhids and the knobs are set to now, changes that were made at run time included

A file is read and judged as a whole before the first step; a bad one changes nothing. A step that fails leaves its
vhid with the settings that it had, and the others to be done. What is unchanged is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, assert_never

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, inlineCallbacks, maybeDeferred
from twisted.logger import Logger

from carptwist.config.reload import AT_START, Add, Change, Keep, Knob, Later, Part, Remove, Step, line, steps
from carptwist.config.schema import Configuration, VirtualHostConfig
from carptwist.configuration import ConfigurationError, Reading, load, save
from carptwist.node import Node
from carptwist.planes import PlaneError

#: Gives a function's value in a Deferred, without holding the reactor up if it takes long.
Aside = Callable[[Callable[[], Any]], "Deferred[Any]"]
#: Takes down who has changed something, of which virtual host (the empty string: of the host), and what.
Note = Callable[[str, str, str], object]


class Outcome(NamedTuple):
    """What became of a step; ``trouble`` is why it failed, or None.

    :ivar step: what was to be done
    :ivar trouble: why it was not, for an operator, or None
    """

    step: Step
    trouble: str | None = None

    @property
    def text(self) -> str:
        """One line for people."""
        if self.trouble is None:
            return line(self.step)
        return f"{line(self.step)}: failed: {self.trouble}"


class Revision:
    """What one node is set to.

    :param loaded: the configuration that it starts with.
    :param exchange: for each of :data:`carptwist.config.reload.PARTS` what puts another one in the place of that which
        there is. It may give a Deferred, and fails with OSError or ValueError if it cannot, as often as it is asked.
    :param path: the configuration file, None where there is none.
    :param aside: where files are read, so that no advertisement waits for one.
    :param note: remembers what was changed, and by whom.
    """

    _log = Logger()

    def __init__(
        self,
        loaded: Configuration,
        *,
        node: Node,
        exchange: Mapping[str, Callable[[Any], object]],
        path: str | None = None,
        aside: Aside = maybeDeferred,
        note: Note = lambda who, vhid, what: None,
    ) -> None:
        self.loaded = loaded  # what was read last
        self._in_force = loaded  # what holds of it, but for vhids and knobs, which say for themselves
        self._node = node
        self._exchange = exchange
        self.path = path
        self._aside = aside
        self._note = note
        self._turn = DeferredLock()
        self._at_file: Deferred[Any] | None = None  # a file may be on a server that does not answer
        self._closed = False

    @property
    def running(self) -> Configuration:
        """What holds now."""
        roster = self._node.roster
        return replace(self._in_force, knobs=roster.knobs, vhids=tuple(vhost.config for vhost in roster.all()))

    def plan(self, wanted: Configuration) -> tuple[Step, ...]:
        """What :meth:`adopt` would do."""
        return steps(self.running, wanted, self.loaded)

    def read(self, path: str = "") -> Deferred[Reading]:
        """Read and judge a configuration file; without ``path`` the one that the daemon was started with.

        Fails with :class:`ConfigurationError`, and ValueError if there is no file.
        """
        which = path or self.path
        if which is None:
            return fail(ValueError("this daemon was started without a configuration file"))
        return self._aside(lambda: load(which, waits=False))

    def reload(self, who: str = "") -> Deferred[list[Outcome]]:
        """Read the file again and do what it says, for ``who``. Fires with what was done, in order.

        Fails with :class:`ConfigurationError` if there is anything wrong with the file, and ValueError if there is no
        file or the daemon is stopping: then nothing is changed.
        """
        return self._turn.run(self._reload, who)

    def adopt(self, wanted: Configuration, who: str = "") -> Deferred[list[Outcome]]:
        """Do what a configuration says, for ``who``. Fires with what was done, in order."""
        return self._turn.run(self._adopt, wanted, who)

    def save(self, who: str = "") -> Deferred[list[str]]:
        """Write what was changed at run time into the configuration file. Fires with what was written, a line each.

        Fails with :class:`carptwist.config.saving.SavingError`, whose text is for the operator, if it cannot be
        written, and ValueError if there is no file: then the file is as before.
        """
        return self._turn.run(self._save, who)

    def close(self) -> Deferred[None]:
        """No step is begun any more. Fires when the last one has ended; no file is waited for."""
        self._closed = True
        if self._at_file is not None:
            self._at_file.cancel()
        return self._turn.run(lambda: None)

    def in_turn(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do another change to the node: never while a step is at work."""
        return self._turn.run(work, *arguments)

    @inlineCallbacks
    def _reload(self, who: str) -> Generator[Deferred[Any], Any, list[Outcome]]:
        try:
            reading = yield self._of_file(self.read())
        except ConfigurationError as refused:
            for problem in refused.errors:
                self._log.error("carp: reload: {problem}", problem=problem)
            self._log.error("carp: reload: refused, nothing is changed")
            more = f" (and {len(refused.errors) - 1} more)" if len(refused.errors) > 1 else ""
            self._note(who, "", f"reload: refused, nothing is changed: {refused.errors[0]}{more}")
            raise
        for problem in reading.warnings:
            self._log.warn("carp: reload: {problem}", problem=problem)
        outcomes: list[Outcome] = yield self._adopt(reading.configuration, who)
        return outcomes

    @inlineCallbacks
    def _of_file(self, doing: Deferred[Any]) -> Generator[Deferred[Any], Any, Any]:
        """What is done with a file, unless the daemon stops meanwhile."""
        if self._closed:
            doing.cancel()
        self._at_file = doing
        try:
            return (yield doing)
        except CancelledError:
            raise ValueError("the daemon is stopping") from None
        finally:
            self._at_file = None

    @inlineCallbacks
    def _adopt(self, wanted: Configuration, who: str) -> Generator[Deferred[Any], Any, list[Outcome]]:
        if self._closed:
            raise ValueError("the daemon is stopping")
        planned = self.plan(wanted)
        self.loaded = wanted
        outcomes = []
        for step in planned:
            if self._closed:
                break
            trouble = yield self._perform(step)
            outcomes.append(Outcome(step, trouble))
            self._tell(outcomes[-1], who)
        kept = sum(isinstance(step, Keep) for step in planned)
        failed = sum(outcome.trouble is not None for outcome in outcomes)
        summary = f"reload: {kept} of {len(wanted.vhids)} vhids unchanged{f', {failed} steps failed' if failed else ''}"
        self._log.info("carp: {summary}", summary=summary)
        self._note(who, "", summary)
        return outcomes

    @inlineCallbacks
    def _save(self, who: str) -> Generator[Deferred[Any], Any, list[str]]:
        if self.path is None:
            raise ValueError("this daemon was started without a configuration file")
        path, loaded, running = self.path, self.loaded, self.running
        # What takes effect at the next start is the file's business.
        knobs = replace(running.knobs, **{name: getattr(loaded.knobs, name) for name in AT_START})
        wanted = replace(loaded, knobs=knobs, vhids=running.vhids)
        differing = [step for step in steps(loaded, wanted) if not isinstance(step, Keep)]
        if differing:
            yield self._of_file(self._aside(lambda: save(path, loaded, wanted)))
            self.loaded = wanted
            for step in differing:
                self._log.info("carp: written into {path}: {what}", path=path, what=line(step))
                self._remember(who, f"written into {path}: ", step, line(step))
        return [line(step) for step in differing]

    @inlineCallbacks
    def _perform(self, step: Step) -> Generator[Deferred[Any], Any, str | None]:
        """Do a step. Fires with why it failed, or None."""
        try:
            trouble: str | None = yield maybeDeferred(self._do, step)
        except (PlaneError, ValueError, OSError) as error:
            return str(error)
        except KeyError:
            return "it is gone"  # somebody has removed it a moment ago
        except Exception as error:
            self._log.failure("carp: reload: {step}", step=line(step))
            return f"{type(error).__name__}: {error}"
        return trouble

    def _do(self, step: Step) -> Deferred[Any] | None:
        match step:
            case Keep() | Later():
                return None
            case Knob():
                knobs: dict[str, Any] = {step.name: step.after}
                self._node.roster.set_knobs(replace(self._node.roster.knobs, **knobs))
                return None
            case Part():
                return maybeDeferred(self._exchange[step.part], step.after).addCallback(lambda _: self._exchanged(step))
            case Add():
                return self._add(step.config)
            case Remove():
                return self._node.remove(step.config.name)
            case Change(anew=True):
                return self._node.remove(step.before.name).addCallback(lambda _: self._add(step.after))
            case Change():
                return self._node.change(step.after)
            case _:
                assert_never(step)

    def _exchanged(self, step: Part) -> None:
        part: dict[str, Any] = {step.part: step.after}
        self._in_force = replace(self._in_force, **part)

    @inlineCallbacks
    def _add(self, config: VirtualHostConfig) -> Generator[Deferred[Any], Any, str | None]:
        vhost = self._node.add(config)
        yield vhost.settled()
        return vhost.plane_trouble

    def _tell(self, outcome: Outcome, who: str) -> None:
        if outcome.trouble is not None:
            self._log.warn("carp: reload: {outcome}", outcome=outcome.text)
        elif not isinstance(outcome.step, Keep):
            self._log.info("carp: reload: {outcome}", outcome=outcome.text)
        if outcome.trouble is not None or not isinstance(outcome.step, Keep):
            self._remember(who, "reload: ", outcome.step, outcome.text)

    def _remember(self, who: str, what: str, step: Step, text: str) -> None:
        vhid = step.subject if isinstance(step, Keep | Change | Add | Remove) else ""
        self._note(who, vhid, what + (text.removeprefix(f"{vhid}: ") if vhid else text))
