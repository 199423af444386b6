"""What is computed of what networks know: the numbers of the claims about learning, from arrays alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from assay.core.arrays import Floats
from assay.core.seeds import Seeds

__all__ = ["Chain", "flips", "odds_gap", "partial_correlation", "planted_knowledge", "reliability", "rest", "rest_planted"]

N_PERMUTED = 20  # orders of a fact's intervals whose mean slope is taken off


def partial_correlation(one: Float[np.ndarray, " fact"], other: Float[np.ndarray, " fact"], given: Sequence[Floats]) -> float:
    """Rank correlation of two numbers of facts, given others: of what least squares on the others' ranks leaves.

    0 where one of them does not vary.
    """
    design = np.stack([np.ones(len(one)), *(rankdata(each) for each in given)], 1)
    left = []
    for ranks in (rankdata(one), rankdata(other)):
        residual = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
        if np.ptp(ranks) == 0 or np.linalg.norm(residual) < 1e-9 * np.linalg.norm(ranks):
            return 0.0
        left.append(residual / np.linalg.norm(residual))
    return float(left[0] @ left[1])


def planted_knowledge(
    knowledge: Float[np.ndarray, " fact"], k: Int[np.ndarray, " fact"], size: float, rng: np.random.Generator
) -> Float[np.ndarray, " fact"]:
    """The same knowledge dealt out anew: it follows k as closely as normal numbers with that correlation follow its rank."""
    known = rankdata(k)
    late = (known - known.mean()) / known.std() if np.ptp(known) else np.zeros(len(known))
    drawn = size * late + (1 - size * size) ** 0.5 * rng.standard_normal(len(k))
    found = np.empty(len(k))
    found[np.argsort(drawn)] = np.sort(knowledge)
    return found


def odds_gap(
    accuracies: tuple[Floats, Floats],
    odds: tuple[Floats, Floats],
    frequent: Bool[np.ndarray, " fact"],
    rare: Bool[np.ndarray, " fact"],
    value: Int[np.ndarray, " fact"],
) -> float:
    """How much more a network's log-odds of frequent over rare facts are than another's at equal accuracy, in nats.

    The accuracy is the last of the network that knows less; between the checkpoints around it log-odds are interpolated.
    Facts are compared with others of the same value: one that is told often is likely whoever it is told of.

    Args:
        accuracies: of the network and of the other one, [checkpoint].
        odds: their log-odds of the right answer, [checkpoint fact].
        frequent: facts told often.
        rare: facts told hardly ever.
        value: a number for each fact's value.
    """
    target = min(accuracy[-1] for accuracy in accuracies)
    own, other = (_at_accuracy(one, each, float(target)) for one, each in zip(accuracies, odds, strict=True))
    return _within(own - other, frequent, rare, value)


def _within(
    numbers: Floats, some: Bool[np.ndarray, " fact"], others: Bool[np.ndarray, " fact"], value: Int[np.ndarray, " fact"]
) -> float:
    """Mean of some facts minus that of others with the same value; values count as their numbers of both allow."""
    n_some, n_others = (np.bincount(value[chosen], minlength=value.max() + 1) for chosen in (some, others))
    both = (n_some > 0) & (n_others > 0)
    sums = [np.bincount(value[chosen], weights=numbers[chosen], minlength=value.max() + 1) for chosen in (some, others)]
    apart = sums[0][both] / n_some[both] - sums[1][both] / n_others[both]
    return float(np.average(apart, weights=n_some[both] * n_others[both] / (n_some + n_others)[both]))


def _at_accuracy(accuracy: Floats, odds: Float[np.ndarray, "checkpoint fact"], target: float) -> Floats:
    """Log-odds where the mean accuracy first arrives at the target."""
    after = int(np.flatnonzero(accuracy >= target)[0])
    if after == 0:
        return np.asarray(odds[0])
    share = (target - accuracy[after - 1]) / (accuracy[after] - accuracy[after - 1])
    return np.asarray((1 - share) * odds[after - 1] + share * odds[after])


@dataclass(frozen=True)
class Chain:
    """A fact that is learned and forgotten by chance, from one checkpoint to the next.

    Attributes:
        learned: chance in an interval that does not tell it.
        forgotten: chance in one that does not tell it.
        learned_slope: more of it for every doubling of 1 + chunks that tell it.
        forgotten_slope: the same.
    """

    learned: float
    forgotten: float
    learned_slope: float
    forgotten_slope: float

    def course(self, told: Int[np.ndarray, "interval fact"], rng: np.random.Generator) -> Bool[np.ndarray, "checkpoint fact"]:
        """What is known at each checkpoint, nothing at the first."""
        known = np.zeros((len(told) + 1, told.shape[1]), dtype=bool)
        for i, doubled in enumerate(np.log2(1.0 + told)):
            drawn = rng.random(len(doubled))
            stays = drawn >= self.forgotten + self.forgotten_slope * doubled
            comes = drawn < self.learned + self.learned_slope * doubled
            known[i + 1] = np.where(known[i], stays, comes)
        return known


def flips(
    known: Bool[np.ndarray, "checkpoint fact"],
    told: Int[np.ndarray, "interval fact"],
    rng: np.random.Generator,
    *,
    permuted: bool = False,
) -> tuple[float, float, float]:
    """Slopes on log2(1 + chunks that tell a fact in an interval), less those with every fact's intervals in another order.

    Of the share that is learned of what was not known, of the share that is forgotten of what was, and of what is learned less
    what is forgotten of all facts. Unknown facts that are never told are in it.

    Args:
        known: what is known at each checkpoint.
        told: chunks that tell a fact between two checkpoints.
        rng: of the other orders.
        permuted: put a first other order in the place of the true one.
    """
    orders = [rng.permuted(told, axis=0) for _ in range(N_PERMUTED + permuted)]
    own = orders.pop() if permuted else told
    left = np.array(_slopes(known, own)) - np.mean([_slopes(known, order) for order in orders], axis=0)
    return float(left[0]), float(left[1]), float(left[2])


def _slopes(known: Bool[np.ndarray, "checkpoint fact"], told: Int[np.ndarray, "interval fact"]) -> tuple[float, float, float]:
    before, after, doubled = known[:-1], known[1:], np.log2(1.0 + told)
    return (
        _slope(doubled[~before], after[~before]),
        _slope(doubled[before], ~after[before]),
        _slope(doubled.ravel(), after.ravel().astype(float) - before.ravel()),
    )


def _slope(x: Floats, y: np.ndarray) -> float:
    """Of least squares; 0 where x does not vary."""
    if len(x) < 2:
        return 0.0
    centred = x - x.mean()
    spread = float(centred @ centred)
    return float(centred @ y) / spread if spread > 0 else 0.0


def reliability(log_prob: Float[np.ndarray, "order fact"]) -> float:
    """Correlation over facts of what two networks of other orders say."""
    return float(np.corrcoef(log_prob)[0, 1])


def rest(log_prob: Float[np.ndarray, "order fact"], k: Int[np.ndarray, " fact"], rng: np.random.Generator) -> float:
    """Share of the variance over facts that a rising curve of k explains, over the share that is no accident of the order.

    The curve is fitted on one half of the facts and judged on the other, both ways round, and for both orders.
    """
    half = rng.permutation(len(k)) < len(k) // 2
    explained = np.mean([_explained(own, k, half) for own in log_prob])
    return float(explained) / reliability(log_prob)


def _explained(values: Float[np.ndarray, " fact"], k: Int[np.ndarray, " fact"], half: Bool[np.ndarray, " fact"]) -> float:
    left = np.empty(len(values))
    for fitted in (half, ~half):
        left[~fitted] = values[~fitted] - _curve(values[fitted], k[fitted], k[~fitted])
    return float(1 - left.var() / values.var())


def _curve(values: Floats, k: Int[np.ndarray, " fact"], at: Int[np.ndarray, " asked"]) -> Floats:
    """The rising curve of k that fits the values best, at other k; linear between those it was fitted to."""
    levels, which, counts = np.unique(k, return_inverse=True, return_counts=True)
    means = np.bincount(which, weights=values) / counts
    rising = isotonic_regression(means, weights=counts.astype(float)).x
    return np.asarray(np.interp(np.log2(1.0 + at), np.log2(1.0 + levels), rising))


def rest_planted(
    log_prob: Float[np.ndarray, "order fact"], k: Int[np.ndarray, " fact"], share: float, seeds: Seeds
) -> Float[np.ndarray, "order fact"]:
    """Two orders' numbers of facts of which that share of the reliable variance is a rising curve of k, as reliable as before.

    The curve is the one that fits the first order; the rest of the reliable variance is drawn once for both.
    """
    curve = _curve(log_prob[0], k, k)
    reliable, spread = min(max(reliability(log_prob), 0.05), 0.999), float(curve.var())
    elsewhere = seeds("from elsewhere").standard_normal(len(k)) * (spread * (1 - share) / share) ** 0.5
    noise = (spread / share * (1 - reliable) / reliable) ** 0.5
    return np.stack([curve + elsewhere + noise * seeds(f"noise {i}").standard_normal(len(k)) for i in range(2)])
