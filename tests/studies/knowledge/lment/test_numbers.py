"""The numbers of what networks know, against planted knowledge, libraries and closed forms."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from assay.core.seeds import Seeds
from assay.studies.knowledge.lment.learning import BOTH, NET, PLANTED_GAP
from assay.studies.knowledge.lment.numbers import (
    Chain,
    flips,
    odds_gap,
    partial_correlation,
    planted_knowledge,
    reliability,
    rest,
    rest_planted,
)

RNG = np.random.default_rng(8)
K = RNG.choice((0, 0, 0, 1, 2, 4, 8, 16, 32), size=720)


def test_a_partial_correlation_takes_off_what_is_given() -> None:
    n = 4000
    third = RNG.normal(size=n)
    one, other = third + RNG.normal(size=n), third + RNG.normal(size=n)
    assert partial_correlation(one, other, []) == pytest.approx(spearmanr(one, other).statistic)
    assert partial_correlation(one, other, []) > 0.4
    assert abs(partial_correlation(one, other, [third])) < 0.05
    a, b, c = (spearmanr(x, y).statistic for x, y in ((one, other), (one, third), (other, third)))
    closed = (a - b * c) / ((1 - b * b) * (1 - c * c)) ** 0.5
    assert partial_correlation(one, other, [third]) == pytest.approx(closed)
    assert partial_correlation(np.zeros(n), other, [third]) == 0.0
    assert partial_correlation(third, other, [third]) == 0.0


def test_planted_knowledge_is_the_same_knowledge_dealt_out_by_k() -> None:
    knowledge = RNG.choice((-1.0, 0.0, 1.0), size=720, p=(0.1, 0.5, 0.4))
    found = planted_knowledge(knowledge, K, 0.5, RNG)
    assert np.array_equal(np.sort(found), np.sort(knowledge))
    assert 0.3 < spearmanr(found, K).statistic < 0.6
    assert abs(spearmanr(planted_knowledge(knowledge, K, 1e-9, RNG), K).statistic) < 0.15


def test_a_gap_in_log_odds_at_equal_accuracy_by_hand() -> None:
    frequent, rare = np.array([True, False, False]), np.array([False, True, False])
    quick, slow = np.array([0.0, 0.2, 0.6]), np.array([0.0, 0.3, 0.4])
    odds = np.array([[0.0, 0, 0], [1, 0, 0], [3, 1, 9]])
    other = np.array([[0.0, 0, 0], [9, 9, 9], [0.5, 0.25, 7]])
    value = np.zeros(3, dtype=int)
    # The slow one ends at 0.4, half-way between the quick one's last two: log-odds 2 and 0.5.
    gap = (2 - 0.5) - (0.5 - 0.25)
    assert odds_gap((quick, slow), (odds, other), frequent, rare, value) == pytest.approx(gap)
    assert odds_gap((slow, quick), (other, odds), frequent, rare, value) == pytest.approx(-gap)
    assert odds_gap((quick, quick), (odds, odds), frequent, rare, value) == 0
    # One logit more for every fact is no gap.
    assert odds_gap((quick, quick), (odds + np.array([[0.0], [1], [2]]), odds), frequent, rare, value) == pytest.approx(0)
    assert PLANTED_GAP == 0.4


def test_a_gap_in_log_odds_is_between_facts_of_one_value() -> None:
    """What makes a value likely of every subject, as a table of word pairs does, is no gap; a value told often is left."""
    value = np.array([0, 0, 0, 1, 1, 2, 2])
    frequent, rare = np.array([1, 0, 0, 1, 0, 1, 1], dtype=bool), np.array([0, 1, 1, 0, 1, 0, 0], dtype=bool)
    same = np.zeros((2, 7))
    likely = np.array([3.0, 1.0, 9.0])[value] + same
    end = np.array([0.0, 1.0])
    assert odds_gap((end, end), (likely, same), frequent, rare, value) == pytest.approx(0)
    # 2 nats where one fact has two others, 5 where it has one: weights of 2 / 3 and 1 / 2. No rare fact has the third value.
    more = likely + np.array([2.0, 0, 0, 5, 0, 50, 50])
    assert odds_gap((end, end), (more, same), frequent, rare, value) == pytest.approx((2 * 2 / 3 + 5 / 2) / (2 / 3 + 1 / 2))


@pytest.fixture(scope="module")
def told() -> np.ndarray:
    """20 intervals, five a pass, in each of which a fifth of the chunks is seen."""
    rng = np.random.default_rng(2)
    return np.concatenate([_dealt(rng) for _ in range(4)])


def _dealt(rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.multinomial(k, [0.2] * 5) for k in K], axis=1)


def test_chains_that_are_told_more_learn_and_forget_more(told: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    drawn = [flips(BOTH.course(told, rng), told, rng) for _ in range(8)]
    assert np.mean([min(learned, forgotten) for learned, forgotten, _ in drawn]) > 0.02
    net = [flips(NET.course(told, rng), told, rng)[2] for _ in range(8)]
    assert np.mean(net) > 0.02
    again = [flips(BOTH.course(told, rng), told, rng, permuted=True) for _ in range(8)]
    assert np.abs(np.mean(again, axis=0)).max() < 0.01


def test_frequent_facts_that_flip_more_are_no_effect_of_the_interval(told: np.ndarray) -> None:
    """Facts near the decision boundary flip in both directions; what tells them then has no part in it."""
    rng = np.random.default_rng(4)
    known = rng.random((21, len(K))) < np.where(K > 4, 0.5, 0.02)
    assert np.abs(np.mean([flips(known, told, rng) for _ in range(8)], axis=0)).max() < 0.01


def test_flips_by_hand() -> None:
    known = np.array([[False, True], [True, True], [True, False]])
    told = np.array([[1, 0], [0, 3]])
    learned, forgotten, net = flips(known, told, np.random.default_rng(0))
    assert np.isfinite([learned, forgotten, net]).all()
    same = np.ones((2, 2), dtype=np.int64)
    assert flips(known, same, np.random.default_rng(0)) == (0.0, 0.0, 0.0)
    never = Chain(0.0, 0.0, 0.0, 0.0).course(told, np.random.default_rng(0))
    assert not never.any()
    always = Chain(1.0, 0.0, 0.0, 0.0).course(told, np.random.default_rng(0))
    assert always[1:].all()


def test_what_k_explains_of_what_is_no_accident_of_the_order() -> None:
    curve = np.log2(1.0 + K)
    shared = RNG.normal(size=len(K)) * curve.std()
    for elsewhere, expected in ((0.0, 1.0), (1.0, 0.5)):
        found = []
        for _ in range(8):
            both = np.stack([curve + elsewhere * shared + 0.7 * RNG.normal(size=len(K)) for _ in range(2)])
            found.append(rest(both, K, RNG))
        assert np.mean(found) == pytest.approx(expected, abs=0.08)
    nothing = np.stack([shared + 0.1 * RNG.normal(size=len(K)) for _ in range(2)])
    assert abs(rest(nothing, K, RNG)) < 0.05


def test_planted_orders_are_as_reliable_and_explained_as_they_say() -> None:
    curve = np.log2(1.0 + K)
    both = np.stack([curve + RNG.normal(size=len(K)) for _ in range(2)])
    for share in (1.0, 0.5):
        drawn = [rest_planted(both, K, share, Seeds(i)) for i in range(8)]
        assert np.mean([reliability(one) for one in drawn]) == pytest.approx(reliability(both), abs=0.06)
        assert np.mean([rest(one, K, RNG) for one in drawn]) == pytest.approx(share, abs=0.1)
