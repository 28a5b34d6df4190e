"""Three kernels' decisions, row by row: state, reason, timers and whether they advertised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carptwist.election.effects import Advertise
from carptwist.election.machine import Machine, Settings
from carptwist.election.state import State

DATA = json.loads((Path(__file__).parent.parent / "data" / "decisions.json").read_text())
HEARD_AT = 0.05
MICROSECOND = 1.5e-6  # the kernel cuts its timers to whole microseconds


def decide(row: list[Any], kernel: str) -> tuple[Machine, bool, float | None]:
    """Bring a machine into the row's state, let it hear; gives the machine, whether it sent, its former timer."""
    state, advbase, advskew, demotion, preempt, received_base, received_skew, received_demote, *_ = row
    counts_demotion = kernel == "openbsd"
    if kernel == "netbsd":
        # NetBSD leaves an advskew above 240 as it is, as OpenBSD does; demotion is a flag that makes lesser ones 240.
        counts_demotion = advskew > 240
        demotion, received_demote = 0 if counts_demotion else 240 * demotion, 0
    settings = Settings(advbase, advskew, (4,), counts_demotion=counts_demotion)
    machine = Machine(0.0, settings, preempt=bool(preempt), demotion=demotion)
    if state != "INIT":
        machine.ready(0.0)
    if state == "MASTER":
        machine.asked(0.0, State.MASTER)
    advertise_at = machine.advertise_at
    effects = machine.heard(HEARD_AT, 4, received_base, received_skew, received_demote)
    return machine, any(isinstance(effect, Advertise) for effect in effects), advertise_at


def holds(row: list[Any], kernel: str) -> bool:
    """Whether the machine does what the kernel did."""
    *_, new_state, master_down_us, advertise_us, sends, reason = row
    machine, sent, former = decide(row, kernel)
    agrees = machine.state.value == new_state and sent == bool(sends)
    if kernel == "freebsd14" and reason:
        agrees = agrees and machine.reason == reason
    if master_down_us is None:
        agrees = agrees and machine.master_down_at == {}
    else:
        agrees = agrees and abs(machine.master_down_at[4] - HEARD_AT - master_down_us / 1e6) < MICROSECOND
    if advertise_us is None:
        # Untouched where it stays MASTER, stopped elsewhere.
        agrees = agrees and machine.advertise_at == (former if new_state == "MASTER" else None)
    else:
        agrees = agrees and machine.advertise_at is not None
        agrees = agrees and abs(machine.advertise_at - HEARD_AT - advertise_us / 1e6) < MICROSECOND
    return agrees


@pytest.mark.parametrize("state", ["INIT", "BACKUP", "MASTER"])
@pytest.mark.parametrize("kernel", ["freebsd14", "openbsd", "netbsd"])
def test_every_decision_of_a_kernel_is_ours(kernel: str, state: str) -> None:
    """All rows of the golden data that start in this state."""
    rows = [row for row in DATA[kernel] if row[0] == state]
    assert len(rows) > 200
    assert [row for row in rows if not holds(row, kernel)] == []
