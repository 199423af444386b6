"""The numbers of a run from log-probabilities: priming, rank correlations and their excess, knees, pairs, planted effects.

Log-probabilities come in nats; priming and memorisation are powers of ten, as in the paper.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = [
    "context_gap",
    "context_gaps",
    "excess",
    "excesses",
    "knee_share",
    "matched_gap",
    "pairs",
    "partial_rank_correlation",
    "planted",
    "planted_line",
    "primed",
    "rank_correlation",
    "typical",
]

LN10 = math.log(10)
NEAR = 0.3  # powers of ten within which two contexts' probabilities count as equal
MOST_PAIRS, FEWEST_PAIRS = 12, 2
CONTEXT_SHIFT = 0.2  # rank correlation planted into C5's scores: twice its bound
PRIMES_IN_CONTEXT = 0.1  # powers of ten below which priming in context is too small to be asked
FOLDS = 4


def primed(before: Float[np.ndarray, "text context"], after: Float[np.ndarray, "text context"]) -> Float[np.ndarray, " text"]:
    """S_prime of each text in powers of ten: the logarithm of the mean over contexts of P after over P before.

    Source: Sun et al. 2025, arXiv:2504.09522, section 3. Contexts that are nan in either are left out.
    """
    ratio = after - before
    found: Float[np.ndarray, " text"] = np.log10(np.nanmean(np.exp(ratio), axis=1))
    return found


def typical(values: Float[np.ndarray, " text"], keywords: Int[np.ndarray, " text"]) -> float:
    """The median over keywords of the mean over a keyword's texts; nan values are left out, and nan where all are."""
    means = [values[(keywords == keyword) & np.isfinite(values)] for keyword in np.unique(keywords)]
    kept = [float(some.mean()) for some in means if len(some)]
    return float(np.median(kept)) if kept else math.nan


def rank_correlation(x: Float[np.ndarray, " item"], y: Float[np.ndarray, " item"]) -> float:
    """Spearman's correlation, in [-1, 1]; nan where one of them does not vary."""
    ranks = [rankdata(values) for values in (x, y)]
    spread = [np.std(rank) for rank in ranks]
    if not all(spread):
        return math.nan
    return float(np.clip(np.mean((ranks[0] - ranks[0].mean()) * (ranks[1] - ranks[1].mean())) / (spread[0] * spread[1]), -1, 1))


def partial_rank_correlation(
    x: Float[np.ndarray, " item"], y: Float[np.ndarray, " item"], given: Sequence[Float[np.ndarray, " item"]]
) -> float:
    """Spearman's correlation of x and y given others: Pearson's of what a line in the ranks of the others leaves of theirs."""
    others = np.stack([np.ones(len(x)), *(rankdata(one) for one in given)], 1)
    left = []
    for values in (x, y):
        ranks = rankdata(values)
        left.append(ranks - others @ np.linalg.lstsq(others, ranks, rcond=None)[0])
    return float(np.corrcoef(left[0], left[1])[0, 1])


def excess(
    log_p: Float[np.ndarray, " text"], priming: Float[np.ndarray, " text"], of_bias: Float[np.ndarray, " text"]
) -> float:
    """How much more negatively priming goes with the keyword's log-probability before than it does in the bias arm."""
    return rank_correlation(log_p, priming) - rank_correlation(log_p, of_bias)


def excesses(
    log_p: Float[np.ndarray, " text"],
    network: Float[np.ndarray, " text"],
    bias: Float[np.ndarray, " text"],
    other: Float[np.ndarray, " text"],
    shift: float,
) -> dict[str, float]:
    """Excess of the network, of the second bias arm in its place, and of that with a rank correlation planted."""
    arms = {"network": network, "bias": other, "planted": planted(log_p, other, bias, -shift)}
    return {arm: excess(log_p, priming, bias) for arm, priming in arms.items()}


def context_gaps(
    log_p: Float[np.ndarray, " text"],
    network: Float[np.ndarray, " text"],
    bias: Float[np.ndarray, " text"],
    in_context: tuple[Float[np.ndarray, " text"], Float[np.ndarray, " text"]],
    keywords: Int[np.ndarray, " text"],
) -> dict[str, float]:
    """C5 of the network, of biases, of the text in context in another wording, and of that with a correlation planted.

    Args:
        log_p: log10 P of the keyword in its text before.
        network: S_prime after training.
        bias: that of biases.
        in_context: that with the text in front of the prefix, in both wordings.
        keywords: of each text.
    """
    one, another = in_context
    shift = math.copysign(CONTEXT_SHIFT, rank_correlation(log_p, one))
    # `planted` moves a correlation down; upwards it does so with the order turned round.
    strong = planted(log_p, another, one, -CONTEXT_SHIFT) if shift < 0 else planted(-log_p, another, one, -CONTEXT_SHIFT)
    arms = {"network": network, "bias": bias, "rewording": another, "planted": strong}
    return {arm: context_gap(log_p, priming, one, keywords) for arm, priming in arms.items()}


def context_gap(
    log_p: Float[np.ndarray, " text"],
    priming: Float[np.ndarray, " text"],
    in_context: Float[np.ndarray, " text"],
    keywords: Int[np.ndarray, " text"],
) -> float:
    """Size of the rank correlation after training minus its size in context; nan where nothing is primed in context."""
    if typical(in_context, keywords) <= PRIMES_IN_CONTEXT:
        return math.nan
    return abs(rank_correlation(log_p, priming)) - abs(rank_correlation(log_p, in_context))


def knee_share(
    x: Float[np.ndarray, " text"], y: Float[np.ndarray, " text"], keywords: Int[np.ndarray, " text"], rng: np.random.Generator
) -> float:
    """The share of one line's squared error that a knee removes, on keywords that neither was fitted to; at most 1.

    The knee is a second slope below a point; where it lies is fitted as well, between the tenths of x.
    """
    names = rng.permutation(np.unique(keywords))
    errors = np.zeros(2)
    for fold in np.array_split(names, min(FOLDS, len(names))):
        held = np.isin(keywords, fold)
        fitted, asked = (x[~held], y[~held]), (x[held], y[held])
        knees = np.unique(np.quantile(fitted[0], np.linspace(0.1, 0.9, 17)))
        fits = [_fit(fitted, knee) for knee in knees]
        knee, (best, _) = min(zip(knees, fits, strict=True), key=lambda one: one[1][1])
        line, _ = _fit(fitted, None)
        for i, (at, weights) in enumerate(((None, line), (float(knee), best))):
            errors[i] += float(((_design(asked[0], at) @ weights - asked[1]) ** 2).sum())
    return 1 - float(errors[1] / errors[0])


def _design(x: Float[np.ndarray, " text"], knee: float | None) -> Float[np.ndarray, "text term"]:
    columns = [np.ones(len(x)), x] + ([] if knee is None else [np.minimum(x - knee, 0)])
    return np.stack(columns, 1)


def _fit(data: tuple[np.ndarray, np.ndarray], knee: float | None) -> tuple[np.ndarray, float]:
    design = _design(data[0], knee)
    weights = np.linalg.lstsq(design, data[1], rcond=None)[0]
    return weights, float(((design @ weights - data[1]) ** 2).sum())


def pairs(
    own: Float[np.ndarray, " context"], other: Float[np.ndarray, " context"]
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Places of contexts in both lists with nearly equal log-probabilities (nats), each used once; the nearest pairs first."""
    gaps = np.abs(own[:, None] - other[None]) / LN10
    chosen: list[tuple[int, int]] = []
    for flat in np.argsort(gaps, axis=None, kind="stable"):
        i, j = divmod(int(flat), len(other))
        if gaps[i, j] > NEAR or len(chosen) == MOST_PAIRS:
            break
        if all(i != one and j != two for one, two in chosen):
            chosen.append((i, j))
    found = np.array(chosen, dtype=int).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def matched_gap(
    own: tuple[Float[np.ndarray, "text pair"], Float[np.ndarray, "text pair"]],
    other: tuple[Float[np.ndarray, "text pair"], Float[np.ndarray, "text pair"]],
) -> Float[np.ndarray, " text"]:
    """S_prime in contexts of the text's theme minus in those of others; nan for a text with fewer than two pairs.

    Args:
        own: log-probabilities before and after in the paired contexts of its theme; nan where there is no pair.
        other: those in the contexts of other themes that they are paired with.
    """
    found = np.full(len(own[0]), math.nan)
    enough = np.isfinite(own[0]).sum(1) >= FEWEST_PAIRS
    if enough.any():
        found[enough] = primed(own[0][enough], own[1][enough]) - primed(other[0][enough], other[1][enough])
    return found


# ------------------------------------------------------------------------------------------------------ planted effects


def planted(
    log_p: Float[np.ndarray, " text"],
    noise: Float[np.ndarray, " text"],
    like: Float[np.ndarray, " text"],
    shift: float,
) -> Float[np.ndarray, " text"]:
    """Normal scores of `noise` with so much of the order of -log_p that in `like` the rank correlation moves by `shift`."""
    falling = -_normal_scores(log_p)

    def mixed(values: Float[np.ndarray, " text"], weight: float) -> Float[np.ndarray, " text"]:
        return math.sqrt(1 - weight * weight) * _normal_scores(values) + weight * falling

    wanted = max(-1.0, rank_correlation(log_p, like) + shift)
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if rank_correlation(log_p, mixed(like, middle)) > wanted else (low, middle)
    return mixed(noise, (low + high) / 2)


def planted_line(
    x: Float[np.ndarray, " text"], y: Float[np.ndarray, " text"], rng: np.random.Generator
) -> Float[np.ndarray, " text"]:
    """A straight line with the slope of y on x, and what a line leaves of y dealt out anew among the texts."""
    weights, _ = _fit((x, y), None)
    line = _design(x, None) @ weights
    return np.asarray(line + rng.permutation(y - line))


def _normal_scores(values: Float[np.ndarray, " text"]) -> Float[np.ndarray, " text"]:
    found: Float[np.ndarray, " text"] = ndtri((rankdata(values) - 0.5) / len(values))
    return found
