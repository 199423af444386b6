"""Abruptness: planted jumps are found with their interval, smooth curves have none, censored runs count as censored."""

import math

import numpy as np
import pytest

from assay.core.errors import SettingsError
from assay.instruments.abruptness import (
    Jump,
    change_point,
    cliff_ratio,
    crossing,
    jump_of,
    lag,
    log_rank,
    median_jump,
    normalised,
)

STEPS = np.arange(0.0, 1001.0, 10.0)


def test_crossings_are_interpolated_and_confirmed() -> None:
    assert crossing([0, 10, 20], [0.0, 0.5, 1.0], 0.75) == pytest.approx(15)
    assert crossing([0, 10, 20, 30, 40], [0.0, 0.9, 0.1, 0.9, 0.9], 0.5) == pytest.approx(25)  # a spike does not count
    assert crossing([0, 10, 20], [3.0, 2.0, 0.0], 1.0, falling=True) == pytest.approx(15)
    assert math.isnan(crossing([0, 10], [0.0, 0.1], 0.5))
    assert crossing([5, 10], [1.0, 1.0], 0.5) == 5
    assert jump_of([0, 10], [0.0, 0.1], 0.5) == Jump(10.0, False)
    assert jump_of([0, 10, 20], [0.0, 1.0, 1.0], 0.5) == Jump(5.0, True)


def test_cliff_ratio_tells_a_cliff_from_a_slope() -> None:
    cliff = 1 / (1 + np.exp(-(STEPS - 800) / 10))
    assert cliff_ratio(STEPS, cliff, 0.25, 0.9) == pytest.approx(
        10 * (math.log(9) + math.log(3)) / (800 - 10 * math.log(3)), rel=0.05
    )
    slope = STEPS / 1000
    assert cliff_ratio(STEPS, slope, 0.25, 0.9) == pytest.approx(2.6)
    assert math.isnan(cliff_ratio(STEPS, slope * 0.5, 0.25, 0.9))


def test_change_point_has_its_jump_inside_its_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits, widths = [], []
    for _ in range(200):
        values = np.where(STEPS >= 600, 1.0, 0.0) + rng.normal(0, 0.7, size=len(STEPS))
        found = change_point(STEPS, values, level=0.95)
        hits.append(found.low <= 600 <= found.high)
        widths.append(found.high - found.low)
    assert np.mean(hits) > 0.9
    assert np.median(widths) < 150
    sharp = change_point(STEPS, np.where(STEPS >= 600, 1.0, 0.2))
    assert (sharp.low, sharp.high) == (590, 600)
    assert (sharp.before, sharp.after, sharp.share) == pytest.approx((0.2, 1.0, 1.0))
    assert change_point(STEPS, STEPS).share < 0.8
    with pytest.raises(SettingsError, match="at least 5 points"):
        change_point([1, 2, 3], [1, 2, 3])


def test_lag_is_positive_when_the_leader_moves_first() -> None:
    early, late = (1 / (1 + np.exp(-(STEPS - middle) / 20)) for middle in (400, 480))
    assert lag(STEPS, early, late) == pytest.approx(80, abs=5)
    assert lag(STEPS, late, early) == pytest.approx(-80, abs=5)
    assert lag(STEPS, early, early) == 0


def test_normalised_curves_fall_from_one_and_are_half_way_at_one() -> None:
    loss = 3 - 2.5 / (1 + np.exp(-(STEPS - 500) / 30))
    curve = normalised(STEPS, loss, [0.0, 0.5, 1.0, 1.5])
    assert curve == pytest.approx([1, 1, 0.5, 0], abs=0.02)
    assert normalised(2 * STEPS, 5 * loss + 1, [0.7])[0] == pytest.approx(normalised(STEPS, loss, [0.7])[0])
    assert np.isnan(normalised(STEPS, np.ones_like(STEPS), [1.0])).all()


def test_survival_of_the_jump() -> None:
    early = [Jump(step, True) for step in (100, 110, 120, 130, 140)]
    late = [Jump(step, True) for step in (300, 320)] + [Jump(400, False)] * 3
    assert median_jump(early) == 120
    assert math.isnan(median_jump(late))
    assert median_jump([*early[:3], Jump(400, False), Jump(400, False)]) == 120
    assert log_rank(early, late) < 0.01
    assert log_rank(early, [Jump(j.step + 1, True) for j in early]) > 0.3
    censored = [Jump(50, False)] * 5  # runs that ended early say little, not "late"
    assert log_rank(early, censored) > 0.5
    with pytest.raises(SettingsError, match="at least one jump"):
        log_rank([Jump(5, False)], [Jump(5, False)])


def test_log_rank_equals_the_textbook_sum() -> None:
    first, second = [Jump(1, True), Jump(3, True), Jump(5, False)], [Jump(2, True), Jump(4, True), Jump(6, True)]
    observed, expected, variance = 0.0, 0.0, 0.0
    for time in sorted(j.step for j in (*first, *second) if j.seen):
        n1, n2 = (sum(j.step >= time for j in group) for group in (first, second))
        observed += any(j.step == time for j in first)
        n = n1 + n2
        expected += n1 / n
        variance += n1 * n2 / n**2
    from scipy import stats

    assert log_rank(first, second) == pytest.approx(2 * stats.norm.sf(abs(observed - expected) / math.sqrt(variance)))


def test_refuses_curves_that_are_none() -> None:
    with pytest.raises(SettingsError, match="rising steps"):
        crossing([1, 1, 2], [0, 0, 1], 0.5)
    with pytest.raises(SettingsError, match="as many values"):
        crossing([1, 2], [0], 0.5)
