"""Tests: two samples, equivalence, paired outcomes, and Holm's correction over the claims of a study.

A verdict rests on intervals; a p-value is for comparison with papers that print one. "Not significant" supports nothing: that
there is no difference is claimed by `equivalence`, against a margin stated beforehand.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.stats import resample
from assay.stats.intervals import Interval, difference, welch_error
from assay.stats.units import pairs, units

__all__ = [
    "Equivalence",
    "Significance",
    "equivalence",
    "holm",
    "mann_whitney",
    "mcnemar",
    "permutation",
    "welch",
]


@dataclass(frozen=True)
class Significance:
    """A two-sided test of no difference.

    Attributes:
        statistic: the test's statistic, positive where the first arm is larger.
        p_value: probability of one at least as extreme if the arms do not differ.
        n: how many values, or pairs, it is taken over.
        method: how it was made.
    """

    statistic: float
    p_value: float
    n: int
    method: str


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests that a difference of means lies between `low` and `high`.

    Attributes:
        p_value: the larger of the two one-sided p-values.
        interval: the difference at level 1 - 2 alpha; it lies strictly inside (low, high) exactly when p_value < alpha.
        low: lower margin of what counts as no difference.
        high: upper margin.
    """

    p_value: float
    interval: Interval
    low: float
    high: float


def welch(a: ArrayLike, b: ArrayLike) -> Significance:
    """Welch's t test of equal means of two independent arms; variances may differ.

    Source: Welch 1947, Biometrika 34.

    Raises:
        InputError: fewer than two values in an arm, one that is not finite, or no spread in either arm.
    """
    from scipy.special import stdtr

    x, y = units(a, what="the first arm"), units(b, what="the second arm")
    if np.ptp(x) == 0 and np.ptp(y) == 0:
        raise InputError(f"Welch's test needs spread in an arm; got {x[0]} and {y[0]} throughout. Report the difference itself")
    error, df = welch_error(x, y)
    t = float(x.mean() - y.mean()) / error
    return Significance(t, 2 * float(stdtr(df, -abs(t))), len(x) + len(y), "Welch t")


def mann_whitney(a: ArrayLike, b: ArrayLike) -> Significance:
    """The Mann-Whitney test that neither arm tends to larger values; the statistic is P(a > b) + P(a = b) / 2 - 1/2.

    Exact for small arms without ties, otherwise normal with the correction for ties (SciPy chooses).

    Source: Mann & Whitney 1947, Annals of Mathematical Statistics 18.

    Raises:
        InputError: fewer than two values in an arm, one that is not finite, or all values equal.
    """
    from scipy.stats import mannwhitneyu

    x, y = units(a, what="the first arm"), units(b, what="the second arm")
    if np.ptp(np.concatenate([x, y])) == 0:
        raise InputError(f"the Mann-Whitney test needs values that differ; all are {x[0]}. There is nothing to rank")
    result = mannwhitneyu(x, y)
    return Significance(
        float(result.statistic) / (len(x) * len(y)) - 0.5, float(result.pvalue), len(x) + len(y), "Mann-Whitney"
    )


def permutation(
    a: ArrayLike, b: ArrayLike, *, paired: bool, rng: np.random.Generator, n_permutations: int = 9_999
) -> Significance:
    """The permutation test of equal means: arms are reshuffled, or the signs of paired differences flipped.

    The observed arrangement counts as one of the permutations, so that the p-value is valid at any number of them and never 0.

    Source: Phipson & Smyth 2010, Permutation p-values should never be zero.

    Raises:
        InputError: fewer than two values in an arm, one that is not finite, or pairs that do not match.
    """
    if paired:
        first, second = pairs(a, b, what="a paired permutation test")
        values, n = first - second, len(first)
        observed, permuted = float(values.mean()), _flipped(values, rng, n_permutations)
    else:
        x, y = units(a, what="the first arm"), units(b, what="the second arm")
        values, n = np.concatenate([x, y]), len(x) + len(y)
        observed, permuted = float(x.mean() - y.mean()), _reshuffled(values, len(x), rng, n_permutations)
    rounding = 1e-12 * float(np.abs(values).max())  # equal arrangements may differ in the order of their sums
    as_extreme = sum(int(np.sum(np.abs(part) >= abs(observed) - rounding)) for part in permuted)
    return Significance(observed, (1 + as_extreme) / (1 + n_permutations), n, "sign-flip" if paired else "permutation")


def mcnemar(a: ArrayLike, b: ArrayLike) -> Significance:
    """The exact McNemar test that two arms are right equally often on the same items; its statistic is the difference.

    Source: McNemar 1947, Psychometrika 12, with the binomial distribution instead of its approximation.

    Args:
        a: [n] 1 where the first arm is right on the item, 0 where it is wrong.
        b: [n] the same of the second arm, items in the same order.

    Raises:
        InputError: no item, outcomes other than 0 and 1, or arms of different length.
    """
    from scipy.special import bdtr

    first, second = pairs(a, b, what="McNemar's test", needs=1)
    if not np.isin(np.concatenate([first, second]), (0.0, 1.0)).all():
        raise InputError("McNemar's test takes outcomes 0 and 1; got other values. Compare graded outcomes with `permutation`")
    only_a, only_b = int(np.sum(first > second)), int(np.sum(first < second))
    p_value = min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
    return Significance((only_a - only_b) / len(first), p_value, len(first), "exact McNemar")


def equivalence(a: ArrayLike, b: ArrayLike, low: float, high: float, *, paired: bool, alpha: float = 0.05) -> Equivalence:
    """Two one-sided t tests that mean of `a` minus mean of `b` lies between `low` and `high`, with their interval.

    Source: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15.

    Raises:
        InputError: as `assay.stats.intervals.difference`, margins that are not low < high, or alpha outside (0, 1/2).
    """
    from scipy.special import stdtr

    if not low < high:
        raise InputError(f"margins must be low < high; got {low} and {high}. State what difference would not matter")
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha lies strictly between 0 and 1/2; got {alpha}. Use 0.05")
    interval = difference(a, b, level=1 - 2 * alpha, paired=paired)
    if interval.low == interval.high:  # no spread: the difference is what it is
        return Equivalence(float(not low < interval.estimate < high), interval, low, high)
    if paired:
        first, second = pairs(a, b, what="a paired difference")
        error, df = float((first - second).std(ddof=1)) / len(first) ** 0.5, float(len(first) - 1)
    else:
        error, df = welch_error(units(a, what="the first arm"), units(b, what="the second arm"))
    p_value = max(float(stdtr(df, (low - interval.estimate) / error)), float(stdtr(df, (interval.estimate - high) / error)))
    return Equivalence(p_value, interval, low, high)


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values [m], in the order given: reject where at most alpha, and any false rejection has probability <= alpha.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.

    Raises:
        InputError: no p-value, or one outside [0, 1].
    """
    p = _probabilities(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def _probabilities(p_values: ArrayLike) -> Floats:
    p = units(p_values, what="Holm's procedure", needs=1)
    if p.min() < 0 or p.max() > 1:
        raise InputError(f"p-values lie within [0, 1]; got {p.min()} to {p.max()}. Pass probabilities")
    return p


def _flipped(differences: Floats, rng: np.random.Generator, n_permutations: int) -> Iterator[Floats]:
    """Mean differences after flipping signs at random, in chunks."""
    for size in resample.chunks(len(differences), n_permutations):
        yield (rng.integers(2, size=(size, len(differences))) * 2 - 1) @ differences / len(differences)


def _reshuffled(values: Floats, n_first: int, rng: np.random.Generator, n_permutations: int) -> Iterator[Floats]:
    """Differences of means after reshuffling the arms, in chunks."""
    n = len(values)
    for size in resample.chunks(n, n_permutations):
        shuffled = rng.permuted(np.broadcast_to(values, (size, n)), axis=1)
        yield shuffled[:, :n_first].mean(axis=1) - shuffled[:, n_first:].mean(axis=1)
