"""Tests of loss against order: Spearman's where they should be, exact whatever the losses, and seeing what was planted."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr
from scipy.stats import t as student

from assay.core.errors import InputError
from assay.stats.order_tests import (
    LearnedScores,
    bet_on_order,
    exchangeable_rank,
    exchangeable_t,
    learned_scores,
    mid_ranks,
    order_correlation,
    order_test,
    savage,
    uniform,
)

RNG = np.random.default_rng(20261130)


def imprint(n: int, c: float, size: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Steps in random order, and normal losses lowered by size * exp(c (u - 1)) at the place u of the order."""
    steps = rng.permutation(n)
    return steps, rng.normal(size=n) - size * np.exp(c * ((steps + 0.5) / n - 1))


@pytest.mark.parametrize("ties", [False, True])
def test_uniform_scores_are_spearmans_test(ties: bool) -> None:
    steps, losses = np.arange(300) // (8 if ties else 1), RNG.normal(size=300)
    losses = np.round(losses, 1) if ties else losses
    found = order_test(steps, losses, rng=np.random.default_rng(0))
    theirs = spearmanr(steps, losses, alternative="less")
    assert found.correlation == pytest.approx(theirs.statistic, abs=1e-12)
    assert order_correlation(steps, losses) == pytest.approx(theirs.statistic, abs=1e-12)
    assert found.approximate == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.p_value == pytest.approx(theirs.pvalue, abs=0.01)
    assert found.z == pytest.approx(-theirs.statistic * 299**0.5)


def test_p_values_are_shares_of_all_orders() -> None:
    """Of five examples with ties: against every order written out; circles drawn at random come close."""
    steps, losses = np.array([0, 0, 1, 1, 2]), np.array([3.0, 1.0, 1.0, 2.0, 0.5])
    observed = order_correlation(steps, losses)
    every = [order_correlation(steps[list(order)], losses) for order in itertools.permutations(range(5))]
    exact = np.mean(np.array(every) <= observed + 1e-12)
    found = order_test(steps, losses, rng=np.random.default_rng(1), n_permutations=400_000)
    assert found.p_value == pytest.approx(exact, abs=0.005)
    assert found.n_permutations == 400_000


def test_the_observed_order_counts_itself() -> None:
    falling = order_test(np.arange(50), -np.arange(50.0), rng=np.random.default_rng(0), n_permutations=1000)
    assert falling.p_value == falling.floor == 1 / 1000
    assert falling.correlation == pytest.approx(-1)
    rising = order_test(np.arange(50), np.arange(50.0), rng=np.random.default_rng(0), n_permutations=1000)
    assert rising.p_value == 1.0
    assert order_test(np.arange(50), np.arange(50) // 49, rng=RNG, n_permutations=10).n_permutations == 50


@pytest.mark.parametrize("scores", [uniform, savage, LearnedScores((0.0, 0.0, 0.1, 1.0))], ids=["uniform", "savage", "learned"])
def test_p_values_are_uniform_whatever_the_losses(scores: Callable[[int], np.ndarray], agrees: Callable[..., bool]) -> None:
    """Heavy tails, two domains and 30 % duplicates, in batches: the order alone is random."""
    losses = np.concatenate([RNG.pareto(1.5, 60), 5 + RNG.normal(size=60)])
    losses[:36] = losses[36:72]
    tested = [
        order_test(RNG.permutation(120) // 8, losses, rng=RNG, scores=scores, n_permutations=600).p_value for _ in range(1000)
    ]
    assert agrees(sum(p <= 0.05 for p in tested), 1000, rate=0.05)
    assert kstest(tested, "uniform").pvalue > 1e-4


def test_an_order_sorted_by_what_losses_depend_on_is_no_shuffle() -> None:
    lengths = RNG.integers(4, 40, 300)
    losses = 3 - 0.02 * lengths + 0.1 * RNG.normal(size=300)
    assert order_test(lengths, losses, rng=RNG, n_permutations=10_000).p_value < 0.001


def test_scores_that_fit_the_imprint_are_stronger() -> None:
    """Asymptotic efficiencies against the best scores: Spearman's (0.74, 0.27) and Savage's (0.94, 0.74) at c = 5 and 20."""
    for c, spearman, savages in ((5.0, 0.74, 0.94), (20.0, 0.27, 0.74)):
        u = (np.arange(100_000) + 0.5) / 100_000
        best = np.exp(c * (u - 1))
        assert np.corrcoef(u, best)[0, 1] ** 2 == pytest.approx(spearman, abs=0.01)
        assert np.corrcoef(savage(100_000), best)[0, 1] ** 2 == pytest.approx(savages, abs=0.01)
    z = {name: [] for name in ("uniform", "savage", "learned")}
    for _ in range(20):
        taught = learned_scores(*imprint(4000, 20, 2.0, RNG))
        steps, losses = imprint(4000, 20, 0.5, RNG)
        for name, scores in (("uniform", uniform), ("savage", savage), ("learned", taught)):
            z[name].append(-order_correlation(steps, losses, scores=scores) * 3999**0.5)
    assert np.mean(z["learned"]) > np.mean(z["savage"]) + 0.2 > np.mean(z["uniform"]) + 1


def test_scores_are_learned_only_where_something_rises() -> None:
    steps = np.arange(400)
    assert learned_scores(steps, steps.astype(float)) is uniform
    found = learned_scores(steps, np.where(steps < 300, 1.0, 0.0) + 1e-9 * RNG.normal(size=400), n_stretches=4)
    assert isinstance(found, LearnedScores)
    assert np.diff(found.levels).round(1).tolist()[:2] == pytest.approx([0, 0], abs=30)
    assert found.levels[3] > found.levels[2] + 150
    assert found(8).tolist() == [found.levels[i] for i in (0, 0, 1, 1, 2, 2, 3, 3)]


def test_a_bet_is_fair_and_pays_where_the_order_is_remembered(agrees: Callable[..., bool]) -> None:
    losses = np.round(RNG.pareto(1.5, 200), 1)
    bets = [bet_on_order(RNG.permutation(200) // 8, losses, rng=RNG) for _ in range(1000)]
    assert agrees(sum(bet.capital.max() >= 20 for bet in bets), 1000, at_most=0.05)
    assert 0.5 < np.mean([bet.e_value for bet in bets]) < 2
    found = bet_on_order(*imprint(4000, 1, 1.0, RNG), rng=RNG)
    stopped = found.examples_until(0.001)
    assert found.e_value > 1e6
    assert stopped is not None
    assert found.capital[stopped - 1] >= 1000 > found.capital[: stopped - 1].max()
    assert bet_on_order(np.arange(10), np.arange(10.0), rng=RNG).examples_until(0.01) is None


def test_ranks_among_those_before_are_counted() -> None:
    from assay.stats.order_tests import _below

    for n in (1, 2, 3, 17, 64, 100):
        values = RNG.integers(0, 20, n)
        assert _below(values).tolist() == [int((values[:k] < values[k]).sum()) for k in range(n)]
    assert mid_ranks(np.array([2.0, 1.0, 2.0, 5.0])).tolist() == [2.5, 1, 2.5, 4]


@pytest.mark.parametrize("k", [4, 9, 19])
def test_a_model_among_its_reshuffles(k: int, agrees: Callable[..., bool]) -> None:
    """t with the factor for the mean of k is Student's; the paper's z read as normal rejects too often, by a known share."""
    drawn = RNG.normal(size=(4000, k + 1))
    ours = np.array([exchangeable_t(row[0], row[1:]) for row in drawn])
    assert agrees(int((ours[:, 1] <= 0.05).sum()), 4000, rate=0.05)
    z = (drawn[:, 0] - drawn[:, 1:].mean(1)) / drawn[:, 1:].std(1, ddof=0)
    assert z == pytest.approx(ours[:, 0] * ((k + 1) / (k - 1)) ** 0.5)
    said = {4: 0.226, 9: 0.118, 19: 0.079}[k]
    two_sided = 2 * student.sf(1.959964 / ((k + 1) / (k - 1)) ** 0.5, k - 1)
    assert two_sided == pytest.approx(said, abs=0.0006)
    assert agrees(int((np.abs(z) > 1.959964).sum()), 4000, rate=two_sided)
    ranks = np.array([exchangeable_rank(row[0], row[1:]) for row in drawn])
    assert ranks.min() == 1 / (k + 1)
    assert agrees(int((ranks == ranks.min()).sum()), 4000, rate=1 / (k + 1))


def test_power_is_that_of_the_closed_form(agrees: Callable[..., bool]) -> None:
    """1,901 examples see a rank correlation of -0.1 in nine of ten cases at 0.001, one-sided."""
    r = 2 * np.sin(0.1 * np.pi / 6)  # the normal correlation whose rank correlation is 0.1
    seen = 0
    for _ in range(500):
        t, noise = RNG.normal(size=(2, 1901))
        seen += order_test(t, -r * t + (1 - r * r) ** 0.5 * noise, rng=RNG, n_permutations=1).approximate <= 0.001
    assert agrees(seen, 500, at_least=0.88, at_most=0.92)


def test_what_cannot_be_tested_is_said() -> None:
    with pytest.raises(InputError, match="steps that differ"):
        order_test([1, 1, 1], [1, 2, 3], rng=RNG)
    with pytest.raises(InputError, match="losses that differ"):
        order_test([1, 2, 3], [2, 2, 2], rng=RNG)
    with pytest.raises(InputError, match="finite"):
        bet_on_order([1, 2, 3], [1, np.nan, 3], rng=RNG)
    with pytest.raises(InputError, match="pairs"):
        order_correlation([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(InputError, match="must differ"):
        exchangeable_t(1, [2, 2, 2])
    with pytest.raises(InputError, match="one a rank"):
        order_test([1, 2, 3], [1, 2, 3], rng=RNG, scores=lambda n: np.arange(2.0))
