"""What holds for the election whatever happens, in whatever order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from carptwist.election.effects import Advertise, Announce, Became, Effect, Hold, Release
from carptwist.election.machine import Machine, Settings
from carptwist.election.precedence import is_bow_out
from carptwist.election.state import State

octets = st.integers(0, 255)
Input = tuple[str, Callable[[Machine, float], list[Effect]]]

inputs: st.SearchStrategy[Input] = st.one_of(
    st.just(("ready", lambda machine, now: machine.ready(now))),
    st.booleans().map(
        lambda carries: ("obstructed", lambda machine, now: machine.obstructed(now, "why", link_carries=carries))
    ),
    st.tuples(st.sampled_from([4, 6]), octets, octets, octets).map(
        lambda said: ("heard", lambda machine, now: machine.heard(now, *said))
    ),
    st.just(("tick", lambda machine, now: machine.tick(now))),
    st.sampled_from([State.BACKUP, State.MASTER]).map(
        lambda state: ("asked", lambda machine, now: machine.asked(now, state))
    ),
    st.integers(-300, 300).map(lambda demotion: ("demoted", lambda machine, now: machine.demoted(now, demotion))),
)
schedules = st.lists(st.tuples(st.floats(0, 5), inputs), max_size=60)
machines = st.builds(
    lambda advbase, advskew, families, counts, preempt, demotion: Machine(
        0.0, Settings(advbase, advskew, families, counts), preempt=preempt, demotion=demotion
    ),
    st.integers(0, 255),
    st.integers(0, 254),
    st.sampled_from([(4,), (6,), (4, 6)]),
    st.booleans(),
    st.booleans(),
    st.integers(-300, 300),
)


@settings(max_examples=400, deadline=None)
@given(machines, schedules)
def test_timers_and_effects_belong_to_the_state(machine: Machine, schedule: list[tuple[float, Input]]) -> None:
    """INIT has no timer, a BACKUP one per family, a MASTER its next advertisement; addresses are held by a MASTER and
    nobody else, and each hold has its release; only a MASTER speaks, but for its last word."""
    now = 0.0
    held = False
    state = machine.state
    for pause, (_, ask) in schedule:
        now += pause
        effects = ask(machine, now)
        for effect in effects:
            if isinstance(effect, Became):
                assert effect.previous is state
                assert effect.state is not state
                state = effect.state
            elif isinstance(effect, Hold):
                assert not held
                held = True
            elif isinstance(effect, Release):
                assert held
                held = False
            elif isinstance(effect, Advertise):
                assert held or is_bow_out(effect.advbase, effect.advskew)
            else:
                assert isinstance(effect, Announce)
                assert held
        assert machine.state is state
        assert held is (state is State.MASTER)
        assert set(machine.master_down_at) == (set(machine.settings.families) if state is State.BACKUP else set())
        assert (machine.advertise_at is not None) is (state is State.MASTER)
        assert (machine.deadline is None) is (state is State.INIT)


@settings(max_examples=200, deadline=None)
@given(machines, schedules)
def test_time_alone_makes_every_ready_machine_master(machine: Machine, schedule: list[tuple[float, Input]]) -> None:
    """A machine that is left alone is never stuck: it becomes MASTER at its deadline, and goes on advertising."""
    now = 0.0
    for pause, (_, ask) in schedule:
        now += pause
        ask(machine, now)
    machine.ready(now)
    for _ in range(2):  # one that was away listens once more
        if machine.state is State.BACKUP:
            assert machine.deadline is not None
            now = max(now, machine.deadline)
            machine.tick(now)
    assert machine.state is State.MASTER
    for _ in range(3):
        assert machine.deadline is not None
        assert machine.deadline - now <= 512
        now = max(now, machine.deadline)
        assert machine.tick(now) != []


@settings(max_examples=300, deadline=None)
@given(machines, st.integers(0, 255), st.integers(0, 254), st.booleans(), st.integers(-300, 300))
def test_two_masters_become_one(one: Machine, advbase: int, advskew: int, preempt: bool, demotion: int) -> None:
    """Of two MASTERs that hear each other at least one yields: the slower one, or first of all the more demoted one."""
    settings = Settings(advbase, advskew, one.settings.families, one.settings.counts_demotion)
    other = Machine(0.0, settings, preempt=preempt, demotion=demotion)
    for machine in (one, other):
        machine.ready(0.0)
        machine.asked(0.0, State.MASTER)
    family = one.settings.families[0]
    said = [(m.settings.advbase, m.effective_advskew, m.demote) for m in (one, other)]
    one.heard(0.05, family, *said[1])
    other.heard(0.05, family, *said[0])
    masters = [machine for machine in (one, other) if machine.state is State.MASTER]
    assert len(masters) < 2
    ranks = {(machine.demote, machine.own_interval) for machine in (one, other)}
    if len(ranks) == 2:
        assert masters == [min((one, other), key=lambda machine: (machine.demote, machine.own_interval))]
