from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError, WorkError
from assay.core.seeds import Seeds
from assay.solvers.mdp import backward_induction, evaluate, expected_sum, policy_iteration, residual_bound, value_iteration
from assay.worlds.mdps import FiniteMDP, random_trap_mdp

SIZES = (st.integers(2, 5), st.integers(1, 3), st.integers(0, 1000))


def test_a_two_state_mdp_solved_on_paper() -> None:
    # In state 0, action 0 stays for reward 1, action 1 goes to state 1 for nothing; state 1 pays 3 for ever. Discount 1/2:
    # V(1) = 6; staying is worth 1 + V(0)/2, leaving 3; so leave, V(0) = 3.
    transition = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    mdp = FiniteMDP(transition, np.array([[1.0, 0.0], [3.0, 3.0]]), np.array([1.0, 0.0]))
    for solution in (value_iteration(mdp, 0.5), policy_iteration(mdp, 0.5)):
        assert solution.values == pytest.approx([3, 6], abs=1e-9)
        assert solution.policy[0] == 1
    assert backward_induction(mdp, 2).values[:, 0] == pytest.approx([0, 1, 3])
    assert expected_sum(mdp, np.array([[0.0, 1.0], [1.0, 0.0]]), mdp.reward, 3) == pytest.approx(6)


@given(*SIZES)
@settings(max_examples=30)
def test_both_solvers_match_enumeration_of_all_policies(n_states: int, n_actions: int, seed: int) -> None:
    mdp = random_trap_mdp(n_states, n_actions, rng=Seeds(seed)("mdp"))
    best = np.max(
        [evaluate(mdp, np.eye(n_actions)[list(choice)], 0.9) for choice in product(range(n_actions), repeat=n_states)], axis=0
    )
    np.testing.assert_allclose(policy_iteration(mdp, 0.9).values, best, atol=1e-9)
    np.testing.assert_allclose(value_iteration(mdp, 0.9).values, best, atol=1e-9)


@given(*SIZES)
@settings(max_examples=30)
def test_the_certificate_bounds_any_value_function(n_states: int, n_actions: int, seed: int) -> None:
    mdp = random_trap_mdp(n_states, n_actions, rng=Seeds(seed)("mdp"))
    optimum = policy_iteration(mdp, 0.8).values
    guess = Seeds(seed)("guess").normal(size=n_states)
    q, residual, error = residual_bound(mdp, guess, 0.8)
    assert np.abs(guess - optimum).max() <= error + 1e-9
    greedy = evaluate(mdp, np.eye(n_actions)[q.argmax(axis=1)], 0.8)
    assert (optimum - greedy).max() <= 2 * residual / (1 - 0.8) + 1e-9


@given(*SIZES)
@settings(max_examples=20)
def test_backward_induction_earns_what_it_says(n_states: int, n_actions: int, seed: int) -> None:
    mdp = random_trap_mdp(n_states, n_actions, rng=Seeds(seed)("mdp"))
    horizon = 6
    solution = backward_induction(mdp, horizon)
    plan = np.eye(n_actions)[solution.policy[horizon:0:-1]]  # first step has all of the horizon to go
    assert expected_sum(mdp, plan, mdp.reward, horizon) == pytest.approx(float(mdp.initial @ solution.values[horizon]))


def test_what_cannot_be_certified_is_refused() -> None:
    mdp = random_trap_mdp(3, 2, rng=Seeds(0)("mdp"))
    with pytest.raises(SettingsError, match="discount"):
        policy_iteration(mdp, 1.0)
    with pytest.raises(SettingsError, match="tolerance"):
        value_iteration(mdp, 0.5, tolerance=0)
    with pytest.raises(WorkError, match="after 3 sweeps"):
        value_iteration(mdp, 0.99, max_sweeps=3)
