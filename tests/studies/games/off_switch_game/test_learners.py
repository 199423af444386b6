"""The learners' arms are what their names say, and their ends are judged by visiting all pairs."""

from itertools import product

import numpy as np
import pytest

from assay.agents.policy_gradient import train
from assay.claims.estimand import name_of
from assay.core.seeds import Seeds
from assay.solvers.games.pairs import optimal_value
from assay.studies.games.off_switch_game import STUDY, learners
from assay.studies.games.off_switch_game.settings import LearnerSettings
from assay.worlds.games.team import TeamForm

SMALL = LearnerSettings(n_learners=12, n_steps=400)
SEED = 5
Pair = tuple[tuple[int, ...], tuple[int, ...]]


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    return dict(learners.measure(SMALL, Seeds(SEED)).estimands)


def is_stable(form: TeamForm, assistant: tuple[int, ...], human: tuple[int, ...]) -> bool:
    """Neither side gains by changing alone; by trying every other policy of it."""
    reached = form.value(assistant, human)
    n_a, k_a, n_z, k_h = form.shape
    return all(form.value(other, human) <= reached for other in product(range(k_a), repeat=n_a)) and all(
        form.value(assistant, other) <= reached for other in product(range(k_h), repeat=n_z)
    )


def ends(name: str) -> tuple[TeamForm, list[Pair]]:
    form = learners.games()[name].team_form()
    learned = train(
        form, rng=Seeds(SEED)(name), n_seeds=SMALL.n_learners, n_steps=SMALL.n_steps, learning_rate=SMALL.learning_rate
    )
    return form, learned.greedy()


def inferior(name: str) -> float:
    form, pairs = ends(name)
    best = max(
        form.value(assistant, human)
        for assistant in product(range(form.shape[1]), repeat=form.shape[0])
        for human in product(range(form.shape[3]), repeat=form.shape[2])
    )
    return sum(form.value(*pair) < best for pair in pairs) / len(pairs)


def test_shares_of_inferior_ends_are_those_of_visiting_all_pairs(measured: dict[str, float]) -> None:
    assert measured["informed/inferior"] == inferior("informed")
    assert measured["alone/inferior"] == inferior("alone")
    assert measured["two-sided/inferior_excess"] == pytest.approx(inferior("two-sided") - inferior("informed"))
    assert measured["alone/inferior_excess"] == pytest.approx(inferior("alone") - inferior("informed"))


def test_stable_ends_are_those_that_no_other_policy_betters(measured: dict[str, float]) -> None:
    trained: list[bool] = []
    untrained: list[bool] = []
    for name in learners.games():
        form, pairs = ends(name)
        trained += [is_stable(form, *pair) for pair in pairs]
        rng = Seeds(SEED)(name)
        first_a, first_h = (
            rng.standard_normal((SMALL.n_learners, n, k)).argmax(axis=2) for n, k in (form.shape[:2], form.shape[2:])
        )
        untrained += [is_stable(form, tuple(a), tuple(h)) for a, h in zip(first_a.tolist(), first_h.tolist(), strict=True)]
    assert len(trained) == 7 * SMALL.n_learners
    assert measured["trained/stable"] == pytest.approx(np.mean(trained))
    assert measured["untrained/stable"] == pytest.approx(np.mean(untrained))
    assert measured["untrained/stable"] < measured["trained/stable"]


def test_who_sees_what_in_the_learners_games() -> None:
    """In `alone` A tells all states apart, in `informed` H does, in `two-sided` neither."""
    for name, observations in {"two-sided": (2, 2), "alone": (2, 4), "informed": (4, 1)}.items():
        game = learners.games()[name]
        assert len(game.states) == 4
        assert (len(game.human_observations), len(game.assistant_observations)) == observations
    assert optimal_value(learners.games()["alone"].team_form())[0] == 2
    assert optimal_value(learners.games()["one-bit"].team_form())[0] == 2
    assert set(learners.games()) == set(learners.NAMES)


def test_tables_tell_of_every_game_and_end_at_the_mean_of_the_learners() -> None:
    tables = learners.measure(SMALL, Seeds(SEED)).tables
    assert [row["game"] for row in tables["ends"]] == list(learners.NAMES.values())
    for row in tables["ends"]:
        last = max((r for r in tables["learning"] if r["game"] == row["game"]), key=lambda r: float(r["step"]))
        assert last["step"] == SMALL.n_steps
        assert last["share_of_optimum"] == pytest.approx(float(row["mean_value"]) / float(row["optimum"]))


def test_learners_that_have_not_learned_pass_no_claim_of_an_effect() -> None:
    """A claim of a lack is passed by whoever lacks; perfect learners fail it."""
    nulls = learners.measure_nulls(LearnerSettings(n_learners=200), Seeds(SEED)).estimands
    assert set(nulls) == {f"untrained/{estimand.name}" for estimand in STUDY.experiment("learners").estimands}
    passed = {
        claim.name
        for claim in STUDY.experiment("learners").claims
        if claim.rule.distance(nulls[f"untrained/{name_of(str(claim.estimand))}"]) > 0
    }
    assert passed == {"E2.informed"}
    assert STUDY.claim("E2.informed").rule.distance(0.0) < 0
