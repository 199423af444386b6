"""Pass@k: the chance that at least one of k answers to a prompt is right, from n answers of which c were right, without bias.

    found = pass_at_k(200, np.array([3, 0, 120]), 64)     # one a prompt
    over_prompts(found)                                   # their mean, with an interval over prompts
    exact_pass_at_k(np.array([0.01, 0.2]), 64)            # where the chance of a right answer is known

Drawing k of the n with replacement, which comes to 1 - (1 - c/n)^k, is biased low. From fewer than k answers there is no
estimate without bias, and none is given: not 1 where nothing was solved, and not pass@n in its place.
"""

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import InputError, SettingsError
from assay.core.seeds import Seeds
from assay.stats.intervals import Interval, bounded_mean, clustered_mean
from assay.stats.units import units

__all__ = ["exact_pass_at_k", "over_prompts", "pass_at_k"]


def pass_at_k(n: int, correct: Int[np.ndarray, "*prompt"], k: int) -> Float[np.ndarray, "*prompt"]:
    """1 - C(n - c, k) / C(n, k) for each prompt: the share of all sets of k of its n answers that hold a right one.

    As a product of c factors 1 - k/j, j = n - c + 1 to n, in which nothing is large.

    Source: Chen et al. 2021, arXiv:2107.03374, eq. 1 and figure 3.

    Args:
        n: answers to each prompt.
        correct: how many of them are right.
        k: how many may be tried.

    Raises:
        InputError: k is above n, or a count does not lie from 0 to n.
        SettingsError: k or n is below 1.
    """
    if k < 1 or n < 1:
        raise SettingsError(f"pass@k needs k and n of at least 1; got k {k}, n {n}")
    if k > n:
        raise InputError(f"pass@{k} needs at least {k} answers to every prompt; got {n}. Draw more, or take a smaller k")
    if correct.size and not 0 <= correct.min() <= correct.max() <= n:
        raise InputError(f"right answers must number from 0 to {n}; got {correct.min()} to {correct.max()}. Count again")
    factors = np.maximum(1 - k / np.arange(n, 0, -1), 0.0)  # below j = k they follow a factor of 0
    return np.asarray(1 - np.concatenate(([1.0], factors.cumprod()))[correct])


def exact_pass_at_k(chance: Float[np.ndarray, "*prompt"], k: int) -> Float[np.ndarray, "*prompt"]:
    """1 - (1 - p)^k, the chance that one of k independent answers is right where one is with chance p; exact for small p too.

    Raises:
        SettingsError: k is below 1 or a chance outside [0, 1].
    """
    if k < 1 or (chance.size and not 0 <= chance.min() <= chance.max() <= 1):
        raise SettingsError(f"pass@k needs k of at least 1 and chances in [0, 1]; got k {k}, chances {chance}")
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(k * np.log1p(-chance)))


def over_prompts(values: Float[np.ndarray, " prompt"], *, level: float = 0.95, signed: bool = False) -> Interval:
    """The mean over prompts with an interval over prompts that never leaves what the mean can be.

    Where all prompts are alike, or resampling finds no end, the binomial bounds of `bounded_mean` are taken: that twenty of
    twenty prompts are solved does not say that all are.

    Args:
        values: pass@k of each prompt, or with `signed` a difference of two on the same prompt.
        level: of the interval.
        signed: values lie in [-1, 1] instead of [0, 1].

    Raises:
        InputError: there is no value, or one outside of its range.
    """
    found, least = units(values, what="pass@k over prompts", needs=1), -1.0 if signed else 0.0
    bounds = bounded_mean(found, level=level, signed=signed)
    if len(found) < 2 or np.ptp(found) == 0:
        return bounds
    interval = clustered_mean(list(found[:, None]), level=level, rng=Seeds(0)("pass@k"))
    if not np.isfinite([interval.low, interval.high]).all():
        return bounds
    low, high = max(interval.low, least), min(interval.high, 1.0)
    return Interval(interval.estimate, low, high, level, interval.n, interval.method)
