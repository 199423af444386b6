"""Forgetting curves: what was planted comes back, as an independent least squares finds it, and units change nothing."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from assay.core.errors import InputError
from assay.stats.curves import (
    FAMILIES,
    choose,
    decay_interval,
    fit,
    held_out_errors,
    on_log_grid,
    retention_line,
    threshold_interval,
)

PLANTED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "coverage.py"))["PLANTED"]
STEPS = np.arange(1.0, 1001.0)
GRID = np.geomspace(1, 1000, 50)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def items(n: int = 12, seed: int = 0, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Kept gains [item, time] and gains [item] of items that forget along lines of their own."""
    draw = rng(seed)
    gains, slopes = draw.lognormal(0, 0.3, n), 0.28 + 0.05 * draw.standard_normal(n)
    kept = 0.9 - np.outer(slopes, np.log10(GRID)) + noise * draw.standard_normal((n, len(GRID)))
    return gains[:, None] * kept, gains


def test_the_planted_families_are_all_families() -> None:
    assert PLANTED.keys() == FAMILIES.keys()
    assert set(FAMILIES.values()) == {2, 3}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_curve_without_noise_comes_back_with_its_future(family: str) -> None:
    early = GRID[GRID <= 250]
    found = fit(family, early, PLANTED[family](early))
    assert found.error < 1e-3
    assert found.at(GRID) == pytest.approx(PLANTED[family](GRID), abs=2e-3)


def test_the_numbers_of_a_curve_are_those_that_were_planted() -> None:
    found = fit("floored exponential", GRID, 0.4 + 2 * np.exp(-GRID / 77))
    assert (found.floor, found.size, found.scale) == (
        pytest.approx(0.4, rel=0.01),
        pytest.approx(2, rel=0.01),
        pytest.approx(77, rel=0.01),
    )
    found = fit("floored log-linear", GRID, np.maximum(0.3, 1 - 0.35 * np.log10(GRID)))
    assert (found.floor, found.size, found.scale) == (
        pytest.approx(0.3, rel=0.01),
        pytest.approx(0.35, rel=0.01),
        pytest.approx(100, rel=0.03),
    )
    found = fit("power", GRID, 2 * GRID**-0.37)
    assert (found.floor, found.size, found.scale) == (0, pytest.approx(2, rel=0.01), pytest.approx(0.37, rel=0.01))
    found = fit("log-linear", GRID, 1 - 0.3 * np.log10(GRID))
    assert (found.floor, found.size) == (pytest.approx(1), pytest.approx(-0.3))
    assert np.isnan(found.scale)


@pytest.mark.parametrize(
    ("family", "curve", "start"),
    [
        ("exponential", lambda t, size, scale: size * np.exp(-t / scale), (1, 150)),
        ("power", lambda t, size, scale: size * t**-scale, (1, 0.3)),
        ("floored exponential", lambda t, floor, size, scale: floor + size * np.exp(-t / scale), (0.3, 0.7, 60)),
        ("floored power", lambda t, floor, size, scale: floor + size * t**-scale, (0.3, 0.7, 0.7)),
    ],
)
def test_no_optimiser_finds_a_nearer_curve(family: str, curve: object, start: tuple[float, ...]) -> None:
    for seed in range(5):
        noisy = PLANTED[family](GRID) + 0.03 * rng(seed).standard_normal(len(GRID))
        theirs, _ = curve_fit(curve, GRID, noisy, p0=start)
        residual = noisy - curve(GRID, *theirs)  # type: ignore[operator]
        assert fit(family, GRID, noisy).error <= np.sqrt((residual**2).mean()) * (1 + 1e-4)


def test_a_floor_is_never_negative() -> None:
    """What falls below zero has no part that is kept for ever: the floored form is then the one without a floor."""
    falling = np.exp(-GRID / 50) - 0.1
    assert fit("floored exponential", GRID, falling).floor == 0
    assert fit("floored exponential", GRID, falling).error == pytest.approx(fit("exponential", GRID, falling).error, rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_fitted_as_if_each_were_alone(family: str) -> None:
    values = rng().standard_normal((2, 3, len(GRID))) + 1 / GRID
    together = fit(family, GRID, values)
    assert together.size.shape == (2, 3)
    assert together.at(GRID).shape == values.shape
    for place in np.ndindex(2, 3):
        alone = fit(family, GRID, values[place])
        assert together.error[place] == pytest.approx(alone.error, rel=1e-9)
        assert together.at([2, 700])[place] == pytest.approx(alone.at([2, 700]), rel=1e-6)


@given(unit=st.floats(0.01, 100), size=st.floats(0.01, 100), seed=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_units_change_no_family_and_no_slope(unit: float, size: float, seed: int) -> None:
    """Steps or tokens, nats or bits: errors scale, the slope of the kept share stays, the threshold is in the times' unit."""
    kept, gains = items(seed=seed)
    here = held_out_errors(GRID, kept.mean(axis=0), fit_until=250)
    there = held_out_errors(GRID * unit, size * kept.mean(axis=0), fit_until=250.0001 * unit)
    for family in FAMILIES:
        assert there[family] == pytest.approx(size * here[family], rel=1e-5)
    line, other = retention_line(GRID, kept, gains), retention_line(GRID * unit, size * kept, size * gains)
    assert other.decay == pytest.approx(line.decay)
    assert other.threshold == pytest.approx(unit * line.threshold, rel=1e-6)


def test_the_line_is_least_squares_of_the_mean_share() -> None:
    kept, gains = items()
    slope, height = np.polyfit(np.log10(GRID), kept.mean(axis=0) / gains.mean(), 1)
    line = retention_line(GRID, kept, gains)
    assert (line.decay, line.at_one) == (pytest.approx(-slope), pytest.approx(height))
    assert height + slope * np.log10(line.threshold) == pytest.approx(0, abs=1e-12)


def test_lines_of_runs_side_by_side() -> None:
    two = [items(seed=seed) for seed in (1, 2)]
    together = retention_line(GRID, np.stack([kept for kept, _ in two]), np.stack([gains for _, gains in two]))
    alone = [retention_line(GRID, kept, gains) for kept, gains in two]
    assert together.decay == pytest.approx([float(line.decay) for line in alone])
    assert together.threshold == pytest.approx([float(line.threshold) for line in alone])


def test_what_is_never_lost_has_no_threshold() -> None:
    gains = np.ones(5)
    level = np.ones((5, len(GRID)))
    assert retention_line(GRID, level + 0.1 * np.log10(GRID), gains).threshold == np.inf
    rising = threshold_interval(GRID, level + np.outer(np.arange(5), np.log10(GRID)), rng=rng())
    assert (rising.estimate, rising.low, rising.high) == (np.inf, 0, np.inf)
    assert "no fall" in rising.method


def test_bins_keep_a_line_in_log_time() -> None:
    grid, binned = on_log_grid(STEPS, 1 - 0.3 * np.log10(STEPS))
    assert binned == pytest.approx(1 - 0.3 * np.log10(grid), abs=1e-12)
    assert 1.05 < np.min(grid[20:] / grid[19:-1]) < np.max(grid[20:] / grid[19:-1]) < 1.2
    sparse = np.array([1.0, 10.0, 100.0])
    same, values = on_log_grid(sparse, np.array([[3.0, 2.0, 1.0]]))
    assert same == pytest.approx(sparse)
    assert values.tolist() == [[3.0, 2.0, 1.0]]


def test_each_planted_family_is_recognised() -> None:
    """Without noise; how often with it stands in docs/statistics.md, and test_coverage.py simulates it again."""
    gains = rng().lognormal(0, 0.3, 6)
    for family, share in PLANTED.items():
        found = choose(GRID, np.outer(gains, share(GRID)), fit_until=250, rng=rng(), n_resamples=19)
        assert found.family == family
        assert found.errors.keys() == found.best_in.keys() == FAMILIES.keys()
        assert sum(found.best_in.values()) == pytest.approx(1)


def test_a_choice_is_the_same_again() -> None:
    kept, _ = items(noise=0.5)
    first, second = (choose(GRID, kept, fit_until=250, rng=rng(3), n_resamples=99) for _ in range(2))
    assert first == second


def test_intervals_of_items_that_are_all_alike_have_no_width() -> None:
    kept = np.tile(0.9 - 0.3 * np.log10(GRID), (5, 1))
    slope, threshold = decay_interval(GRID, kept, np.ones(5), rng=rng()), threshold_interval(GRID, kept, rng=rng())
    assert slope.low == slope.high == pytest.approx(0.3)
    assert threshold.low == threshold.high == pytest.approx(1000)
    assert "no spread" in slope.method
    assert "no spread" in threshold.method


def test_two_items_bound_nothing() -> None:
    kept, gains = items(2)
    assert np.isinf([decay_interval(GRID, kept, gains, rng=rng()).low, threshold_interval(GRID, kept, rng=rng()).high]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit("cubic", GRID, GRID), "unknown family"),
        (lambda: fit("power", [1, 2, 3], [1, 2, 3]), "at least 4 times"),
        (lambda: fit("power", [0, 1, 2, 3], [1, 2, 3, 4]), "positive and rise"),
        (lambda: fit("power", [1, 3, 2, 4], [1, 2, 3, 4]), "positive and rise"),
        (lambda: fit("power", GRID, GRID[1:]), "one value a time"),
        (lambda: fit("power", GRID, np.full(50, np.nan)), "must be finite"),
        (lambda: fit("power", GRID, np.ones((0, 50))), "at least one curve"),
        (lambda: held_out_errors(GRID, GRID, fit_until=1000), "2 to judge by"),
        (lambda: held_out_errors(GRID, GRID, fit_until=1), "at least 4 times to fit"),
        (lambda: choose(GRID, GRID, fit_until=250, rng=rng()), "at least 2 items"),
        (lambda: retention_line(GRID, np.ones((3, 50)), np.zeros(3)), "mean gain above zero"),
        (lambda: retention_line(GRID, np.ones((3, 50)), np.ones(2)), "one finite gain"),
        (lambda: decay_interval(GRID, np.ones((1, 50)), np.ones(1), rng=rng()), "at least 2 items"),
        (lambda: on_log_grid(GRID, GRID, per_decade=0), "per_decade"),
    ],
)
def test_what_cannot_be_fitted_is_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]
