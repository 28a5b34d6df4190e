"""Which advertisement was heard before."""

from __future__ import annotations

from carptwist.election.replay import Replay, Verdict

A, B = b"\xc0\x00\x02\x03", b"\xc0\x00\x02\x04"


def judge(
    replay: Replay, counter: int, *, source: bytes = A, network_control: bool = True, now: float = 0.0
) -> Verdict:
    verdict = replay.judge(source, counter, network_control)
    if verdict is Verdict.NEW:
        replay.introduced(now, source, counter, network_control)
    return verdict


def test_what_was_heard_before_is_replayed_whatever_it_claims() -> None:
    """The source and the DSCP are forged at will."""
    replay = Replay()
    assert judge(replay, 5) is Verdict.NEW
    for source in (A, B):
        for network_control in (True, False):
            assert judge(replay, 5, source=source, network_control=network_control) is Verdict.REPLAYED


def test_what_we_sent_is_ours() -> None:
    """Mirrored, or another master's in lock-step with us."""
    replay = Replay()
    replay.sent(9)
    replay.sent(9)
    assert judge(replay, 9, network_control=False) is Verdict.OURS


def test_what_we_sent_after_we_heard_it_is_ours() -> None:
    """That it was known before does not matter."""
    replay = Replay()
    judge(replay, 9)
    replay.sent(9)
    assert judge(replay, 9) is Verdict.OURS


def test_a_constant_counter() -> None:
    """Believed from its own source without CS7, replayed with it or from anywhere else; and no move is made of that."""
    replay = Replay()
    assert judge(replay, 5, network_control=False) is Verdict.NEW
    for _ in range(5):
        assert judge(replay, 5, network_control=False) is Verdict.CONSTANT
        assert judge(replay, 5) is Verdict.REPLAYED
        assert judge(replay, 5, source=B, network_control=False) is Verdict.REPLAYED
    assert replay.constancy.repeats(A)


def test_replays_in_the_name_of_a_constant_peer_do_not_make_it_move() -> None:
    """Else an attacker could have all that it says refused."""
    replay = Replay()
    for counter in range(100, 110):
        judge(replay, counter, source=B)
    judge(replay, 5, network_control=False)
    for counter in range(100, 110):
        assert judge(replay, counter, network_control=False) is Verdict.REPLAYED
    assert judge(replay, 5, network_control=False) is Verdict.CONSTANT


def test_what_moves_is_protected_without_cs7() -> None:
    """NetBSD's last advertisements are no constant counter."""
    replay = Replay()
    for counter in range(3):
        assert judge(replay, counter, network_control=False, now=counter) is Verdict.NEW
    for counter in range(3):
        assert judge(replay, counter, network_control=False, now=5.0) is Verdict.REPLAYED


def test_news() -> None:
    """What was seen since the last time, heard and sent alike, each once; told of when it comes."""
    told = []
    replay = Replay()
    replay.when_changed = lambda: told.append(len(told))
    judge(replay, 1)
    assert replay.take_news() == ([], True)  # nobody wrote down until now
    judge(replay, 10)
    replay.sent(11)
    judge(replay, 11)
    judge(replay, 20)
    assert replay.take_news() == ([10, 11, 20], False)
    judge(replay, 20)
    replay.sent(20)
    assert replay.take_news() == ([], False)
    assert len(told) == 4
    judge(replay, 30, source=B, network_control=False)
    assert replay.take_news() == ([30], True)


def test_it_knows() -> None:
    """What was heard and what was sent."""
    replay = Replay()
    judge(replay, 1)
    replay.sent(2)
    assert [replay.knows(counter) for counter in range(4)] == [False, True, True, False]
