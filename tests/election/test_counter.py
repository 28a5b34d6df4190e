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


def test_what_was_used_is_passed_over() -> None:
    """For a random one, from which it goes on."""
    counter = Counter(lambda: 1000)
    counter.heard(41)
    assert [counter.next({43}.__contains__) for _ in range(3)] == [42, 1000, 1001]


def test_a_renewed_one_goes_on_from_a_random_number() -> None:
    """Whether anybody was heard before or not."""
    numbers = iter([7, 500])
    counter = Counter(lambda: next(numbers))
    counter.next()
    counter.renew()
    assert [counter.next(), counter.next()] == [501, 502]


def test_a_reserved_number_is_nobody_elses() -> None:
    """It is drawn, and neither changes the sequence nor comes from it."""
    counter = Counter(lambda: 7)
    counter.heard(41)
    assert counter.reserve(4) == 7
    assert counter.next() == 42


def test_a_reserved_number_stays_until_a_new_beginning() -> None:
    """One for each family, however often it is asked for; afterwards they are others."""
    numbers = iter(range(100, 200))
    counter = Counter(lambda: next(numbers))
    assert [counter.reserve(4), counter.reserve(6), counter.reserve(4)] == [100, 101, 100]
    counter.begin()
    assert [counter.reserve(6), counter.reserve(4)] == [102, 103]


def test_a_new_master_goes_on_from_a_random_number() -> None:
    """Two that have heard the same last advertisement do not send the same counter next, nor if they hear the same one
    while they begin; one that has heard nobody draws each of its own anyway."""
    numbers = iter((7, 100, 8))
    counter = Counter(lambda: next(numbers))
    counter.begin()
    assert counter.next() == 7
    counter.heard(41)
    counter.begin()
    counter.heard(51)
    assert [counter.next(), counter.next()] == [100, 101]
