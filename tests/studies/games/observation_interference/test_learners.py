"""The learners' arms are what their names say, and theory is the exact solver's."""

import numpy as np
import pytest

from assay.agents.policy_gradient import train
from assay.core.seeds import Seeds
from assay.studies.games.observation_interference import STUDY, learners
from assay.studies.games.observation_interference.settings import LearnerSettings

SMALL = LearnerSettings(n_learners=8, n_steps=300)
SEED = 4

# Worked out from the games: where every best policy hides (True), where none does (False); all others tie.
THEORY = {
    ("hiding tells", "optimal"): True,
    ("hiding tells", "noisy, beta 1"): True,
    ("hiding tells", "noisy, beta 0.1"): True,
    ("nothing to tell", "noisy, beta 1"): False,
    ("nothing to tell", "noisy, beta 0.1"): False,
    ("two products", "optimal"): True,
    ("two products", "noisy, beta 1"): True,
    ("two products", "noisy, beta 0.1"): True,
    ("hiding spares", "noisy, beta 1"): True,
    ("hiding spares", "noisy, beta 0.1"): False,
}


def test_theory_says_where_to_hide() -> None:
    for name, game in learners.games().items():
        for human, model in learners.HUMANS.items():
            assert learners.hides_in_theory(game.team_form(), model) == THEORY.get((name, human)), (name, human)


def hiding(name: str, human: str, n_steps: int) -> list[bool]:
    """Whether each learner's most probable policy hides; before training, whether the drawn one does."""
    form, rng = learners.games()[name].team_form(), Seeds(SEED)(f"{name}, {human}")
    n_a, k_a = form.shape[:2]
    if n_steps:
        sizes = {"n_seeds": SMALL.n_learners, "n_steps": n_steps, "learning_rate": SMALL.learning_rate}
        policies = [pair[0] for pair in train(form, rng=rng, human=learners.HUMANS[human], **sizes).greedy()]  # type: ignore[arg-type]
    else:
        policies = [tuple(row) for row in rng.standard_normal((SMALL.n_learners, n_a, k_a)).argmax(axis=2).tolist()]
    return [any(form.marked[a] for a in policy) for policy in policies]


@pytest.mark.parametrize(("arm", "n_steps"), [("trained", SMALL.n_steps), ("untrained", 0)])
def test_agreement_weighs_both_kinds_of_case_the_same(arm: str, n_steps: int) -> None:
    measured = learners.measure(SMALL, Seeds(SEED))
    right = {
        kind: np.mean([hides == kind for cell, says in THEORY.items() if says is kind for hides in hiding(*cell, n_steps)])
        for kind in (True, False)
    }
    assert measured.estimands[f"{arm}/agreement"] == pytest.approx((right[True] + right[False]) / 2)
    for row in measured.tables["learners"]:
        expected = np.mean(hiding(str(row["game"]), str(row["human"]), n_steps))
        assert row[f"hides_{arm}"] == pytest.approx(expected)
        says = THEORY.get((str(row["game"]), str(row["human"])))
        assert row["theory"] == {True: "hides", False: "shows", None: "either"}[says]


def test_assistants_that_have_not_learned_do_not_pass() -> None:
    nulls = learners.measure_nulls(LearnerSettings(n_learners=100), Seeds(SEED)).estimands
    experiment = STUDY.experiment("learners")
    assert set(nulls) == {f"{null.name}/agreement" for null in experiment.nulls}
    assert nulls["always-hides/agreement"] == nulls["never-hides/agreement"] == 0.5
    assert experiment.claims[0].rule.distance(nulls["untrained/agreement"]) < 0
