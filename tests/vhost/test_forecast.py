"""Who would be MASTER after a change: the rules, run ahead."""

from __future__ import annotations

from carptwist.config.schema import Configuration, Knobs
from carptwist.election.machine import Settings
from carptwist.vhost.forecast import THIS_HOST, Contender, contender, foresee, interval_change, precedence_change


def ours(advskew: int | None, *, preempt: bool = True, advbase: int = 1, demotion: int = 0) -> Contender:
    settings = None if advskew is None else Settings(advbase, advskew, (4,))
    return Contender(THIS_HOST, settings, preempt, demotion)


def other(advskew: int, name: str = "b", *, preempt: bool = True) -> Contender:
    return Contender(name, Settings(1, advskew, (4,)), preempt)


def who(before: Contender, after: Contender, *others: Contender, master: str | None = None) -> str:
    return foresee(before, after, others, master).text


def test_the_faster_one_takes_over_where_it_preempts() -> None:
    """And stays master where it was."""
    assert who(ours(100), ours(50), other(75)) == "this host becomes MASTER (preempting a slower master)"
    assert who(ours(50), ours(100), other(75)) == "b becomes MASTER (preempting a slower master)"
    assert who(ours(50), ours(60), other(75)) == "this host stays MASTER"


def test_without_preempt_whoever_is_master_stays() -> None:
    """Whatever the others would be."""
    assert who(ours(100), ours(50, preempt=False), other(75)) == "b stays MASTER"
    assert who(ours(50), ours(100), other(75, preempt=False)) == "this host stays MASTER"


def test_a_master_that_becomes_too_slow_is_relieved_all_the_same() -> None:
    """Its promise is longer than the other's patience."""
    text = who(ours(50), ours(50, advbase=10), other(75, preempt=False))
    assert text == "b becomes MASTER (master will time out)"


def test_a_known_master_is_taken_for_it() -> None:
    """Though from a start of all together it would not have become it."""
    assert who(ours(50, preempt=False), ours(40, preempt=False), other(75), master="b") == "b stays MASTER"
    assert who(ours(90), ours(80), other(75, preempt=False), master=THIS_HOST) == "this host stays MASTER"


def test_a_host_that_leaves_is_replaced_by_the_fastest_of_the_others() -> None:
    """If it was master; else nothing changes."""
    assert who(ours(0), ours(None), other(75, "b"), other(50, "c")) == "c becomes MASTER (preempting a slower master)"
    assert who(ours(200), ours(None), other(75, "b"), other(50, "c")) == "c stays MASTER"
    assert who(ours(0), ours(None)) == "nobody is MASTER afterwards"


def test_a_host_that_joins() -> None:
    """Takes over where it is the faster one."""
    assert who(ours(None), ours(0), other(75)) == "this host becomes MASTER (preempting a slower master)"
    assert who(ours(None), ours(0, preempt=False), other(75)) == "b stays MASTER"


def test_equal_hosts_leave_one_another_alone() -> None:
    """The one that is master stays it."""
    assert who(ours(100), ours(75), other(75)) == "b stays MASTER"
    assert who(ours(75), ours(75), other(75), master="b") == "b stays MASTER"


def test_a_demotion_counts() -> None:
    """As it does in the election."""
    assert who(ours(100, demotion=100), ours(50, demotion=100), other(75)) == "b stays MASTER"


def test_an_election_that_would_take_for_ever_is_not_run_to_its_end() -> None:
    """advbase 0 beside 255: hundreds of thousands of advertisements until the latter has lost patience."""
    slow = Contender("b", Settings(255, 254, (4, 6)), preempt=False)
    assert who(ours(0, advbase=0), ours(1, advbase=0), slow) == "this host stays MASTER"


def test_a_host_that_is_not_allowed_takes_no_part() -> None:
    """Nor one without an address."""
    assert contender("a", Configuration(Knobs(allow=False)), None).settings is None
    assert ours(None).interval is None


# Where nobody else is known


def test_the_others_that_a_change_is_about() -> None:
    """Those strictly between the old interval and the new one."""
    assert precedence_change(ours(100), ours(50)) == (
        "own interval 1.391 s -> 1.195 s: now preferred to a host with advbase 1 and advskew 51 to 99"
    )
    assert precedence_change(ours(0), ours(2)) == (
        "own interval 1.000 s -> 1.008 s: a host with advbase 1 and advskew 1 is now preferred, and takes over if it "
        "preempts"
    )
    assert "a host with advbase 1 and advskew 1 to 240 is now" in precedence_change(ours(0), ours(0, advbase=2))
    assert "a host with an interval between 1.008 s and 2.008 s" in precedence_change(ours(2), ours(2, advbase=2))


def test_neighbouring_settings_have_nobody_between() -> None:
    """Said so."""
    assert precedence_change(ours(240), ours(0, advbase=2)).endswith("no other setting lies between")
    assert precedence_change(ours(1), ours(2)) == "own interval 1.004 s -> 1.008 s: no other setting lies between"


def test_without_preempt_nobody_alive_is_relieved() -> None:
    """Said so."""
    text = precedence_change(ours(100), ours(50, preempt=False))
    assert text.endswith("but takes over from none that is alive (preempt no)")


def test_preempt_alone() -> None:
    """Is told where no interval changes."""
    assert precedence_change(ours(5), ours(5)) == "as before"
    assert precedence_change(ours(0, preempt=False), ours(0)) == (
        "takes over from a MASTER that advertises less often than every 1.000 s"
    )
    assert precedence_change(ours(0), ours(0, preempt=False)) == "as BACKUP it leaves a slower MASTER alone"


def test_coming_and_going() -> None:
    """And what never was."""
    assert precedence_change(ours(None), ours(None)) == "takes no part"
    assert precedence_change(ours(0), ours(None)) == "another host takes over at once, if there is one"
    assert precedence_change(ours(None), ours(100, preempt=False)) == (
        "joins as BACKUP, and is MASTER if it hears no other for 3.391 s"
    )
    assert interval_change(ours(None), ours(0)) == ""
    assert interval_change(ours(0), ours(0)) == ""
