"""Numbers from planted log-probabilities: what is put in comes out, and what knows nothing gives nothing."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from assay.studies.knowledge.priming_outlandish import scores
from assay.studies.knowledge.priming_outlandish.equal import Changed, at_equal_p, shares_for

RNG = np.random.default_rng(4)
N = 96
KEYWORDS = np.repeat(np.arange(32), 3)
SURPRISE = RNG.uniform(-6, 0, N)


def test_priming_is_the_mean_ratio_in_powers_of_ten() -> None:
    before = np.log(np.array([[0.1, 0.2], [0.1, math.nan]]))
    after = np.log(np.array([[0.2, 0.8], [1.0, math.nan]]))
    assert scores.primed(before, after) == pytest.approx([math.log10(3), 1])
    assert scores.typical(np.array([1.0, 3, 10, math.nan, 7, 7]), np.array([1, 1, 2, 2, 3, 3])) == 7
    assert math.isnan(scores.typical(np.array([math.nan]), np.array([1])))


def test_rank_correlations_are_those_of_scipy() -> None:
    x, y, z = RNG.normal(size=(3, N))
    y = np.round(y + 0.5 * x + z)
    assert scores.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert math.isnan(scores.rank_correlation(x, np.ones(N)))
    xy, xz, yz = (spearmanr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    partial = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert scores.partial_rank_correlation(x, y, [z]) == pytest.approx(partial)


def test_a_knee_is_seen_where_it_is() -> None:
    straight, bent = ([], [])
    for seed in range(6):
        rng = np.random.default_rng(seed)
        y = -0.2 * SURPRISE + rng.normal(0, 0.3, N)
        straight.append(scores.knee_share(SURPRISE, scores.planted_line(SURPRISE, y, rng), KEYWORDS, rng))
        knee = np.maximum(-3 - SURPRISE, 0) + rng.normal(0, 0.3, N)
        bent.append(scores.knee_share(SURPRISE, knee, KEYWORDS, rng))
    assert np.mean(straight) < 0.03
    assert min(bent) > 0.2


def test_a_planted_correlation_has_its_size() -> None:
    noise, like = (-0.2 * SURPRISE + RNG.normal(0, 1, N) for _ in range(2))
    found = scores.excesses(SURPRISE, like, like, noise, 0.3)
    assert found["network"] == 0
    moved = scores.planted(SURPRISE, like, like, -0.3)
    assert scores.excess(SURPRISE, moved, like) == pytest.approx(-0.3, abs=0.01)
    assert found["planted"] - found["bias"] == pytest.approx(-0.3, abs=0.15)


def test_in_context_the_law_is_asked_where_something_is_primed() -> None:
    strong, weak = -0.5 * SURPRISE + RNG.normal(0, 0.3, N), 1 + RNG.normal(0, 0.3, N)
    again = weak + RNG.normal(0, 0.05, N)
    found = scores.context_gaps(SURPRISE, strong, weak, (weak, again), KEYWORDS)
    assert found["network"] > 0.5
    assert abs(found["rewording"]) < 0.1
    assert found["bias"] == 0
    for upward in (SURPRISE, -SURPRISE):
        tilted = 1 - 0.02 * upward + RNG.normal(0, 0.3, N)
        planted = scores.context_gaps(SURPRISE, strong, weak, (tilted, tilted), KEYWORDS)["planted"]
        assert planted == pytest.approx(0.2, abs=0.02)
    assert math.isnan(scores.context_gap(SURPRISE, strong, weak - 1, KEYWORDS))


def test_pairs_are_near_and_each_context_is_used_once() -> None:
    own, other = np.log(10) * np.array([-1.0, -2.0, -5.0]), np.log(10) * np.array([-2.1, -1.25, -9.0, -2.05])
    ours, theirs = scores.pairs(own, other)
    assert (ours.tolist(), theirs.tolist()) == ([1, 0], [3, 1])
    many = RNG.normal(size=(2, 200)) * 0.1
    assert len(scores.pairs(*many)[0]) == scores.MOST_PAIRS


def test_a_theme_is_told_from_a_bias_at_equal_probability() -> None:
    own = RNG.uniform(-9, -4, (4, 5))
    other = own + 0.1
    own[3, 1:] = other[3, 1:] = math.nan
    bias = scores.matched_gap((own, own + 1.5), (other, other + 1.5))
    assert bias[:3] == pytest.approx([0, 0, 0])
    theme = scores.matched_gap((own, own + math.log(100)), (other, other + math.log(10)))
    assert theme[:3] == pytest.approx([1, 1, 1])
    assert math.isnan(theme[3])


def test_shares_of_a_change_are_found_where_there_is_one() -> None:
    def says(shares: np.ndarray) -> np.ndarray:
        return np.array([-5 + 4 * shares[0] ** 2, -5 + 4 * shares[1], -5 + 0 * shares[2], -5 + 4 * shares[3]])

    found = shares_for(says, np.array([-2.0, -9.0, -4.0, 0.0]), 12)
    assert found[0] == pytest.approx(math.sqrt(0.75), abs=1e-4)
    assert math.isnan(found[1])
    assert found[2:].tolist() == [1, 1]


def test_the_stronger_change_is_scaled_down_to_the_weaker() -> None:
    strong = Changed(lambda shares: -5 + 4 * shares, lambda shares: 2 * shares)
    weak = Changed(lambda shares: -5 + shares, lambda shares: shares)
    pair = at_equal_p(strong, weak, 2, 12)
    assert pair.shares[0] == pytest.approx([0.25, 0.25], abs=1e-6)
    assert pair.shares[1].tolist() == [1, 1]
    assert pair.difference == pytest.approx([-0.5, -0.5], abs=1e-5)
    smaller = Changed(lambda shares: -5 + 2 * shares, lambda shares: shares)
    assert at_equal_p(strong, smaller, 2, 12).difference == pytest.approx([0, 0], abs=1e-5)  # only a smaller step
    lost = Changed(lambda shares: -5 - shares, lambda shares: shares)
    assert np.isnan(at_equal_p(strong, lost, 2, 12).difference).all()
