"""Tests of whether a model remembers the order of its training: is the loss of examples lower, the later they were seen?

    found = order_test(steps, losses, rng=seeds("permutations"))
    found.correlation, found.p_value

If the examples were trained on in a uniformly random order and a model has nothing to do with that training, every assignment
of steps to examples is equally likely given its losses, whatever the examples and the model are. So each p-value here is exact:
of the permutation tests by counting, of the bet because its game is fair, of a rank among models because they are exchangeable.
All are one-sided: small where later examples have the lower loss.

Source of the question: Kuditipudi et al. 2025, Blackbox Model Provenance via Palimpsestic Membership Inference,
arXiv:2510.19796.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from assay.core.arrays import Floats, Ints
from assay.core.errors import InputError
from assay.stats.units import pairs, units

__all__ = [
    "Bet",
    "LearnedScores",
    "OrderTest",
    "Scores",
    "bet_on_order",
    "exchangeable_rank",
    "exchangeable_t",
    "learned_scores",
    "mid_ranks",
    "order_correlation",
    "order_test",
    "savage",
    "uniform",
]

Scores = Callable[[int], Floats]
"""scores(n) are the weights of the ranks 1 to n, from the earliest example to the latest."""

_CHUNK = 4_000_000  # numbers transformed at once: bounds the memory


def uniform(n: int) -> Floats:
    """Scores that rise evenly, 1 to n: the test is Spearman's."""
    return np.arange(1.0, n + 1)


def savage(n: int) -> Floats:
    """Savage's scores, the expected order statistics of n exponential variables: flat at first, steep at the end.

    Source: Savage 1956, Annals of Mathematical Statistics 27; locally most powerful where memory of an example falls off
    exponentially with the steps since.
    """
    scores: Floats = np.cumsum(1 / np.arange(n, 0.0, -1))
    return scores


@dataclass(frozen=True)
class LearnedScores:
    """Scores read off a training whose order is known: levels of equal stretches of it, from the first to the last.

    Attributes:
        levels: never falling; at least two of them differ.
    """

    levels: tuple[float, ...]

    def __call__(self, n: int) -> Floats:
        """The scores of the ranks 1 to n."""
        place = (np.arange(n) * len(self.levels)) // n
        return np.array(self.levels)[place]


def learned_scores(steps: ArrayLike, losses: ArrayLike, *, n_stretches: int = 20) -> LearnedScores | Scores:
    """Scores that fit how a model remembers its own order: minus its mean loss rank by stretch, made to rise by least squares.

    For an exact test they must come from a training whose order is independent of the tested one: a rehearsal on a shuffle of
    its own. Learned on the tested model, or with the tested order, they fit its noise. Where nothing rises they are `uniform`.

    Args:
        steps: [n] at which each example was seen.
        losses: [n] of each example under the trained model, with a reference taken off where there is one.
        n_stretches: equal stretches of the order.

    Raises:
        InputError: fewer examples than stretches, numbers that are not finite, or arrays of different length.
    """
    from scipy.optimize import isotonic_regression

    t, loss = _pair(steps, losses, at_least=n_stretches)
    ranks = mid_ranks(loss)
    stretch = (np.argsort(np.argsort(t, kind="stable"), kind="stable") * n_stretches) // len(t)
    remembered = np.bincount(stretch, weights=ranks.mean() - ranks, minlength=n_stretches) / np.bincount(stretch)
    rising = isotonic_regression(remembered, weights=np.bincount(stretch).astype(float)).x
    return LearnedScores(tuple(float(level) for level in rising)) if np.ptp(rising) > 1e-12 * len(t) else uniform


@dataclass(frozen=True)
class OrderTest:
    """What a permutation test of loss against order found.

    Attributes:
        correlation: of the scores of the steps with the ranks of the losses; negative where later examples have lower losses.
        z: minus the correlation, in its standard deviations under independence.
        p_value: exact: the share of permutations, the observed one among them, with a correlation as low.
        approximate: the same from Student's t with n - 2 degrees of freedom, for p-values below what permutations can show.
        n: examples.
        n_permutations: that were counted; no p-value is below one over this.
    """

    correlation: float
    z: float
    p_value: float
    approximate: float
    n: int
    n_permutations: int

    @property
    def floor(self) -> float:
        """The smallest p-value that so many permutations can give."""
        return 1 / self.n_permutations


def order_test(
    steps: ArrayLike,
    losses: ArrayLike,
    *,
    rng: np.random.Generator,
    scores: Scores = uniform,
    n_permutations: int = 100_000,
) -> OrderTest:
    """The exact one-sided test that losses do not fall with the order in which examples were seen.

    Permutations are the shifts of examples laid on a circle at random, and of random rearrangements of that circle: one Fourier
    transform counts n of them. The shifts are a group, so the observed order is one of equally likely ones and the test is
    exact, as with permutations drawn one by one. Examples of one step share the mean of their scores, equal losses the mean of
    their ranks.

    Source: Hemerik & Goeman 2018, TEST 27 (exactness over a group); Phipson & Smyth 2010 (the observed one counts).

    Args:
        steps: [n] at which each example was seen.
        losses: [n] of each example.
        rng: the only source of randomness.
        scores: weights of early and late examples; fixed before the losses are looked at.
        n_permutations: at least; whole circles of n are counted.

    Raises:
        InputError: fewer than 3 examples, numbers that are not finite, arrays of different length, or all steps or losses
            equal.
    """
    t, loss = _pair(steps, losses)
    weights, ranks = _scored(t, scores), mid_ranks(loss)
    weights, ranks = _standard(weights, "steps"), _standard(ranks, "losses")
    n = len(t)
    laid = rng.permutation(n)
    weights, ranks = weights[laid], ranks[laid]
    observed = float(weights @ ranks)
    bound = observed + 1e-9  # equal correlations may differ in the order of their sums
    n_circles = max(1, -(-n_permutations // n))
    spectrum = np.fft.rfft(ranks)
    as_low, done = 0, 0
    while done < n_circles:
        size = min(n_circles - done, max(1, _CHUNK // n))
        circles = np.broadcast_to(weights, (size, n))
        rearranged = rng.permuted(circles, axis=1)
        if done == 0:
            rearranged[0] = weights  # the circle that the observed order lies on
        shifted = np.fft.irfft(np.fft.rfft(rearranged).conj() * spectrum, n=n)
        as_low += int(np.count_nonzero(shifted <= bound))
        done += size
    return OrderTest(observed, -observed * (n - 1) ** 0.5, as_low / (n_circles * n), _t_tail(observed, n), n, n_circles * n)


def order_correlation(steps: ArrayLike, losses: ArrayLike, *, scores: Scores = uniform) -> float:
    """The correlation of the steps' scores with the ranks of the losses; Spearman's for uniform scores.

    Raises:
        InputError: as `order_test`.
    """
    t, loss = _pair(steps, losses)
    return float(_standard(_scored(t, scores), "steps") @ _standard(mid_ranks(loss), "losses"))


@dataclass(frozen=True)
class Bet:
    """The capital of a gambler who bets that later examples have lower losses, in a game that is fair if they have not.

    Attributes:
        capital: after each example, from 1; the last is an e-value, and one over the highest a p-value.
    """

    capital: Floats

    @property
    def e_value(self) -> float:
        """The capital at the end: its mean is at most 1 if the model has nothing to do with the order."""
        return float(self.capital[-1])

    def examples_until(self, alpha: float) -> int | None:
        """After how many examples the capital first reached 1 / alpha, where one may stop and reject; None if it never did."""
        reached = np.flatnonzero(self.capital >= 1 / alpha)
        return int(reached[0]) + 1 if len(reached) else None


def bet_on_order(steps: ArrayLike, losses: ArrayLike, *, rng: np.random.Generator) -> Bet:
    """A bet that may be stopped at any example: examples come in random order, and each is ranked among those before it.

    If the order was random, the rank of a new step among those before is uniform whatever happened until then, so a stake on
    its product with the new loss's rank is fair. Examples of one step are put in random order. The stake follows what the
    products were so far.

    Source: Ramdas, Grunwald, Vovk & Shafer 2023, Game-theoretic statistics and safe anytime-valid inference.

    Raises:
        InputError: fewer than 3 examples, numbers that are not finite, or arrays of different length.
    """
    t, loss = _pair(steps, losses)
    coming = rng.permutation(len(t))
    t, loss = t[coming], loss[coming]
    place = np.empty(len(t), dtype=np.int64)
    place[np.lexsort((rng.random(len(t)), t))] = np.arange(len(t))  # steps, with ties put in random order
    _, dense = np.unique(loss, return_inverse=True)
    count = np.arange(1, len(t) + 1)
    # Ranks 1 to k as numbers from -1 to 1 with mean zero; a loss equal to earlier ones stands in their middle.
    step_rank = (2 * _below(place) + 1 - count) / count
    loss_rank = (_below(dense) - _below(-dense)) / count
    products = -step_rank * loss_rank
    before, spread = np.cumsum(products) - products, np.cumsum(products**2) - products**2
    stakes = np.clip(before / (spread + 1), 0, 0.9)
    return Bet(np.exp(np.cumsum(np.log1p(stakes * products))))


def exchangeable_rank(own: float, others: ArrayLike) -> float:
    """The exact p-value of a number that is as likely as the others to be the highest: its rank from above over k + 1.

    Raises:
        InputError: no others, or a number that is not finite.
    """
    rest = units(others, what="the other models", needs=1)
    return float((1 + np.count_nonzero(rest >= _finite(own))) / (len(rest) + 1))


def exchangeable_t(own: float, others: ArrayLike) -> tuple[float, float]:
    """(t, one-sided p-value) that a number is higher than k others by more than chance, if all k + 1 are normal alike.

    The difference from the others' mean has variance 1 + 1/k, and their standard deviation is estimated (with k - 1), so t
    follows Student's law with k - 1 degrees of freedom.

    Raises:
        InputError: fewer than two others, no spread among them, or a number that is not finite.
    """
    from scipy.special import stdtr

    rest = units(others, what="the other models")
    k, spread = len(rest), float(rest.std(ddof=1))
    if spread == 0:
        raise InputError(f"the other models must differ; all {k} gave {rest[0]}. Retrain them in different orders")
    t = (_finite(own) - float(rest.mean())) / (spread * (1 + 1 / k) ** 0.5)
    return t, float(stdtr(k - 1, -t))


def mid_ranks(values: Floats) -> Floats:
    """The ranks 1 to n; equal values share the mean of theirs."""
    return _means_of_equals(values, np.arange(1.0, len(values) + 1))


def _scored(steps: Floats, scores: Scores) -> Floats:
    given = np.asarray(scores(len(steps)), dtype=float)
    if given.shape != steps.shape or not np.isfinite(given).all():
        raise InputError(f"scores must be {len(steps)} finite numbers, one a rank; got shape {given.shape}")
    return _means_of_equals(steps, given)


def _means_of_equals(values: Floats, scores: Floats) -> Floats:
    """For each value the mean of the scores at the places that it and its equals take in ascending order."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    sums = np.add.reduceat(scores, np.cumsum(counts) - counts)
    means: Floats = (sums / counts)[which]
    return means


def _standard(values: Floats, what: str) -> Floats:
    """Centred, with length 1, so that a product of two is their correlation."""
    centred = values - values.mean()
    length = float(np.linalg.norm(centred))
    if length <= 1e-12 * max(1.0, float(np.abs(values).max())):
        raise InputError(f"an order test needs {what} that differ; all {len(values)} are equal. There is nothing to rank")
    standard: Floats = centred / length
    return standard


def _t_tail(correlation: float, n: int) -> float:
    from scipy.special import stdtr

    if abs(correlation) >= 1 - 1e-15:
        return 0.0 if correlation < 0 else 1.0
    return float(stdtr(n - 2, correlation * ((n - 2) / (1 - correlation**2)) ** 0.5))


def _below(values: Ints) -> Ints:
    """For each whole number how many of those before it are smaller; n log² n steps, by merging sorted halves."""
    n = len(values)
    _, dense = np.unique(values, return_inverse=True)
    size = 1 << max(0, n - 1).bit_length()
    padded = np.full(size, n, dtype=np.int64)
    padded[:n] = dense
    found, half = np.zeros(size, dtype=np.int64), 1
    while half < size:
        blocks = padded.reshape(-1, 2, half)
        # One sorted list for all blocks: a block's numbers lie above those of the blocks before.
        offset = (np.arange(len(blocks)) * (n + 1))[:, None]
        lefts = np.sort(blocks[:, 0] + offset, axis=1).ravel()
        rights = blocks[:, 1] + offset
        counts = np.searchsorted(lefts, rights.ravel()).reshape(rights.shape) - (np.arange(len(blocks)) * half)[:, None]
        found.reshape(-1, 2, half)[:, 1] += counts
        half *= 2
    return found[:n]


def _pair(steps: ArrayLike, losses: ArrayLike, at_least: int = 3) -> tuple[Floats, Floats]:
    return pairs(steps, losses, what="an order test, of steps and losses,", needs=at_least)


def _finite(value: float) -> float:
    return float(units([value], what="the model's own number", needs=1)[0])
