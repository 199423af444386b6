"""The exact statements hold, and fail where their condition is taken away."""

import math

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization import STUDY, exact
from assay.studies.learners.offline_domain_randomization.belief import optimal_under_belief
from assay.studies.learners.offline_domain_randomization.families import (
    fit_finite_law,
    law_of_mass,
    random_family,
    record_of,
)
from assay.studies.learners.offline_domain_randomization.settings import CollapseSettings, ConsistencySettings, GapSettings


def test_every_exact_statement_holds() -> None:
    numbers = exact.check_consistency(ConsistencySettings()) | exact.check_gap(GapSettings())
    numbers |= exact.check_collapse(CollapseSettings())
    checks = {check.name: check for check in STUDY.exact}
    assert set(numbers) == set(checks)
    assert {name: checks[name].judge(number) for name, number in numbers.items()} == dict.fromkeys(numbers, "holds")


def test_and_fails_without_its_condition() -> None:
    checks = {check.name: check for check in STUDY.exact}
    without = {
        "C2.flat": exact.likelihood_change(1.0, n_springs=2),
        "C3.ratio": 0.0,  # of who knows against who knows
        "C3.known": exact.chance_shown(64, 0.0),
        "C3.bound": exact.bound_excess(4, divided=False, n_families=3),
        "C4.collapse": exact.deviation(0.02, 0.0),
        "C4.monotone": exact.least_rise(grown=True),
        "C4.values": exact.worst_digit(2.0),
    }
    assert {name: checks[name].judge(number) for name, number in without.items()} == dict.fromkeys(checks, "fails")


def test_the_doors_by_hand() -> None:
    for n_doors in (2, 5, 64):
        assert exact.steps(n_doors, "uniform") == (n_doors + 1) / 2
        assert exact.steps(n_doors, "known") == 1
    xs, ys = np.log(exact.DOORS), np.log([(m + 1) / 2 for m in exact.DOORS])
    assert np.polyfit(xs, ys, 1)[0] == pytest.approx(0.8935, abs=5e-5)
    # Drawn rather than summed: thirty tries, the right door in three of ten, else any of 64.
    rng = Seeds(0)("tries")
    hits = (rng.random((20_000, 3)) < 0.3) | (rng.integers(64, size=(20_000, 3)) == 0)
    assert hits.any(axis=1).mean() == pytest.approx(1 - (1 - 0.3 - 0.7 / 64) ** 3, abs=0.015)


def recursion(family, belief, horizon: int) -> np.ndarray:
    """What the best history-dependent policy earns in each process, one history at a time: the reference."""
    n_states, n_actions = family[0].reward.shape

    def best(state: int, weight: np.ndarray, steps: int) -> np.ndarray:
        found, score = np.zeros(len(family)), -math.inf
        for action in range(n_actions):
            earned = np.array([mdp.reward[state, action] for mdp in family])
            if steps > 1:
                for after in range(n_states):
                    chance = np.array([mdp.transition[state, action, after] for mdp in family])
                    earned = earned + chance * best(after, weight * chance, steps - 1)
            if weight @ earned > score + 1e-15:
                found, score = earned, weight @ earned
        return found

    total = np.zeros(len(family))
    for state in range(n_states):
        start = np.array([mdp.initial[state] for mdp in family])
        total += start * best(state, belief * start, horizon)
    return total


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize("belief", [[0.2, 0.3, 0.5], [0.0, 0.6, 0.4], [0.0, 0.0, 1.0]])
def test_values_under_a_belief_match_the_recursion(belief: list[float], horizon: int) -> None:
    family = random_family(3, rng=Seeds(4)("family"))
    solution = optimal_under_belief(family, belief, horizon)
    np.testing.assert_allclose(solution.values, recursion(family, np.array(belief), horizon), atol=1e-12)


def test_a_record_is_of_its_process() -> None:
    family = random_family(3, rng=Seeds(5)("family"))
    chance = record_of(family, 1, 30_000, rng=Seeds(5)("record"))
    assert chance.shape == (30_000, 3)
    # Under the recorded process a transition's chance is p with frequency p: its mean is the sum of squares.
    expected = np.mean([(family[1].transition[s, a] ** 2).sum() for s in range(2) for a in range(2)])
    assert chance[:, 1].mean() == pytest.approx(expected, abs=0.01)
    other = np.mean([family[1].transition[s, a] @ family[0].transition[s, a] for s in range(2) for a in range(2)])
    assert chance[:, 0].mean() == pytest.approx(other, abs=0.01)


def test_the_finite_law_is_the_most_likely_one() -> None:
    rng = Seeds(6)("law")
    family = random_family(3, rng=rng)
    chance = record_of(family, 0, 40, rng=rng)
    law = fit_finite_law(chance)
    assert law.sum() == pytest.approx(1.0)
    best = np.log(chance @ law).sum()
    for other in [*rng.dirichlet(np.ones(3), 300), *np.eye(3)]:
        assert best >= np.log(np.maximum(chance @ other, 1e-300)).sum() - 1e-3
    # Two processes and one outcome each: p maximises a log p + b log (1 - p), so p = a / (a + b).
    two = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]])
    assert fit_finite_law(two).tolist() == pytest.approx([0.75, 0.25])


def test_a_longer_record_knows_more() -> None:
    masses = []
    for n in (5, 2000):
        families = [random_family(6, rng=Seeds(k)("family")) for k in range(12)]
        laws = [fit_finite_law(record_of(family, 2, n, rng=Seeds(k)("record"))) for k, family in enumerate(families)]
        masses.append(np.mean([law[2] for law in laws]))
    assert masses[1] > 0.95 > masses[0] + 0.1


def test_a_law_of_given_mass() -> None:
    assert law_of_mass(0.7, 4).tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert law_of_mass(0.7, 4, member=2).tolist() == pytest.approx([0.1, 0.1, 0.7, 0.1])
