"""Forgetting curves: which family of curves a kept gain follows, how steeply it falls, and when nothing of it is left.

    times, kept = on_log_grid(steps, gains_of_items)            # [time], [item, time]
    choose(times, kept, fit_until=250, rng=seeds("items")).family
    decay_interval(times, kept, gains, rng=seeds("items"))      # a: fall of the kept share per factor 10 in steps
    threshold_interval(times, kept, rng=seeds("items"))         # tau: where that line meets 0

Curves are fitted in natural space with equal weight on every factor of time: a fit to every single step is a fit to the last
decade, and a fit to logarithms drops what lies below zero. A family is chosen by times that it was not fitted to: the share of
variance explained is high for any smooth fall. Intervals resample items (a passage with all its probes), because the steps of
one curve are not independent.

Source of the quantities: Chang et al. 2024, How Do Large Language Models Acquire Factual Knowledge During Pretraining?,
arXiv:2406.11813 (decay constant a and learnability threshold tau, there without intervals).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from assay.core.arrays import Floats
from assay.core.errors import InputError, unknown_name
from assay.stats.intervals import Interval
from assay.stats.resample import N_RESAMPLES, chunks, order_ends
from assay.stats.units import tail

__all__ = [
    "FAMILIES",
    "Choice",
    "Fit",
    "RetentionLine",
    "choose",
    "decay_interval",
    "fit",
    "held_out_errors",
    "on_log_grid",
    "retention_line",
    "threshold_interval",
]

_N_SCALES = 120  # of a family's nonlinear parameter; a parabola then refines the best one
_METHOD = "Fieller, bootstrapped over items"


@dataclass(frozen=True)
class _Family:
    """Curves floor + size * shape(time, scale), of which floor and size are found by linear least squares.

    Attributes:
        shape: [..., time] of times [time] and scales [..., 1].
        scales: the scales to try, evenly spaced in their logarithms, from the times that are fitted.
        has_floor: whether there is a floor; without one the curve falls to zero.
        floor_at_zero: whether the floor, the part that is never lost, may not be negative.
        has_scale: whether the shape depends on the scale.
    """

    shape: Callable[[Floats, Floats], Floats]
    scales: Callable[[Floats], Floats]
    has_floor: bool
    floor_at_zero: bool = True
    has_scale: bool = True

    @property
    def n_parameters(self) -> int:
        """How many numbers are fitted."""
        return 1 + self.has_floor + self.has_scale


def _time_scales(times: Floats) -> Floats:
    """From a time within which all is lost before the first to one of which the last has seen a hundredth."""
    return np.geomspace(times[0] / 2, 100 * times[-1], _N_SCALES)


def _floors(times: Floats) -> Floats:
    """Times inside the fitted ones; a floor that is reached later cannot be told from none."""
    return np.geomspace(times[1], times[-1], _N_SCALES)


def _exponents(times: Floats) -> Floats:
    return np.geomspace(0.01, 5.0, _N_SCALES)


def _log(times: Floats, scales: Floats) -> Floats:
    return np.broadcast_to(np.log10(times), np.broadcast_shapes(times.shape, scales.shape))


def _log_until(times: Floats, ends: Floats) -> Floats:
    return np.asarray(np.maximum(0.0, np.log10(ends / times)))


def _exponential(times: Floats, scales: Floats) -> Floats:
    return np.asarray(np.exp(-times / scales))


def _power(times: Floats, exponents: Floats) -> Floats:
    return np.asarray(times**-exponents)


_FAMILIES = {
    "log-linear": _Family(_log, lambda _: np.ones(1), True, floor_at_zero=False, has_scale=False),
    "exponential": _Family(_exponential, _time_scales, False),
    "power": _Family(_power, _exponents, False),
    "floored log-linear": _Family(_log_until, _floors, True),
    "floored exponential": _Family(_exponential, _time_scales, True),
    "floored power": _Family(_power, _exponents, True),
}

FAMILIES: Mapping[str, int] = MappingProxyType({name: family.n_parameters for name, family in _FAMILIES.items()})
"""The families by name, with the number of parameters of each:

`log-linear` floor + size log10(t); `exponential` size exp(-t / scale); `power` size t^-scale; `floored log-linear` a line in
log10(t) down to a floor that it reaches at t = scale; `floored exponential` and `floored power` the curves above on a floor.
Floors are not negative, except that of the line, which is its height at t = 1."""


@dataclass(frozen=True)
class Fit:
    """Curves of one family, fitted by least squares; numbers have the leading axes of the fitted values.

    Attributes:
        family: a name of FAMILIES.
        floor: what the curve falls to; 0 for families without; of `log-linear` the height at t = 1.
        size: what the shape is multiplied by, in the values' unit; of `log-linear` the rise per factor 10 in time.
        scale: the nonlinear parameter, in units of time (of powers the exponent); nan for `log-linear`.
        error: root mean square of the residuals over the fitted times, in the values' unit.
    """

    family: str
    floor: Float[np.ndarray, "..."]
    size: Float[np.ndarray, "..."]
    scale: Float[np.ndarray, "..."]
    error: Float[np.ndarray, "..."]

    def at(self, times: ArrayLike) -> Float[np.ndarray, "... time"]:
        """The curves at given times."""
        t = _checked_times(times, least=1)
        shapes = _FAMILIES[self.family].shape(t, self.scale[..., None])
        return np.asarray(self.floor[..., None] + self.size[..., None] * shapes)


@dataclass(frozen=True)
class RetentionLine:
    """The least-squares line of the kept share against log10(time); numbers have the leading axes of its curves.

    Attributes:
        decay: a, the fall of the kept share per factor 10 in time.
        at_one: the line's height at time 1.
        threshold: tau, the time from which on the line is not above zero, in the unit of the times; inf if it does not fall.
    """

    decay: Float[np.ndarray, "..."]
    at_one: Float[np.ndarray, "..."]
    threshold: Float[np.ndarray, "..."]


@dataclass(frozen=True)
class Choice:
    """Which family predicts best the times that it was not fitted to.

    Attributes:
        family: the family with the smallest held-out error, or a simpler one that it does not surely beat.
        errors: held-out error of each family on the mean over items, in the values' unit.
        best_in: the share of resamples of items in which a family had the smallest error.
    """

    family: str
    errors: Mapping[str, float]
    best_in: Mapping[str, float]


def on_log_grid(
    times: ArrayLike, values: ArrayLike, *, per_decade: int = 20
) -> tuple[Float[np.ndarray, " bin"], Float[np.ndarray, "... bin"]]:
    """Times and values averaged in bins that are equally wide in log10(time); empty bins are left out.

    A bin stands at the geometric mean of its times, so a line in log10(time) stays that line.

    Args:
        times: [time], positive and rising, since the last exposure.
        values: [..., time].
        per_decade: bins per factor of ten.

    Raises:
        InputError: times are not positive and rising, values do not fit them or are not finite, or per_decade is not positive.
    """
    t, v = _checked(times, values, least=1)
    if per_decade < 1:
        raise InputError(f"a log grid needs per_decade of at least 1; got {per_decade}")
    place = np.floor((np.log10(t) - math.log10(t[0])) * per_decade + 1e-9).astype(int)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    counts = np.diff(np.append(starts, len(t)))
    return (
        np.exp(np.add.reduceat(np.log(t), starts) / counts),
        np.add.reduceat(v, starts, axis=-1) / counts,
    )


def fit(family: str, times: ArrayLike, values: ArrayLike) -> Fit:
    """The curves of a family that lie nearest to each row of values, in least squares with equal weight on every time.

    Floor and size are solved for at every scale of a grid, for all rows in one product; a parabola through the best three
    refines the scale.

    Args:
        family: a name of FAMILIES.
        times: [time], positive and rising; on a log grid (`on_log_grid`) if every factor of time is to count equally.
        values: [..., time].

    Raises:
        InputError: no such family, fewer than four times, or as `on_log_grid`.
    """
    t, v = _checked(times, values, least=4)
    known = _family(family)
    rows = v.reshape(-1, len(t))
    stretches = np.split(rows, np.cumsum(list(chunks(_N_SCALES, len(rows))))[:-1])  # bounds the memory
    parts = [_fit_rows(known, t, stretch) for stretch in stretches]
    floor, size, scale, error = (np.concatenate(part).reshape(v.shape[:-1]) for part in zip(*parts, strict=True))
    return Fit(family, floor, size, scale if known.has_scale else np.full(scale.shape, math.nan), error)


def held_out_errors(times: ArrayLike, values: ArrayLike, *, fit_until: float) -> Mapping[str, Float[np.ndarray, "..."]]:
    """For each family the root mean square error, in the values' unit, at times after `fit_until` of the curve fitted before.

    Args:
        times: [time] on a log grid.
        values: [..., time]: mean curves, one a row.
        fit_until: the last time that is fitted.

    Raises:
        InputError: fewer than four times to fit or two to judge by, or as `on_log_grid`.
    """
    t, v = _checked(times, values, least=6)
    early = t <= fit_until
    if early.sum() < 4 or (~early).sum() < 2:
        raise InputError(
            f"a curve is chosen by at least 4 times to fit and 2 to judge by; fit_until {fit_until} leaves {early.sum()} and "
            f"{(~early).sum()} of {t[0]:g} to {t[-1]:g}"
        )

    def error(family: str) -> Floats:
        missed = v[..., ~early] - fit(family, t[early], v[..., early]).at(t[~early])
        return np.asarray(np.sqrt((missed**2).mean(axis=-1)))

    return {family: error(family) for family in FAMILIES}


def choose(
    times: ArrayLike,
    curves: ArrayLike,
    *,
    fit_until: float,
    rng: np.random.Generator,
    n_resamples: int = 999,
    level: float = 0.95,
) -> Choice:
    """The family that predicts held-out times best, of the mean curve over items; a simpler one where it does not surely win.

    A family with a floor can mimic the one without it. So a more complex family is chosen only if its held-out error is
    smaller than that of every simpler one in a share `level` of the resamples of items.

    Args:
        times: [time] on a log grid.
        curves: [item, time] of kept gain, all items in one unit.
        fit_until: the last time that is fitted.
        rng: the only source of randomness.
        n_resamples: how many resamples of items.
        level: how surely a more complex family must win.

    Raises:
        InputError: fewer than two items, or as `held_out_errors`.
    """
    t, kept = _items(times, curves)
    least = 1 - tail(level)
    names, n_parameters = list(FAMILIES), np.array(list(FAMILIES.values()))

    def errors_of(means: Floats) -> Floats:
        return np.stack(list(held_out_errors(t, means, fit_until=fit_until).values()), axis=-1)

    errors = errors_of(kept.mean(axis=0))
    drawn = errors_of(_resampled_means(kept, rng, n_resamples))
    chosen = int(np.argmin(errors))
    for n in sorted(set(n_parameters[n_parameters < n_parameters[chosen]])):
        simpler = np.flatnonzero(n_parameters == n)
        surely_beaten = (drawn[:, simpler] > drawn[:, [chosen]]).mean(axis=0) >= least
        if not surely_beaten.all():
            left = simpler[~surely_beaten]
            chosen = int(left[np.argmin(errors[left])])
            break
    best = np.bincount(drawn.argmin(axis=-1), minlength=len(names)) / len(drawn)
    return Choice(
        names[chosen],
        dict(zip(names, errors.tolist(), strict=True)),
        dict(zip(names, best.tolist(), strict=True)),
    )


def retention_line(times: ArrayLike, kept: ArrayLike, gains: ArrayLike) -> RetentionLine:
    """The line of the kept share against log10(time): of the mean kept gain over the mean gain of the items.

    The share is one of means, not a mean of shares, so an item that gained next to nothing or lost does not decide.

    Args:
        times: [time] on a log grid.
        kept: [..., item, time], what is left of each item's gain, in nats.
        gains: [..., item], each item's gain at the last exposure, in nats.

    Raises:
        InputError: the mean gain is not positive, or as `on_log_grid`.
    """
    t, curves = _checked(times, kept, least=2)
    gain = _gains(gains, curves)
    if not (gain.mean(axis=-1) > 0).all():
        raise InputError(
            f"a kept share needs a mean gain above zero; the smallest is {gain.mean(axis=-1).min():.4g}. Nothing was learnt "
            "that could be forgotten: leave these curves out, or tell the facts more often"
        )
    fall, at_one = _lines(t, curves)
    fall, at_one, scale = (np.asarray(part.mean(axis=-1)) for part in (fall, at_one, gain))
    return RetentionLine(np.asarray(fall / scale), np.asarray(at_one / scale), _threshold(fall, at_one))


def decay_interval(
    times: ArrayLike,
    kept: ArrayLike,
    gains: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """a, the fall of the kept share per factor 10 in time, and its interval over items.

    Fieller's interval for a ratio of means with bootstrapped quantiles in place of Student's: the studentised bootstrap of
    a ratio, of which either end may be infinite where the mean gain is not clear of zero.

    Source: Hwang 1995, Fieller's problems and resampling techniques, Statistica Sinica 5.

    Args:
        times: [time] on a log grid.
        kept: [item, time], what is left of each item's gain, in nats.
        gains: [item], each item's gain at the last exposure, in nats.
        rng: the only source of randomness.
        level: of the interval.
        n_resamples: how many resamples of items.

    Raises:
        InputError: fewer than two items, or as `retention_line`.
    """
    t, curves = _items(times, kept)
    estimate = float(retention_line(t, curves, gains).decay)
    fall, _ = _lines(t, curves)
    low, high = _ratio_ends(fall, _gains(gains, curves), rng, level, n_resamples)
    return Interval(estimate, low, high, level, len(curves), _METHOD if low < high else f"{_METHOD} (no spread)")


def threshold_interval(
    times: ArrayLike,
    kept: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """tau, the time at which the line of the mean kept gain meets zero, and its interval over items, as `decay_interval`'s.

    The gain cancels. The upper end is infinite, and the lower one zero, where the fall is not clear of zero on that side.

    Raises:
        InputError: fewer than two items, or as `on_log_grid`.
    """
    t, curves = _items(times, kept)
    fall, at_one = _lines(t, curves)
    estimate = float(_threshold(np.asarray(fall.mean()), np.asarray(at_one.mean())))
    if fall.mean() <= 0:
        return Interval(estimate, 0.0, math.inf, level, len(curves), f"{_METHOD} (no fall)")
    low, high = _ratio_ends(at_one, fall, rng, level, n_resamples)
    method = _METHOD if low < high else f"{_METHOD} (no spread)"
    return Interval(estimate, _power_of_ten(low), _power_of_ten(high), level, len(curves), method)


def _fit_rows(family: _Family, t: Floats, v: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Floor, size, scale and error [row] of the best curve for each row of v [row, time]."""
    scales = family.scales(t)
    shapes, row = family.shape(t, scales[:, None]), np.arange(len(v))
    table = _solve(family, v[:, None], shapes, v @ shapes.T)[2]  # squares [row, scale]

    def solve_at(scale: Floats) -> tuple[Floats, Floats, Floats]:
        shape = family.shape(t, scale[:, None])
        return _solve(family, v, shape, (v * shape).sum(axis=-1))

    best = table.argmin(axis=-1)
    scale = scales[best]
    floor, size, squares = solve_at(scale)
    if family.has_scale:
        middle = best.clip(1, len(scales) - 2)
        before, here, after = (table[row, middle + step] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        shift = np.where(bend > 0, (before - after) / np.where(bend > 0, 2 * bend, 1.0), 0.0).clip(-1, 1)
        refined = scales[middle] * (scales[1] / scales[0]) ** shift
        other = solve_at(refined)
        better = other[2] < squares
        floor, size, squares = (np.where(better, new, old) for new, old in zip(other, (floor, size, squares), strict=True))
        scale = np.where(better, refined, scale)
    return floor, size, scale, np.sqrt(squares / len(t))


def _solve(family: _Family, v: Floats, shape: Floats, product: Floats) -> tuple[Floats, Floats, Floats]:
    """Floor, size and sum of squared residuals of the nearest floor + size * shape; `product` is the sum of v * shape."""
    n, total, height = v.shape[-1], (v**2).sum(axis=-1), v.mean(axis=-1)
    square, middle = (shape**2).sum(axis=-1), shape.mean(axis=-1)
    bare = product / np.where(square > 0, square, np.inf)  # the size without a floor
    bare_squares = total - bare * product
    if not family.has_floor:
        return np.zeros_like(bare), bare, bare_squares.clip(0)
    together, spread = product - n * height * middle, square - n * middle**2
    size = together / np.where(spread > 1e-12 * square, spread, np.inf)
    floor, squares = height - size * middle, total - n * height**2 - size * together
    if family.floor_at_zero:
        below = floor < 0
        floor, size = np.where(below, 0.0, floor), np.where(below, bare, size)
        squares = np.where(below, bare_squares, squares)
    return floor, size, squares.clip(0)


def _lines(t: Floats, curves: Floats) -> tuple[Floats, Floats]:
    """The fall per factor 10 in time and the height at time 1 of the line through each curve [..., time]."""
    x = np.log10(t)
    centred = x - x.mean()
    fall = -(curves @ centred) / (centred @ centred)
    return fall, curves.mean(axis=-1) + fall * x.mean()


def _threshold(fall: Floats, at_one: Floats) -> Floats:
    falls = fall > 0
    with np.errstate(over="ignore"):
        met = 10 ** (at_one / np.where(falls, fall, 1.0))
    return np.asarray(np.where(falls, met, np.where((fall == 0) & (at_one <= 0), 0.0, np.inf)))


def _power_of_ten(exponent: float) -> float:
    return 10.0**exponent if exponent < 308 else math.inf


def _ratio_ends(above: Floats, below: Floats, rng: np.random.Generator, level: float, n_resamples: int) -> tuple[float, float]:
    """The ends for mean(above) / mean(below) of items, where mean(below) is positive."""
    half, n = tail(level) / 2, len(above)
    ratio = above.mean() / below.mean()
    away = above - ratio * below  # mean zero: its t in a resample is how far the ratio is off there
    spread = float(away.std(ddof=1))
    if spread <= 1e-12 * float(np.abs(above).max() + abs(ratio) * np.abs(below).max()):
        return float(ratio), float(ratio)
    drawn = np.concatenate([away[rng.integers(n, size=(size, n))] for size in chunks(n, n_resamples)])
    error = drawn.std(axis=-1, ddof=1)
    seen = error > 1e-9 * spread  # a resample of one item over and over says nothing
    pivot = drawn.mean(axis=-1) / np.where(seen, error, 1.0)
    least = order_ends(np.where(seen, pivot, -np.inf), half, half)[0]
    most = order_ends(np.where(seen, pivot, np.inf), half, half)[1]
    return _end(above, below, most, -math.inf), _end(above, below, least, math.inf)


def _end(above: Floats, below: Floats, pivot: float, unbounded: float) -> float:
    """The ratio r at which mean(above - r below) is `pivot` of its standard deviations; `unbounded` where there is none."""
    if math.isinf(pivot):
        return unbounded
    covariance = np.cov(above, below) * pivot**2
    curvature = below.mean() ** 2 - covariance[1, 1]
    if curvature <= 0:
        return unbounded
    middle = (above.mean() * below.mean() - covariance[0, 1]) / curvature
    reach = math.sqrt(max(0.0, middle**2 - (above.mean() ** 2 - covariance[0, 0]) / curvature))
    return float(middle - math.copysign(reach, pivot))


def _resampled_means(curves: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    """Mean curves [resample, time] over items drawn with replacement: how often each was drawn, times the curves."""
    n = len(curves)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    means: Floats = counts @ curves / n
    return means


def _family(name: str) -> _Family:
    if name not in _FAMILIES:
        raise InputError(unknown_name("family of curves", name, _FAMILIES, see=f"There are: {', '.join(_FAMILIES)}"))
    return _FAMILIES[name]


def _checked_times(times: ArrayLike, least: int) -> Floats:
    t = np.asarray(times, dtype=float)
    if t.ndim != 1 or len(t) < least or not np.isfinite(t).all() or not (t > 0).all() or not (np.diff(t) > 0).all():
        raise InputError(
            f"a curve needs at least {least} times that are positive and rise, counted from the last exposure; got "
            f"{t.tolist() if t.size < 9 else f'{t.size} from {t.ravel()[0]} to {t.ravel()[-1]}'}"
        )
    return t


def _checked(times: ArrayLike, values: ArrayLike, least: int) -> tuple[Floats, Floats]:
    t, v = _checked_times(times, least), np.asarray(values, dtype=float)
    if v.ndim < 1 or v.shape[-1] != len(t):
        raise InputError(f"a curve needs one value a time, along the last axis; got shape {v.shape} for {len(t)} times")
    if not v.size:
        raise InputError(f"a fit needs at least one curve; got none, of shape {v.shape}. Leave the group out")
    if not np.isfinite(v).all():
        raise InputError(
            f"a curve's values must be finite; {np.count_nonzero(~np.isfinite(v))} of {v.size} are not. Account for the items "
            "that made them; they are never dropped silently"
        )
    return t, v


def _items(times: ArrayLike, curves: ArrayLike) -> tuple[Floats, Floats]:
    t, v = _checked(times, curves, least=2)
    if v.ndim != 2 or len(v) < 2:
        raise InputError(f"an interval over items needs curves [item, time] of at least 2 items; got shape {v.shape}")
    return t, v


def _gains(gains: ArrayLike, curves: Floats) -> Floats:
    gain = np.asarray(gains, dtype=float)
    if curves.ndim < 2 or gain.shape != curves.shape[:-1] or not np.isfinite(gain).all():
        raise InputError(f"each item needs one finite gain; got shape {gain.shape} for curves {curves.shape} [item, time]")
    return gain
