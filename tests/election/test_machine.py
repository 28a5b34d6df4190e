"""The election's table, row by row."""

from __future__ import annotations

from carptwist.election.effects import Advertise, Announce, Became, Hold, Release
from carptwist.election.machine import Machine, Settings
from carptwist.election.state import State

BOW_OUT = (255, 255)


def machine(
    state: State = State.BACKUP,
    *,
    advbase: int = 1,
    advskew: int = 100,
    families: tuple[int, ...] = (4,),
    preempt: bool = False,
    demotion: int = 0,
    counts_demotion: bool = False,
) -> Machine:
    """A machine that came into ``state`` at time 0."""
    made = Machine(0.0, Settings(advbase, advskew, families, counts_demotion), preempt=preempt, demotion=demotion)
    if state is not State.INIT:
        made.ready(0.0)
    if state is State.MASTER:
        made.asked(0.0, State.MASTER)
    return made


# INIT


def test_a_vhid_that_may_take_part_becomes_backup() -> None:
    """INIT, ready: BACKUP, with a timeout for each of its families."""
    subject = machine(State.INIT, families=(4, 6))
    assert subject.ready(5.0) == [Became(State.INIT, State.BACKUP, "initialization complete")]
    assert subject.master_down_at == {4: 5.0 + 3.390625, 6: 5.0 + 3.390625}
    assert subject.deadline == 5.0 + 3.390625


def test_ready_twice_changes_nothing() -> None:
    """The timeout that runs is not restarted by it."""
    subject = machine()
    assert subject.ready(2.0) == []
    assert subject.deadline == 3.390625


def test_init_hears_and_does_nothing() -> None:
    """A vhid in INIT has no timers, whatever it hears or is asked or told."""
    subject = machine(State.INIT)
    assert subject.heard(1.0, 4, *BOW_OUT) == []
    assert subject.asked(1.0, State.MASTER) == []
    assert subject.demoted(1.0, 240) == []
    assert subject.tick(100.0) == []
    assert subject.deadline is None


def test_init_remembers_the_latest_obstacle() -> None:
    """The reason of INIT is what is in the way now."""
    subject = machine(State.INIT)
    assert subject.obstructed(1.0, "interface down em0", link_carries=False) == []
    assert subject.reason == "interface down em0"


# Obstacles


def test_a_backup_goes_to_init_in_silence() -> None:
    """It has nothing to say goodbye to."""
    subject = machine()
    assert subject.obstructed(1.0, "stopped", link_carries=True) == [Became(State.BACKUP, State.INIT, "stopped")]
    assert subject.deadline is None


def test_a_master_bows_out_while_the_link_carries() -> None:
    """Addresses go first, then one last advertisement with 255 and 255, then silence."""
    subject = machine(State.MASTER)
    assert subject.obstructed(1.0, "stopped", link_carries=True) == [
        Became(State.MASTER, State.INIT, "stopped"),
        Release(),
        Advertise(*BOW_OUT),
    ]
    assert subject.deadline is None


def test_a_master_without_a_link_only_releases() -> None:
    """Nobody would hear the bow-out."""
    subject = machine(State.MASTER)
    assert subject.obstructed(1.0, "interface down em0", link_carries=False) == [
        Became(State.MASTER, State.INIT, "interface down em0"),
        Release(),
    ]


# BACKUP


def test_silence_makes_a_backup_master() -> None:
    """At the timeout and not before; the addresses first, then the advertisement, then the announcement."""
    subject = machine()
    assert subject.tick(3.39) == []
    assert subject.tick(3.390625) == [
        Became(State.BACKUP, State.MASTER, "master timed out"),
        Hold(),
        Advertise(1, 100),
        Announce(),
    ]


def test_an_advertisement_restarts_the_timeout_of_its_family_only() -> None:
    """IPv4 and IPv6 are timed apart, and either one firing makes it MASTER."""
    subject = machine(families=(4, 6))
    assert subject.heard(2.0, 4, 1, 0) == []
    assert subject.master_down_at == {4: 2.0 + 3.390625, 6: 3.390625}
    assert subject.tick(3.390625)[0] == Became(State.BACKUP, State.MASTER, "master timed out")


def test_a_family_without_addresses_has_no_timeout() -> None:
    """An IPv6 advertisement starts no timer of a vhid that has IPv4 addresses alone."""
    subject = machine(families=(4,))
    assert subject.heard(2.0, 6, 1, 0) == []
    assert subject.master_down_at == {4: 3.390625}


def test_a_backup_preempts_a_slower_master_only_with_preempt() -> None:
    """own interval < received interval."""
    assert machine(preempt=False).heard(1.0, 4, 1, 101) == []
    assert machine(preempt=True).heard(1.0, 4, 1, 100) == []
    assert machine(preempt=True).heard(1.0, 4, 1, 101)[0] == Became(
        State.BACKUP, State.MASTER, "preempting a slower master"
    )


def test_demotion_keeps_a_backup_from_preempting() -> None:
    """Its own interval is the demoted one."""
    assert machine(preempt=True, demotion=1).heard(1.0, 4, 1, 101) == []


def test_a_bow_out_takes_effect_at_once() -> None:
    """3 x advbase + advskew/256 strictly below the received interval: the master will time out."""
    assert machine().heard(1.0, 4, *BOW_OUT)[0] == Became(State.BACKUP, State.MASTER, "master will time out")


def test_a_master_as_slow_as_the_timeout_is_waited_for() -> None:
    """Strictly: an equal interval is not yet too slow."""
    assert machine().heard(1.0, 4, 3, 100) == []
    assert machine().heard(1.0, 4, 3, 101)[0] == Became(State.BACKUP, State.MASTER, "master will time out")


def test_with_advbase_0_only_a_bow_out_takes_effect_at_once() -> None:
    """Any whole second is beyond its patience, and OpenBSD does not compare either."""
    assert machine(advbase=0, advskew=10).heard(1.0, 4, 3, 0) == []
    assert machine(advbase=0, advskew=10).heard(1.0, 4, *BOW_OUT)[0] == Became(
        State.BACKUP, State.MASTER, "master will time out"
    )


def test_with_advbase_0_a_slower_master_has_its_own_three_intervals() -> None:
    """A fast BACKUP does not call it dead between two of its advertisements; a longer promise is not believed."""
    subject = machine(advbase=0, advskew=8)
    assert subject.deadline == 3 * 8 / 256
    assert subject.heard(0.01, 4, 0, 100) == []
    assert subject.deadline == 0.01 + 3 * 100 / 256
    assert subject.heard(0.02, 4, 1, 0) == []
    assert subject.deadline == 0.02 + 3 * 8 / 256


def test_with_advbase_0_a_demoted_node_waits_by_its_effective_advskew() -> None:
    """Otherwise it would be MASTER beside a better one, again and again, from before it has heard the first time."""
    subject = machine(advbase=0, advskew=8, demotion=240)
    assert subject.deadline == 3 * 240 / 256
    assert machine(advbase=0, advskew=8, demotion=240, counts_demotion=True).deadline == 3 * 8 / 256


def test_a_master_of_advbase_0_that_yields_waits_for_the_other_one() -> None:
    """Three intervals of the one that it yielded to, in both families."""
    subject = machine(State.MASTER, advbase=0, advskew=8, families=(4, 6), demotion=200)
    subject.heard(0.5, 4, 0, 208)
    assert subject.state is State.BACKUP
    assert subject.master_down_at == {4: 0.5 + 3 * 208 / 256, 6: 0.5 + 3 * 208 / 256}


def test_demotion_does_not_change_the_patience_of_a_backup() -> None:
    """The timeout takes the configured advskew, and a change of demotion says nothing as BACKUP."""
    subject = machine()
    assert subject.demoted(1.0, 240) == []
    assert subject.deadline == 3.390625


# MASTER


def test_a_master_advertises_at_its_interval_without_drift() -> None:
    """From due time to due time, even if it is a little late."""
    subject = machine(State.MASTER)
    due = subject.advertise_at
    assert due == 1.390625
    assert subject.tick(due + 0.2) == [Advertise(1, 100)]
    assert subject.advertise_at == 2 * 1.390625


def test_a_master_that_was_away_does_not_burst() -> None:
    """One advertisement, then the interval again."""
    subject = machine(State.MASTER)
    assert subject.tick(2.7).count(Advertise(1, 100)) == 1
    assert subject.advertise_at is not None
    assert subject.advertise_at > 2.7


def away(subject: Machine, reason: str = "was away for 8.6 s") -> list[object]:
    """The effects of a MASTER's coming back: it is BACKUP, and has said nothing."""
    return [Became(State.MASTER, State.BACKUP, reason), Release()]


def test_late_is_lost() -> None:
    """A MASTER that was away for as long as others wait is BACKUP again, in silence, and listens for one interval."""
    subject = machine(State.MASTER)
    assert subject.lapses_at == 2.75  # 3 x advbase without a quarter of a second
    assert subject.tick(2.74) != away(subject)
    subject = machine(State.MASTER)
    assert subject.tick(10.0) == away(subject)
    assert subject.deadline == 10.0 + 1 + 240 / 256
    assert subject.lapses_at == float("inf")
    assert subject.tick(10.0 + 1 + 240 / 256)[0] == Became(State.BACKUP, State.MASTER, "master timed out")


def test_late_is_lost_whatever_comes_first() -> None:
    """Not only its own timer may find out that a MASTER was away: every input does."""
    faster = machine(State.MASTER)
    assert faster.heard(10.0, 4, 1, 0) == away(faster)
    assert faster.deadline == 10.0 + 3.390625
    demoted = machine(State.MASTER)
    assert demoted.demoted(10.0, 240) == away(demoted)
    asked = machine(State.MASTER)
    assert asked.asked(10.0, State.BACKUP) == away(asked)
    insisting = machine(State.MASTER)
    effects = insisting.asked(10.0, State.MASTER)
    assert effects[:3] == [*away(insisting), Became(State.BACKUP, State.MASTER, "requested by the operator")]
    obstructed = machine(State.MASTER)
    effects = obstructed.obstructed(10.0, "stopped", link_carries=True)
    # No farewell: it would take the others' master from them.
    assert effects == [*away(obstructed), Became(State.BACKUP, State.INIT, "stopped")]
    changed = machine(State.MASTER)
    assert changed.reconfigured(10.0, Settings(1, 0, (4,))) == away(changed)


def test_one_that_listens_takes_over_from_nobody() -> None:
    """What it hears may be old: a slower master is preempted after the interval; a farewell is not waited for longer
    than that."""
    subject = machine(State.MASTER, preempt=True)
    subject.tick(10.0)
    assert subject.heard(10.1, 4, 1, 200) == []
    assert subject.heard(12.0, 4, 1, 200)[0] == Became(State.BACKUP, State.MASTER, "preempting a slower master")
    subject = machine(State.MASTER)
    subject.tick(10.0)
    assert subject.heard(10.1, 4, *BOW_OUT) == []
    assert subject.heard(10.1, 6, 1, 0) == []  # a family that it has no address of
    assert subject.deadline == 10.0 + 1 + 240 / 256


def test_one_that_listens_and_hears_its_new_master_go() -> None:
    """What it has heard before does not make it wait for longer than it listens."""
    subject = machine(State.MASTER)
    subject.tick(10.0)
    assert subject.heard(10.1, 4, 1, 0) == []
    assert subject.deadline == 10.1 + 3.390625
    assert subject.heard(10.2, 4, *BOW_OUT) == []
    assert subject.deadline == 10.0 + 1 + 240 / 256


def test_a_lease_is_longer_than_an_interval() -> None:
    """A demoted MASTER with advbase 0 speaks less often than others would wait for it: it is no reason to give up."""
    subject = machine(State.MASTER, advbase=0, advskew=24, demotion=240)
    assert subject.lapses_at == 240 / 256 + 0.1
    assert machine(State.MASTER, advbase=0, advskew=64).lapses_at == 0.75 * 3 * 64 / 256


def test_a_backup_that_was_away_listens_first() -> None:
    """The silence was its own: it waits for one interval before it believes that there is no master."""
    subject = machine()
    assert subject.tick(3.390625 + 5) == []
    assert subject.deadline == 3.390625 + 5 + 1 + 240 / 256
    assert subject.tick(subject.deadline)[0] == Became(State.BACKUP, State.MASTER, "master timed out")


def test_a_backup_whose_timer_came_a_little_late_reads_first() -> None:
    """What waits in its sockets; and if nothing does it takes over, however late that timer is again."""
    due = 3.390625
    subject = machine()
    assert subject.tick(due + 0.5) == []
    assert subject.deadline == due + 0.52
    assert subject.heard(due + 0.51, 4, 1, 0) == []
    assert subject.deadline == due + 0.51 + due
    again = due + 0.51 + due + 0.5
    assert subject.tick(again) == []
    assert subject.tick(again + 5)[0] == Became(State.BACKUP, State.MASTER, "master timed out")


def test_a_backup_ticks_early_to_no_effect() -> None:
    """It waits on."""
    assert machine().tick(3.39) == []


def test_only_a_master_is_replaced() -> None:
    """Others have nothing to lose."""
    assert machine().replaced(1.0, "the guard acted") == []
    assert machine(State.MASTER).replaced(1.0, "the guard acted")[0] == Became(
        State.MASTER, State.BACKUP, "the guard acted"
    )


def test_the_announcement_is_repeated_once_after_two_intervals() -> None:
    """For switches that lost the first one."""
    subject = machine(State.MASTER, advskew=0)
    said = [effect for moment in range(1, 6) for effect in subject.tick(float(moment)) if effect == Announce()]
    assert said == [Announce()]
    assert subject.tick(2.0) == []


def test_whoever_preempts_announces_again_soon() -> None:
    """A switch may hear the former master once more, before that has noticed. After a farewell there is nobody left."""
    for heard, expected in (((1, 200), [0.1, 0.4, 2.0]), (BOW_OUT, [2.0])):
        subject = machine(State.BACKUP, advskew=0, preempt=True)
        assert subject.heard(0.0, 4, *heard)[-1] == Announce()
        said = [moment / 10 for moment in range(1, 50) if Announce() in subject.tick(moment / 10)]
        assert said == expected


def test_a_master_ticks_early_to_no_effect() -> None:
    """Before its deadline a tick does nothing."""
    subject = machine(State.MASTER)
    assert subject.tick(0.5) == []


def test_a_master_yields_to_a_more_frequent_or_equal_one() -> None:
    """received interval <= own interval; addresses go, and both families' timeouts start."""
    subject = machine(State.MASTER, families=(4, 6))
    assert subject.heard(1.0, 4, 1, 100) == [
        Became(State.MASTER, State.BACKUP, "more frequent advertisement received"),
        Release(),
    ]
    assert set(subject.master_down_at) == {4, 6}


def test_a_master_stays_against_a_slower_one_and_claims_its_addresses_again() -> None:
    """At once, also if it has announced them itself a moment before: a switch believes the last frame. But at most once
    a second, since each announcement costs every host on the LAN; then the last claim is answered when that is over."""
    subject = machine(State.MASTER)
    assert subject.heard(0.01, 4, 1, 101) == [Announce()]
    assert subject.heard(0.5, 4, 1, 101) == []
    assert subject.heard(0.6, 4, 1, 101) == []
    assert subject.deadline == 1.01
    assert subject.tick(1.01) == [Announce()]
    assert subject.heard(1.9, 4, 1, 101) == []
    assert subject.tick(2.01)[-1] == Announce()
    assert subject.heard(3.2, 4, 1, 101) == [Announce()]
    assert subject.state is State.MASTER


def test_a_master_stays_when_another_bows_out() -> None:
    """255/255 is no claim either."""
    subject = machine(State.MASTER)
    assert subject.heard(2.0, 4, *BOW_OUT) == []
    assert subject.state is State.MASTER


def test_a_change_of_demotion_is_advertised_at_once() -> None:
    """So that the others can react at once; the same demotion again says nothing."""
    subject = machine(State.MASTER, advskew=0)
    assert subject.demoted(0.5, 100) == [Advertise(1, 100)]
    assert subject.advertise_at == 0.5 + 1 + 100 / 256
    assert subject.demoted(0.6, 100) == []
    assert subject.effective_advskew == 100


# The operator


def test_the_operator_makes_a_backup_master() -> None:
    """Whatever the timers say."""
    assert machine().asked(1.0, State.MASTER)[0] == Became(State.BACKUP, State.MASTER, "requested by the operator")
    assert machine().asked(1.0, State.BACKUP) == []


def test_the_operator_makes_a_master_backup_in_good_order() -> None:
    """It bows out, so that another takes over at once."""
    subject = machine(State.MASTER)
    assert subject.asked(1.0, State.BACKUP) == [
        Became(State.MASTER, State.BACKUP, "requested by the operator"),
        Release(),
        Advertise(*BOW_OUT),
    ]
    assert subject.deadline == 1.0 + 3.390625
    assert machine(State.MASTER).asked(1.0, State.MASTER) == []


# Demotion as a count of its own: the OpenBSD dialect


def test_demotion_that_is_counted_is_not_added_to_advskew() -> None:
    """It travels in an octet of its own, 0 to 255."""
    subject = machine(State.MASTER, counts_demotion=True)
    assert subject.demoted(0.5, 300) == [Advertise(1, 100, 255)]
    assert subject.demoted(0.6, -5) == [Advertise(1, 100, 0)]
    assert subject.effective_advskew == 100


def test_a_more_demoted_master_is_relieved_even_without_preempt() -> None:
    """The count is compared before the intervals."""
    subject = machine(counts_demotion=True, demotion=1)
    assert subject.heard(1.0, 4, 1, 0, 1) == []
    assert subject.heard(1.0, 4, 1, 0, 2)[0] == Became(State.BACKUP, State.MASTER, "master is demoted more")


def test_a_less_demoted_slower_master_is_not_preempted() -> None:
    """Slower it may be, but it is in better health."""
    subject = machine(counts_demotion=True, demotion=1, preempt=True)
    assert subject.heard(1.0, 4, 1, 200, 0) == []
    assert subject.heard(1.0, 4, 1, 200, 1)[0] == Became(State.BACKUP, State.MASTER, "preempting a slower master")


def test_a_demoted_master_yields_to_a_less_demoted_one() -> None:
    """Whatever the intervals; and stays against a more demoted one that is faster."""
    subject = machine(State.MASTER, counts_demotion=True, demotion=1)
    assert subject.heard(2.0, 4, 1, 0, 2) == [Announce()]
    assert subject.heard(2.5, 4, 1, 200, 0)[0] == Became(State.MASTER, State.BACKUP, "less demoted master heard")


def test_other_dialects_ignore_the_count() -> None:
    """FreeBSD sends zero in that octet, and does not look at it."""
    assert machine().heard(1.0, 4, 1, 0, 200) == []
    assert machine(State.MASTER, demotion=240).heard(1.0, 4, 1, 0, 0)[0].reason == (
        "more frequent advertisement received"
    )


# Other settings


def test_a_backups_patience_is_counted_from_where_it_began() -> None:
    """Another advbase or advskew moves the timeout by the difference, whatever has passed of it."""
    subject = machine(families=(4, 6))
    subject.heard(2.0, 4, 1, 0)
    assert subject.reconfigured(2.5, Settings(2, 50, (4, 6))) == []
    assert subject.master_down_at == {4: 2.0 + 6 + 50 / 256, 6: 6 + 50 / 256}
    assert subject.state is State.BACKUP


def test_a_backup_waits_anew_for_a_family_that_it_had_no_address_of() -> None:
    """Nobody could be heard of it before; and a family that has gone must not make it MASTER."""
    subject = machine(families=(4,))
    subject.reconfigured(2.0, Settings(1, 100, (6,)))
    assert subject.master_down_at == {6: 2.0 + 3.390625}


def test_a_master_tells_its_new_settings_at_once() -> None:
    """And goes on at the new interval from there."""
    subject = machine(State.MASTER)
    assert subject.reconfigured(0.5, Settings(2, 128, (4,))) == [Advertise(2, 128)]
    assert subject.advertise_at == 0.5 + 2.5
    assert subject.state is State.MASTER


def test_other_settings_in_init_count_from_the_next_start() -> None:
    """There is no timer to move."""
    subject = machine(State.INIT)
    assert subject.reconfigured(1.0, Settings(2, 0, (4,))) == []
    assert subject.deadline is None
    subject.ready(1.0)
    assert subject.deadline == 1.0 + 6
