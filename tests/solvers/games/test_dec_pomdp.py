"""Dec-POMDPs: published optima, the two-stage solver's values, and an evaluator that merges nothing."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.solvers.games.dec_pomdp import evaluate, solve_dec_pomdp
from assay.solvers.games.humans import Optimal
from assay.solvers.games.sequential import _least_histories, solve_sequential
from assay.solvers.games.two_stage import solve_two_stage
from assay.worlds.games.assistance import hiding_as_query
from assay.worlds.games.dec_pomdp import DecPOMDP, two_stage_as_dec_pomdp
from assay.worlds.games.pomdp_files import parse_pomdp
from assay.worlds.games.sequential import SequentialGame

sys.path.insert(0, str(Path(__file__).parents[2] / "worlds" / "games"))

import instances
from instances import PUBLISHED

WRITTEN = {
    "two generals": instances.two_generals,
    "recycling": instances.recycling,
    "broadcast": instances.broadcast,
    "grid": instances.meeting_in_a_grid,
    "fire fighting": instances.fire_fighting,
    "boxes": instances.box_pushing,
}


@cache
def published(name: str) -> SequentialGame:
    return parse_pomdp(WRITTEN[name](), where=f"{name}.dpomdp")


def decentralised_tiger() -> DecPOMDP:
    """Nair et al. 2003: two agents, two doors, one tiger; actions listen, open left, open right."""
    transition, observation = np.zeros((2, 3, 3, 2)), np.zeros((3, 3, 2, 2, 2))
    reward = np.zeros((2, 3, 3))
    for a in range(3):
        for h in range(3):
            for tiger in range(2):
                bad = 1 + tiger
                if a == h == 0:
                    hears = np.array([0.85, 0.15]) if tiger == 0 else np.array([0.15, 0.85])
                    transition[tiger, a, h, tiger], observation[a, h, tiger] = 1.0, np.outer(hears, hears)
                    reward[tiger, a, h] = -2
                else:
                    transition[tiger, a, h], observation[a, h, tiger] = 0.5, 0.25
                    if a == 0 or h == 0:
                        reward[tiger, a, h] = -101 if max(a, h) == bad else 9
                    elif a == h:
                        reward[tiger, a, h] = -50 if a == bad else 20
                    else:
                        reward[tiger, a, h] = -100
    return DecPOMDP("tiger", np.array([0.5, 0.5]), transition, observation, reward, np.ones((2, 1, 1)))


@pytest.mark.parametrize(("horizon", "value"), [(1, -2.0), (2, -4.0), (3, 5.1908125), (4, 4.80275515625)])
def test_the_tiger_problem_has_its_published_values(horizon: int, value: float) -> None:
    # -4.00, 5.19 and 4.80 in Oliehoek, Spaan and Vlassis 2008; further digits follow from the optimal policies found.
    found = solve_dec_pomdp(decentralised_tiger(), horizon)
    assert found.value == pytest.approx(value, abs=1e-9)
    assert evaluate(decentralised_tiger(), horizon, found.assistant, found.human) == pytest.approx(found.value, abs=1e-9)


@pytest.mark.parametrize("stake", ["1/2", 1, 2, 4])
def test_a_two_stage_game_played_in_three_steps_is_worth_the_same(stake: int | str) -> None:
    game = hiding_as_query(stake)
    for version in (game, game.without_hiding()):
        found = solve_dec_pomdp(two_stage_as_dec_pomdp(version), 3)
        assert found.value == pytest.approx(float(solve_two_stage(version, Optimal()).value), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_no_joint_policy_of_two_steps_does_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    game = DecPOMDP(
        "random",
        rng.dirichlet(np.ones(2)),
        rng.dirichlet(np.ones(2), size=(2, 2, 2)),
        rng.dirichlet(np.ones(4), size=(2, 2, 2)).reshape(2, 2, 2, 2, 2),
        rng.standard_normal((2, 2, 2)),
        np.ones((2, 1, 1)),
        discount=0.9,
    )
    found = solve_dec_pomdp(game, 2)
    assert evaluate(game, 2, found.assistant, found.human) == pytest.approx(found.value, abs=1e-9)
    histories = [(0,), (0, 0), (0, 1)]
    best = max(
        evaluate(
            game,
            2,
            {history: a >> i & 1 for i, history in enumerate(histories)},
            {history: h >> i & 1 for i, history in enumerate(histories)},
        )
        for a in range(8)
        for h in range(8)
    )
    assert found.value == pytest.approx(best, abs=1e-9)


def test_a_search_is_bounded_by_its_work_not_by_the_horizon() -> None:
    with pytest.raises(InputError, match="at least 1 step"):
        solve_dec_pomdp(decentralised_tiger(), 0)
    with pytest.raises(InputError, match=r"at most 5,000 decision rules and beliefs.*--limit"):
        solve_dec_pomdp(decentralised_tiger(), 5, limit=5_000)
    found = solve_dec_pomdp(decentralised_tiger(), 5)
    assert found.value == pytest.approx(7.026450983, abs=1e-8)  # Oliehoek et al. 2013: 7.026451
    assert evaluate(decentralised_tiger(), 5, found.assistant, found.human) == pytest.approx(found.value, abs=1e-9)


@pytest.mark.parametrize(("name", "horizon"), [(name, h) for name, values in PUBLISHED.items() for h in values])
def test_published_problems_have_their_published_values(name: str, horizon: int) -> None:
    game = published(name)
    found = solve_sequential(game, horizon)
    places = len(PUBLISHED[name][horizon].partition(".")[2])
    assert round(found["value_float"], places) == float(PUBLISHED[name][horizon])
    assert found["certificate"]["slack"] < 1e-6


@pytest.mark.parametrize(("horizon", "value"), [(2, -4.383579259), (3, -5.737140148), (4, -6.579153123)])
def test_fire_fighting_with_exact_products_is_worth_a_little_less_than_published(horizon: int, value: float) -> None:
    game = parse_pomdp(instances.fire_fighting(as_published=False), where="fire.dpomdp")
    found = solve_sequential(game, horizon)["value_float"]
    assert found == pytest.approx(value, abs=1e-8)
    assert 5e-5 < float(PUBLISHED["fire fighting"][horizon]) - found < 5e-4


@pytest.mark.parametrize(("name", "least"), [("recycling", 1), ("broadcast", 64), ("two generals", 64), ("grid", 1)])
def test_no_policy_found_meets_fewer_joint_histories_than_the_bound_that_refuses(name: str, least: int) -> None:
    game, horizon = published(name), 4
    found = solve_dec_pomdp(game.dec_pomdp(), horizon)
    table = game.dec_pomdp()
    live = {((oa,), (oh,)): table.start * table.first[:, oa, oh] for oa, oh in np.ndindex(*table.first.shape[1:])}
    for _ in range(horizon - 1):
        following = {}
        for (ha, hh), weight in live.items():
            a, h = found.assistant[ha], found.human[hh]
            for oa, oh in np.ndindex(*table.observation.shape[3:]):
                then = (weight @ table.transition[:, a, h]) * table.observation[a, h, :, oa, oh]
                if then.any():
                    following[(*ha, oa), (*hh, oh)] = then
        live = following
    assert _least_histories(table, horizon, 10**9) == least <= len(live)


def test_a_horizon_that_no_policy_can_be_written_down_for_is_refused_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.solvers.games.sequential.solve_dec_pomdp", lambda *_, **__: pytest.fail("searched"))
    for horizon in (14, 9_000):
        with pytest.raises(InputError, match=r"at most 50,000,000 joint histories.*at least 67,108,864\..*--limit"):
            solve_sequential(published("broadcast"), horizon)
    with pytest.raises(InputError, match="at most 50,000,000 entries together; they have 500,000,000,500,000,000"):
        solve_sequential(published("broadcast"), 10**9)


def test_a_long_horizon_is_no_traceback() -> None:
    toggles = """discount: 1\nvalues: reward\nstates: a b\nactions: go stay\nobservations: x\nstart: a
T: go : a : b : 1\nT: go : b : a : 1\nT: stay : a : a : 1\nT: stay : b : b : 1\nO: * : * : x : 1\nR: go : a : * : * : 1\n"""
    found = solve_sequential(parse_pomdp(toggles, where="toggles.pomdp"), 301)
    assert found["value"] == "151"  # the switch pays at every other step
