"""The election as a table, made by asking the machine itself: ``python -m carptwist.election.table``.

Each row names a state, an input and the conditions under which it is tried; what the right-hand
columns say is what a real :class:`Machine` did when it was given that input. The page in docs/ is
this module's output, and a test holds that it still is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, assert_never

from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.machine import Machine, Settings
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State

_HEADER = """\
# The election, state by state

This page is generated: `make docs` asks the election's code and writes down what it does. The node in
question has advbase 1 and advskew 100 unless a row says otherwise, and IPv4 addresses only. Intervals are
compared in 1/256 s: own interval = advbase x 256 + effective advskew, received interval the same from
what was heard; effective advskew = advskew + demotion, at least 0, at most 240. The master-down timeout
is 3 x advbase + advskew/256 seconds, and runs apart for IPv4 and IPv6. With advbase 0 it is 3 x advskew/256
seconds of whichever advskew is the highest: one's own, the effective one, or the heard master's (in the OpenBSD dialect
one's own always, as there).

"""

_ADVSKEW = 100
_NOW = 10.0


Ask = Callable[[Machine, float], list[Effect]]


def _now(machine: Machine) -> float:
    return _NOW


def _when_due(machine: Machine) -> float:
    return machine.deadline or _NOW


def _when_late(machine: Machine) -> float:
    return _when_due(machine) + 5


def _when_lapsed(machine: Machine) -> float:
    return machine.lapses_at


def _hear(advbase: int, advskew: int) -> Ask:
    return lambda machine, now: machine.heard(now, 4, advbase, advskew)


def _obstruct(reason: str, *, link_carries: bool) -> Ask:
    return lambda machine, now: machine.obstructed(now, reason, link_carries=link_carries)


def _ask_for(state: State) -> Ask:
    return lambda machine, now: machine.asked(now, state)


def _demote(machine: Machine, now: float) -> list[Effect]:
    return machine.demoted(now, 240)


_COLUMNS = (
    "state",
    "input, or advertisement heard (advbase, advskew)",
    "becomes",
    "reason",
    "does, in this order",
    "master-down timeout",
    "next advertisement",
)


class Row(NamedTuple):
    """A state, an input in words, the input as a call, and when it comes."""

    state: State
    words: str
    ask: Ask
    at: Callable[[Machine], float] = _now
    advbase: int = 1
    preempt: bool = False


ROWS = (
    Row(State.INIT, "nothing is in the way any more", Machine.ready),
    Row(State.INIT, "any advertisement", _hear(1, 0)),
    Row(State.BACKUP, "an obstacle", _obstruct("interface down em0", link_carries=False)),
    Row(State.BACKUP, "the master-down timeout of either family", Machine.tick, _when_due),
    Row(State.BACKUP, "the same, but later than the own interval", Machine.tick, _when_late),
    Row(State.BACKUP, "a faster master (1, 0)", _hear(1, 0)),
    Row(State.BACKUP, "a slower master (1, 200)", _hear(1, 200)),
    Row(State.BACKUP, "a slower master (1, 200); preempt = 1", _hear(1, 200), preempt=True),
    Row(State.BACKUP, "an equal master (1, 100); preempt = 1", _hear(1, 100), preempt=True),
    Row(State.BACKUP, "a master slower than the timeout (4, 0)", _hear(4, 0)),
    Row(State.BACKUP, "a bow-out (255, 255)", _hear(255, 255)),
    Row(State.BACKUP, "a master (4, 0); own advbase 0", _hear(4, 0), advbase=0),
    Row(State.BACKUP, "a faster master (0, 50); own advbase 0", _hear(0, 50), advbase=0),
    Row(State.BACKUP, "a slower master (0, 200); own advbase 0", _hear(0, 200), advbase=0),
    Row(State.BACKUP, "a bow-out (255, 255); own advbase 0", _hear(255, 255), advbase=0),
    Row(State.BACKUP, "demotion rises by 240", _demote),
    Row(State.BACKUP, "the operator asks for MASTER", _ask_for(State.MASTER)),
    Row(State.MASTER, "an obstacle; the link carries", _obstruct("stopped", link_carries=True)),
    Row(State.MASTER, "an obstacle; the link is down", _obstruct("interface down em0", link_carries=False)),
    Row(State.MASTER, "the next advertisement is due", Machine.tick, _when_due),
    Row(State.MASTER, "the same, but so late that others may have taken over", Machine.tick, _when_lapsed),
    Row(State.MASTER, "a faster master (1, 0)", _hear(1, 0)),
    Row(State.MASTER, "an equal master (1, 100)", _hear(1, 100)),
    Row(State.MASTER, "a slower master (1, 200)", _hear(1, 200)),
    Row(State.MASTER, "a bow-out (255, 255)", _hear(255, 255)),
    Row(State.MASTER, "demotion rises by 240", _demote),
    Row(State.MASTER, "the operator asks for BACKUP", _ask_for(State.BACKUP)),
)


def render() -> str:
    """The whole page, Markdown."""
    return _HEADER + _line(_COLUMNS) + _line(["---"] * len(_COLUMNS)) + "".join(map(_render, ROWS))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def _render(row: Row) -> str:
    machine = Machine(0.0, Settings(row.advbase, _ADVSKEW, (4,)), preempt=row.preempt)
    if row.state is not State.INIT:
        # A while before the input, so that a timer that was restarted can be told from one that runs on.
        machine.ready(_NOW - 1.2)
    if row.state is State.MASTER:
        machine.asked(_NOW - 1.2, State.MASTER)
    now = row.at(machine)
    timers = _timers(machine)
    effects = row.ask(machine, now)
    became = next((effect for effect in effects if isinstance(effect, Became)), None)
    return _line(
        [
            row.state.value,
            row.words,
            became.state.value if became else "stays",
            became.reason if became else "",
            ", ".join(word for word in map(_word, effects) if word) or "nothing",
            *(_timer(was, runs, now) for was, runs in zip(timers, _timers(machine), strict=True)),
        ]
    )


def _timers(machine: Machine) -> tuple[float | None, float | None]:
    return machine.master_down_at.get(4), machine.advertise_at


def _timer(was: float | None, runs: float | None, now: float) -> str:
    if runs is None:
        return "" if was is None else "stops"
    return "runs on" if runs == was else f"in {runs - now:.3f} s"


def _word(effect: Effect) -> str:
    if isinstance(effect, Became):
        return ""
    if isinstance(effect, Hold):
        return "holds the addresses"
    if isinstance(effect, Release):
        return "releases the addresses"
    if isinstance(effect, Advertise):
        if is_bow_out(effect.advbase, effect.advskew):
            return "bows out (255, 255)"
        return f"advertises ({effect.advbase}, {effect.advskew})"
    if isinstance(effect, Announce):
        return "announces the addresses"
    assert_never(effect)


if __name__ == "__main__":  # pragma: no cover
    print(render(), end="")
