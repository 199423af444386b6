import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import InputError, MissingExtra, SettingsError, WorkError
from assay.core.seeds import Seeds
from assay.studies.knowledge.out_of_context_reasoning.max_margin import (
    MarginProblem,
    certify,
    least_schatten,
    multipliers_for,
    norm_of,
    solve,
    symmetric,
)
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

NORMS = ("nuclear", "frobenius")
sizes = st.tuples(st.integers(2, 7), st.integers(1, 5), st.integers(1, 5))


def problem_of(n, m_train, m_test):
    return MarginProblem.of(RecallWorld.intact(n=n, m_train=m_train, m_test=m_test, n_noise=0, length=3))


@given(sizes, st.sampled_from(NORMS))
@settings(max_examples=60)
def test_the_closed_form_is_proved_optimal_by_its_own_multipliers(size, norm):
    found, problem = symmetric(*size, norm), problem_of(*size)
    certificate = certify(problem, found.matrix(), found.multipliers(), norm)
    assert problem.least_margin(found.matrix()) == pytest.approx(1, abs=1e-12)
    assert certificate.value == pytest.approx(found.value, rel=1e-10)
    assert abs(certificate.gap) < 1e-10


@given(sizes, st.sampled_from(NORMS))
@settings(max_examples=60)
def test_margins_and_rank_of_the_closed_form_are_those_of_its_matrix(size, norm):
    n, m_train, m_test = size
    found = symmetric(n, m_train, m_test, norm)
    W = found.matrix()
    subject = 2 + n * m_train  # the first held-out subject, of group 0
    logits = W[:, 1] + W[:, subject]
    assert logits[n] - logits[n + 1] == pytest.approx(found.margin_to_other_implications, abs=1e-12)
    assert logits[n] - logits[0] == pytest.approx(found.margin_to_own_fact, abs=1e-12)
    assert logits[n] - logits[1] == pytest.approx(found.margin_to_other_facts, abs=1e-12)
    assert np.linalg.matrix_rank(W, tol=1e-9) == found.rank


def test_the_values_of_the_paper_card():
    # sqrt(n) + (n-1)(sqrt(mt) + sqrt(me)), sqrt(n) + (n-1) sqrt(2(mt+me)), n + (n-1)(2 mt + me), by hand.
    assert symmetric(4, 1, 3, "nuclear").value == pytest.approx(2 + 3 * (1 + math.sqrt(3)))
    assert symmetric(4, 2, 2, "nuclear").value == pytest.approx(2 + 3 * math.sqrt(8))
    assert symmetric(4, 1, 3, "frobenius").value ** 2 == pytest.approx(19)
    assert symmetric(4, 2, 2, "frobenius").value ** 2 == pytest.approx(22)
    assert symmetric(4, 1, 3, "nuclear").completion == pytest.approx(math.sqrt(1 / 3))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [(3, 1, 1), (3, 1, 2), (3, 2, 1), (4, 1, 2)])
def test_the_conic_program_agrees_with_the_closed_form(size, norm):
    exact, found = symmetric(*size, norm), solve(problem_of(*size), norm)
    assert found.certificate.value == pytest.approx(exact.value, rel=1e-5)
    assert abs(found.certificate.gap) < 1e-5
    np.testing.assert_allclose(found.W, exact.matrix(), atol=2e-3)


def test_the_conic_program_solves_worlds_without_symmetry_and_proves_it():
    world = RecallWorld.intact(n=3, m_train=2, m_test=1, n_noise=0, length=3).shuffled(Seeds(1)("shuffle"))
    for norm in NORMS:
        found = solve(MarginProblem.of(world), norm)
        assert 0 <= found.certificate.gap + 1e-7 < 1e-4


@pytest.mark.parametrize("norm", NORMS)
def test_no_feasible_matrix_is_below_the_bound(norm):
    # Weak duality, for random matrices and random multipliers.
    problem, rng = problem_of(3, 1, 2), np.random.default_rng(0)
    best = symmetric(3, 1, 2, norm)
    for _ in range(50):
        W = best.matrix() + 0.2 * rng.standard_normal(best.matrix().shape)
        multipliers = best.multipliers() * rng.random(best.multipliers().shape)
        certificate = certify(problem, W, multipliers, norm)
        assert certificate.bound <= best.value + 1e-9
        assert certificate.value >= best.value - 1e-9
        assert certificate.gap >= -1e-9


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [(3, 1, 1), (4, 1, 3), (4, 3, 1)])
def test_a_candidate_is_certified_without_being_told_its_multipliers(size, norm):
    problem, best = problem_of(*size), symmetric(*size, norm)
    certificate = certify(problem, 7.5 * best.matrix(), multipliers_for(problem, 7.5 * best.matrix(), norm), norm)
    assert abs(certificate.gap) < 1e-6
    other = symmetric(*size, "frobenius" if norm == "nuclear" else "nuclear")
    wrong = certify(problem, other.matrix(), multipliers_for(problem, other.matrix(), norm), norm)
    assert wrong.gap >= norm_of(other.matrix(), norm) / best.value - 1 - 1e-9 > 0.01  # the other norm's solution is not optimal


def test_a_matrix_that_errs_has_no_finite_value_and_is_not_certified():
    problem, best = problem_of(3, 1, 1), symmetric(3, 1, 1, "nuclear")
    wrong = np.roll(best.matrix(), 1, axis=0)
    assert certify(problem, wrong, best.multipliers(), "nuclear").value == math.inf
    with pytest.raises(InputError, match="every training pair right"):
        multipliers_for(problem, wrong, "nuclear")


def test_contradictory_labels_have_no_solution():
    problem = MarginProblem(2, 2, np.array([[0, 1], [0, 1]]), np.array([0, 1]))
    with pytest.raises(WorkError, match="infeasible"):
        solve(problem, "frobenius")


def test_too_large_candidates_are_refused_with_advice():
    best = symmetric(40, 1, 3, "nuclear")
    with pytest.raises(InputError, match="symmetric"):
        multipliers_for(problem_of(40, 1, 3), best.matrix(), "nuclear")


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 0, 1), (3, 1, 0)])
def test_sizes_outside_the_family_are_refused(size):
    with pytest.raises(SettingsError, match="symmetric family"):
        symmetric(*size, "nuclear")


@pytest.mark.parametrize("package", ["cvxpy", "clarabel"])
def test_a_missing_solver_is_named_with_its_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r"assay\[opt\]") as caught:
        solve(problem_of(3, 1, 1), "nuclear")
    assert caught.value.package == package


@pytest.mark.parametrize("size", [(4, 1, 3), (4, 2, 2), (5, 3, 1), (8, 1, 7)])
def test_the_numerical_schatten_solution_is_the_closed_form_where_there_is_one(size):
    for p, norm in ((2.0, "frobenius"), (1.0, "nuclear")):
        found, exact = least_schatten(*size, p), symmetric(*size, norm)
        assert found.value == pytest.approx(exact.value, rel=1e-4)
        assert found.completion == pytest.approx(exact.completion, abs=0.02)


@pytest.mark.parametrize("p", [2 / 3, 0.5])
def test_below_order_one_rank_is_given_up_and_the_held_out_margin_rises(p):
    # Rank one in each group's part: completion near (m_train/m_test)^(1/4), which relations and constants shift a little.
    found = least_schatten(6, 1, 3, p)
    assert found.low_rank
    assert found.completion == pytest.approx((1 / 3) ** 0.25, abs=0.05)
    of_nuclear = (np.linalg.svd(symmetric(6, 1, 3, "nuclear").matrix(), compute_uv=False) ** p).sum() ** (1 / p)
    assert found.value <= of_nuclear * (1 - 1e-3)
    assert least_schatten(6, 2, 2, p).completion == pytest.approx(1, abs=1e-3)


def test_schatten_orders_and_sizes_outside_the_family_are_refused():
    with pytest.raises(SettingsError, match="p > 0"):
        least_schatten(4, 1, 1, 0.0)
    with pytest.raises(SettingsError, match="symmetric family"):
        least_schatten(4, 0, 1, 1.0)
