"""How sudden learning is: crossings of a level, breaks, the cliff beside the plateau, and jumps as survival data.

A jump that has not come by the end of training is not missing and not at the end: it is censored, and `jumps` keeps it so for
Kaplan-Meier curves and log-rank tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real

from assay.core.errors import SettingsError

__all__ = [
    "Break",
    "Curve",
    "Jump",
    "change_point",
    "cliff_ratio",
    "crossing",
    "jump_of",
    "lag",
    "log_rank",
    "median_jump",
    "normalised",
]

Curve = Sequence[float] | Real[np.ndarray, " _point"]  # two curves of one call may differ in length


@dataclass(frozen=True)
class Jump:
    """When a run crossed a level.

    Attributes:
        step: of the crossing, or the last step seen when it had not come.
        seen: whether it had come.
    """

    step: float
    seen: bool


@dataclass(frozen=True)
class Break:
    """Where a curve jumps from one level to another.

    Attributes:
        step: the best change-point.
        low, high: the steps whose fit is not significantly worse (likelihood-ratio interval, independent Gaussian errors).
        before, after: the level on either side.
        share: of the curve's variance that one jump explains.
    """

    step: float
    low: float
    high: float
    before: float
    after: float
    share: float


def crossing(steps: Curve, values: Curve, level: float, *, falling: bool = False) -> float:
    """The step at which a curve first reaches `level` and the next point confirms it, interpolated; nan if it never does.

    Args:
        steps: rising.
        values: at those steps.
        level: what is crossed.
        falling: cross from above.

    Raises:
        SettingsError: steps do not rise or differ in number from values.
    """
    x, y = _curve(steps, values)
    if falling:
        y, level = -y, -level
    above = y >= level
    confirmed = above & np.append(above[1:], True)
    if not confirmed.any():
        return math.nan
    i = int(confirmed.argmax())
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (level - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def jump_of(steps: Curve, values: Curve, level: float, *, falling: bool = False) -> Jump:
    """The crossing of `level` as survival data: censored at the last step when it has not come."""
    step = crossing(steps, values, level, falling=falling)
    return Jump(float(steps[-1]), False) if math.isnan(step) else Jump(step, True)


def cliff_ratio(steps: Curve, values: Curve, start: float, end: float, *, falling: bool = False) -> float:
    """Steps from level `start` to level `end` as a share of those before; small for a plateau and a cliff, nan without."""
    first, last = (crossing(steps, values, level, falling=falling) for level in (start, end))
    return (last - first) / first if first > 0 else math.nan


def change_point(steps: Curve, values: Curve, *, level: float = 0.95, margin: int = 2) -> Break:
    """The single jump that fits a curve best, with an interval; give log-steps for a jump on a log grid.

    Args:
        steps: rising.
        values: at those steps.
        level: confidence of the interval.
        margin: points at least on either side.

    Raises:
        SettingsError: too few points.
    """
    from scipy import stats

    x, y = _curve(steps, values)
    n = len(y)
    if n < 2 * margin + 1 or margin < 1:
        raise SettingsError(
            f"a change-point needs at least {2 * margin + 1} points and margin of at least 1; got {n}, {margin}"
        )
    cut = np.arange(margin, n - margin + 1)  # points before the jump
    sums, squares = np.cumsum(y), float(np.sum((y - y.mean()) ** 2))
    before = sums[cut - 1] / cut
    after = (sums[-1] - sums[cut - 1]) / (n - cut)
    explained = cut * (before - y.mean()) ** 2 + (n - cut) * (after - y.mean()) ** 2
    residual = np.maximum(squares - explained, 0.0)
    best = int(residual.argmin())
    limit = residual[best] * (1 + stats.f.ppf(level, 1, n - 3) / (n - 3)) + 1e-12 * squares
    good = cut[residual <= limit]
    between = (x[cut[best] - 1] + x[cut[best]]) / 2
    return Break(
        step=float(between),
        low=float(x[good[0] - 1]),
        high=float(x[good[-1]]),
        before=float(before[best]),
        after=float(after[best]),
        share=float(1 - residual[best] / squares) if squares > 0 else 0.0,
    )


def lag(steps: Curve, leader: Curve, follower: Curve, *, n_grid: int = 400) -> float:
    """Steps by which `follower` is best shifted back to lie on `leader` (largest correlation of their rates of change).

    Positive when the leader moves first. Both curves are read on an even grid over the steps.
    """
    x, first = _curve(steps, leader)
    _, second = _curve(steps, follower)
    grid = np.linspace(x[0], x[-1], n_grid)
    rates = [np.gradient(np.interp(grid, x, y)) for y in (first, second)]
    rates = [(rate - rate.mean()) / (rate.std() + 1e-12) for rate in rates]
    products = np.correlate(rates[1], rates[0], mode="full")
    return float((int(products.argmax()) - (n_grid - 1)) * (grid[1] - grid[0]))


def normalised(steps: Curve, loss: Curve, at: Sequence[float] | Real[np.ndarray, " at"]) -> Float[np.ndarray, " at"]:
    """A loss curve from 1 (its start) to 0 (its least), read at multiples `at` of the step where it is half-way.

    nan everywhere when the curve never falls half-way; values past its last step are its last.
    """
    x, y = _curve(steps, loss)
    span = y[0] - y.min()
    if span <= 0:
        return np.full(len(at), np.nan)
    level = (y - y.min()) / span
    half = crossing(x, level, 0.5, falling=True)
    read: np.ndarray = np.interp(np.asarray(at) * half, x, level) if half > 0 else np.full(len(at), np.nan)
    return read


def median_jump(jumps: Sequence[Jump]) -> float:
    """The step by which half of the runs have jumped (Kaplan-Meier); nan while fewer have."""
    from scipy import stats

    curve = stats.ecdf(_censored(jumps)).cdf
    reached = curve.quantiles[curve.probabilities >= 0.5 - 1e-12]
    return float(reached[0]) if len(reached) else math.nan


def log_rank(first: Sequence[Jump], second: Sequence[Jump]) -> float:
    """p-value of the log-rank test that both groups of runs jump at the same time; two-sided, censoring respected.

    Raises:
        SettingsError: a group is empty, or no run of either has jumped.
    """
    from scipy import stats

    if not first or not second or not any(jump.seen for jump in (*first, *second)):
        raise SettingsError(
            f"a log-rank test needs runs in both groups and at least one jump; got {len(first)} and {len(second)} runs"
        )
    watched = min(max(jump.step for jump in group) for group in (first, second))
    if not any(jump.seen and jump.step <= watched for jump in (*first, *second)):
        return 1.0  # no jump while both groups were watched
    return float(stats.logrank(_censored(first), _censored(second)).pvalue)


def _censored(jumps: Sequence[Jump]) -> object:
    from scipy import stats

    return stats.CensoredData(
        uncensored=[jump.step for jump in jumps if jump.seen], right=[jump.step for jump in jumps if not jump.seen]
    )


def _curve(steps: Curve, values: Curve) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if len(x) != len(y) or len(x) < 2 or (np.diff(x) <= 0).any():
        raise SettingsError(f"a curve needs rising steps and as many values, at least two; got {len(x)} steps, {len(y)} values")
    return x, y
