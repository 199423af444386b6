"""Intervals: closed forms, other implementations, properties, and what is refused."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from assay.core.errors import InputError
from assay.stats import intervals
from assay.stats.intervals import Interval, bounded_mean, proportion

LEVELS = (0.5, 0.9, 0.95, 0.999)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


X = generator(1).normal(2.0, 1.5, size=11)
Y = 0.6 * X + generator(2).normal(1.0, 0.5, size=11)


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


# --- other implementations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_mean_is_scipys(level: float) -> None:
    expected = scipy.stats.t.interval(level, len(X) - 1, loc=X.mean(), scale=scipy.stats.sem(X))
    found = intervals.mean(X, level=level)
    assert ends(found) == pytest.approx(expected, rel=1e-12)
    assert (found.estimate, found.level, found.n, found.method) == (pytest.approx(X.mean()), level, 11, "t")


@pytest.mark.parametrize("level", LEVELS)
def test_differences_are_scipys(level: float) -> None:
    paired = scipy.stats.ttest_rel(X, Y).confidence_interval(level)
    assert ends(intervals.difference(X, Y, level=level, paired=True)) == pytest.approx(tuple(paired), rel=1e-10)
    welch = scipy.stats.ttest_ind(X, Y[:7], equal_var=False).confidence_interval(level)
    found = intervals.difference(X, Y[:7], level=level, paired=False)
    assert ends(found) == pytest.approx(tuple(welch), rel=1e-10)
    assert found.n == 18


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_bca_is_scipys_up_to_resampling(level: float) -> None:
    skewed = generator(3).gamma(3.0, size=40)
    expected = scipy.stats.bootstrap((skewed,), np.mean, confidence_level=level, method="BCa", rng=generator(4))
    found = intervals.mean_bca(skewed, level=level, rng=generator(5))
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert ends(found) == pytest.approx(tuple(expected.confidence_interval), abs=0.03 * width)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (3, 10), (999, 1000)])
def test_proportion_is_statsmodels(successes: int, n: int, level: float) -> None:
    expected = proportion_confint(successes, n, alpha=1 - level, method="beta")
    assert ends(intervals.proportion(successes, n, level=level)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [6, 9, 10, 25, 200])
def test_median_is_scipys_order_statistics(n: int) -> None:
    values = generator(n).normal(size=n)
    expected = scipy.stats.quantile_test(values, q=np.median(values), p=0.5).confidence_interval(0.95)
    found = intervals.median(values)
    assert found.estimate == np.median(values)
    assert ends(found) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_median_by_hand() -> None:
    # Of 6 values, P(none or all lie below the median) = 2 / 64 <= 5 %, so the ends are the extremes; of 5 it is 2 / 32 > 5 %.
    assert ends(intervals.median([6, 1, 5, 2, 4, 3])) == (1, 6)
    assert ends(intervals.median([1, 2, 3, 4, 5])) == (-math.inf, math.inf)
    # Of 9, P(at most 1 below) = 10 / 512 <= 2.5 % < 46 / 512 = P(at most 2 below): the second from either end.
    assert ends(intervals.median(range(1, 10))) == (2, 8)


@pytest.mark.parametrize("n", [4, 5, 8, 11, 19])
def test_interquartile_mean_is_scipys_trimmed_mean(n: int) -> None:
    values = generator(n).lognormal(size=n)
    cut = n // 4 / n
    low, high = scipy.stats.mstats.trimmed_mean_ci(values, limits=(cut, cut), alpha=0.05)
    found = intervals.iqm(values, rng=generator())
    assert found.estimate == pytest.approx(scipy.stats.trim_mean(values, 0.25))
    assert found.estimate == pytest.approx((low + high) / 2)
    # SciPy divides the winsorised error by h / sqrt(n) for h kept values, Yuen (and we) by sqrt(h (h - 1) / (n - 1)).
    kept = n - 2 * (n // 4)
    yuen = math.sqrt((n - 1) / (kept * (kept - 1))) / (math.sqrt(n) / kept)
    assert found.high - found.low == pytest.approx((high - low) * yuen, rel=1e-9)


def test_rank_correlation_estimate_is_scipys_with_ties() -> None:
    x, y = np.round(generator(6).normal(size=30)), np.round(generator(7).normal(size=30), 1)
    found = intervals.rank_correlation(x, y, rng=generator(), n_resamples=99)
    assert found.estimate == pytest.approx(scipy.stats.spearmanr(x, y).statistic)


def test_rank_correlation_reaches_as_far_as_both_its_parts() -> None:
    found = intervals.rank_correlation(X, Y, rng=generator(8))
    z, error = math.atanh(found.estimate), math.sqrt((1 + found.estimate**2 / 2) / (11 - 3))
    bca = scipy.stats.bootstrap((X, Y), lambda a, b: scipy.stats.spearmanr(a, b).statistic, vectorized=False, paired=True,
                                n_resamples=999, method="BCa", rng=generator(9)).confidence_interval  # fmt: skip
    assert found.low == pytest.approx(min(math.tanh(z - 1.959964 * error), bca.low), abs=0.05)
    assert found.high == pytest.approx(max(math.tanh(z + 1.959964 * error), bca.high), abs=0.02)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_order_of_few_units_bounds_and_proves_nothing(sign: int) -> None:
    found = intervals.rank_correlation(range(5), [sign * v for v in (1, 2, 4, 8, 16)], rng=generator())
    low, high = sorted((sign * found.low, sign * found.high))
    assert sign * found.estimate == pytest.approx(1)
    # Half a step below 1 is 0.95 with 5 units: z = atanh(0.95), its error sqrt((1 + 0.95^2 / 2) / 2). All resamples agree.
    z, error = math.atanh(0.95), math.sqrt((1 + 0.95**2 / 2) / 2)
    assert (low, high) == pytest.approx((math.tanh(z - 1.9599640 * error), 1))


def test_loglog_slope_is_scipys() -> None:
    sizes = np.array([1.0, 3.0, 10.0, 30.0])
    values = np.array([2.0, 3.1, 6.4, 9.0])
    line = scipy.stats.linregress(np.log(sizes), np.log(values))
    reach = scipy.stats.t.ppf(0.975, 2) * line.stderr
    found = intervals.loglog_slope(sizes, values)
    assert (found.estimate, *ends(found)) == pytest.approx((line.slope, line.slope - reach, line.slope + reach))


def test_loglog_slope_of_a_power_law_is_its_exponent() -> None:
    sizes = np.array([1.0, 2.0, 4.0, 8.0])
    assert (lambda i: (i.estimate, i.low, i.high))(intervals.loglog_slope(sizes, 7 * sizes**-1.5)) == pytest.approx((-1.5,) * 3)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_fieller_ends_are_where_the_t_test_of_a_ratio_turns(level: float) -> None:
    found = intervals.ratio(X, Y, level=level)
    assert found.low < found.estimate < found.high
    for end in ends(found):
        assert scipy.stats.ttest_1samp(X - end * Y, 0.0).pvalue == pytest.approx(1 - level, rel=1e-9)


def test_fieller_is_unbounded_when_the_denominator_may_be_zero() -> None:
    found = intervals.ratio(X, [-1.0, 1.0, 0.3] * 3 + [0.1, -0.2])
    assert ends(found) == (-math.inf, math.inf)
    assert "not clear of zero" in found.method


@pytest.mark.parametrize(
    ("found", "t", "df", "per_unit"),
    [
        (intervals.effect_size(X, 1.0), scipy.stats.ttest_1samp(X, 1.0).statistic, 10, 1 / math.sqrt(11)),
        (intervals.effect_size(X, Y, paired=True), scipy.stats.ttest_rel(X, Y).statistic, 10, 1 / math.sqrt(11)),
        (intervals.effect_size(X, Y[:7]), scipy.stats.ttest_ind(X, Y[:7]).statistic, 16, math.sqrt(1 / 11 + 1 / 7)),
    ],
    ids=["one sample", "paired", "independent"],
)
def test_effect_size_ends_are_where_the_noncentral_t_puts_them(found: Interval, t: float, df: int, per_unit: float) -> None:
    assert scipy.stats.nct.sf(t, df, found.low / per_unit) == pytest.approx(0.025, rel=1e-6)
    assert scipy.stats.nct.cdf(t, df, found.high / per_unit) == pytest.approx(0.025, rel=1e-6)
    assert found.estimate == pytest.approx(t * per_unit * (1 - 3 / (4 * df - 1)), rel=2e-3)  # Hedges' approximate correction


def test_effect_sizes_of_any_magnitude_are_finite() -> None:
    for shift in (0.0, 1e-6, 1e3, 1e9):
        found = intervals.effect_size(X - X.mean() + shift, 0.0)
        assert math.isfinite(found.low)
        assert math.isfinite(found.high)
    # For a huge effect only the spread is uncertain: the ends go with the chi distribution.
    found = intervals.effect_size(X - X.mean() + 1e9, 0.0)
    d = 1e9 / X.std(ddof=1)
    expected = [d * math.sqrt(scipy.stats.chi2.ppf(p, 10) / 10) for p in (0.025, 0.975)]
    assert ends(found) == pytest.approx(expected, rel=1e-6)


# --- what the records say ---------------------------------------------------------------------------------------------


def test_constant_values_have_no_width_and_the_method_says_so() -> None:
    flat = [0.1] * 5
    for found in (
        intervals.mean(flat),
        intervals.mean_bca(flat, rng=generator()),
        intervals.iqm(flat, rng=generator()),
        intervals.difference([0.3] * 5, [0.2] * 5, paired=True),
        intervals.difference([0.3] * 5, [0.2] * 4, paired=False),
        intervals.ratio([0.3] * 5, [0.2] * 5),
        intervals.clustered_mean([[0.1, 0.3], [0.3, 0.1]], rng=generator()),
        intervals.clustered_mean([[0.1, 0.3]] * 30, rng=generator()),
        intervals.stratified_mean([[0.1, 0.1], [0.3]]),
    ):
        assert found.method.endswith("(no spread)")
        assert found.low == found.estimate == found.high
    assert intervals.mean(flat).estimate == 0.1


def test_every_is_the_range_and_one_unit_is_enough() -> None:
    found = intervals.every([3.0, 1.0, 2.0])
    assert found == Interval(2.0, 1.0, 3.0, 1.0, 3, "range over runs")
    assert ends(intervals.every([0.7])) == (0.7, 0.7)


def test_clusters_count_once_each_however_many_items_they_hold() -> None:
    clusters = [[0.0] * 1000, [1.0, 3.0], [5.0]]
    found = intervals.clustered_mean(clusters, rng=generator())
    assert (found.estimate, *ends(found)) == pytest.approx((lambda m: (m.estimate, m.low, m.high))(intervals.mean([0, 2, 5])))
    assert (found.n, found.method) == (3, "t over cluster means")


def test_items_of_one_run_do_not_narrow_the_interval() -> None:
    once = intervals.clustered_mean([[v] for v in X], rng=generator())
    often = intervals.clustered_mean([[v] * 500 for v in X], rng=generator())
    assert ends(once) == pytest.approx(ends(often))


def test_many_clusters_are_resampled_and_skewness_moves_the_interval_outwards() -> None:
    means = generator(12).lognormal(size=20)
    found = intervals.clustered_mean([[m] for m in means], rng=generator())
    assert found.method == "studentised cluster bootstrap"
    assert found.high > intervals.mean(means).high
    assert found == intervals.clustered_mean([[m] for m in means[::-1]], rng=generator())


def test_one_stratum_is_a_mean_and_two_are_welch_s_comparison() -> None:
    alone, mean = intervals.stratified_mean([X]), intervals.mean(X)
    assert (alone.estimate, *ends(alone), alone.n) == pytest.approx((mean.estimate, *ends(mean), mean.n))
    few = [2.0, -1.0, 4.5]
    both, welch = intervals.stratified_mean([X, [-y for y in few]]), intervals.difference(X, few, paired=False)
    assert 2 * np.array([both.estimate, *ends(both)]) == pytest.approx([welch.estimate, *ends(welch)])


def test_a_stratum_of_one_value_counts_and_adds_no_width() -> None:
    alone, with_known = intervals.stratified_mean([X]), intervals.stratified_mean([X, [7.0]])
    assert with_known.estimate == pytest.approx((alone.estimate + 7.0) / 2)
    assert with_known.high - with_known.low == pytest.approx((alone.high - alone.low) / 2)
    with pytest.raises(InputError, match="needs a stratum of 2 values; got 2 strata of fewer"):
        intervals.stratified_mean([[1.0], [2.0]])
    with pytest.raises(InputError, match="stratum 1 of a stratified mean needs at least 1 values; got 0"):
        intervals.stratified_mean([[1.0, 2.0], []])


def test_a_bootstrap_does_not_bound_what_it_cannot_see() -> None:
    # Three values give 27 resamples; the most extreme one has probability 1 / 27 > 2.5 %.
    assert ends(intervals.mean_bca([1.0, 2.0, 3.0], rng=generator())) == (-math.inf, math.inf)
    far = intervals.mean_bca(X, level=1 - 1e-6, rng=generator())
    assert ends(far) == (-math.inf, math.inf)


@pytest.mark.parametrize("function", [intervals.mean_bca, intervals.iqm], ids=lambda f: f.__name__)
def test_the_generator_decides_everything(function: Callable[..., Interval]) -> None:
    values = generator(10).lognormal(size=24)
    assert function(values, rng=generator(1)) == function(values, rng=generator(1))
    assert function(values, rng=generator(1)) != function(values, rng=generator(2))
    assert function(values, rng=generator(1)) == function(values[::-1], rng=generator(1))


# --- properties -------------------------------------------------------------------------------------------------------

FIXED: dict[str, Callable[..., Interval]] = {
    "mean": intervals.mean,
    "mean_bca": lambda x, level=0.95: intervals.mean_bca(x, level=level, rng=generator(), n_resamples=199),
    "median": intervals.median,
    "iqm": lambda x, level=0.95: intervals.iqm(x, level=level, rng=generator(), n_resamples=199),
    "paired": lambda x, level=0.95: intervals.difference(x, np.zeros(len(x)), level=level, paired=True),
    "welch": lambda x, level=0.95: intervals.difference(x, [0.0, 0.0], level=level, paired=False),
    "clustered": lambda x, level=0.95: intervals.clustered_mean(
        [[v] for v in x], level=level, rng=generator(), n_resamples=199
    ),
    "stratified": lambda x, level=0.95: intervals.stratified_mean([x], level=level),
}
# Whole numbers, shifts by whole numbers and scales by powers of two: sums and ties are then exact in floating point.
whole = st.lists(st.integers(-1000, 1000), min_size=2, max_size=30)


@pytest.mark.parametrize("name", [n for n in FIXED if n != "welch"])
@given(values=whole, shift=st.integers(-100, 100), power=st.integers(-3, 3))
@settings(max_examples=25)
def test_shifting_and_scaling_the_values_shifts_and_scales_the_interval(
    name: str, values: list[int], shift: int, power: int
) -> None:
    x, scale = np.array(values, dtype=float), 2.0**power
    before, after = FIXED[name](x), FIXED[name](scale * x + shift)
    for end in ("estimate", "low", "high"):
        assert getattr(after, end) == pytest.approx(scale * getattr(before, end) + shift, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", FIXED)
@given(values=whole, levels=st.tuples(st.floats(0.05, 0.999), st.floats(0.05, 0.999)))
@settings(max_examples=25)
def test_a_higher_level_contains_a_lower_one(name: str, values: list[int], levels: tuple[float, float]) -> None:
    x = np.array(values, dtype=float)
    narrow, wide = (FIXED[name](x, level=level) for level in sorted(levels))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize("name", FIXED)
@given(values=whole, data=st.data())
@settings(max_examples=25)
def test_the_order_of_units_does_not_matter(name: str, values: list[int], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(values))
    one, other = FIXED[name](np.array(values, dtype=float)), FIXED[name](np.array(shuffled, dtype=float))
    assert (one.estimate, *ends(one)) == pytest.approx((other.estimate, *ends(other)))


@given(
    values=st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), min_size=4, max_size=20), power=st.integers(-3, 3)
)
@settings(max_examples=25)
def test_rank_correlation_and_slope_ignore_units(values: list[tuple[int, int]], power: int) -> None:
    x, y = np.array(values, dtype=float).T
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    plain = intervals.rank_correlation(x, y, rng=generator(), n_resamples=99)
    assert plain == intervals.rank_correlation(np.log(x), 2.0**power * y, rng=generator(), n_resamples=99)
    assert -1 <= plain.low <= plain.high <= 1
    slope, scaled = intervals.loglog_slope(x, y), intervals.loglog_slope(2.0**power * x, 3 * y)
    assert (scaled.estimate, *ends(scaled)) == pytest.approx((slope.estimate, *ends(slope)), rel=1e-6, abs=1e-9)


@given(n=st.integers(1, 300), data=st.data())
@settings(max_examples=50)
def test_a_share_and_its_complement_mirror_each_other(n: int, data: st.DataObject) -> None:
    s = data.draw(st.integers(0, n))
    share, rest = intervals.proportion(s, n), intervals.proportion(n - s, n)
    assert share.low <= share.estimate <= share.high
    assert ends(share) == pytest.approx((1 - rest.high, 1 - rest.low), abs=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------

ON_VALUES: dict[str, Callable[[Any], Interval]] = {
    "mean": intervals.mean,
    "mean_bca": lambda x: intervals.mean_bca(x, rng=generator()),
    "median": intervals.median,
    "iqm": lambda x: intervals.iqm(x, rng=generator()),
    "every": intervals.every,
    "paired": lambda x: intervals.difference(x, x, paired=True),
    "welch": lambda x: intervals.difference([1, 2], x, paired=False),
    "ratio": lambda x: intervals.ratio(x, x),
    "clustered": lambda x: intervals.clustered_mean([[1.0], x, [3.0]], rng=generator()),
    "stratified": lambda x: intervals.stratified_mean([x, [3.0]]),
    "rank_correlation": lambda x: intervals.rank_correlation(x, x, rng=generator()),
    "loglog_slope": lambda x: intervals.loglog_slope(x, x),
    "effect_size": lambda x: intervals.effect_size(x, 0.0),
}


@pytest.mark.parametrize("name", ON_VALUES)
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "needs at least"),
        ([1.0, math.nan, 2.0, 3.0], r"finite values; got nan at position 1 of 4"),
        ([1.0, 2.0, math.inf, -math.inf], r"finite values; got inf at position 2 of 4 and 1 more such"),
        ([[1.0, 2.0], [3.0, 4.0]], r"one value per unit; got an array of shape \(2, 2\)"),
        (["a", "b", "c", "d"], "takes numbers"),
        ([1.0, None, 2.0, 3.0], "nan at position 1|takes numbers"),
    ],
    ids=["none", "nan", "inf", "two axes", "words", "missing"],
)
def test_absence_is_never_a_number(name: str, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ON_VALUES[name](values)


@pytest.mark.parametrize("name", [n for n in ON_VALUES if n not in ("every", "clustered", "stratified")])
def test_one_unit_has_no_interval(name: str) -> None:
    with pytest.raises(InputError, match=r"needs at least [234] values; got 1\. Add units"):
        ON_VALUES[name]([1.0])


def test_one_cluster_has_no_interval() -> None:
    with pytest.raises(InputError, match="a mean over clusters needs at least 2 values; got 1"):
        intervals.clustered_mean([[1.0, 2.0, 3.0]], rng=generator())
    with pytest.raises(InputError, match="cluster 1 of a clustered mean needs at least 1 values; got 0"):
        intervals.clustered_mean([[1.0, 2.0], []], rng=generator())


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1, math.nan])
def test_levels_lie_strictly_between_0_and_1(level: float) -> None:
    for call in (
        lambda: intervals.mean(X, level=level),
        lambda: intervals.mean([1.0, 1.0], level=level),
        lambda: intervals.iqm([1.0, 1.0], level=level, rng=generator()),
        lambda: intervals.difference([1.0, 1.0], [2.0, 2.0], level=level, paired=False),
        lambda: intervals.ratio([1.0, 1.0], [2.0, 2.0], level=level),
        lambda: intervals.median(X, level=level),
        lambda: intervals.proportion(1, 2, level=level),
    ):
        with pytest.raises(InputError, match="strictly between 0 and 1"):
            call()


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 4), (1.5, 3), (True, 1)])
def test_counts_must_be_counts(successes: Any, n: Any) -> None:
    with pytest.raises(InputError, match=r"whole numbers 0 <= successes <= n and n >= 1; got"):
        intervals.proportion(successes, n)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.difference([1, 2, 3], [1, 2], paired=True), "takes pairs; got 3 and 2 values"),
        (lambda: intervals.ratio([1, 2], [-1, 1]), "denominator whose mean is not zero"),
        (lambda: intervals.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4], rng=generator()), "all 4 of the first side are 1.0"),
        (lambda: intervals.loglog_slope([1, 2, 3], [1, 0, 2]), "positive values; got y = 0.0"),
        (lambda: intervals.loglog_slope([2, 2, 2], [1, 3, 2]), "at least two different x"),
        (lambda: intervals.effect_size([1, 1, 1], 0.0), "needs values that vary"),
        (lambda: intervals.effect_size([1, 1], [2, 2]), "needs values that vary"),
        (lambda: intervals.effect_size([1, 2], 0.0), "needs at least 3 values; got 2"),
        (lambda: intervals.effect_size([1, 2, 4], math.nan), "finite values; got nan"),
    ],
)
def test_what_else_is_refused(call: Callable[[], Interval], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_importing_the_room_loads_no_scipy() -> None:
    code = """
import importlib, pkgutil, sys
import assay.stats
for module in pkgutil.iter_modules(assay.stats.__path__):
    importlib.import_module(f"assay.stats.{module.name}")
assert not {"scipy", "torch", "matplotlib"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_bounded_mean_is_covered_however_its_numbers_are_spread() -> None:
    rng = np.random.default_rng(0)
    for mean_of, draw in (
        (0.02, lambda: (rng.random(36) < 0.02).astype(float)),
        (0.02, lambda: 0.4 * (rng.random(36) < 0.05)),
        (0.95, lambda: 1 - 0.5 * (rng.random(36) < 0.1)),
        (0.5, lambda: rng.random(36)),
    ):
        found = [bounded_mean(draw()) for _ in range(300)]
        assert np.mean([one.low <= mean_of <= one.high for one in found]) >= 0.95
    exact, found = proportion(2, 36), bounded_mean([1.0] * 2 + [0.0] * 34)
    assert (found.estimate, found.low, found.high) == pytest.approx((exact.estimate, exact.low, exact.high))
    with pytest.raises(InputError, match=r"numbers in \[0, 1\]; got -1 to 1"):
        bounded_mean([-1.0, 1.0])
    both = bounded_mean([-0.5] + [0.0] * 34 + [1.0], signed=True)
    assert (-both.low, both.high) == pytest.approx((proportion(1, 36).high, proportion(1, 36).high))
    signed = [bounded_mean(rng.choice([-1.0, 0.0, 0.5], 36, p=[0.03, 0.94, 0.03]), signed=True) for _ in range(300)]
    assert np.mean([one.low <= -0.015 <= one.high for one in signed]) >= 0.95
