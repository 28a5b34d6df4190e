"""Senders whose counter never changes."""

from __future__ import annotations

from carptwist.election.constancy import MOST_SOURCES, Constancy, Habit

OPENBSD, OTHER = b"\xc0\x00\x02\x03", b"\xc0\x00\x02\x04"
COOKIE = 0xC00C1E
STEADY = 60.0


def introduce(
    constancy: Constancy, counter: int, *, source: bytes = OPENBSD, now: float = 0.0, network_control: bool = False
) -> bool:
    return constancy.introduced(now, source, counter, network_control=network_control, steady=STEADY)


def test_a_source_may_repeat_what_it_introduced() -> None:
    """And is one that cannot be protected from its first repetition on."""
    constancy = Constancy()
    assert introduce(constancy, COOKIE)
    assert not constancy.repeats(OPENBSD)
    assert constancy.may_repeat(OPENBSD, COOKIE)
    assert constancy.repeats(OPENBSD)


def test_no_other_source_may() -> None:
    """Nor may it repeat what another one introduced."""
    constancy = Constancy()
    introduce(constancy, COOKIE)
    introduce(constancy, 7, source=OTHER)
    assert not constancy.may_repeat(OTHER, COOKIE)
    assert not constancy.may_repeat(OPENBSD, 7)
    assert not constancy.may_repeat(b"\xc0\x00\x02\x05", COOKIE)
    assert not constancy.repeats(OTHER)


def test_the_other_family_shares_it() -> None:
    """OpenBSD has one counter for both, and one address of each; whichever is heard first."""
    ipv6 = b"\xfe\x80" + bytes(14)
    for first, second in ((OPENBSD, ipv6), (ipv6, OPENBSD)):
        constancy = Constancy()
        introduce(constancy, COOKIE, source=first)
        assert constancy.may_repeat(second, COOKIE)
        assert constancy.repeats(second)
        assert not constancy.may_repeat(second, COOKIE + 1)
        introduce(constancy, 5, source=first, network_control=True)
        assert not constancy.repeats(second)
        assert not constancy.may_repeat(second, COOKIE)


def test_a_source_that_moves_shares_nothing() -> None:
    """Whatever one of the other family has introduced."""
    ipv6 = b"\xfe\x80" + bytes(14)
    constancy = Constancy()
    introduce(constancy, COOKIE)
    introduce(constancy, 5, source=ipv6, network_control=True)
    assert not constancy.may_repeat(ipv6, COOKIE)


def test_a_source_that_used_cs7_may_not() -> None:
    """FreeBSD's and ours is CS7; OpenBSD's never is."""
    constancy = Constancy()
    introduce(constancy, 1, network_control=True)
    introduce(constancy, 2)
    assert not constancy.may_repeat(OPENBSD, 1)
    assert not constancy.may_repeat(OPENBSD, 2)


def test_a_source_that_uses_cs7_later_may_no_longer() -> None:
    """What it was allowed before is over."""
    constancy = Constancy()
    introduce(constancy, COOKIE)
    assert constancy.may_repeat(OPENBSD, COOKIE)
    introduce(constancy, 8, now=9999.0, network_control=True)
    assert not constancy.may_repeat(OPENBSD, COOKIE)
    assert not constancy.repeats(OPENBSD)


def test_a_source_that_moves_may_not() -> None:
    """Three counters within a minute: NetBSD, ucarp, FreeBSD before 12. It never may again."""
    constancy = Constancy()
    for counter in (1, 2, 3):
        introduce(constancy, counter, now=counter)
    for counter in (1, 2, 3):
        assert not constancy.may_repeat(OPENBSD, counter)
    assert not introduce(constancy, COOKIE, now=1e6)
    assert not constancy.may_repeat(OPENBSD, COOKIE)


def test_a_reboot_is_no_move() -> None:
    """OpenBSD draws another counter when its interface is made anew; then it repeats that one."""
    constancy = Constancy()
    for reboot in range(5):
        introduce(constancy, COOKIE + reboot, now=reboot * 40.0)
        assert constancy.may_repeat(OPENBSD, COOKIE + reboot)
    assert not constancy.may_repeat(OPENBSD, COOKIE)


def test_what_was_introduced_before_is_not_introduced_again() -> None:
    """A memory that has forgotten a counter may call it new: its source has not changed."""
    constancy = Constancy()
    assert introduce(constancy, COOKIE)
    assert not introduce(constancy, COOKIE, now=1.0)
    assert not introduce(constancy, COOKIE, now=2.0)
    assert constancy.may_repeat(OPENBSD, COOKIE)


def test_memory_is_bounded() -> None:
    """A source beyond what any group has may repeat nothing; those that are known stay."""
    constancy = Constancy()
    for number in range(MOST_SOURCES):
        assert introduce(constancy, number, source=number.to_bytes(4, "big"))
    assert not introduce(constancy, COOKIE, source=b"one more")
    assert not constancy.may_repeat(b"one more", COOKIE)
    assert len(constancy.habits) == MOST_SOURCES
    assert constancy.may_repeat((7).to_bytes(4, "big"), 7)


def test_restoring() -> None:
    """Habits outlive a restart: what moved does not become constant by it."""
    constancy = Constancy()
    constancy.restore([(OPENBSD, Habit(False, ((COOKIE, float("-inf")),))), (OTHER, Habit(True))])
    assert constancy.may_repeat(OPENBSD, COOKIE)
    introduce(constancy, 5, source=OTHER)
    assert not constancy.may_repeat(OTHER, 5)
