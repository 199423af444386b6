"""Anytime-valid intervals (confidence sequences): they cover at every sample size at once, so peeking costs nothing.

A fixed-n interval covers with probability 0.95 at one n chosen beforehand. Watched after every run until it says what was
hoped for, it misses far more often. Each interval here inverts an e-process: a nonnegative process that starts at 1 and does
not grow in expectation when the candidate value is true. By Ville's inequality it ever reaches 1/alpha with probability at
most alpha, so P(some n misses) <= alpha: the runs may stop at any time, for any reason.
"""

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats
from assay.core.errors import InputError
from assay.stats.intervals import Interval
from assay.stats.units import counts, tail, units

__all__ = [
    "bounded_mean_anytime",
    "log_capital",
    "mean_anytime",
    "median_anytime",
    "planned_looks",
    "proportion_anytime",
    "spent_at",
    "spent_level",
]

# Variance of the standardised effect under the alternative that the t sequence bets on; fixed for all claims, before any data.
# 20 is within a fifth of the best width from 5 to 30 runs, and bounds the mean from 4 runs on also at the levels that Holm's
# procedure gives to a dozen claims; smaller values buy little later and wait longer for their first finite end.
PRIOR_VARIANCE = 20.0
# The most a bet may lose of its capital in one step; the value Waudby-Smith & Ramdas 2024 suggest.
MOST_AT_STAKE = 0.5
N_LOOKS = 4
SPENDING_POWER = 3


def mean_anytime(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The mean and the t mixture sequence around it; infinite while the values are too few.

    Assumes independent normal values, mean and variance unknown; the order does not matter. The e-process is the Bayes factor
    of a normal prior on the standardised effect, under the right Haar prior on the scale. For values with a point mass (shares,
    accuracies at 1) use `proportion_anytime` or `bounded_mean_anytime`.

    Source: Lai 1976, On confidence sequences, Annals of Statistics 4; with a mixture over effects: Wang & Ramdas 2025,
    Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance, Sequential Analysis 44.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    x = units(values, what="the mean's anytime-valid interval")
    n, alpha = len(x), tail(level)
    flat = np.ptp(x) == 0
    estimate = float(x[0] if flat else x.mean())
    method = "t mixture sequence" + " (no spread)" * bool(flat)
    # The e-process is r^(-1/2) ((1 + u) / (1 + u / r))^(n / 2) with u = t^2 / (n - 1); it reaches 1 / alpha where the quotient
    # in brackets reaches k, which it never does (it stays below r) while k >= r.
    r = 1 + n * PRIOR_VARIANCE
    k = (math.sqrt(r) / alpha) ** (2 / n)
    if k >= r:
        return Interval(estimate, -math.inf, math.inf, level, n, method)
    u = (k - 1) / (1 - k / r)
    reach = 0.0 if flat else math.sqrt(u * (n - 1) / n) * float(x.std(ddof=1))
    return Interval(estimate, estimate - reach, estimate + reach, level, n, method)


def proportion_anytime(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """The proportion and its beta-binomial mixture sequence, with Jeffreys' prior as the mixture.

    Assumes independent trials of one unknown probability, or, more weakly, that each succeeds with that probability given the
    earlier ones. Exact: no approximation at small n or near 0 and 1.

    Source: Robbins 1970, Statistical methods related to the law of the iterated logarithm, Annals of Mathematical Statistics
    41; the mixture of Krichevsky & Trofimov 1981.

    Raises:
        InputError: not 0 <= successes <= n with n at least 1.
    """
    counts(successes, n, what="a proportion's anytime-valid interval")
    low, high = _proportion_ends(int(successes), int(n), tail(level))
    return Interval(successes / n, low, high, level, int(n), "beta-binomial mixture sequence")


def median_anytime(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """The median and its quantile sequence: the order statistics between which the beta-binomial sequence leaves one half.

    Assumes independent values of one distribution, any distribution (with ties the closed interval still covers). Infinite
    while the values are too few: fewer than 8 at level 0.95.

    Source: Darling & Robbins 1967, Confidence sequences for mean, variance, and median, PNAS 58; Howard & Ramdas 2022,
    Sequential estimation of quantiles, Bernoulli 28.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    from scipy.special import betaln

    x = np.sort(units(values, what="the median's anytime-valid interval"))
    n = len(x)
    below = np.arange((n + 1) // 2)  # how many of n values may lie below the median
    log_e = betaln(below + 0.5, n - below + 0.5) - math.log(math.pi) + n * math.log(2)
    k = int(np.sum(log_e >= -math.log(tail(level))))
    low, high = (float(x[k - 1]), float(x[n - k])) if k else (-math.inf, math.inf)
    return Interval(float(np.median(x)), low, high, level, n, "quantile sequence")


def bounded_mean_anytime(values: ArrayLike, low: float, high: float, *, level: float = 0.95) -> Interval:
    """The mean of values within [low, high] and its hedged-betting sequence.

    Assumes only that the values lie within the bounds and have the same mean given the earlier ones: no normality, no common
    variance. The values must come in the order in which they were observed, because each bet is made before its value is seen.

    Source: Waudby-Smith & Ramdas 2024, Estimating means of bounded random variables by betting, JRSS-B 86: the hedged
    capital process (theorem 3) with predictable plug-in bets.

    Raises:
        InputError: fewer than two values, one that is not finite or out of bounds, or bounds that are not low < high.
    """
    from scipy.optimize import brentq

    x = units(values, what="a bounded mean's anytime-valid interval")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"bounds must be finite with low < high; got [{low}, {high}]. Give the range the values cannot leave")
    if x.min() < low or x.max() > high:
        raise InputError(
            f"values must lie within [{low}, {high}]; got {x.min()} to {x.max()}. Give the range they cannot leave"
        )
    alpha = tail(level)
    scaled = (x - low) / (high - low)

    def lower_end(y: Floats) -> float:
        """The largest mean that bets on larger values of y refute, with half of the capital; 0 if none is refuted."""

        def surplus(mean: float) -> float:
            return float(log_capital(y, mean, alpha=alpha)[-1]) - math.log(2 / alpha)

        return 0.0 if surplus(0.0) < 0 else float(brentq(surplus, 0.0, 1.0, xtol=1e-13))

    ends = low + (high - low) * lower_end(scaled), high - (high - low) * lower_end(1 - scaled)
    return Interval(float(x.mean()), *ends, level, len(x), "hedged betting sequence")


def log_capital(values: Floats, mean: float, *, alpha: float) -> Floats:
    """Log capital [..., n] of a gambler who bets that values [..., n] within [0, 1] have a mean above `mean`, after each value.

    Fair or losing if it is not, so an e-process. It falls as `mean` rises. Bets are sized by what was seen before, to grow
    fastest towards a capital of 2 / alpha.
    """
    t = np.arange(1, values.shape[-1] + 1)
    means = (0.5 + np.cumsum(values, axis=-1)) / (t + 1)
    variances = (0.25 + np.cumsum((values - means) ** 2, axis=-1)) / (t + 1)
    known = np.concatenate([np.full_like(variances[..., :1], 0.25), variances[..., :-1]], axis=-1)
    stakes = np.sqrt(2 * math.log(2 / alpha) / (known * t * np.log1p(t)))
    if mean > 0:
        stakes = np.minimum(stakes, MOST_AT_STAKE / mean)
    capital: Floats = np.cumsum(np.log1p(stakes * (values - mean)), axis=-1)
    return capital


def spent_level(look: int, *, level: float = 0.95) -> float:
    """The level to ask of a fixed-n interval at the `look`-th look, so that all looks together miss at most 1 - level.

    For quantities without a sequence of their own (ratios, rank correlations, slopes, interquartile means): the error rate
    is spent as alpha / (look (look + 1)), which sums to alpha. Only the looks count, not the units, so double the units
    between looks.

    Raises:
        InputError: the look is not a whole number from 1 on.
    """
    if look != int(look) or look < 1:
        raise InputError(
            f"looks are counted 1, 2, 3, ...; got {look}. Pass how often the data were looked at, this time included"
        )
    return 1 - tail(level) / (look * (look + 1))


@lru_cache(maxsize=4096)
def _proportion_ends(successes: int, n: int, alpha: float) -> tuple[float, float]:
    from scipy.optimize import brentq
    from scipy.special import betaln

    failures, estimate = n - successes, successes / n
    mixture = float(betaln(successes + 0.5, failures + 0.5)) - math.log(math.pi) + math.log(alpha)  # B(1/2, 1/2) = pi

    def log_e(p: float) -> float:
        """Logarithm of alpha times the e-process at p; positive where p is refuted. Never so at the estimate itself."""
        return mixture - (successes * math.log(p) if successes else 0.0) - (failures * math.log1p(-p) if failures else 0.0)

    smallest, largest = math.ulp(0.0), 1 - 2**-53
    low = 0.0 if successes == 0 else float(brentq(log_e, smallest, min(estimate, largest), xtol=1e-15))
    high = 1.0 if failures == 0 or log_e(largest) < 0 else float(brentq(log_e, max(estimate, smallest), largest, xtol=1e-15))
    return low, high


def planned_looks(most: int) -> tuple[int, ...]:
    """The numbers of runs at which a series of at most `most` runs is looked at: a quarter, half, three quarters, all.

    Raises:
        InputError: fewer than two runs.
    """
    if most < 2:
        raise InputError(f"a series needs at most 2 runs or more; got {most}. Allow more runs")
    return tuple(sorted({max(2, math.ceil(most * k / N_LOOKS)) for k in range(1, N_LOOKS + 1)}))


def spent_at(looks: tuple[int, ...]) -> tuple[float, ...]:
    """The part of a claim's error rate that each planned look may spend; the parts sum to 1.

    Up to n of N runs (n / N)^3 is spent, little at first, as by O'Brien and Fleming's boundaries: 2, 11, 30 and 58 % at the
    four quarters. Each look is judged by the ordinary interval at its own part, so that the sum bounds the error for every
    kind of interval, exact ones with few runs included, and for every dependence between the looks; correlated boundaries
    would save at most a tenth of the runs and hold for large samples only.

    Source: Kim & DeMets 1987, Biometrika 74, for the power family of spending functions; Maurer & Bretz 2013, Statistics in
    Biopharmaceutical Research 5, for looks inside a procedure that hands error on.
    """
    ends = [(n / looks[-1]) ** SPENDING_POWER for n in looks]
    return tuple(later - earlier for earlier, later in pairwise([0.0, *ends]))
