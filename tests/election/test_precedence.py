"""Intervals and timeouts."""

import pytest

from carptwist.election.precedence import (
    effective_advskew,
    interval,
    interval_seconds,
    is_bow_out,
    lifetime_seconds,
    master_down_seconds,
    patience,
)


@pytest.mark.parametrize(
    ("advskew", "demotion", "effective"),
    [(0, 0, 0), (100, 50, 150), (100, 240, 240), (254, 0, 240), (0, -1, 0), (100, -40, 60), (0, 10_000, 240)],
)
def test_demotion_adds_to_advskew_between_0_and_240(advskew: int, demotion: int, effective: int) -> None:
    """effective advskew = clamp(advskew + demotion, 0, 240)."""
    assert effective_advskew(advskew, demotion) == effective


@pytest.mark.parametrize(
    ("advbase", "advskew", "seconds"),
    [(1, 0, 1.0), (1, 128, 1.5), (255, 254, 255 + 254 / 256), (0, 1, 1 / 256), (0, 0, 1 / 256)],
)
def test_a_master_advertises_every_advbase_and_advskew(advbase: int, advskew: int, seconds: float) -> None:
    """advbase + advskew/256 seconds; with both 0 the unit, 1/256 s."""
    assert interval_seconds(advbase, advskew) == seconds


@pytest.mark.parametrize(
    ("advbase", "advskew", "seconds"),
    [(1, 0, 3.0), (1, 100, 3.390625), (0, 100, 300 / 256), (0, 0, 3 / 256)],
)
def test_a_backup_waits_three_intervals(advbase: int, advskew: int, seconds: float) -> None:
    """3 x advbase + advskew/256; with advbase 0 3 x advskew/256; with both 0 3/256 s."""
    assert master_down_seconds(advbase, advskew) == seconds


def test_intervals_compare_in_whole_units() -> None:
    """Comparisons never round: they are made in 1/256 s."""
    assert interval(1, 255) < interval(2, 0)
    assert patience(1, 240) == 3 * 256 + 240


def test_only_255_255_bows_out() -> None:
    """A farewell is advbase 255 with advskew 255."""
    assert is_bow_out(255, 255)
    assert not is_bow_out(255, 254)
    assert not is_bow_out(1, 255)


def test_addresses_expire_before_others_take_over() -> None:
    """A second earlier than the least patient of them, and never sooner than the kernel can be told in time."""
    assert [lifetime_seconds(advbase) for advbase in (0, 1, 2, 10)] == [2, 2, 5, 29]
