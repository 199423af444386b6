"""Every arm is what its name says: it differs from the arm beside it in that, and in nothing else."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.learners.offline_domain_randomization import (
    STUDY,
    collapse,
    consistency,
    engine,
    gap,
    meeting,
    misfit,
    transfer,
)
from assay.studies.learners.offline_domain_randomization.randomisation import (
    Fit,
    FitSettings,
    Randomisation,
    uniform_randomisation,
)
from assay.studies.learners.offline_domain_randomization.settings import (
    CollapseSettings,
    ConsistencySettings,
    EngineSettings,
    GapSettings,
    MisfitSettings,
    TransferSettings,
)
from assay.studies.learners.offline_domain_randomization.simulators import (
    LinearResponse,
    SpringDamper,
    Transitions,
    draw_truth,
)

Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


def spy(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, answer: Callable[..., Any] | None = None) -> Calls:
    """What the function is called with; it answers as `answer` does, or as ever."""
    calls: Calls = []
    real = getattr(module, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return (answer or real)(*args, **kwargs)

    monkeypatch.setattr(module, name, called)
    return calls


def point(parameters: Any, at: float = 0.5) -> Randomisation:
    low, high = (np.array([getattr(p, side) for p in parameters]) for side in ("low", "high"))
    return Randomisation(parameters, "normal", low + at * (high - low), 0.01 * (high - low))


# What every fit has in common.

DROPO = {
    "n_draws": 100, "block_length": 1, "noise_floor": 1e-5, "entropy_bonus": 0.0, "budget": 1000, "truncation": 2.0,
    "matched": False, "standardise": False, "likelihood": "moments",
}  # fmt: skip


def changed(settings: FitSettings) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(settings).items() if value != DROPO[name]}


def test_every_fit_is_the_released_one_but_for_what_its_experiment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dataclasses.asdict(FitSettings()) == DROPO

    def answer(simulator: Any, *args: Any, **kwargs: Any) -> Fit:
        return Fit(point(simulator.parameters), 0.0, 0.0, 1, np.zeros(len(simulator.parameters), dtype=bool))

    modules = {module.__name__.rpartition(".")[2]: module for module in (consistency, collapse, misfit, meeting, engine)}
    calls = {name: spy(monkeypatch, module, "fit_randomisation", answer) for name, module in modules.items()}
    searched = ConsistencySettings(searched_sizes=(5, 6), n_searched=1, n_draws=7, budget=31, noise=0.02)
    consistency._searched_rows(searched, Seeds(0))
    collapse._searched(CollapseSettings(fit_budget=32), Seeds(0), 1.5, 0.01, 0.5)
    misfit._error(
        MisfitSettings(n_draws=8, budget=33), Seeds(0), SpringDamper(), Transitions(*[np.zeros((1, 2))] * 3, np.zeros(1)),
        np.zeros(2), 16, 0.3,
    )  # fmt: skip
    budgets = TransferSettings(n_draws=9, fit_budget=34).budgets
    data = meeting.record_plant(meeting.CART_POLE, transfer.SIMULATOR, np.ones(4), 2, sensor=0.1, seeds=Seeds(0))
    meeting.fit_law(meeting.CART_POLE, data, budgets, floor=0.4, bonus=0.6, seeds=Seeds(0))
    monkeypatch.setattr(engine, "simulator", lambda name, friction=False: LightPole(friction))
    monkeypatch.setattr(engine, "record_episodes", lambda *args, **kwargs: data)
    engine._hopper(EngineSettings(n_draws=10, fit_budget=35, sensor=0.2), Seeds(0))
    found = {name: [changed(args[2]) for args, _ in made] for name, made in calls.items()}
    assert found == {
        "consistency": [{"n_draws": 7, "noise_floor": pytest.approx(0.0004), "budget": 31, "matched": True}] * 6,
        "collapse": [
            {"n_draws": 10, "noise_floor": 0.01, "entropy_bonus": 0.5, "budget": 32, "truncation": None, "matched": True}
        ],
        "misfit": [{"n_draws": 8, "block_length": 16, "noise_floor": 0.3, "budget": 33}],
        "meeting": [{"n_draws": 9, "noise_floor": 0.4, "entropy_bonus": 0.6, "budget": 34}],
        "engine": [{"n_draws": 10, "noise_floor": pytest.approx(0.04), "budget": 35}] * 2,
    }


def test_budgets_are_those_of_their_settings() -> None:
    transfers = TransferSettings(n_draws=11, fit_budget=22, policy_budget=33, n_trained_on=44, n_starts=55)
    engines = EngineSettings(n_draws=11, fit_budget=22, policy_budget=33, n_trained_on=44, n_starts=55)
    for settings in (transfers, engines):
        expected = {"n_draws": 11, "fit": 22, "policy": 33, "n_trained_on": 44, "n_starts": 55, "n_tests": 64}
        assert dataclasses.asdict(settings.budgets) == expected


# Consistency.


def test_linear_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, n = ConsistencySettings(n_copies=1), 400
    calls = spy(monkeypatch, consistency, "fit_linear")
    found = consistency._linear_fits(settings, Seeds(3), n)
    assert tuple(found) == consistency.LINEAR_ARMS
    models = {
        arm: (args[0], kwargs["entropy_bonus"]) for arm, (args, kwargs) in zip(consistency.LINEAR_ARMS, calls, strict=False)
    }
    assert len(calls) == len(consistency.LINEAR_ARMS) - 1  # the uniform law is not fitted
    plain, bonus = models["plain"]
    assert bonus == 0
    # The record is the simulator's: what spring and damper add to the velocity, and the sensor's noise.
    truth, state = draw_truth(SpringDamper().parameters, Seeds(3)("truth")), Seeds(3)("state").uniform(-1, 1, (n, 2))
    force = Seeds(9)("any").normal(size=(n, 1))
    step = SpringDamper().step(np.broadcast_to(truth, (n, 2)), state, force)[:, 1]
    noise = plain.response - (step - state[:, 1] - SpringDamper().dt * force[:, 0])
    assert noise.std() == pytest.approx(settings.noise, rel=0.1)
    assert plain.noise == settings.noise
    for arm, expected in (("fixed-bonus", settings.fixed_bonus), ("growing-bonus", settings.growing_bonus * n)):
        assert models[arm][1] == expected
        assert np.array_equal(models[arm][0].response, plain.response)
        assert np.array_equal(models[arm][0].gain, plain.gain)
    changing, no_bonus = models["changing"]
    assert no_bonus == 0
    assert np.array_equal(changing.gain, plain.gain)
    width = np.array([p.high - p.low for p in SpringDamper().parameters])
    expected_spread = settings.change * np.sqrt((plain.gain**2 @ width**2).mean())
    assert (changing.response - plain.response).std() == pytest.approx(expected_spread, rel=0.15)
    still, no_bonus = models["still"]
    assert no_bonus == 0
    assert np.array_equal(still.gain[:, 0], plain.gain[:, 0])
    assert not still.gain[:, 1].any()
    np.testing.assert_allclose(plain.response - still.response, plain.gain[:, 1] * truth[1], atol=1e-12)


def test_what_is_said_of_a_linear_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Error and deviation in search widths, and the mass of the box whose half side is a twentieth of them."""
    spring = SpringDamper()
    truth = draw_truth(spring.parameters, Seeds(3)("truth"))
    width = np.array([p.high - p.low for p in spring.parameters])
    monkeypatch.setattr(consistency, "fit_linear", lambda *args, **kwargs: (truth + [0.03, 0.04] * width, [0.3, 0.4] * width))
    error, deviation, mass = consistency._linear_fits(ConsistencySettings(), Seeds(3), 10)["plain"]
    assert (error, deviation) == pytest.approx((0.05, 0.5))

    def inside(shift: float, sd: float) -> float:
        return 0.5 * (math.erf((0.05 - shift) / sd / math.sqrt(2)) + math.erf((0.05 + shift) / sd / math.sqrt(2)))

    assert mass == pytest.approx(inside(0.03, 0.3) * inside(0.04, 0.4))


def test_searched_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    spring = consistency.HEAVY_SPRING
    answer = Fit(point(spring.parameters, 0.4), 0.0, 0.0, 1, np.zeros(3, dtype=bool))
    calls = spy(monkeypatch, consistency, "fit_randomisation", lambda *args, **kwargs: answer)
    settings = ConsistencySettings(searched_sizes=(10, 20), n_searched=2)
    rows = consistency._searched_rows(settings, Seeds(4))
    assert len(calls) == 2 * 2 * 3
    for first in range(0, len(calls), 3):
        forced, free, held = (args[1] for args, _ in calls[first : first + 3])
        assert np.abs(forced.action).min() > 0
        assert not free.action.any()
        assert not held.action.any()
        assert np.array_equal(forced.state, free.state)
        assert np.array_equal(held.state[:, 0], free.state[:, 0])
        assert not held.state[:, 1].any()
        draws = [kwargs["rng"].random() for _, kwargs in calls[first : first + 3]]
        assert len(set(draws)) == 1  # one search
        # One real spring and one sensor: taking the noise of one record off another leaves the simulator's own step.
        truth = draw_truth(spring.parameters, Seeds(4).child(f"searched/{len(forced)}/{first // 3 % 2}")("truth"))
        noise = [
            data.next_state - spring.step(np.broadcast_to(truth, (len(data), 3)), data.state, data.action)
            for data in (forced, free, held)
        ]
        np.testing.assert_allclose(noise[0], noise[1], atol=1e-12)
        np.testing.assert_allclose(noise[0], noise[2], atol=1e-12)
        assert 0.3 * settings.noise < noise[0].std() < 3 * settings.noise
    middle = uniform_randomisation(spring.parameters).mean
    truth = draw_truth(spring.parameters, Seeds(4).child("searched/20/1")("truth"))
    assert rows[-1] == {"records": 20, "law": "uniform", **consistency._errors(middle, truth)}


def test_errors_of_parameters_and_of_ratios() -> None:
    truth = np.array([1.0, 3.0, 0.5])
    assert consistency._errors(truth, truth) == {"error": 0.0, "ratio_error": 0.0}
    doubled = consistency._errors(2 * truth, truth)
    width = np.array([3.7, 7.5, 1.95])
    assert doubled["ratio_error"] == pytest.approx(0.0)
    assert doubled["error"] == pytest.approx(np.sqrt(np.mean((truth / width) ** 2)))
    assert consistency._errors(np.array([2.0, 3.0, 0.5]), truth)["ratio_error"] == pytest.approx(
        np.sqrt(((1.5 / 7.5) ** 2 + (0.25 / 1.95) ** 2) / 2)
    )


def test_consistency_reads_each_arm_at_the_largest_record() -> None:
    settings = ConsistencySettings(sizes=(10, 40), searched_sizes=(6, 12), n_copies=2, n_searched=1, budget=30, n_draws=4)
    found = consistency.measure(settings, Seeds(5))
    rows, searched = found.tables["consistency"], found.tables["identifiability"]
    for arm in consistency.LINEAR_ARMS:
        small, large = (next(row for row in rows if row["law"] == arm and row["records"] == n) for n in (10, 40))
        assert found.estimands[f"{arm}/mass"] == large["mass"]
        slope = math.log(float(large["error"]) / float(small["error"])) / math.log(4)
        assert found.estimands[f"{arm}/error_slope"] == pytest.approx(slope)
    for arm in consistency.SEARCHED_ARMS:
        (large,) = (row for row in searched if row["law"] == arm and row["records"] == 12)
        assert found.estimands[f"{arm}/error"] == large["error"]
        assert found.estimands[f"{arm}/ratio_error"] == large["ratio_error"]


# The gap.


def test_laws_over_families(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = GapSettings()
    calls = spy(monkeypatch, gap, "record_of")
    solved = spy(monkeypatch, gap, "optimal_under_belief")
    lost = gap._lost(settings, Seeds(2), 5, 7)
    asked = [(args[1], args[2]) for args, _ in calls]  # (recorded process, transitions)
    assert asked == [(0, settings.records), (0, settings.records_each * 5), (1, settings.records)]
    same, longer, other = (kwargs["rng"] for _, kwargs in calls)
    assert same.random() == other.random() != longer.random()
    laws = dict(zip(("fitted", "growing", "other", "informed", "uniform"), (args[1] for args, _ in solved), strict=True))
    assert laws["informed"].tolist() == pytest.approx([0.9, *[0.025] * 4])
    assert laws["uniform"].tolist() == [0.2] * 5
    assert laws["fitted"][0] > 0.5 > laws["other"][0]
    assert {args[2] for args, _ in solved} == {settings.horizon}
    assert [lost[law][1] for law in laws] == [float(laws[law][0]) for law in laws]
    families = [args[0] for args, _ in solved]
    assert all(family is families[0] for family in families)
    for law in ("fitted", "growing", "other", "informed"):
        assert lost[law][0] == gap.optimal_under_belief(families[0], laws[law], settings.horizon).gaps[0]
    gaps = gap.optimal_under_belief(families[0], laws["uniform"], settings.horizon).gaps
    assert lost["uniform"][0] == pytest.approx(gaps.mean())


def test_the_advantage_is_a_ratio_of_mean_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses of 1/M, in the uniform law's case M: ratio M^2, exponent 2; the wrong way round it would be -2."""

    def lost(settings: GapSettings, seeds: Seeds, size: int, k: int) -> dict[str, tuple[float, float]]:
        return {law: ((size if law == "uniform" else 1 / size) * (0.5 + k), 0.5) for law in gap.LAWS}

    monkeypatch.setattr(gap, "_lost", lost)
    found = gap.measure(GapSettings(sizes=(2, 4, 8), n_families=3, n_bound=1), Seeds(0)).estimands
    for law in ("fitted", "other", "informed"):
        assert found[f"{law}/growth"] == pytest.approx(2.0)
        assert found[f"{law}/log_advantage"] == pytest.approx(math.log(64))
    assert found["uniform/growth"] == pytest.approx(0.0)
    assert found["uniform/log_advantage"] == 0.0


# How sure a law is.


def test_arms_of_the_cart_pole(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, pole = CollapseSettings(), meeting.CART_POLE.simulator
    calls = spy(monkeypatch, collapse, "fit_law", lambda *args, **kwargs: point(pole.parameters))
    values = collapse._cart_pole(settings, Seeds(6), plentiful=True)
    truth = draw_truth(pole.parameters, Seeds(6)("truth"))
    scarce, with_bonus, plenty, changing = (args[1] for args, _ in calls)
    assert [kwargs["bonus"] for _, kwargs in calls] == [0, settings.bonus, 0, 0]
    assert "plenty/visible" not in collapse._cart_pole(settings, Seeds(6), plentiful=False)
    assert {kwargs["floor"] for _, kwargs in calls} == {settings.sensor**2}
    assert (len(plenty), len(scarce)) == (settings.plenty, settings.few)
    assert scarce is with_bonus
    assert np.array_equal(plenty.state, changing.state)
    assert np.array_equal(plenty.action, changing.action)
    noise = plenty.next_state - pole.step(np.broadcast_to(truth, (len(plenty), 4)), plenty.state, plenty.action)
    assert noise.std() == pytest.approx(settings.sensor, rel=0.15)
    moved = changing.next_state - noise - pole.step(np.broadcast_to(truth, (len(plenty), 4)), plenty.state, plenty.action)
    assert np.abs(moved).max() > settings.sensor
    inside = np.abs(point(pole.parameters).mean - truth) <= 2 * point(pole.parameters).sd
    assert values["plenty/coverage"] == inside.mean()


def test_the_visible_share_of_a_law() -> None:
    pole = meeting.CART_POLE.simulator
    truth = np.array([9.8, 1.0, 0.2, 0.5])
    data = meeting.record_plant(meeting.CART_POLE, pole, truth, 12, sensor=0.1, seeds=Seeds(0))
    sure = Randomisation(pole.parameters, "normal", truth, np.zeros(4))
    assert collapse.visible_share(sure, data, 0.01, rng=Seeds(0)("z")) == pytest.approx(0.0, abs=1e-12)
    law = uniform_randomisation(pole.parameters)
    shares = []
    draws = law.sample(200, rng=Seeds(0)("z"))
    for state, action in zip(data.state, data.action, strict=True):
        after = np.array([pole.step(xi, state, action) for xi in draws])
        shares.append(after.var(axis=0) / (after.var(axis=0) + 0.01))
    assert collapse.visible_share(law, data, 0.01, rng=Seeds(0)("z")) == pytest.approx(np.mean(shares))


def test_the_figure_of_one_parameter_shows_what_was_searched_for_beside_its_closed_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Fit(
        Randomisation(LinearResponse().parameters, "normal", np.zeros(1), np.array([0.07])), 0.0, 0.0, 1, np.zeros(1, bool)
    )
    calls = spy(monkeypatch, collapse, "fit_randomisation", lambda *args, **kwargs: answer)
    settings = CollapseSettings(residuals=(0.0, 0.005), bonuses=(1.0,), n_records=20)
    rows = collapse._one_parameter(settings, Seeds(3))
    assert [(row["residual"], row["bonus"]) for row in rows] == [("0", 0.0), ("0", 1.0), ("0.005", 0.0), ("0.005", 1.0)]
    gain = float(Seeds(3)("gain").uniform(0.5, 2.0))
    for row, (args, _) in zip(rows, calls, strict=True):
        simulator, data, fit = args
        assert simulator == LinearResponse(gain)
        assert fit.entropy_bonus == row["bonus"]
        left = data.next_state[:, 0] - data.next_state.mean()
        np.testing.assert_allclose(left**2, float(row["residual"]), atol=1e-12)
        assert row["deviation"] == 0.07
        # The deviation at which the likelihood with its bonus is largest, among all that the search looks at.
        sigma = np.geomspace(1e-5, 1, 100_001)
        v = gain**2 * sigma**2 + settings.noise_floor
        score = 20 * (-np.log(v) / 2 - float(row["residual"]) / (2 * v)) + float(row["bonus"]) * np.log(sigma)
        assert row["expected"] == pytest.approx(sigma[score.argmax()], rel=1e-3)


# Missing effects, blocks and floors.


def test_friction_is_the_only_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MisfitSettings(n_copies=1)
    calls = spy(monkeypatch, misfit, "fit_linear", lambda *args, **kwargs: (np.zeros(2), np.array([0.1, 0.195])))
    monkeypatch.setattr(
        misfit,
        "_searches",
        lambda *args: {(a, n, f): 1.0 for a in misfit.RECORDS for n in (1, 16) for f in ("right", "tiny", "double")},
    )
    found = misfit.measure(settings, Seeds(1)).estimands
    with_friction, without = (args[0] for args, _ in calls)
    assert np.array_equal(with_friction.gain, without.gain)
    velocity = -without.gain[:, 1] / SpringDamper().dt
    missing = -SpringDamper().dt * settings.friction * np.tanh(20 * velocity)
    np.testing.assert_allclose(with_friction.response - without.response, missing, atol=1e-12)
    assert found["with-friction/width"] == pytest.approx(0.1)  # 0.195 of 1.95
    truth = draw_truth(SpringDamper().parameters, Seeds(1)("truth"))
    best = np.linalg.lstsq(with_friction.gain, with_friction.response, rcond=None)[0]
    assert found["with-friction/bias"] == pytest.approx(abs(best[1] - truth[1]) / 1.95)
    assert found["uniform/bias"] == pytest.approx(abs(1.025 - truth[1]) / 1.95)


def test_records_blocks_and_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = MisfitSettings(n_steps=32, n_episodes=2)
    answer = {1: point(LinearResponse().parameters), 2: point(SpringDamper().parameters)}
    calls = spy(
        monkeypatch,
        misfit,
        "fit_randomisation",
        lambda simulator, *args, **kwargs: Fit(answer[len(simulator.parameters)], 0.0, 0.0, 1, np.zeros(1, dtype=bool)),
    )
    misfit._searches(settings, Seeds(8))
    right = 2 * settings.sensor**2
    asked = [(args[2].block_length, args[2].noise_floor) for args, _ in calls]
    assert asked == [(1, right), (16, right)] * 3 + [(1, settings.tiny_floor), (1, 2 * right)]
    noisy, long, starts, starts_long, visible, _, tiny, double = (args[1] for args, _ in calls)
    assert noisy is long is tiny is double
    assert starts is starts_long
    assert [type(args[0]) for args, _ in calls] == [SpringDamper] * 4 + [LinearResponse] * 2 + [SpringDamper] * 2
    assert np.array_equal(noisy.action, starts.action)
    truth = draw_truth(SpringDamper().parameters, Seeds(8)("truth"))
    stepped = SpringDamper().step(np.broadcast_to(truth, (len(starts), 2)), starts.state, starts.action)
    inner = np.arange(len(starts)) % 32 != 31
    np.testing.assert_allclose(stepped[inner], starts.state[1:][inner[:-1]], atol=1e-12)  # the true states go on
    assert (starts.next_state - stepped).std() == pytest.approx(settings.sensor, rel=0.25)
    assert (noisy.state - starts.state).std() == pytest.approx(settings.sensor, rel=0.25)
    assert visible.next_state.std() < 3 * settings.sensor


def test_gains_of_length_and_costs_of_floors(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = {("damping", 1, "right"): 1.0, ("damping", 16, "right"): 0.5, ("damping", 1, "tiny"): 3.0}
    errors |= {("damping", 1, "double"): 1.0, ("visible", 1, "right"): 1.0, ("visible", 16, "right"): 4.0}
    errors |= {("exact-starts", 1, "right"): 1.0, ("exact-starts", 16, "right"): 0.25}
    monkeypatch.setattr(misfit, "_searches", lambda *args: errors)
    found = misfit.measure(MisfitSettings(n_records=20, n_copies=2), Seeds(0)).estimands
    assert found["damping/log_gain_of_length"] == pytest.approx(math.log(2))
    assert found["visible/log_gain_of_length"] == pytest.approx(-math.log(4))
    assert found["exact-starts/log_gain_of_length"] == pytest.approx(math.log(4))
    assert found["tiny/log_cost"] == pytest.approx(math.log(3))
    assert found["double/log_cost"] == 0.0


# Transfer.


def test_records_laws_and_controllers_are_of_one_cart_pole() -> None:
    assert meeting.CART_POLE.simulator == transfer.SIMULATOR
    assert (transfer.SIMULATOR.friction, transfer.SIMULATOR.dt, transfer.SIMULATOR.substeps) == (0, 0.04, 4)


def test_laws_that_meet_the_real_cart_pole(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TransferSettings()
    laws = spy(monkeypatch, transfer, "fit_law", lambda *args, **kwargs: point(transfer.SIMULATOR.parameters))
    met = spy(monkeypatch, transfer, "real_cost", lambda *args, **kwargs: 1.0)
    transfer._scarce(settings, Seeds(1))
    bonuses = [0.0, settings.bonus, 10 * settings.bonus]
    assert [kwargs["bonus"] for _, kwargs in laws] == bonuses
    assert all(args[1] is laws[0][0][1] for args, _ in laws)
    assert len(laws[0][0][1]) == settings.few
    truth = draw_truth(transfer.SIMULATOR.parameters, Seeds(1)("truth"))
    for args, _ in met:
        assert args[3] == dataclasses.replace(transfer.SIMULATOR, friction=settings.friction) != transfer.SIMULATOR
        assert np.array_equal(args[4], truth)
    laws.clear()
    met.clear()
    rows = transfer._plenty(settings, Seeds(1))
    assert [kwargs["bonus"] for _, kwargs in laws] == [*bonuses, 0.0]
    records = [args[1] for args, _ in laws]
    assert records[0] is records[1] is records[2] is not records[3]
    assert {len(record) for record in records} == {settings.plenty}
    assert np.array_equal(records[0].action, records[3].action)
    for record, xi in ((records[0], truth), (records[3], meeting.another_truth(transfer.SIMULATOR, truth))):
        noise = record.next_state - transfer.SIMULATOR.step(np.broadcast_to(xi, (len(record), 4)), record.state, record.action)
        assert noise.std() == pytest.approx(settings.sensor, rel=0.15)
    assert [row["law"] for row in rows][-3:] == ["fitted to another system", "uniform", "the truth"]
    assert met[-2][0][1].kind == "uniform"
    assert met[-1][0][1] is None
    assert all(args[3] is transfer.SIMULATOR and np.array_equal(args[4], truth) for args, _ in met)


def test_signs_of_gains_and_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"fitted": 4.0, "fitted, bonus": 2.0, "fitted, ten times the bonus": 6.0}
    plenty = costs | {"fitted": 1.0, "uniform": 8.0, "fitted to another system": 16.0, "the truth": 0.5}
    monkeypatch.setattr(
        transfer, "_scarce", lambda *args: [{"records": transfer.SCARCE, "law": k, "cost": v} for k, v in costs.items()]
    )
    monkeypatch.setattr(
        transfer, "_plenty", lambda *args: [{"records": transfer.PLENTY, "law": k, "cost": v} for k, v in plenty.items()]
    )
    found = transfer.measure(TransferSettings(n_scarce=2, n_plenty=2), Seeds(0)).estimands
    expected = {
        "scarce/log_gain_of_bonus": 2,
        "scarce/log_cost_of_tenfold_bonus": 3,
        "plenty/log_gain_of_bonus": 0.5,
        "plenty/log_cost_of_tenfold_bonus": 3,
        "fitted/log_gain_over_uniform": 8,
        "other/log_gain_over_uniform": 0.5,
        "truth/log_gain_over_uniform": 16,
        "uniform/log_gain_over_uniform": 1,
    }
    for name, ratio in expected.items():
        assert found[name] == pytest.approx(math.log(ratio)), name


def test_a_controller_is_trained_on_the_law_and_tested_on_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    plant, truth = meeting.CART_POLE, np.array([9.8, 1.0, 0.2, 0.5])
    budgets = TransferSettings(n_trained_on=3, n_starts=2, policy_budget=20).budgets
    real = dataclasses.replace(transfer.SIMULATOR, friction=1.0)
    trained = spy(monkeypatch, meeting, "train_feedback", lambda *args, **kwargs: np.ones(4))
    tested = spy(monkeypatch, meeting, "rollout_cost")
    law = point(plant.simulator.parameters)
    for one in (law, None, law):
        meeting.real_cost(plant, one, budgets, real, truth, seeds=Seeds(2))
    on_law, on_truth, again = (args[2] for args, _ in trained)
    assert on_law.shape == (3, 4)
    assert np.array_equal(on_truth, truth[None])
    assert np.array_equal(on_law, again)
    assert all(args[0] is plant.simulator for args, _ in trained)
    for args, _ in tested:
        assert args[0] is real
        assert np.array_equal(args[3], truth[None])
        assert args[4].shape == (budgets.n_tests, 4)
        assert (np.abs(args[4]) <= plant.starts).all()
    assert not np.array_equal(tested[0][0][4][:2], trained[0][0][3])  # tested from other starts than trained


def test_a_law_is_fitted_with_its_floor_and_its_bonus(monkeypatch: pytest.MonkeyPatch) -> None:
    plant, truth = meeting.CART_POLE, np.array([9.8, 1.0, 0.2, 0.5])
    answer = Fit(point(plant.simulator.parameters), 0.0, 0.0, 1, np.zeros(4, dtype=bool))
    calls = spy(monkeypatch, meeting, "fit_randomisation", lambda *args, **kwargs: answer)
    data = meeting.record_plant(plant, plant.simulator, truth, 3, sensor=0.1, seeds=Seeds(0))
    budgets = TransferSettings(n_draws=7, fit_budget=31).budgets
    assert meeting.fit_law(plant, data, budgets, floor=0.02, bonus=0.4, seeds=Seeds(0)) is answer.law
    (simulator, record, settings), kwargs = calls[0]
    assert simulator is plant.simulator
    assert record is data
    assert (settings.noise_floor, settings.entropy_bonus, settings.n_draws, settings.budget) == (0.02, 0.4, 7, 31)
    assert kwargs["rng"].random() == Seeds(0)("search").random()


def test_another_system_is_half_of_the_box_away() -> None:
    pole = transfer.SIMULATOR
    width = np.array([p.high - p.low for p in pole.parameters])
    for k in range(20):
        truth = draw_truth(pole.parameters, Seeds(k)("truth"))
        other = meeting.another_truth(pole, truth)
        np.testing.assert_allclose(np.abs(other - truth), width / 2)
        assert all(p.low <= x <= p.high for p, x in zip(pole.parameters, other, strict=True))


def test_real_systems_come_from_the_whole_box() -> None:
    pole = transfer.SIMULATOR
    low, high = (np.array([getattr(p, side) for p in pole.parameters]) for side in ("low", "high"))
    places = (np.array([draw_truth(pole.parameters, Seeds(k)("truth")) for k in range(400)]) - low) / (high - low)
    assert (places.min(axis=0) < 0.05).all()
    assert (places.max(axis=0) > 0.95).all()
    np.testing.assert_allclose(places.mean(axis=0), 0.5, atol=4 * 0.29 / 20)


# The physics engine.


@dataclasses.dataclass
class LightPole:
    """Stands for the engine: four parameters, four states, no engine."""

    friction: bool

    @property
    def parameters(self) -> Any:
        return transfer.SIMULATOR.parameters

    def step(self, xi: Any, state: Any, action: Any) -> Any:
        return state + 0.0 * xi[..., :1]


def test_laws_of_the_engines_pendulum(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings()
    monkeypatch.setattr(engine, "simulator", lambda name, friction=False: LightPole(friction))
    recorded = spy(monkeypatch, engine, "record_plant")
    laws = spy(monkeypatch, engine, "fit_law", lambda *args, **kwargs: point(transfer.SIMULATOR.parameters))
    met = spy(monkeypatch, engine, "real_cost", lambda *args, **kwargs: 1.0)
    costs = engine._pendulum(settings, Seeds(1))
    assert list(costs) == ["uniform", "fitted", "other"]
    truth = draw_truth(transfer.SIMULATOR.parameters, Seeds(1)("truth"))
    assert np.array_equal(recorded[0][0][2], truth)
    assert np.array_equal(recorded[1][0][2], meeting.another_truth(LightPole(False), truth))
    assert all(args[1].friction and args[3] == settings.records for args, _ in recorded)
    fitted, other = laws
    assert [kwargs["bonus"] for _, kwargs in laws] == [0.0, 0.0]
    assert fitted[0][1] is not other[0][1]
    draws = [kwargs["seeds"]("search").random() for _, kwargs in laws]
    assert draws[0] == draws[1]
    assert met[0][0][1].kind == "uniform"
    for args, kwargs in met:
        assert not args[0].simulator.friction
        assert args[3].friction
        assert np.array_equal(args[4], truth)
        assert kwargs["seeds"]("policy search").random() == Seeds(1)("policy search").random()


def test_records_of_the_engines_hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "simulator", lambda name, friction=False: LightPole(friction))
    recorded = spy(
        monkeypatch,
        engine,
        "record_episodes",
        lambda *args, **kwargs: Transitions(np.zeros((2, 4)), np.zeros((2, 3)), np.zeros((2, 4)), np.arange(2)),
    )
    pole = transfer.SIMULATOR
    fits = spy(
        monkeypatch,
        engine,
        "fit_randomisation",
        lambda *args, **kwargs: Fit(point(pole.parameters, 0.3), 0, 0, 1, np.zeros(4, bool)),
    )
    found, _ = engine._hopper(EngineSettings(), Seeds(1))
    truth = draw_truth(pole.parameters, Seeds(1)("truth"))
    assert np.array_equal(recorded[0][0][1], truth)
    assert np.array_equal(recorded[1][0][1], meeting.another_truth(pole, truth))
    assert all(args[0].friction for args, _ in recorded)
    assert not any(args[0].friction for args, _ in fits)
    width = np.array([p.high - p.low for p in pole.parameters])
    distance = [np.linalg.norm((point(pole.parameters, at).mean - truth) / width) for at in (0.5, 0.3)]
    assert found["fitted/log_nearer"] == found["other/log_nearer"] == pytest.approx(math.log(distance[0] / distance[1]))


def test_signs_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"uniform": 8.0, "fitted": 2.0, "other": 16.0}
    monkeypatch.setattr(engine, "_pendulum", lambda *args: costs)
    monkeypatch.setattr(engine, "_hopper", lambda *args: ({}, []))
    found = engine.measure(EngineSettings(), Seeds(0)).estimands
    assert found["fitted/log_gain_over_uniform"] == pytest.approx(math.log(4))
    assert found["other/log_gain_over_uniform"] == pytest.approx(-math.log(2))
    assert found["uniform/log_gain_over_uniform"] == 0.0


# What a reader is told.


def test_the_laptop_settings_are_those_that_the_sentences_name() -> None:
    presets = {experiment.name: experiment.preset("laptop").settings for experiment in STUDY.experiments}
    assert presets["gap"].sizes[-1] == 8
    assert presets["gap"].records == 30
    assert presets["gap"].mass == 0.9
    assert (presets["transfer"].few, presets["transfer"].plenty) == (4, 100)
    assert (presets["collapse"].few, presets["collapse"].plenty) == (4, 100)
    assert presets["misfit"].lengths == (1, 16)
    assert presets["engine"].records == 20
    assert presets["consistency"].box == 0.05
