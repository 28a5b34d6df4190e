"""The 64-bit counter of advertisements."""

from carptwist.election.counter import Counter


def test_random_until_somebody_was_heard() -> None:
    """Every advertisement bears a fresh random number at first."""
    numbers = iter([7, 3, 99])
    counter = Counter(lambda: next(numbers))
    assert [counter.next(), counter.next(), counter.next()] == [7, 3, 99]


def test_one_more_than_the_last_one_sent_or_heard() -> None:
    """Once another node was heard both sides share one sequence."""
    counter = Counter(lambda: 0)
    counter.heard(41)
    assert [counter.next(), counter.next()] == [42, 43]
    counter.heard(100)
    assert counter.next() == 101


def test_it_wraps_at_64_bits() -> None:
    """After 2**64 - 1 comes 0."""
    counter = Counter(lambda: 0)
    counter.heard((1 << 64) - 1)
    assert counter.next() == 0
