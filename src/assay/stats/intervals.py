"""Intervals: one frozen record, and one function per quantity that a claim may be about.

Every function takes values of independent units (see `assay.stats.units` for what it refuses) and returns an `Interval` at a
stated level. Which one suits which claim, and how often each misses in simulation: docs/statistics.md.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.stats import resample
from assay.stats.noncentral import noncentrality
from assay.stats.resample import N_RESAMPLES
from assay.stats.scaling import log_log_slope
from assay.stats.units import counts, pairs, tail, units

__all__ = [
    "Interval",
    "IntervalAt",
    "bounded_mean",
    "clustered_mean",
    "clustered_mean_at",
    "difference",
    "effect_size",
    "every",
    "iqm",
    "iqm_at",
    "loglog_slope",
    "mean",
    "mean_at",
    "mean_bca",
    "mean_bca_at",
    "median",
    "proportion",
    "rank_correlation",
    "ratio",
    "stratified_mean",
]

# From this many units on, a studentised bootstrap follows skewed values better than t; below it, it has seen too little of the
# tails and its ends explode or, unstudentised, come out too short. Both sides are in the simulated table of docs/statistics.md.
BOOTSTRAP_FROM = 20


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval around it.

    Attributes:
        estimate: the point estimate, in the values' unit.
        low: lower end; -inf where the units are too few to bound it.
        high: upper end; inf where the units are too few to bound it.
        level: the confidence level, in (0, 1); 1.0 for a range over every unit.
        n: how many independent units it is taken over.
        method: how it was made; "(no spread)" where all units were equal and the width is therefore zero.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    method: str


IntervalAt = Callable[[float], Interval]


def mean(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The mean and its Student t interval; exact for normal values, and shorter than it should be for few, skewed ones.

    Source: Student 1908, The probable error of a mean, Biometrika 6.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    return mean_at(values)(level)


def mean_at(values: ArrayLike) -> IntervalAt:
    """As `mean`, as a function of the level."""
    return _t_mean(units(values, what="the mean's interval"), "t")


def mean_bca(values: ArrayLike, *, level: float = 0.95, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Interval:
    """The mean and its bias-corrected and accelerated bootstrap interval; meant for 20 and more skewed values.

    Source: Efron 1987, Better bootstrap confidence intervals, JASA 82.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    return mean_bca_at(values, rng=rng, n_resamples=n_resamples)(level)


def mean_bca_at(values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> IntervalAt:
    """As `mean_bca`, as a function of the level: the resamples are drawn once."""
    x = np.sort(units(values, what="the BCa interval of the mean"))  # so that the order of units cannot matter
    if np.ptp(x) == 0:
        return lambda level: _no_spread(float(x[0]), level, len(x), "BCa bootstrap")
    estimate, n = float(x.mean()), len(x)
    replicates = np.sort(resample.bootstrap(x, lambda drawn: drawn.mean(axis=-1), rng=rng, n_resamples=n_resamples))
    left_out = (x.sum() - x) / (n - 1)

    def at(level: float) -> Interval:
        return Interval(
            estimate, *resample.bca_ends(estimate, replicates, left_out, level=level, n=n), level, n, "BCa bootstrap"
        )

    return at


def median(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The median and its order-statistics interval: exact (conservative) for any distribution; infinite for too few values.

    At 0.95 it takes 6 values for finite ends.

    Source: Thompson 1936, On confidence ranges for the median, Annals of Mathematical Statistics 7; with ties the closed
    interval still covers (break them at random and forget how).

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    from scipy.special import bdtr

    x = np.sort(units(values, what="the median's interval"))
    n = len(x)
    # P(at most k of n values lie below the median), for k = 0, 1, ...; ends are x_(k) and x_(n + 1 - k), counted from 1.
    k = int(np.sum(bdtr(np.arange(n // 2), n, 0.5) <= tail(level) / 2))
    low, high = (float(x[k - 1]), float(x[n - k])) if k else (-math.inf, math.inf)
    return Interval(float(np.median(x)), low, high, level, n, "order statistics")


def iqm(values: ArrayLike, *, level: float = 0.95, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Interval:
    """The interquartile mean (a quarter of the values, rounded down, left out at either end) and its interval.

    Fewer than 20 values: t with the winsorised error (Tukey & McLaughlin 1963; Yuen 1974, Biometrika 61). From 20 on: the same
    error in a studentised bootstrap, which follows skewness. Source of the summary: Agarwal et al. 2021, arXiv:2108.13264,
    whose percentile bootstrap misses about twice as often as stated with 5 runs.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    return iqm_at(values, rng=rng, n_resamples=n_resamples)(level)


def iqm_at(values: ArrayLike, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> IntervalAt:
    """As `iqm`, as a function of the level: the resamples are drawn once."""
    x = np.sort(units(values, what="the interquartile mean's interval"))
    n, cut = len(x), len(x) // 4
    estimate, error = (float(part[0]) for part in _interquartile(x[None]))
    if error == 0:
        return lambda level: _no_spread(estimate, level, n, "interquartile t")

    def t(level: float) -> Interval:
        reach = _t_quantile(n - 2 * cut - 1, level) * error
        return Interval(estimate, estimate - reach, estimate + reach, level, n, "interquartile t")

    if n < BOOTSTRAP_FROM:
        return t
    ends = resample.studentised(x, _interquartile, rng=rng, n_resamples=n_resamples)
    return lambda level: Interval(estimate, *ends(level), level, n, "interquartile studentised bootstrap")


def proportion(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """The proportion and its exact (conservative) binomial interval; one trial is enough for a valid one.

    Source: Clopper & Pearson 1934, Biometrika 26.

    Raises:
        InputError: not 0 <= successes <= n with n at least 1.
    """
    from scipy.special import betainccinv, betaincinv

    counts(successes, n, what="a proportion's interval")
    half = tail(level) / 2
    low = float(betaincinv(successes, n - successes + 1, half)) if successes > 0 else 0.0
    high = float(betainccinv(successes + 1, n - successes, half)) if successes < n else 1.0
    return Interval(successes / n, low, high, level, int(n), "Clopper-Pearson")


def bounded_mean(values: ArrayLike, *, level: float = 0.95, signed: bool = False) -> Interval:
    """The mean of numbers in [0, 1] with an interval that holds however they are spread; one number is enough.

    The mean is at least the probability of a 1 and at most that of anything above 0: the ends are the exact binomial bounds of
    these two. It is wide where many numbers lie between, and serves where nearly all are 0, or 1, and a bootstrap has no end.

    Args:
        values: the numbers.
        level: of the interval.
        signed: numbers in [-1, 1]: their mean is at least minus the probability of anything below 0.

    Source: Clopper & Pearson 1934, Biometrika 26, for the two bounds.

    Raises:
        InputError: a number outside [0, 1], or [-1, 1].
    """
    found, least = units(values, what="a bounded mean", needs=1), -1 if signed else 0
    if found.min() < least or found.max() > 1:
        raise InputError(f"a bounded mean needs numbers in [{least}, 1]; got {found.min():g} to {found.max():g}")
    below, ones, above = (proportion(int(np.sum(some)), len(found), level=level) for some in (found < 0, found == 1, found > 0))
    low = -below.high if signed else ones.low
    return Interval(float(found.mean()), low, above.high, level, len(found), "binomial bounds")


def every(values: ArrayLike) -> Interval:
    """The range over all units, with their mean as estimate, for statements that must hold in each of them.

    It describes these units and infers nothing about others, so one unit is enough and the level is 1.

    Raises:
        InputError: no value, or one that is not finite.
    """
    x = units(values, what="the range over runs", needs=1)
    low, high = float(x.min()), float(x.max())
    return Interval(min(max(float(x.mean()), low), high), low, high, 1.0, len(x), "range over runs")


def difference(a: ArrayLike, b: ArrayLike, *, level: float = 0.95, paired: bool) -> Interval:
    """Mean of `a` minus mean of `b`, with the paired t interval (same units, same order) or Welch's (independent units).

    `n` counts pairs, or all values of both arms.

    Source: Welch 1947, Biometrika 34, for unequal variances.

    Raises:
        InputError: fewer than two values in an arm, one that is not finite, or pairs that do not match.
    """
    if paired:
        first, second = pairs(a, b, what="a paired difference")
        return _t_mean(first - second, "paired t")(level)
    x, y = units(a, what="the first arm"), units(b, what="the second arm")
    estimate, n = float(x.mean() - y.mean()), len(x) + len(y)
    if np.ptp(x) == 0 and np.ptp(y) == 0:
        return _no_spread(float(x[0] - y[0]), level, n, "Welch t")
    error, df = welch_error(x, y)
    reach = _t_quantile(df, level) * error
    return Interval(estimate, estimate - reach, estimate + reach, level, n, "Welch t")


def ratio(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Interval:
    """Mean of `a` over mean of `b` for paired values, with Fieller's interval.

    Both ends are infinite where the mean of `b` cannot be told from zero at this level: every ratio is then possible.

    Source: Fieller 1954, Some problems in interval estimation, JRSS-B 16.

    Raises:
        InputError: as for paired differences, or the mean of `b` is exactly zero.
    """
    x, y = pairs(a, b, what="a ratio of means")
    mean_x, mean_y, n = float(x.mean()), float(y.mean()), len(x)
    if mean_y == 0:
        raise InputError("a ratio of means needs a denominator whose mean is not zero; got 0. Compare differences instead")
    estimate = mean_x / mean_y
    if np.ptp(x) == 0 and np.ptp(y) == 0:
        return _no_spread(estimate, level, n, "Fieller")
    # All ratios q with (mean_x - q mean_y)^2 <= t^2 var(mean_x - q mean_y): a quadratic in q, around q = estimate.
    covariance = np.cov(x, y) * (_t_quantile(n - 1, level) ** 2 / n)
    curvature = mean_y**2 - covariance[1, 1]
    if curvature <= 0:
        return Interval(estimate, -math.inf, math.inf, level, n, "Fieller (denominator not clear of zero)")
    middle = (mean_x * mean_y - covariance[0, 1]) / curvature
    reach = math.sqrt(max(0.0, middle**2 - (mean_x**2 - covariance[0, 0]) / curvature))
    return Interval(estimate, float(middle - reach), float(middle + reach), level, n, "Fieller")


def clustered_mean(
    clusters: Sequence[ArrayLike], *, level: float = 0.95, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Interval:
    """The mean of cluster means (items inside runs) and an interval over clusters; `n` counts clusters.

    Clusters are the independent units; items of one cluster share its seed, data and model, however many there are. Each
    cluster therefore counts as one number, its mean, and each counts equally. Fewer than 20 clusters: t over those means, which
    is exact for normal ones, already with three clusters of equal size, where every bootstrap over clusters fails (from three
    clusters only ten different resamples can be drawn). From 20 on: the cluster-only bootstrap, studentised, which follows
    skewed cluster means better than t. The two-stage bootstrap is not used: cluster means already carry their items' noise.

    Source: Cameron, Gelbach & Miller 2008, Bootstrap-based improvements for inference with clustered errors; Miller 2024,
    arXiv:2411.00640, for evaluations.

    Raises:
        InputError: fewer than two clusters, an empty one, or an item that is not finite.
    """
    return clustered_mean_at(clusters, rng=rng, n_resamples=n_resamples)(level)


def clustered_mean_at(clusters: Sequence[ArrayLike], *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> IntervalAt:
    """As `clustered_mean`, as a function of the level: the resamples are drawn once."""
    means = np.array([units(c, what=f"cluster {i} of a clustered mean", needs=1).mean() for i, c in enumerate(clusters)])
    means = np.sort(units(means, what="a mean over clusters"))
    if len(means) < BOOTSTRAP_FROM or np.ptp(means) == 0:
        return _t_mean(means, "t over cluster means")
    ends = resample.studentised(means, _mean_and_error, rng=rng, n_resamples=n_resamples)
    return lambda level: Interval(float(means.mean()), *ends(level), level, len(means), "studentised cluster bootstrap")


def stratified_mean(strata: Sequence[ArrayLike], *, level: float = 0.95) -> Interval:
    """The mean of the strata's means, each counting equally, with Satterthwaite's t interval; `n` counts all values.

    The strata are given, their values are drawn. A stratum of one value counts as known: it adds nothing to the width, and the
    interval is over what the others might have drawn.

    Source: Satterthwaite 1946, Biometrics Bulletin 2, for the degrees of freedom of a sum of variances.

    Raises:
        InputError: no stratum of two values, an empty one, or a value that is not finite.
    """
    found = [units(one, what=f"stratum {i} of a stratified mean", needs=1) for i, one in enumerate(strata)]
    drawn = [one for one in found if len(one) > 1]
    if not drawn:
        raise InputError(
            f"a stratified mean needs a stratum of 2 values; got {len(found)} strata of fewer. Add units (runs, items)"
        )
    estimate, n = float(np.mean([one.mean() for one in found])), sum(map(len, found))
    if all(np.ptp(one) == 0 for one in drawn):
        return _no_spread(estimate, level, n, "Satterthwaite t")
    error, df = welch_error(*drawn)
    reach = _t_quantile(df, level) * error / len(found)
    return Interval(estimate, estimate - reach, estimate + reach, level, n, "Satterthwaite t")


def rank_correlation(
    x: ArrayLike, y: ArrayLike, *, level: float = 0.95, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Interval:
    """Spearman's rank correlation over units, with the wider of two intervals at either end.

    The BCa bootstrap over pairs fails for few units in nearly perfect order (all resamples agree), the normal interval of
    Fisher's z for strong or heteroscedastic association (its error formula does not hold there). Each covers where the other
    does not. A perfect order of n units is taken as half a step below perfect: it bounds the correlation, and proves nothing.

    Source: Bonett & Wright 2000, Psychometrika 65, for the error of z; Efron 1987, JASA 82, for BCa.

    Raises:
        InputError: fewer than four pairs, values that do not match or are not finite, or a side that does not vary.
    """
    from scipy.special import ndtri

    first, second = pairs(x, y, what="a rank correlation", needs=4)
    for name, side in (("first", first), ("second", second)):
        if np.ptp(side) == 0:
            raise InputError(
                f"a rank correlation needs values that vary; all {len(side)} of the {name} side are {side[0]}. Leave it out"
            )
    rows, n = np.stack([first, second], axis=1)[np.lexsort((second, first))], len(first)
    estimate = float(_spearman(rows[None])[0])

    replicates = resample.bootstrap(rows, _spearman, rng=rng, n_resamples=n_resamples)
    left_out = resample.jackknife(rows, _spearman)
    # A resample of one repeated value has no rank correlation; nothing is put in its place.
    low, high = resample.bca_ends(
        estimate, replicates[np.isfinite(replicates)], left_out[np.isfinite(left_out)], level=level, n=n
    )
    half_step = 6 / (n**3 - n)  # half of what one swap of neighbours changes
    inside = float(np.clip(estimate, half_step - 1, 1 - half_step))
    reach = -float(ndtri(tail(level) / 2)) * math.sqrt((1 + inside**2 / 2) / (n - 3))
    low, high = min(low, math.tanh(math.atanh(inside) - reach)), max(high, math.tanh(math.atanh(inside) + reach))
    return Interval(estimate, max(-1.0, low), min(1.0, high), level, n, "BCa bootstrap and Fisher z, the wider")


def loglog_slope(x: ArrayLike, y: ArrayLike, *, level: float = 0.95) -> Interval:
    """The exponent of a power law: least-squares slope of log y on log x, with its t interval.

    Raises:
        InputError: fewer than three points, values that are not positive and finite, or an x that does not vary.
    """
    first, second = pairs(x, y, what="a log-log slope", needs=3)
    for name, side in (("x", first), ("y", second)):
        if np.any(side <= 0):
            raise InputError(
                f"a log-log slope takes positive values; got {name} = {side.min()}. A power law has no zero or negative values"
            )
    if np.ptp(first) == 0:
        raise InputError(f"a log-log slope needs at least two different x; got {first[0]} only. Measure at more scales")
    u, v = np.log(first), np.log(second)
    u = u - u.mean()
    estimate, n = log_log_slope(first, second), len(u)
    residual = v - v.mean() - estimate * u
    reach = _t_quantile(n - 2, level) * math.sqrt(float(residual @ residual) / (n - 2) / float(u @ u))
    return Interval(estimate, estimate - reach, estimate + reach, level, n, "least squares on logarithms, t")


def effect_size(values: ArrayLike, reference: ArrayLike, *, level: float = 0.95, paired: bool = False) -> Interval:
    """The standardised effect (Hedges' g, in standard deviations), with the exact noncentral-t interval for normal values.

    What it is divided by: for a number as `reference`, the standard deviation of the values; for paired arrays, that of the
    differences; for independent arrays, the pooled one. The estimate carries the exact small-sample correction; the interval
    is for the population effect and needs none.

    Source: Hedges 1981, Journal of Educational Statistics 6; Steiger & Fouladi 1997 for the interval.

    Raises:
        InputError: fewer than three values (two in each of two independent arms), values that do not match or are not finite,
            or no spread to standardise by.
    """
    from scipy.special import gammaln

    if np.ndim(reference) == 0:
        differences = units(values, what="an effect size", needs=3) - units(
            np.atleast_1d(reference), what="a reference", needs=1
        )
    elif paired:
        first, second = pairs(values, reference, what="a paired effect size", needs=3)
        differences = first - second
    else:
        differences = None
    if differences is not None:
        n, df, shift, spread = len(differences), len(differences) - 1, float(differences.mean()), float(differences.std(ddof=1))
        flat, per_unit, method = np.ptp(differences) == 0, 1 / math.sqrt(n), "Hedges g of differences, noncentral t"
    else:
        x, y = units(values, what="the first arm"), units(reference, what="the second arm")
        n, df, shift = len(x) + len(y), len(x) + len(y) - 2, float(x.mean() - y.mean())
        spread = math.sqrt(((len(x) - 1) * x.var(ddof=1) + (len(y) - 1) * y.var(ddof=1)) / df)
        flat = np.ptp(x) == 0 and np.ptp(y) == 0
        per_unit, method = math.sqrt(1 / len(x) + 1 / len(y)), "Hedges g, noncentral t"
    if flat:
        raise InputError(f"an effect size needs values that vary; all {n} are equal. Report the difference in its own unit")
    d = shift / spread
    correction = math.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) / math.sqrt(df / 2)
    low, high = (noncentrality(d / per_unit, df, p) * per_unit for p in (tail(level) / 2, 1 - tail(level) / 2))
    return Interval(correction * d, low, high, level, n, method)


def welch_error(*samples: Floats) -> tuple[float, float]:
    """The standard error of a sum or difference of independent means, and Welch-Satterthwaite's degrees of freedom."""
    parts = [sample.var(ddof=1) / len(sample) for sample in samples]
    df = sum(parts) ** 2 / sum(part**2 / (len(sample) - 1) for part, sample in zip(parts, samples, strict=True))
    return math.sqrt(sum(parts)), float(df)


def _t_mean(x: Floats, method: str) -> IntervalAt:
    if np.ptp(x) == 0:
        return lambda level: _no_spread(float(x[0]), level, len(x), method)
    estimate, error = float(x.mean()), float(x.std(ddof=1)) / math.sqrt(len(x))

    def at(level: float) -> Interval:
        reach = _t_quantile(len(x) - 1, level) * error
        return Interval(estimate, estimate - reach, estimate + reach, level, len(x), method)

    return at


def _no_spread(value: float, level: float, n: int, method: str) -> Interval:
    tail(level)  # refuses an impossible level
    return Interval(value, value, value, level, n, f"{method} (no spread)")


@lru_cache(maxsize=4096)
def _t_quantile(df: float, level: float) -> float:
    from scipy.special import stdtrit

    return -float(stdtrit(df, tail(level) / 2))  # from the lower tail, where levels near 1 keep their digits


def _mean_and_error(x: Floats) -> tuple[Floats, Floats]:
    """Means [k] of resamples [k, n] and their standard errors [k]."""
    return x.mean(axis=-1), x.std(axis=-1, ddof=1) / math.sqrt(x.shape[-1])


def _interquartile(x: Floats) -> tuple[Floats, Floats]:
    """Interquartile means [k] of resamples [k, n] and their winsorised standard errors [k]."""
    n = x.shape[-1]
    cut = n // 4
    x = np.sort(x, axis=-1)
    kept = n - 2 * cut
    estimates = x[:, cut : n - cut].mean(axis=-1)
    winsorised = np.clip(x, x[:, cut, None], x[:, n - cut - 1, None])
    return estimates, winsorised.std(axis=-1, ddof=1) * math.sqrt((n - 1) / (kept * (kept - 1)))


def _spearman(rows: Floats) -> Floats:
    """Rank correlations [k] of pairs [k, n, 2], ties at their mean rank; nan where a column does not vary."""
    from scipy.stats import rankdata

    ranks = rankdata(np.ascontiguousarray(rows.swapaxes(1, 2)), axis=2)
    ranks -= ranks.mean(axis=2, keepdims=True)
    product, squares = (ranks[:, 0] * ranks[:, 1]).sum(axis=1), (ranks**2).sum(axis=2)
    scale = np.sqrt(squares[:, 0] * squares[:, 1])
    return np.where(scale > 0, product / np.where(scale > 0, scale, 1.0), np.nan)
