"""Resampling: bootstrap replicates of units, of pairs and of clusters, and the ends of an interval read from them.

The unit of independence is what is drawn. A row of a two-column array is a pair and stays together; a cluster (a run with its
items) is drawn whole. Functions return plain arrays; `assay.stats.intervals` makes intervals of them.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.stats.units import tail, units

__all__ = [
    "N_RESAMPLES",
    "bca_ends",
    "bootstrap",
    "bootstrap_clusters",
    "chunks",
    "jackknife",
    "order_ends",
    "studentised",
]

N_RESAMPLES = 9_999  # so that (B + 1) p is a whole number for the usual p; resolves tails down to 1e-4
_CHUNK = 4_000_000  # numbers drawn at once: bounds the memory, whatever the number of units

Statistic = Callable[[Floats], Floats]


def bootstrap(values: Floats, statistic: Statistic, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Floats:
    """Replicates [n_resamples] of a statistic over units drawn with replacement.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 6.

    Args:
        values: [n] one value per unit, or [n, columns]: columns of one unit stay together (paired bootstrap).
        statistic: maps resamples [k, n] or [k, n, columns] to [k].
        rng: the only source of randomness.
        n_resamples: how many replicates.
    """
    n = len(values)
    return np.concatenate([statistic(values[rng.integers(n, size=(size, n))]) for size in chunks(n, n_resamples)])


def bootstrap_clusters(
    clusters: Sequence[ArrayLike],
    statistic: Callable[[list[Floats]], float],
    *,
    rng: np.random.Generator,
    items_too: bool = False,
    n_resamples: int = N_RESAMPLES,
) -> Floats:
    """Replicates [n_resamples] of a statistic over clusters drawn whole, with replacement.

    `items_too` draws items inside every drawn cluster as well (the two-stage bootstrap). Cluster-only is the default because
    the clusters as observed already carry their items' noise: for the mean of cluster means its variance is (k - 1)/k times the
    unbiased one, whereas two stages count the noise of the items twice.

    Source: Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8.

    Args:
        clusters: the items of each cluster.
        statistic: maps the drawn clusters to a number.
        rng: the only source of randomness.
        items_too: whether to draw items as well.
        n_resamples: how many replicates.

    Raises:
        InputError: fewer than two clusters, an empty one, or an item that is not finite.
    """
    if len(clusters) < 2:
        raise InputError(f"a bootstrap over clusters needs at least 2 clusters; got {len(clusters)}. Add clusters (runs)")
    checked = [units(items, what=f"cluster {i} of a bootstrap", needs=1) for i, items in enumerate(clusters)]

    def resample(chosen: Ints) -> list[Floats]:
        drawn = [checked[i] for i in chosen]
        return [items[rng.integers(len(items), size=len(items))] for items in drawn] if items_too else drawn

    k = len(checked)
    return np.array([statistic(resample(rng.integers(k, size=k))) for _ in range(n_resamples)])


def jackknife(values: Floats, statistic: Statistic) -> Floats:
    """The statistic with each unit left out in turn, [n]; `values` and `statistic` as for `bootstrap`."""
    n = len(values)
    others, parts, start = np.arange(n - 1), [], 0
    for size in chunks(n, n):
        left_out = np.arange(start, start + size)[:, None]
        parts.append(statistic(values[others + (others >= left_out)]))  # all positions but one, a row each
        start += size
    return np.concatenate(parts)


def order_ends(replicates: Floats, low: float, high: float, *, finest: float = 0.0) -> tuple[float, float]:
    """The replicates at the tail probabilities `low` and 1 - `high`, as order statistics rounded outwards.

    An end is infinite where the replicates cannot tell: below one in B + 1, or below `finest`, the probability of the most
    extreme resample that n units can give. A bootstrap that has never seen a tail does not bound it.
    """
    ordered = np.sort(replicates)  # quick for replicates that are in order already
    b = len(ordered)
    k_low, k_high = math.floor((b + 1) * low + 1e-9), math.floor((b + 1) * high + 1e-9)
    return (
        float(ordered[k_low - 1]) if k_low >= 1 and low >= finest else -math.inf,
        float(ordered[b - k_high]) if k_high >= 1 and high >= finest else math.inf,
    )


def bca_ends(estimate: float, replicates: Floats, left_out: Floats, *, level: float, n: int) -> tuple[float, float]:
    """Bias-corrected and accelerated ends from bootstrap replicates and jackknife values of n units.

    Source: Efron 1987, Better bootstrap confidence intervals, JASA 82; acceleration by the jackknife as in Efron & Tibshirani
    1993, eq. 14.15.
    """
    from scipy.special import ndtr, ndtri

    b = len(replicates)
    below = (np.sum(replicates < estimate) + np.sum(replicates <= estimate)) / (2 * b)  # ties count half
    bias = float(ndtri(np.clip(below, 0.5 / b, 1 - 0.5 / b)))
    pull = left_out.mean() - left_out
    spread = float(np.sum(pull**2)) ** 1.5
    acceleration = float(np.sum(pull**3)) / (6 * spread) if spread > 0 else 0.0

    def adjusted(z: float) -> float:
        shrink = 1 - acceleration * (bias + z)
        return float(ndtr(bias + (bias + z) / shrink)) if shrink > 0 else float(z > 0)

    half, finest = tail(level) / 2, float(n) ** -n
    if half < max(finest, 1 / (b + 1)):  # acceleration may move the tail asked for to one that was seen; it is still not seen
        return -math.inf, math.inf
    z = float(ndtri(half))
    return order_ends(replicates, adjusted(z), 1 - adjusted(-z), finest=finest)


def studentised(
    values: Floats,
    estimate_and_error: Callable[[Floats], tuple[Floats, Floats]],
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Callable[[float], tuple[float, float]]:
    """The equal-tailed studentised bootstrap (bootstrap-t): the ends of the interval as a function of its level.

    Each end has its own bootstrapped quantile of t times the error, because a bound is tested on one side: with skewed values
    the symmetric form, one quantile of |t| for both, is wrong too often on one side and hardly ever on the other. Resamples
    without spread count as infinite on either side, so with very few units the ends are infinite instead of wrong.

    Source: Hall 1988, Theoretical comparison of bootstrap confidence intervals, Annals of Statistics 16.

    Args:
        values: [n] one value per unit.
        estimate_and_error: maps resamples [k, n] to estimates [k] and their standard errors [k].
        rng: the only source of randomness.
        n_resamples: how many resamples.
    """
    estimate, error = (float(part[0]) for part in estimate_and_error(values[None]))

    def statistic(resamples: Floats) -> Floats:
        estimates, errors = estimate_and_error(resamples)
        spread = errors > 1e-9 * error  # a resample of equal values leaves rounding, not zero
        return np.where(spread, (estimates - estimate) / np.where(spread, errors, 1.0), np.inf)

    upper = np.sort(bootstrap(values, statistic, rng=rng, n_resamples=n_resamples))
    lower = np.sort(np.where(np.isinf(upper), -np.inf, upper))

    def ends(level: float) -> tuple[float, float]:
        half = tail(level) / 2
        least, most = order_ends(lower, half, half)[0], order_ends(upper, half, half)[1]
        return estimate - most * error, estimate - least * error

    return ends


def chunks(n: int, total: int) -> Iterator[int]:
    """Row counts that sum to `total`, such that that many rows of n numbers fit the memory set aside for resampling."""
    step = max(1, _CHUNK // n)
    for start in range(0, total, step):
        yield min(step, total - start)
