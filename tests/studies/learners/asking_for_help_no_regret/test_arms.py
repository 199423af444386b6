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


def test_without_the_distance_test_a_walker_asks_by_the_coin_alone() -> None:
    found = irreversible._askers(WalkerSettings(n_copies=10), Seeds(1), 200)
    asked = {arm: float(np.mean([fate.asked.mean() for fate in fates])) for arm, fates in found.items()}
    assert asked["no-test"] == pytest.approx(200 ** (-1 / 6), abs=0.03)
    assert asked["asks"] > asked["no-test"] + 0.01


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


def test_rows_are_means_over_the_copies_of_their_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each agent is run once more by itself."""
    draw = online.Fresh.draw
    monkeypatch.setattr(online.Fresh, "draw", lambda problem, rng: draw(problem, rng=rng, n=200))
    settings, seeds = OnlineSettings(horizons=(40, 80), n_copies=3, n_angles=4, n_offsets=4), Seeds(5)
    found = online.measure_many(settings, [Seeds(6), seeds])[1]
    for n_dims in (1, 2, 3):
        for horizon in settings.horizons:
            expected: dict[str, list[Any]] = {}
            for copy in range(9):  # three times as many up to 10,000 rounds
                for step, arm in (("plain", "full"), ("weighted", "weighted"), ("constant", "constant")):
                    problem, run = online._problem(seeds, horizon, n_dims, copy, step=step)  # type: ignore[arg-type]
                    fresh = draw(problem, rng=seeds.child(f"online/{n_dims}/{horizon}/{copy}")("fresh"), n=200)
                    (transcript,) = online.ask_for_help([run])
                    expected.setdefault(arm, []).append(online._regrets(problem, run, transcript, fresh=fresh))
                    if step == "plain":
                        by_name = dict(online._ablations(problem, run, transcript, fresh))
                        for other in ("no-test", "no-hedge", "exact"):
                            expected.setdefault(other, []).append(by_name[online.NAMES[other]])
            rows = {row["agent"]: row for row in found.tables["online"] if (row["n_dims"], row["rounds"]) == (n_dims, horizon)}
            assert set(rows) == set(online.NAMES.values())
            for arm, values in expected.items():
                row, (regret, additive, rate, wrong, tested) = rows[online.NAMES[arm]], np.mean(values, axis=0)
                numbers = [row["additive_regret"], row["query_rate"], row["wrong_actions"], row["tested_rate"]]
                assert numbers == pytest.approx([additive, rate, wrong, tested]), (arm, n_dims, horizon)
                assert row["regret"] == pytest.approx(regret)
                assert row["survival"] == pytest.approx(np.mean([math.exp(-value[0]) for value in values]))
                assert row["test_bound"] == pytest.approx(horizon ** (-1 / (2 * n_dims + 1)))


def test_questions_are_compared_at_the_longest_run_in_one_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []

    def ask(runs: list[Any]) -> list[online.Transcript]:
        (run,) = runs
        n = len(run.labels)
        asked.append((n, run.schedule.radius))
        return [online.Transcript(np.arange(n) < n * n**-0.25, np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64))]

    monkeypatch.setattr(online, "ask_for_help", ask)
    settings = OnlineSettings(horizons=(1_000, 10_000, 20_000), n_angles=4, n_offsets=4)
    rates = {name: 0.1 * (place + 1) for place, name in enumerate(online.NAMES.values())}
    table: list[Any] = [
        {"n_dims": n_dims, "rounds": horizon, "agent": agent, "query_rate": rate if (n_dims, horizon) == (1, 20_000) else 1.0}
        | {"additive_regret": rate + n_dims, "wrong_actions": 2.0 + rate}
        for n_dims in (1, 2, 3)
        for horizon in settings.horizons
        for agent, rate in rates.items()
    ]
    found = online._measurement(settings, Seeds(0), table, {"x/additive_slope": 0.5})
    assert found.estimands == pytest.approx(
        {
            "x/additive_slope": 0.5,
            "no-transfer-1d/query_slope": -0.25,
            "no-hedge-1d/queries_to_full": rates[online.NAMES["no-hedge"]] / rates[online.NAMES["full"]],
            "exact-1d/queries_to_full": rates[online.NAMES["exact"]] / rates[online.NAMES["full"]],
        },
        abs=1e-3,
    )
    assert asked[:2] == [(1_000, 0.0), (10_000, 0.0)]  # where no answer carries over to another input
    assert [n for n, _ in asked[2:]] == [row["rounds"] for row in found.tables["half_planes"]] == [1_000, 10_000]
    assert {row["agent"] for row in found.tables["queries"]} == {online.NAMES["full"]}
    assert {row["agent"] for row in found.tables["regret"]} == set(online.NAMES.values()) - {online.NAMES["exact"]}
    beside = {row["quantity"]: row for row in found.tables["reference"] if row["rounds"] == 1_000}
    full, hedge = rates[online.NAMES["full"]], rates[online.NAMES["no-test"]]
    ours = {"regret": full + 1, "query rate": 1.0, "wrong actions": 2 + full, "Hedge-only regret": hedge + 1}
    assert {name: row["ours"] for name, row in beside.items()} == pytest.approx(ours)


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
    # Of the others' answers too, one round at a time; the action changes once, or there are sixteen cells.
    once = Cells.sample(60, rng=seeds("structured"), structured=True)
    few = Cells.sample(16, rng=seeds("few"))

    def at_stake(problem: Cells, place: float) -> float:
        inside = place * len(problem.safe) % 1
        return -math.log(1 - min(inside, 1 - inside) / len(problem.safe))

    def safe(problem: Cells, place: float) -> int:
        return problem.safe[min(int(place * len(problem.safe)), len(problem.safe) - 1)]

    for name, problem in (("asks first, copies nearest", cells), ("learnable, copies nearest", once)):
        nearest = [int(np.abs(x[:q, 0] - place).argmin()) for place in x[:, 0]]
        wrong = [
            place for place, told in zip(x[:, 0], nearest, strict=True) if safe(problem, x[told, 0]) != safe(problem, place)
        ]
        assert found[name] == pytest.approx(sum(at_stake(problem, place) for place in wrong))
    low, high, n_asked, lost = 0.0, 1.0, 0, 0.0
    for place in x[:, 0]:
        unsure = low < place < high
        n_asked += unsure
        if unsure and n_asked > q and safe(once, place) == 1:  # it would have asked, may not, and plays 0
            lost += at_stake(once, place)
        if unsure:
            low, high = (low, place) if safe(once, place) else (place, high)
    assert found["learnable, exact learner"] == pytest.approx(lost)
    met = list(dict.fromkeys(min(int(place * 16), 15) for place in x[:, 0]))[:q]
    lost = sum(at_stake(few, place) for place in x[:, 0] if min(int(place * 16), 15) not in met and safe(few, place))
    assert found["sixteen cells only"] == pytest.approx(lost + 1)
    stakes = np.zeros(60)
    for place in x[:, 0]:
        stakes[min(int(place * 60), 59)] += at_stake(cells, place)
    assert found["bound for all"] == pytest.approx(np.sort(stakes)[: 60 - q].sum() / 2)


def test_null_askers_with_a_budget() -> None:
    """Who asks nine times and else tosses a coin, and who errs once, on a round like any other."""
    seeds, place_of = Seeds(4), uniform_inputs(400, 1, rng=Seeds(4)("inputs"))[:, 0]
    cells = Cells.sample(60, rng=seeds("cells"))
    rng = seeds("coin")
    coins, asked = rng.integers(2, size=400), set(rng.choice(400, 9, replace=False).tolist())
    assert len(asked) == 9
    at_stake = [-math.log(1 - min(place * 60 % 1, 1 - place * 60 % 1) / 60) for place in place_of]
    wrong = [
        stake for t, stake in enumerate(at_stake) if t not in asked and coins[t] != cells.safe[min(int(place_of[t] * 60), 59)]
    ]
    assert impossible._null_regret(400, 9, seeds) == pytest.approx((sum(wrong), np.mean(at_stake)))


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


def test_regret_under_each_break_is_what_the_mentor_itself_loses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Round by round: a misheard answer is not misplayed, and without the distance test all but forced rounds are played."""
    settings = MisspecifiedSettings(horizons=(50, 100), n_copies=1)
    kept: list[Any] = []
    monkeypatch.setattr(misspecified, "_misspecified_measurement", lambda settings, found: kept.append(found))
    misspecified.measure_many(settings, [Seeds(7)])
    cases = [("none", 0.0), ("noise", 0.05), ("noise", 0.2), ("metric", 0.6), ("metric", 0.9), ("boundary", 0.3)]
    assert set(kept[0]) == {(*case, horizon) for case in [*cases, ("boundary", 1.0)] for horizon in (50, 100)}
    for (kind, level, horizon), values in kept[0].items():
        assert len(values) == 3
        problem, inputs, run = misspecified._broken(Seeds(7), kind, level, horizon, 1)
        (transcript,) = online.ask_for_help([run])
        lost = untested = 0.0
        for x, asked, forced, action in zip(inputs[:, 0], transcript.asked, transcript.forced, transcript.action, strict=True):
            cost = -math.log(1 - abs(x - problem.offset)) if action != (x > problem.offset) else 0.0
            lost += cost * (not asked)
            untested += cost * (not forced)
        assert values[1] == pytest.approx((lost, transcript.asked.mean(), untested))


def test_rows_of_breaks_say_whose_they_are() -> None:
    settings = MisspecifiedSettings(horizons=(100, 1000))
    cases = {("none", 0.0): 1.0, ("noise", 0.05): 2.0, ("noise", 0.2): 3.0, ("metric", 0.6): 4.0, ("metric", 0.9): 5.0}
    cases |= {("boundary", 0.3): 6.0, ("boundary", 1.0): 7.0}
    found = {(*case, t): [(value * t, 0.1 * value, 1.0)] * 2 for case, value in cases.items() for t in (100, 1000)}
    rows = misspecified._misspecified_measurement(settings, found).tables["misspecified"]
    broken = {
        (str(row["assumption"]).partition(":")[0], row["degree"], row["rounds"]): (row["regret"], row["query_rate"])
        for row in rows
        if row["degree"] != "unbroken"
    }
    names = {"noise": "mentor misheard", "metric": "distance missed", "boundary": "inputs at the boundary"}
    expected = {}
    for (kind, level), value in cases.items():
        if kind != "none":
            degree = "broken a little" if level in (0.05, 0.6, 0.3) else "broken badly"
            expected |= {(names[kind], degree, t): pytest.approx((value * t, 0.1 * value)) for t in (100, 1000)}
    assert broken == expected
    assert [row["times_clean"] for row in rows if row["rounds"] == 100] == [1, 1, 1, 2, 3, 4, 5, 6, 7]


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


def test_risk_and_lost_return_one_step_at_a_time() -> None:
    mdp, rng = local_safety.random_trap_mdp(4, 2, rng=Seeds(3)("mdp"), traps=2), Seeds(3)("agents")
    mentor = np.eye(2)[[1, 0, 1, 1]]
    rows = {(row["agent"], row["share"]): row for row in local_safety._risk_and_regret(0, mdp, mentor, 6, rng)}
    assert {share for _, share in rows} == {0.001, 0.01, 0.1, 0.5, 1.0}
    best = np.eye(2)[mdp.reward.argmax(axis=1)]
    for name, other in (("plays at random", np.full((4, 2), 0.5)), ("takes the largest reward", best)):
        for share in (0.01, 0.5, 1.0):
            row = rows[name, share]
            agent = (1 - share) * mentor + share * other
            law, its = mdp.initial.copy(), mdp.initial.copy()
            risk = of_rewards = lost = 0.0
            for _ in range(6):
                for s in range(4):
                    guide = int(mentor[s].argmax())
                    lost += its[s] * mdp.reward[s, guide] - law[s] * float(agent[s] @ mdp.reward[s])
                    for a in range(2):
                        moved = np.abs(mdp.transition[s, a] - mdp.transition[s, guide]).sum() / 2
                        gap = abs(mdp.reward[s, a] - mdp.reward[s, guide])
                        risk += law[s] * agent[s, a] * (moved + gap)
                        of_rewards += law[s] * agent[s, a] * gap
                law, its = (
                    np.einsum("s,sa,sat->t", law, agent, mdp.transition),
                    np.einsum("s,sa,sat->t", its, mentor, mdp.transition),
                )
            assert (row["risk"], row["reward_risk"]) == pytest.approx((risk, of_rewards)), (name, share)
            assert row["lost_per_step"] == pytest.approx(lost / 6), (name, share)


def test_processes_of_local_safety_are_as_many_and_as_drawn_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int, int]] = []
    solved: list[float] = []
    asked: list[tuple[int, int]] = []
    draw, solve = local_safety.random_trap_mdp, local_safety.policy_iteration

    def random_trap_mdp(n_states: int, n_actions: int, *, rng: Any, traps: int) -> Any:
        drawn.append((n_states, n_actions, traps))
        return draw(n_states, n_actions, rng=rng, traps=traps)

    def policy_iteration(mdp: Any, discount: float) -> Any:
        solved.append(discount)
        return solve(mdp, discount)

    def rows(place: int, mdp: Any, mentor: Any, horizon: int, rng: Any) -> list[Any]:
        asked.append((place, horizon))
        number = {"agent": "a", "share": 1.0, "risk": 2.0, "reward_risk": 0.5}
        return [number | {"lost_per_step": 0.5 * place}, number | {"lost_per_step": 0.1}]

    monkeypatch.setattr(local_safety, "random_trap_mdp", random_trap_mdp)
    monkeypatch.setattr(local_safety, "policy_iteration", policy_iteration)
    monkeypatch.setattr(local_safety, "_risk_and_regret", rows)
    found = local_safety.measure(LocalSettings(n_processes=4, n_states=5, n_actions=2, horizon=7), Seeds(1))
    assert drawn == [(5, 2, 1), (5, 2, 2), (5, 2, 1), (5, 2, 2)]
    assert solved == [0.95, 0.95]  # the others' mentors are drawn
    assert asked == [(k, 7) for k in range(4)]
    assert found.estimands == pytest.approx({"drawn/share_of_bound": 0.75, "tight/share_of_bound": 6 / 7})
    for made in (drawn, solved, asked):
        made.clear()
    assert worst_excess(5, 9) == pytest.approx(0.0)  # 0.5 x 4, less the risk
    assert worst_excess(5, 9, whole=False) == pytest.approx(1.5)
    assert drawn == 2 * [(6, 3, 1), (6, 3, 2), (6, 3, 1), (6, 3, 2), (6, 3, 1)]
    assert solved == [0.95] * 10
    assert asked == 2 * [(k, 9) for k in range(5)]


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
