"""Power: how probable a verdict is at a number of runs, before they are run, by the very tests that will judge them.

Distances are counted in standard deviations between runs, from the bound that has to be cleared; `error` is that of one end of
the interval. Source: Cohen 1988, Statistical Power Analysis, with the noncentral t instead of tables.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["POWER", "clear_distance", "least_runs", "power_of_iqm", "power_of_mean", "power_of_median", "power_of_share"]

POWER = 0.9  # how probable a verdict must be for a number of runs to count as enough
# Asymptotic efficiency of the interquartile mean for normal values: its variance is 1 / 0.84 of the mean's.
IQM_EFFICIENCY = 0.84


def clear_distance(n: int, error: float) -> float:
    """Distance from its bound, in standard deviations between runs, at which the mean of n runs is just decided.

    A mean whose truth lies there is decided in about half of all studies; at 1.6 times as much in nine of ten.
    """
    from scipy.special import stdtrit

    return -float(stdtrit(n - 1, error)) / math.sqrt(n)


def power_of_mean(distances: Sequence[float], n: int, error: float) -> float:
    """Probability, or a lower bound, that the t interval of n runs clears all bounds at these distances."""
    return _power_of_t([d * math.sqrt(n) for d in distances], n - 1, error)


def power_of_iqm(distances: Sequence[float], n: int, error: float) -> float:
    """As `power_of_mean`, for the interquartile mean of normal values."""
    return _power_of_t([d * math.sqrt(n * IQM_EFFICIENCY) for d in distances], n - 2 * (n // 4) - 1, error)


def power_of_median(distances: Sequence[float], n: int, error: float) -> float:
    """As `power_of_mean`, for the median's order statistics with normal values; exact for one bound."""
    from scipy.special import bdtr, ndtr

    rank = int(np.sum(bdtr(np.arange(n // 2), n, 0.5) <= error))
    if not rank:
        return 0.0
    missed = sum(1 - float(bdtr(rank - 1, n, float(ndtr(-d)))) for d in distances)
    return max(0.0, 1 - missed)


def power_of_share(p: float, n: int, decided: Callable[[int, int], bool]) -> float:
    """Probability that a count of n trials of probability p is one of those that are decided: exact.

    Args:
        p: of a success.
        n: trials.
        decided: whether that many successes of n decide.
    """
    from scipy.stats import binom

    chances = binom.pmf(np.arange(n + 1), n, p)
    return float(sum(chance for k, chance in enumerate(chances) if chance > 1e-6 and decided(k, n)))


def least_runs(power: Callable[[int], float], most: int, *, wanted: float = POWER) -> int | None:
    """The smallest number of runs from 2 on at which a verdict is as probable as wanted; None if up to `most` none is."""
    return next((n for n in range(2, most + 1) if power(n) >= wanted), None)


def _power_of_t(noncentralities: Sequence[float], df: int, error: float) -> float:
    from scipy.special import nctdtr, stdtrit

    if df < 1 or min(noncentralities) <= 0:
        return 0.0
    critical = -float(stdtrit(df, error))
    missed = 0.0
    for nc in noncentralities:
        chance = float(nctdtr(df, min(nc, 30.0), critical))
        if not math.isfinite(chance):
            chance = 1.0 if nc < critical else 0.0
        missed += chance
    return max(0.0, 1 - missed)
