import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.errors import MissingExtra, SettingsError, WorkError
from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization.feedback_control import Regulation, rollout_cost, train_feedback
from assay.studies.learners.offline_domain_randomization.randomisation import (
    FitSettings,
    LinearModel,
    Randomisation,
    edropo_variance,
    fit_linear,
    fit_randomisation,
    fit_squared_error,
    log_likelihood,
    standard_draws,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.simulators import (
    CartPole,
    LinearResponse,
    SpringDamper,
    Transitions,
    record_episodes,
    record_transitions,
)

SPRING = SpringDamper()
TRUTH = np.array([3.0, 0.6])


def spring_data(n: int = 40, noise: float = 0.02, seed: int = 0) -> Transitions:
    rng = Seeds(seed)("data")
    return record_transitions(SPRING, TRUTH, rng.uniform(-1, 1, (n, 2)), rng.normal(size=(n, 1)), noise=noise, rng=rng)


def slow_likelihood(simulator, data, mean, sd, draws, settings: FitSettings) -> float:
    """One transition, one draw at a time, with a library's density: the reference for the batched one."""
    from scipy.stats import multivariate_normal

    first, actions, last = data.blocks(settings.block_length)
    minimum = np.array([p.minimum for p in simulator.parameters])
    total = 0.0
    for i in range(len(first)):
        nexts = []
        for z in draws[i]:
            state = first[i]
            for t in range(settings.block_length):
                state = simulator.step(np.maximum(mean + sd * z, minimum), state, actions[i, t])
            nexts.append(state)
        if settings.likelihood == "moments":
            covariance = np.atleast_2d(np.cov(np.array(nexts).T)) + settings.noise_floor * np.eye(last.shape[1])
            total += multivariate_normal(np.mean(nexts, axis=0), covariance).logpdf(last[i])
        else:
            own = [multivariate_normal(x, settings.noise_floor * np.eye(last.shape[1])).pdf(last[i]) for x in nexts]
            total += math.log(np.mean(own))
    return total


@pytest.mark.parametrize("likelihood", ["moments", "mixture"])
@pytest.mark.parametrize("length", [1, 3])
def test_the_batched_likelihood_matches_one_at_a_time(likelihood, length: int) -> None:
    data = record_episodes(
        SPRING, TRUTH, np.ones((2, 2)), lambda s, rng: rng.normal(size=(len(s), 1)), 6, noise=0.02, rng=Seeds(0)("d")
    )
    settings = FitSettings(n_draws=7, block_length=length, noise_floor=0.01, likelihood=likelihood)
    draws = standard_draws((len(data.blocks(length)[0]), 7, 2), rng=Seeds(0)("z"), truncation=2.0)
    means, sds = np.array([[3.0, 0.6], [2.0, 1.0], [0.6, 0.06]]), np.array([[0.1, 0.1], [0.5, 0.2], [1.0, 0.5]])
    batched = log_likelihood(SPRING, data, means, sds, draws, settings)
    slow = [slow_likelihood(SPRING, data, mean, sd, draws, settings) for mean, sd in zip(means, sds, strict=True)]
    np.testing.assert_allclose(batched, slow, rtol=1e-9)


@pytest.mark.parametrize("bonus", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("tau2", [0.0, 0.02])
def test_the_search_finds_the_closed_form(bonus: float, tau2: float) -> None:
    gain, n = 1.7, 100
    residual = math.sqrt(tau2) * np.where(np.arange(n) % 2, 1.0, -1.0)
    data = Transitions(np.zeros((n, 1)), np.zeros((n, 1)), (gain * 0.3 + residual)[:, None], np.arange(n))
    settings = FitSettings(n_draws=10, noise_floor=0.01, entropy_bonus=bonus, budget=500, truncation=None, matched=True)
    fit = fit_randomisation(LinearResponse(gain), data, settings, rng=Seeds(0)("cma"))
    assert fit.law.mean[0] == pytest.approx(0.3, abs=1e-3)
    assert fit.law.sd[0] == pytest.approx(math.sqrt(edropo_variance(n, gain, 0.01, tau2, bonus)), rel=1e-3)
    assert not fit.at_floor.any()


def test_without_bonus_and_noise_the_deviation_collapses() -> None:
    data = Transitions(np.zeros((50, 1)), np.zeros((50, 1)), np.full((50, 1), 0.3), np.arange(50))
    fit = fit_randomisation(
        LinearResponse(), data, FitSettings(n_draws=10, noise_floor=0.01, matched=True), rng=Seeds(0)("cma")
    )
    assert fit.law.sd[0] < 0.01  # a tenth of the floor's deviation


@given(st.integers(2, 500), st.floats(0.1, 5), st.floats(1e-6, 1), st.floats(0, 2), st.floats(0, 0.9))
def test_the_closed_form_is_a_maximum(n: int, gain: float, floor: float, tau2: float, share: float) -> None:
    bonus = share * n

    def objective(variance: float) -> float:
        v = gain**2 * variance + floor
        return n * (-0.5 * math.log(v) - tau2 / (2 * v)) + (0.5 * bonus * math.log(variance) if bonus else 0.0)

    best = edropo_variance(n, gain, floor, tau2, bonus)
    if best > 1e-12:
        for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
            assert objective(best) >= objective(best * factor) - 1e-7 * (1 + abs(objective(best)))


def test_the_closed_form_at_known_values() -> None:
    # By hand: without a bonus tau^2 = sigma^2 + eps, so 0.02 leaves 0.01; a tiny bonus gives beta eps / N.
    assert edropo_variance(100, 1.0, 0.01, 0.02, 0.0) == pytest.approx(0.01)
    assert edropo_variance(100, 1.0, 0.01, 0.0, 0.0) == 0.0
    assert edropo_variance(100, 1.0, 0.01, 0.0, 1e-6) == pytest.approx(1e-10, rel=1e-6)
    for tau2, bonus, sigma, digits in ((0.0, 1.0, 0.01005, 5), (0.02, 1.0, 0.1020, 4), (0.02, 10.0, 0.1188, 4)):
        assert round(math.sqrt(edropo_variance(100, 1.0, 0.01, tau2, bonus)), digits) == sigma
    with pytest.raises(SettingsError, match="infinite"):
        edropo_variance(10, 1.0, 0.01, 0.0, 10.0)


def test_the_exact_linear_fit_agrees_with_the_closed_form() -> None:
    gain, n, tau2 = 0.8, 60, 0.05
    residual = math.sqrt(tau2) * np.where(np.arange(n) % 2, 1.0, -1.0)
    for bonus in (0.0, 2.0):
        mean, sd = fit_linear(LinearModel(np.full((n, 1), gain), gain * 0.4 + residual, 0.1), entropy_bonus=bonus)
        assert mean[0] == pytest.approx(0.4)
        assert sd[0] ** 2 == pytest.approx(edropo_variance(n, gain, 0.01, tau2, bonus), rel=1e-4)


def test_the_exact_linear_fit_recovers_a_law() -> None:
    rng = Seeds(0)("law")
    gain = rng.normal(size=(20_000, 2))
    response = (gain * (np.array([1.0, -2.0]) + np.array([0.5, 0.2]) * rng.normal(size=(20_000, 2)))).sum(axis=1)
    mean, sd = fit_linear(LinearModel(gain, response + 0.1 * rng.normal(size=20_000), 0.1))
    np.testing.assert_allclose(mean, [1.0, -2.0], atol=0.03)
    np.testing.assert_allclose(sd, [0.5, 0.2], atol=0.03)


def test_a_parameter_the_record_does_not_show_is_left_at_zero() -> None:
    rng = Seeds(3)("hidden")
    gain = np.stack([rng.uniform(0.5, 1.5, 200), np.zeros(200)], axis=1)
    mean, _ = fit_linear(LinearModel(gain, gain @ np.array([2.0, 5.0]) + 0.01 * rng.standard_normal(200), 0.01))
    np.testing.assert_allclose(mean, [2.0, 0.0], atol=5e-3)
    gain[:, 1] = 2 * gain[:, 0]  # and of two that show only together, the shortest
    mean, _ = fit_linear(LinearModel(gain, gain @ np.array([2.0, 5.0]) + 0.01 * rng.standard_normal(200), 0.01))
    np.testing.assert_allclose(mean, [2.4, 4.8], atol=5e-3)


def test_a_fit_finds_the_spring() -> None:
    fit = fit_randomisation(SPRING, spring_data(), FitSettings(n_draws=10, noise_floor=4e-4, budget=400), rng=Seeds(0)("cma"))
    point = fit_squared_error(SPRING, spring_data(), FitSettings(n_draws=10, budget=400), rng=Seeds(0)("cma"))
    # The velocity's noise of 0.02 over 40 transitions leaves standard errors of about 0.11 / 0.11.
    np.testing.assert_allclose(fit.law.mean, TRUTH, atol=0.45)
    np.testing.assert_allclose(point, TRUTH, atol=0.45)
    assert fit.log_likelihood == pytest.approx(fit.objective)


def test_a_fit_is_reproducible_and_leaves_the_global_generator_alone() -> None:
    settings = FitSettings(n_draws=5, noise_floor=1e-3, budget=60)
    before = np.random.get_state()[1].copy()
    first = fit_randomisation(SPRING, spring_data(), settings, rng=Seeds(3)("cma"))
    assert np.array_equal(np.random.get_state()[1], before)
    second = fit_randomisation(SPRING, spring_data(), settings, rng=Seeds(3)("cma"))
    assert np.array_equal(first.law.mean, second.law.mean)
    assert np.array_equal(first.law.sd, second.law.sd)


def test_draws_are_cut_and_laws_respect_physics() -> None:
    z = standard_draws((1000, 3), rng=Seeds(0)("z"), truncation=2.0)
    assert np.abs(z).max() <= 2
    law = Randomisation(SPRING.parameters, "normal", np.array([0.5, 0.05]), np.array([5.0, 5.0]))
    draws = law.sample(500, rng=Seeds(0)("l"))
    assert (draws >= [p.minimum for p in SPRING.parameters]).all()
    uniform = uniform_randomisation(SPRING.parameters).sample(2000, rng=Seeds(0)("u"))
    assert (uniform >= [p.low for p in SPRING.parameters]).all()
    assert (uniform <= [p.high for p in SPRING.parameters]).all()


def test_the_mass_near_a_point() -> None:
    uniform = uniform_randomisation(SPRING.parameters)
    assert uniform.mass_near(uniform.mean, 0.1) == pytest.approx(0.04)  # a fifth of the width in both directions
    assert uniform.mass_near(np.array([p.low for p in SPRING.parameters]), 0.1) == pytest.approx(0.01)
    sure = Randomisation(SPRING.parameters, "normal", TRUTH, np.zeros(2))
    assert sure.mass_near(TRUTH, 0.01) == 1.0
    assert sure.mass_near(TRUTH + 1, 0.01) == 0.0


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="2 draws"):
        FitSettings(n_draws=1)
    with pytest.raises(SettingsError, match="noise_floor"):
        FitSettings(noise_floor=0.0)
    with pytest.raises(SettingsError, match="entropy_bonus"):
        FitSettings(entropy_bonus=-1.0)
    with pytest.raises(SettingsError, match="draws must be"):
        log_likelihood(SPRING, spring_data(5), np.ones((1, 2)), np.ones((1, 2)), np.zeros((4, 3, 2)), FitSettings())


def test_a_simulator_that_explodes_is_reported() -> None:
    class Exploding(LinearResponse):
        def step(self, xi, state, action):
            return np.full(np.broadcast_shapes(xi.shape, state.shape), np.inf)

    data = Transitions(np.zeros((5, 1)), np.zeros((5, 1)), np.zeros((5, 1)), np.arange(5))
    with np.errstate(invalid="ignore"), pytest.raises(WorkError, match="finite next states"):
        fit_randomisation(Exploding(), data, FitSettings(n_draws=3, budget=20), rng=Seeds(0)("cma"))


def test_rollouts_cost_what_one_loop_costs() -> None:
    pole = CartPole()
    task = Regulation(np.array([1.0, 0.0, 5.0, 0.0]), 0.01, np.array([3.0, 20.0, 0.8, 20.0]), 10.0, 50)
    gains = np.array([[-2.0, -3.0, -40.0, -8.0], [0.0, 0.0, 0.0, 0.0]])
    xi = np.array([[9.8, 1.0, 0.1, 0.5], [9.8, 2.0, 0.2, 0.4]])
    starts = np.array([[0.1, 0.0, 0.05, 0.0], [0.0, 0.0, -0.2, 0.1]])
    batched = rollout_cost(pole, task, gains, xi, starts)
    for p in range(2):
        total = 0.0
        for x in xi:
            for state in starts:
                alive = True
                for _ in range(50):
                    action = -gains[p] @ state
                    cost = state**2 @ task.weights + task.effort * action**2
                    total += min(cost, 10.0) if alive else 10.0
                    state = pole.step(x, state, np.array([action])) if alive else state
                    alive = alive and bool((np.abs(state) <= task.limits).all())
        assert batched[p] == pytest.approx(total / (4 * 50))
    assert batched[0] < batched[1]  # the second one lets the pole fall


def test_training_balances_the_pole() -> None:
    pole = CartPole()
    task = Regulation(np.array([1.0, 0.0, 5.0, 0.0]), 0.001, np.array([3.0, 20.0, 0.8, 20.0]), 10.0, 60)
    xi, starts = np.array([[9.8, 1.0, 0.1, 0.5]]), np.array([[0.1, 0.0, 0.1, 0.0], [0.0, 0.0, -0.1, 0.1]])
    scale = np.array([-2.0, -3.0, -30.0, -5.0])
    gains = train_feedback(pole, task, xi, starts, scale=scale, budget=150, rng=Seeds(0)("cma"))
    assert rollout_cost(pole, task, gains[None], xi, starts)[0] < 0.1


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cma", None)
    data = Transitions(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)), np.arange(2))
    with pytest.raises(MissingExtra, match=r"assay\[rl\]"):
        fit_randomisation(LinearResponse(), data, FitSettings(n_draws=2, budget=2), rng=Seeds(0)("x"))
    task = Regulation(np.ones(1), 0.1, np.ones(1), 1.0, 2)
    with pytest.raises(MissingExtra, match="feedback"):
        train_feedback(LinearResponse(), task, np.ones((1, 1)), np.ones((1, 1)), scale=np.ones(1), budget=2, rng=Seeds(0)("x"))
