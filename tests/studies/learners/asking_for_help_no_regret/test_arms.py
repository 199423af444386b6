"""Every arm is what its name says, every number is of its arm, and the exact statements need their condition."""

import math
from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret import (
    STUDY,
    exact,
    impossible,
    irreversible,
    local_safety,
    misspecified,
    online,
)
from assay.studies.learners.asking_for_help_no_regret.local_safety import tight_share, worst_excess
from assay.studies.learners.asking_for_help_no_regret.ridge import Fate
from assay.studies.learners.asking_for_help_no_regret.settings import (
    ImpossibleSettings,
    LocalSettings,
    MisspecifiedSettings,
    OnlineSettings,
    WalkerSettings,
    bound_slope,
)
from assay.studies.learners.asking_for_help_no_regret.world import Cells, Half, uniform_inputs

# The walker.


def test_askers_differ_in_the_distance_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, Any]] = []
    monkeypatch.setattr(irreversible, "walk_asking", lambda *args, **kwargs: calls.append((args, kwargs)))
    settings = WalkerSettings()
    assert list(irreversible._askers(settings, Seeds(1), 300)) == ["asks", "no-test"]
    (with_test, first), (without, second) = calls
    assert first == {}
    assert second == {"trigger": False}
    assert all(a is b for a, b in zip(with_test, without, strict=True))
    ridges, schedule, chances, agents = with_test
    assert (ridges.fatal == settings.fatal).all()
    assert (ridges.climb, ridges.sideways, ridges.lipschitz) == (settings.climb, settings.step, settings.lipschitz)
    assert schedule.radius == pytest.approx(300 ** (-1 / 3))
    assert len(agents) == len(ridges.place) == chances.drift.shape[1] == 3 * settings.n_copies
    assert len({agent("agent").random() for agent in agents}) == len(agents)
    # A coin walks on the same ridges, with the same draws.
    tossed: list[tuple[Any, Any]] = []
    monkeypatch.setattr(irreversible, "walk_tossing", lambda *args, **kwargs: tossed.append((args, kwargs)))
    irreversible._coins(settings, Seeds(1), 300)
    assert np.array_equal(tossed[0][0][0].place, ridges.place)
    assert np.array_equal(tossed[0][0][1].drift, chances.drift)


def test_learners_walk_where_slips_are_for_ever_and_where_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any, Any]] = []

    def tried(ridges: Any, explore: str, chances: Any, *, per_side: int, rng: Any) -> list[str]:
        calls.append((explore, ridges, chances))
        return [f"{explore} {fatal:g}" for fatal in ridges.fatal]

    monkeypatch.setattr(irreversible, "walk_trying", tried)
    monkeypatch.setattr(irreversible, "walk_tossing", lambda ridges, chances, rng: [f"coin {f:g}" for f in ridges.fatal])
    settings = WalkerSettings(n_copies=3)
    found = irreversible._tried(settings, Seeds(2), 150)
    for agent in ("ucb", "greedy", "coin"):
        assert found[agent, "for ever"] == [f"{agent} {settings.fatal:g}"] * 3
        assert found[agent, "can be undone"] == [f"{agent} 0"] * 3
    for _, ridges, chances in calls:
        assert np.array_equal(ridges.place[:3], ridges.place[3:])
        for draws in (chances.drift, chances.slip, chances.fresh):
            assert np.array_equal(draws[:, :3], draws[:, 3:])


def fate(lost: float, fallen: float, asked: float, n: int = 1000) -> Fate:
    """A walker at the top from the start (in a world that climbs in one step), which falls at the end and loses a share."""
    hazard = np.zeros(n)
    hazard[-1] = fallen
    height = np.full(n, (1 - lost) * (n - 1) / n)
    return Fate(height, hazard, np.arange(n) < asked * n, 1.0)


def test_the_walkers_numbers_are_of_their_arms(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WalkerSettings(horizons=(100, 400), n_trial_steps=400, climb=1.0)

    def askers(settings: Any, seeds: Any, horizon: int) -> dict[str, list[Fate]]:
        x = horizon / 100
        return {"asks": [fate(0.4 / x, 0.2 / x**0.5, 0.5 / x)], "no-test": [fate(0.1 * x, 0.1, 0.3)]}

    monkeypatch.setattr(irreversible, "_askers", askers)
    monkeypatch.setattr(irreversible, "_coins", lambda settings, seeds, horizon: [fate(0.5, 0.9, 0.0)])
    worlds = {("ucb", "for ever"): [fate(0.9, 0.7, 0)], ("greedy", "for ever"): [fate(0.8, 0.9, 0)]}
    worlds |= {("ucb", "can be undone"): [fate(0.3, 0, 0)], ("greedy", "can be undone"): [fate(0.6, 0, 0)]}
    worlds |= {("coin", "for ever"): [fate(0.7, 1, 0)], ("coin", "can be undone"): [fate(0.95, 0, 0)]}
    monkeypatch.setattr(irreversible, "_tried", lambda *args: worlds)
    found = irreversible.measure(settings, Seeds(0)).estimands
    expected = {
        "asks/lost_share": 0.1, "asks/lost_share_slope": -1.0, "asks/fallen": 0.1, "asks/fallen_slope": -0.5,
        "asks/query_rate": 0.125, "asks/query_rate_slope": -1.0, "no-test/lost_share_slope": 1.0, "no-test/fallen_slope": 0.0,
        "coin/fallen": 0.9, "coin/lost_share": 0.5, "tries/fallen": 0.7, "tries/lost_share": 0.9,
        "tries-reversible/lost_share": 0.6, "coin-reversible/lost_share": 0.95,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.02), name


# Inputs that arrive whatever the agent does.


def test_steps_of_hedge_differ_in_the_step_alone() -> None:
    problems = {step: online._problem(Seeds(3), 1000, 2, 1, step=step) for step in online.STEPS}
    plain = problems["plain"][1]
    for problem, run in problems.values():
        assert problem == problems["plain"][0]
        assert np.array_equal(run.inputs, plain.inputs)
        assert (run.schedule.radius, run.schedule.forced_rate) == (plain.schedule.radius, plain.schedule.forced_rate)
    assert problems["weighted"][1].schedule.step_size == pytest.approx(plain.schedule.step_size / plain.schedule.forced_rate)
    assert problems["constant"][1].schedule.step_size == 1.0
    no_transfer = online._problem(Seeds(3), 1000, 2, 1, radius=0.0)[1]
    assert no_transfer.schedule.radius == 0
    assert np.array_equal(no_transfer.inputs, plain.inputs)
    draws = [problem[1].rng.random() for problem in problems.values()]
    assert len(set(draws)) == 1


def fresh_of(problem: Half, n: int = 1000) -> online.Fresh:
    return online.Fresh.draw(problem, rng=Seeds(8)("fresh"), n=n)


def test_ablations_are_of_the_same_run() -> None:
    problem, run = online._problem(Seeds(3), 1000, 1, 0)
    (transcript,) = online.ask_for_help([run])
    found = dict(online._ablations(problem, run, transcript, fresh_of(problem)))
    full = online._regrets(problem, run, transcript)
    assert found[online.NAMES["no-test"]][2] == transcript.forced.mean() < full[2]
    assert found[online.NAMES["no-test"]][1] > full[1]
    assert found[online.NAMES["no-hedge"]][2] != full[2]
    assert found[online.NAMES["exact"]][3] == 0  # never wrong


def test_regrets_by_hand() -> None:
    problem, run = online._problem(Seeds(3), 300, 2, 1)
    (transcript,) = online.ask_for_help([run])
    logs = additive = wrong = 0.0
    for x, asked, action in zip(run.inputs, transcript.asked, transcript.action, strict=True):
        if not asked and action != int(x.sum() / math.sqrt(2) > problem.offset):
            lost = abs(x.sum() / math.sqrt(2) - problem.offset)
            logs, additive, wrong = logs - math.log(1 - lost), additive + lost, wrong + 1
    tested = (transcript.asked & ~transcript.forced).sum() / (~transcript.forced).sum()
    expected = (logs, additive, transcript.asked.mean(), wrong, tested)
    assert wrong > 0
    assert online._regrets(problem, run, transcript) == pytest.approx(expected)


@pytest.mark.parametrize("plays", ["tested", "untested", "nearest"])
def test_expected_regret_is_the_mean_over_fresh_inputs(plays: online.Plays) -> None:
    """Each round is played by a grid of inputs in place of its own, after what was heard before."""
    problem, run = online._problem(Seeds(3), 120, 1, 0)
    (transcript,) = online.ask_for_help([run], trigger=plays == "tested")
    if plays == "nearest":
        transcript = online.copy_nearest(run.inputs, run.labels, run.schedule.radius)
    grid = (np.arange(20_000) + 0.5) / 20_000
    lost = 0.0
    for t in range(120):
        told = np.flatnonzero(transcript.asked[:t])
        gaps = np.abs(grid[:, None] - run.inputs[told, 0])
        if plays == "nearest":
            if not len(told):
                continue
            action, played = run.labels[told[gaps.argmin(axis=1)]], gaps.min(axis=1) <= run.schedule.radius
        else:
            assert transcript.member is not None
            action = run.cover.act(np.full(len(grid), transcript.member[t]), grid[:, None])
            near = (gaps <= run.schedule.radius) & (run.labels[told] == action[:, None])
            played = near.any(axis=1) | (plays == "untested")
        share = 1.0 if plays == "nearest" else 1 - run.schedule.forced_rate
        wrong = played & (action != (grid > problem.offset))
        lost += share * float((wrong * np.abs(grid - problem.offset)).mean())
    assert lost > 0
    assert online.expected_regret(problem, run, transcript, plays=plays, fresh=fresh_of(problem)) == pytest.approx(
        lost, rel=0.02
    )


@pytest.mark.parametrize("plays", ["tested", "untested"])
def test_expected_regret_is_the_mean_of_what_is_drawn(plays: online.Plays) -> None:
    drawn, expected = [], []
    built = [online._problem(Seeds(seed), 200, 2, 0, step="weighted") for seed in range(300)]
    for (problem, run), transcript in zip(
        built, online.ask_for_help([run for _, run in built], trigger=plays == "tested"), strict=True
    ):
        drawn.append(online._regrets(problem, run, transcript)[1])
        expected.append(online.expected_regret(problem, run, transcript, plays=plays, fresh=fresh_of(problem, 20_000)))
    off = np.subtract(drawn, expected)
    assert abs(off.mean()) < 4 * off.std() / math.sqrt(len(off))
    assert np.std(expected) < 0.8 * np.std(drawn)
    assert off.std() / math.sqrt(len(off)) < 0.1 * np.mean(expected)


def test_only_who_copies_the_nearest_in_more_dimensions_is_judged_by_what_is_drawn() -> None:
    for n_dims in (1, 2):
        problem, run = online._problem(Seeds(3), 400, n_dims, 0)
        (transcript,) = online.ask_for_help([run])
        copied = online.copy_nearest(run.inputs, run.labels, run.schedule.radius)
        found = dict(online._ablations(problem, run, transcript, fresh_of(problem)))
        assert found[online.NAMES["exact"]][1] == 0
        hedge_only = online.Transcript(transcript.forced, transcript.forced, transcript.action, transcript.member)
        without = online.expected_regret(problem, run, hedge_only, plays="untested", fresh=fresh_of(problem))
        assert found[online.NAMES["no-test"]][1] == without > found[online.NAMES["no-hedge"]][1]
        drawn = online._regrets(problem, run, copied)[1]
        assert (found[online.NAMES["no-hedge"]][1] == drawn) == (n_dims == 2)


def test_the_coin_learns_nothing() -> None:
    found = online.measure_nulls(OnlineSettings(horizons=(1_000, 10_000), n_copies=3), Seeds(0)).estimands
    assert found["coin/additive_slope"] == pytest.approx(1.0, abs=0.1)
    assert found["coin/query_slope"] < 0  # the schedule's
    for n_dims in (1, 2, 3):
        assert found[f"coin-full-{n_dims}d/test_slope"] == pytest.approx(0.0, abs=0.15)
    lost = impossible.measure_nulls(ImpossibleSettings(horizons=(1_000, 10_000), n_copies=2), Seeds(0)).estimands
    assert lost["coin/exponent"] == pytest.approx(0.5, abs=0.1)
    assert lost["told/exponent"] < 0
    assert lost["coin/least_growth"] > 0.1 > lost["told/least_growth"]
    broken = misspecified.measure_nulls(MisspecifiedSettings(horizons=(1_000, 10_000), n_copies=2), Seeds(0)).estimands
    assert broken["coin/regret_slope"] == pytest.approx(1.0, abs=0.1)
    assert broken["told/regret_slope"] == pytest.approx(-1.0)


def test_online_slopes_are_of_their_arms() -> None:
    """Each agent's additive regret grows as T to a power of its own, the rate of its distance test falls as another."""
    powers = dict(zip(online.NAMES, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
    rows: list[online.Row] = []
    for horizon in (100, 1000):
        for copy in range(3):
            for arm, power in powers.items():
                rate = horizon ** (-power) * (1.0 if arm != "full" else (horizon / 100) ** (-0.01 * copy))
                rows.append((0, horizon, copy, online.NAMES[arm], 7.0, float(horizon**power), 0.5, 0.0, rate))
    found = online._online_slopes(rows, 1)
    for arm, power in powers.items():
        if arm != "exact":
            assert found[f"{arm}-1d/additive_slope"] == pytest.approx(power)
    assert found["full-1d/query_slope"] == pytest.approx(0.0)
    assert found["full-1d-first/test_slope"] == pytest.approx(-0.1)
    assert found["full-1d-second/test_slope"] == pytest.approx(-0.11)
    assert found["full-1d-third/test_slope"] == pytest.approx(-0.12)
    assert found["full-1d/test_slope"] == pytest.approx(-0.11, abs=1e-3)


def test_the_bounds_own_slope() -> None:
    horizons = OnlineSettings().horizons
    for n_dims in (1, 2, 3):
        bound = [horizon ** (-1 / (2 * n_dims + 1)) * math.log(horizon) for horizon in horizons]
        assert bound_slope(n_dims, horizons) == pytest.approx(np.polyfit(np.log(horizons), np.log(bound), 1)[0])
        for name in ("C2.regret", "C2.weighted")[: 1 if n_dims == 1 else 2]:
            assert STUDY.claim(f"{name}-{n_dims}").rule.numbers["bound"] == pytest.approx(
                bound_slope(n_dims, horizons), abs=1e-4
            )


# Where nothing carries over.


def test_askers_with_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    horizon, q, seeds = 400, 9, Seeds(4)
    found = dict(zip(impossible._ASKERS, impossible._budget_regret(horizon, q, seeds), strict=True))
    x = uniform_inputs(horizon, 1, rng=seeds("inputs"))
    cells = Cells.sample(60, rng=seeds("cells"))  # sqrt(9 x 400)
    seen: dict[int, int] = {}
    lost = 0.0
    for place in x[:, 0]:
        cell = min(int(place * 60), 59)
        if cell not in seen and len(seen) < q:
            seen[cell] = cells.safe[cell]
        elif seen.get(cell, 0) != cells.safe[cell]:
            lost -= math.log(1 - min(place * 60 - cell, 1 - place * 60 + cell) / 60)
    assert found["asks once a cell"] == pytest.approx(lost)
    assert found["learnable, exact learner"] <= found["learnable, copies nearest"] + 1.0


def test_exponents_are_of_their_askers(monkeypatch: pytest.MonkeyPatch) -> None:
    powers = dict(zip(impossible._ASKERS, (0.5, 0.9, 0.3, 0.7, 0.2, 0.0), strict=True))
    monkeypatch.setattr(
        impossible, "_budget_regret", lambda horizon, q, seeds: [(horizon / (q + 1)) ** power for power in powers.values()]
    )
    settings = ImpossibleSettings()
    found = impossible.measure(settings, Seeds(0)).estimands
    assert found["coins/exponent"] == pytest.approx(0.5)
    assert found["one-change/exponent"] == pytest.approx(0.2)
    last = [[horizon / (round(horizon**0.75) + 1) for horizon in settings.horizons][i] for i in (0, -1)]
    assert found["coins/least_growth"] == pytest.approx(last[1] ** 0.5 - last[0] ** 0.5)
    assert found["one-change/least_growth"] == pytest.approx(0.0)


# Broken assumptions.


def test_each_assumption_is_broken_alone() -> None:
    problem, inputs, clean = misspecified._broken(Seeds(5), "none", 0.0, 2000, 0)
    assert np.array_equal(clean.labels, problem.mentor(inputs))
    assert np.array_equal(clean.inputs, inputs)
    other, same, noisy = misspecified._broken(Seeds(5), "noise", 0.2, 2000, 0)
    assert other == problem
    assert np.array_equal(same, inputs)
    assert np.array_equal(noisy.inputs, clean.inputs)
    assert (noisy.labels != clean.labels).mean() == pytest.approx(0.2, abs=0.04)
    _, _, blind = misspecified._broken(Seeds(5), "metric", 0.9, 2000, 0)
    assert np.array_equal(blind.labels, clean.labels)
    assert np.array_equal(blind.features, clean.features)
    np.testing.assert_allclose(np.ptp(blind.inputs) / np.ptp(clean.inputs), 0.1)
    _, crowded, run = misspecified._broken(Seeds(5), "boundary", 1.0, 2000, 0)
    assert np.array_equal(run.labels, problem.mentor(crowded))
    assert np.median(np.abs(crowded[:, 0] - problem.offset)) < 0.01 < np.median(np.abs(inputs[:, 0] - problem.offset))
    assert {r.schedule for r in (clean, noisy, blind, run)} == {clean.schedule}


def test_slopes_are_of_their_breaks() -> None:
    settings = MisspecifiedSettings(horizons=(100, 1000))
    powers = {("none", 0.0): -0.3, ("noise", 0.05): 0.1, ("noise", 0.2): 0.2, ("metric", 0.6): 0.3, ("metric", 0.9): 0.4}
    powers |= {("boundary", 0.3): 0.5, ("boundary", 1.0): 0.6}
    found = {
        (*case, horizon): [(horizon**power, 0.5, horizon**0.9)] for case, power in powers.items() for horizon in (100, 1000)
    }
    numbers = misspecified._misspecified_measurement(settings, found).estimands
    expected = {"unbroken": -0.3, "no-test": 0.9, "misheard": 0.2, "blind-metric": 0.4, "crowded": 0.6}
    for arm, power in expected.items():
        assert numbers[f"{arm}/regret_slope"] == pytest.approx(power)


# Exact statements.


def test_every_exact_statement_holds_and_fails_without_its_condition() -> None:
    numbers = exact.check_online(OnlineSettings()) | exact.check_impossible(ImpossibleSettings())
    numbers |= exact.check_local_safety(LocalSettings())
    checks = {check.name: check for check in STUDY.exact}
    assert set(numbers) == set(checks)
    assert {name: checks[name].judge(number) for name, number in numbers.items()} == dict.fromkeys(numbers, "holds")
    without = {
        "C3.asking": exact.survival_at(0.001, 100_000),
        "C5": exact.lipschitz_slope((1.0, 1e3, 1e6)),  # where a wrong action cannot cost more than certain death
        "C1.bound": math.log(exact.left_over(10_000, 5, n_cells=16) / exact.left_over(100, 5, n_cells=16)) / math.log(100),
        "C7": worst_excess(6, whole=False),
        "C7.tight": local_safety.measure(LocalSettings(n_processes=5), Seeds(1)).estimands["drawn/share_of_bound"],
    }  # fmt: skip
    assert {name: checks[name].judge(number) for name, number in without.items()} == dict.fromkeys(without, "fails")
    assert tight_share(1000) > tight_share(50) == pytest.approx(49 / 50)


def test_what_is_left_over_matches_drawn_cells() -> None:
    rounds, budget, lost = 4000, 10, []
    for k in range(60):
        rng = Seeds(k)("left over")
        cells = Cells.sample(200, rng=rng)
        x = uniform_inputs(rounds, 1, rng=rng)
        stakes = np.bincount(cells.cell(x), weights=cells.stake(x), minlength=200)
        lost.append(stakes[budget:].sum() / 2)  # any ten cells: here each is as costly as the mean
    assert exact.left_over(rounds, budget) == pytest.approx(np.mean(lost), rel=0.03)


def test_survival_of_who_never_asks_matches_drawn_rounds() -> None:
    off, rounds = 0.1, 40_000
    x = Seeds(9)("x").random(rounds)
    wrong = (x > 0.5) != (x > 0.5 + off)
    assert np.abs(x - 0.5)[wrong].sum() == pytest.approx(-math.log(exact.survival_at(off, rounds)), rel=0.05)
