"""Tests of hypotheses: other implementations, exact small cases, error rates, and what is refused."""

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_paired

from assay.core.errors import InputError
from assay.stats import intervals, tests
from assay.stats.families import step_down


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


X = generator(1).normal(0.4, 1.0, size=12)
Y = 0.5 * X + generator(2).normal(0.0, 0.8, size=12)


def test_welch_is_scipys() -> None:
    expected = scipy.stats.ttest_ind(X, Y[:7], equal_var=False)
    found = tests.welch(X, Y[:7])
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert found.n == 19


def test_welch_agrees_with_its_interval() -> None:
    p = tests.welch(X, Y).p_value
    interval = intervals.difference(X, Y, level=1 - p, paired=False)
    assert min(abs(interval.low), abs(interval.high)) == pytest.approx(0, abs=1e-9)


def test_mann_whitney_by_hand() -> None:
    # All three above all four: one of C(7, 3) = 35 arrangements, two-sided 2 / 35.
    found = tests.mann_whitney([5, 6, 7], [1, 2, 3, 4])
    assert (found.statistic, found.p_value) == pytest.approx((0.5, 2 / 35))
    assert tests.mann_whitney([1, 2], [2, 1]).statistic == 0


def test_permutation_of_few_values_is_the_exact_test() -> None:
    a, b = np.array([3.0, 4.0, 6.0]), np.array([1.0, 2.0, 2.5, 3.5])
    pool, observed = np.concatenate([a, b]), abs(a.mean() - b.mean())
    splits = [np.isin(np.arange(7), chosen) for chosen in itertools.combinations(range(7), 3)]
    exact = np.mean([abs(pool[s].mean() - pool[~s].mean()) >= observed - 1e-12 for s in splits])
    found = tests.permutation(a, b, paired=False, rng=generator(), n_permutations=99_999)
    assert found.p_value == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 99_999))

    d = np.array([1.0, 2.0, -0.5, 3.0, 1.5])
    signs = np.array(list(itertools.product([-1, 1], repeat=5)))
    exact = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12)
    found = tests.permutation(d, np.zeros(5), paired=True, rng=generator(), n_permutations=99_999)
    assert found.p_value == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 99_999))


def test_permutation_p_values_are_never_zero_and_one_where_nothing_differs() -> None:
    far = tests.permutation(X + 1e6, Y, paired=False, rng=generator(), n_permutations=99)
    assert far.p_value == 1 / 100
    assert tests.permutation([1, 1, 1], [1, 1], paired=False, rng=generator(), n_permutations=99).p_value == 1
    assert tests.permutation(X, X, paired=True, rng=generator(), n_permutations=99).p_value == 1


@pytest.mark.parametrize("paired", [True, False])
def test_permutation_rejects_a_true_null_as_often_as_it_says(paired: bool, agrees: Callable[..., bool]) -> None:
    rng = generator(7)
    n = 1_500
    rejected = sum(
        tests.permutation(rng.lognormal(size=8), rng.lognormal(size=8), paired=paired, rng=rng, n_permutations=199).p_value
        <= 0.05
        for _ in range(n)
    )
    assert agrees(rejected, n, at_most=0.05)
    assert agrees(rejected, n, at_least=0.03)  # and not merely by never rejecting


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (-2.0, 1.0), (0.0, 0.4)])
def test_equivalence_is_statsmodels(low: float, high: float, alpha: float) -> None:
    found = tests.equivalence(X, Y, low, high, paired=True, alpha=alpha)
    assert found.p_value == pytest.approx(ttost_paired(X, Y, low, high)[0], rel=1e-9)
    independent = tests.equivalence(X, Y, low, high, paired=False, alpha=alpha)
    expected = CompareMeans(DescrStatsW(X), DescrStatsW(Y)).ttost_ind(low, high, usevar="unequal")[0]
    assert independent.p_value == pytest.approx(expected, rel=1e-9)


@given(shift=st.floats(-2, 2), margin=st.floats(0.05, 3), paired=st.booleans())
@settings(max_examples=60)
def test_equivalence_by_p_value_and_by_interval_agree(shift: float, margin: float, paired: bool) -> None:
    found = tests.equivalence(X + shift, Y, -margin, margin, paired=paired)
    inside = -margin < found.interval.low and found.interval.high < margin
    assert found.interval.level == pytest.approx(0.90)
    assert (found.p_value < 0.05) == inside


def test_equivalence_is_falsely_claimed_at_the_margin_at_most_as_often_as_it_says(agrees: Callable[..., bool]) -> None:
    rng, n = generator(8), 2_000
    claimed = sum(
        tests.equivalence(rng.standard_normal(20) + 1.5, rng.standard_normal(20), -1.5, 1.5, paired=False).p_value <= 0.05
        for _ in range(n)
    )
    assert agrees(claimed, n, at_most=0.05)
    assert agrees(claimed, n, at_least=0.03)


def test_not_significant_is_not_equivalent() -> None:
    """Three noisy runs an arm: no test rejects, and nothing is thereby shown to be the same."""
    a, b = [0.1, 2.0, 1.1], [0.9, -1.0, 1.9]
    assert tests.welch(a, b).p_value > 0.5
    assert tests.equivalence(a, b, -0.5, 0.5, paired=False).p_value > 0.05


def test_equivalence_without_spread_is_decided_by_the_difference() -> None:
    assert tests.equivalence([1.0, 1.0], [0.9, 0.9], -0.2, 0.2, paired=True).p_value == 0
    assert tests.equivalence([1.0, 1.0], [0.5, 0.5], -0.2, 0.2, paired=False).p_value == 1


@pytest.mark.parametrize(("both", "only_a", "only_b", "neither"), [(5, 9, 2, 4), (0, 1, 0, 0), (3, 4, 4, 3), (10, 0, 0, 10)])
def test_mcnemar_is_statsmodels(both: int, only_a: int, only_b: int, neither: int) -> None:
    a = [1] * (both + only_a) + [0] * (only_b + neither)
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    found = tests.mcnemar(a, b)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without discordant pairs statsmodels divides by zero on its way to 1
        expected = mcnemar_of_statsmodels([[both, only_a], [only_b, neither]], exact=True).pvalue
    assert found.p_value == pytest.approx(expected)
    assert found.statistic == pytest.approx((only_a - only_b) / len(a))


p_values = st.lists(st.floats(0, 1), min_size=1, max_size=15)


@given(p=p_values)
@settings(max_examples=10)  # the other implementation takes 50 ms a call
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert tests.holm(p) == pytest.approx(multipletests(p, method="holm")[1], rel=1e-12, abs=1e-300)


@given(p=p_values, alpha=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=100)
def test_a_family_of_one_tier_steps_down_as_holm_does(p: list[float], alpha: float) -> None:
    rates = np.array(step_down(["paper"] * len(p), lambda place, rate: p[place] <= rate, error=alpha))
    m = len(p)
    clear = np.min(np.abs(np.multiply.outer(np.arange(1, m + 1), p) - alpha)) > 1e-9  # no p-value on a threshold to rounding
    if clear:
        assert ((tests.holm(p) <= alpha) == (np.array(p) <= rates)).all()
    assert np.all(rates <= alpha + 1e-12)
    assert np.all(rates >= alpha / m - 1e-12)


def test_holm_by_hand() -> None:
    assert tests.holm([0.3, 0.001, 0.02, 0.04]) == pytest.approx([0.3, 0.004, 0.06, 0.08])
    # Sorted: .001 <= .05/4, .02 > .05/3: the procedure stops there, and the others keep that rate.
    p = [0.3, 0.001, 0.02, 0.04]
    rates = step_down(["paper"] * 4, lambda place, rate: p[place] <= rate)
    assert rates == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3])


def test_holm_falsely_rejects_anything_at_most_as_often_as_it_says(agrees: Callable[..., bool]) -> None:
    rng, n = generator(9), 10_000
    p = rng.random((n, 6))
    p[:, :2] *= 1e-4  # two true effects; four nulls
    false = sum(bool((tests.holm(row)[2:] <= 0.05).any()) for row in p)
    naive = int(np.sum((p[:, 2:] <= 0.05).any(axis=1)))
    assert agrees(false, n, at_most=0.05)
    assert not agrees(naive, n, at_most=0.05)  # the control: without the correction it shows


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tests.welch([1, 1], [2, 2]), "needs spread in an arm"),
        (lambda: tests.welch([1], [2, 3]), "the first arm needs at least 2 values; got 1"),
        (lambda: tests.mann_whitney([1, 1], [1, 1, 1]), "values that differ"),
        (lambda: tests.permutation([1, 2], [1], paired=True, rng=generator()), "takes pairs|needs at least 2"),
        (lambda: tests.permutation([1, math.nan], [1, 2], paired=False, rng=generator()), "finite values; got nan"),
        (lambda: tests.mcnemar([], []), "needs at least 1 values; got 0"),
        (lambda: tests.mcnemar([0, 1], [0.5, 1]), "outcomes 0 and 1"),
        (lambda: tests.mcnemar([0, 1], [1]), "takes pairs; got 2 and 1"),
        (lambda: tests.equivalence(X, Y, 0.5, 0.5, paired=True), "low < high; got 0.5 and 0.5"),
        (lambda: tests.equivalence(X, Y, -1, 1, paired=True, alpha=0.5), "between 0 and 1/2; got 0.5"),
        (lambda: tests.holm([]), "needs at least 1 values; got 0"),
        (lambda: tests.holm([0.5, 1.2]), r"within \[0, 1\]; got 0.5 to 1.2"),
        (lambda: tests.holm([0.5, math.nan]), "finite values; got nan"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
