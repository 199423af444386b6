from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.solvers.mdp import backward_induction
from assay.studies.learners.offline_domain_randomization.belief import optimal_under_belief
from assay.worlds.mdps import FiniteMDP, random_trap_mdp


def family_of(size: int, seed: int) -> list[FiniteMDP]:
    rng = Seeds(seed)("family")
    return [random_trap_mdp(3, 2, rng=rng) for _ in range(size)]


@given(st.integers(0, 500))
@settings(max_examples=15)
def test_certainty_is_the_optimum_of_that_process(seed: int) -> None:
    family = family_of(3, seed)
    solution = optimal_under_belief(family, [0.0, 1.0, 0.0], 3)
    best = float(family[1].initial @ backward_induction(family[1], 3).values[3])
    assert solution.values[1] == pytest.approx(best)
    assert solution.bayes_gap == pytest.approx(0.0, abs=1e-12)


@given(st.integers(0, 500))
@settings(max_examples=15)
def test_no_gap_exceeds_the_bayes_gap_over_its_own_probability(seed: int) -> None:
    belief = Seeds(seed)("belief").dirichlet(np.ones(3))
    solution = optimal_under_belief(family_of(3, seed), belief, 3)
    assert (solution.gaps >= -1e-12).all()
    assert (solution.gaps <= solution.bayes_gap / belief + 1e-9).all()


def test_it_beats_every_memoryless_plan() -> None:
    family = family_of(2, 7)
    belief = np.array([0.5, 0.5])
    solution = optimal_under_belief(family, belief, 2)
    for plan in product(range(2), repeat=6):  # an action for each step and state
        rule = np.array(plan).reshape(2, 3)
        earned = []
        for mdp in family:
            value = np.zeros(3)
            for t in (1, 0):
                value = np.array([mdp.reward[s, rule[t, s]] + mdp.transition[s, rule[t, s]] @ value for s in range(3)])
            earned.append(mdp.initial @ value)
        assert belief @ solution.values >= belief @ np.array(earned) - 1e-12


def test_it_pays_to_look_first() -> None:
    # Action 0 in state 0 leads to state 1 or 2 and so tells which process it is; action 1 stays and pays 0.4.
    # In state 1 or 2 action 0 pays 1 in process A and action 1 pays 1 in process B.
    def process(tells: int, pays: int) -> FiniteMDP:
        transition = np.zeros((3, 2, 3))
        transition[0, 0, tells] = 1
        transition[0, 1, 0] = 1
        transition[1, :, 1] = transition[2, :, 2] = 1
        reward = np.array([[0.0, 0.4], [0.0, 0.0], [0.0, 0.0]])
        reward[1:, pays] = 1
        return FiniteMDP(transition, reward, np.array([1.0, 0.0, 0.0]))

    solution = optimal_under_belief([process(1, 0), process(2, 1)], [0.5, 0.5], 3)
    assert solution.values.tolist() == [2.0, 2.0]  # one step to look, then 1 a step


def test_what_does_not_fit_is_refused() -> None:
    family = family_of(2, 0)
    with pytest.raises(SettingsError, match="summing to 1"):
        optimal_under_belief(family, [0.5, 0.6], 2)
    with pytest.raises(SettingsError, match="histories"):
        optimal_under_belief(family, [0.5, 0.5], 20)
