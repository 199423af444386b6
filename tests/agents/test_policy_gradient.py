"""Policy gradient on games: true gradients, ascent, and ends that are best replies to each other."""

from fractions import Fraction

import numpy as np
import pytest

from assay.agents.policy_gradient import train
from assay.core.errors import Diverged, SettingsError
from assay.solvers.games.humans import Boltzmann, Naive, Optimal
from assay.solvers.games.pairs import optimal_value, person_by_person_optima
from assay.worlds.games.assistance import blurred_choice, hiding_as_signal
from assay.worlds.games.off_switch import file_deletion, original_off_switch


def test_learners_end_at_person_by_person_optima_and_some_not_at_the_best() -> None:
    form = file_deletion().team_form()
    found = train(form, rng=np.random.default_rng(0), n_seeds=100, n_steps=1500, learning_rate=3.0)
    ends = {form.value(*pair) for pair in found.greedy()}
    assert ends <= {value for value, _, _ in person_by_person_optima(form)}
    assert Fraction(7, 4) in ends
    assert len(ends) > 1
    best = float(optimal_value(form)[0])
    assert (found.value <= best + 1e-12).all()


def test_exact_gradients_climb() -> None:
    found = train(hiding_as_signal().team_form(), rng=np.random.default_rng(1), n_seeds=20, n_steps=400, learning_rate=0.5)
    assert (np.diff(found.curve, axis=0) > -1e-9).all()
    assert found.steps[0] == 0
    assert found.steps[-1] == 400
    assert np.allclose(found.curve[-1], found.value)


def test_the_exact_gradient_is_the_derivative() -> None:
    form = file_deletion().team_form()
    rate = 1e-6
    before = train(form, rng=np.random.default_rng(2), n_seeds=1, n_steps=1, learning_rate=rate)
    rise = float(before.curve[-1][0] - before.curve[0][0])
    # One small step of ascent raises the value by rate * |gradient|^2, the gradient taken by central differences.
    rng = np.random.default_rng(2)
    logits = [rng.standard_normal((2, 3)), rng.standard_normal((2, 2))]

    def value(parts: list[np.ndarray]) -> float:
        a, h = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in parts)
        return float(np.einsum("oazh,oa,zh->", form.weights(), a, h))

    squared = 0.0
    for part in range(2):
        for index in np.ndindex(*logits[part].shape):
            up, down = [x.copy() for x in logits], [x.copy() for x in logits]
            up[part][index] += 1e-5
            down[part][index] -= 1e-5
            squared += ((value(up) - value(down)) / 2e-5) ** 2
    assert rise == pytest.approx(rate * squared, rel=1e-3)


def test_sampled_gradients_agree_with_exact_ones_on_average() -> None:
    form = file_deletion().team_form()
    settings = {"n_seeds": 1, "n_steps": 1, "learning_rate": 1.0}
    exact = train(form, rng=np.random.default_rng(3), **settings)  # type: ignore[arg-type]
    sampled = train(form, rng=np.random.default_rng(3), episodes=400_000, **settings)  # type: ignore[arg-type]
    assert np.allclose(exact.assistant, sampled.assistant, atol=0.02)
    assert np.allclose(exact.human, sampled.human, atol=0.02)


def test_seeds_do_not_influence_each_other() -> None:
    form = file_deletion().team_form()
    many = train(form, rng=np.random.default_rng(4), n_seeds=5, n_steps=50)
    # The first logits of one learner alone are the first row of the block only for A; compare learners by their own start.
    again = train(form, rng=np.random.default_rng(4), n_seeds=5, n_steps=50)
    assert np.array_equal(many.value, again.value)
    assert len(set(many.value.round(12))) == 5


@pytest.mark.parametrize(
    ("human", "hides"), [(Optimal(), False), (Naive(), False), (Boltzmann(1.0), True), (Boltzmann(0.1), False)]
)
def test_hiding_is_learned_only_where_it_pays(human: Optimal | Naive | Boltzmann, hides: bool) -> None:
    found = train(
        blurred_choice((3, 9)).team_form(),
        rng=np.random.default_rng(5),
        n_seeds=10,
        n_steps=3000,
        learning_rate=5.0,
        human=human,
    )
    if isinstance(human, Boltzmann):
        assert ((found.assistant[:, 0, 1] > 0.5) == hides).all()
    else:  # X is positive either way, so that hiding it from a greedy human changes nothing
        assert np.allclose(found.value, found.value[0])


def test_an_informed_human_is_left_to_decide() -> None:
    form = original_off_switch([3, -2]).team_form()
    found = train(form, rng=np.random.default_rng(6), n_seeds=20, n_steps=2000, learning_rate=3.0)
    assert (found.assistant[:, 0, 1] > 0.9).mean() > 0.5


def test_impossible_settings_are_refused() -> None:
    form = file_deletion().team_form()
    for wrong in ({"n_seeds": 0}, {"n_steps": 0}, {"learning_rate": 0.0}, {"episodes": 0}):
        with pytest.raises(SettingsError, match="policy gradient needs"):
            train(form, rng=np.random.default_rng(0), **({"n_seeds": 2} | wrong))  # type: ignore[arg-type]


def test_a_planted_divergence_is_reported() -> None:
    form = original_off_switch(["1e99", "-1e99"]).team_form()
    with np.errstate(all="ignore"), pytest.raises(Diverged):
        train(form, rng=np.random.default_rng(0), n_seeds=2, n_steps=50, learning_rate=1e250)
