"""Many games at once: the same answers as the exact solver, game by game."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.solvers.games.batches import (
    alternating_values,
    assistance_values,
    best_plan,
    boltzmann_values,
    channel_values,
    channel_values_to_assistant,
    naive_values,
    never_wait_values,
    optimal_values,
    policies,
    team_payoffs,
    wait_table,
)
from assay.solvers.games.humans import Boltzmann, Naive, payoff_against
from assay.solvers.games.pairs import assistant_best_responses, optimal_pairs, optimal_value, person_by_person_optima
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import OffSwitchBatch, cell_games, kernel_games

BATCHES = [
    cell_games(12, 3, 3, rng=np.random.default_rng(0)),
    kernel_games(12, 4, 2, 4, rng=np.random.default_rng(1)),
    kernel_games(12, 3, 4, 2, rng=np.random.default_rng(2)),
]


def exact(batch: OffSwitchBatch, i: int, **channel: int) -> Fraction:
    return optimal_value(batch.game(i).with_channel(**channel).team_form(), limit=10**9)[0] * batch.scale


@pytest.mark.parametrize("batch", BATCHES)
def test_values_are_those_of_the_exact_solver(batch: OffSwitchBatch) -> None:
    on, off = batch.tables()
    values, sets = optimal_values(on, off)
    table = wait_table(on, off)
    assert (table.total.max(axis=1) == values).all()
    for i in range(12):
        found = optimal_pairs(batch.game(i).team_form())
        assert found.value * batch.scale == values[i]
        if table.n <= on.shape[1]:
            waits = {f"a{o}" for o in range(table.n) if sets[i] >> o & 1}
            assert frozenset(waits) in found.marked_sets
        best = {frozenset(f"a{o}" for o in range(table.n) if b >> o & 1) for b in np.flatnonzero(table.total[i] == values[i])}
        assert set(found.marked_sets) == best


def test_payoffs_of_both_kinds_count() -> None:
    batch = BATCHES[0]
    on, _ = batch.tables()
    off = np.random.default_rng(3).integers(-4, 5, size=on.shape)
    values, _ = optimal_values(on, off)
    game = batch.game(0)
    shut = tuple(Fraction(int(x)) for x in off[0].ravel())
    assert optimal_value(replace(game, off=shut).team_form())[0] * batch.scale == values[0]


def test_floats_and_integers_agree() -> None:
    on, off = BATCHES[1].tables()
    values, sets = optimal_values(on, off)
    floats, float_sets = optimal_values(on.astype(float), off.astype(float))
    assert (values == floats).all()
    assert (sets == float_sets).all()


def test_large_integers_do_not_overflow() -> None:
    on, off = BATCHES[0].tables()
    for factor in (10**4, 10**9, 10**15):
        assert (optimal_values(on * factor, off)[0] == optimal_values(on, off)[0] * factor).all()
    with pytest.raises(InputError, match=r"below 2\^62"):
        optimal_values(on * 10**18, off)


@pytest.mark.parametrize("n_messages", [1, 2, 3])
def test_channels_to_the_human_are_those_of_the_exact_solver(n_messages: int) -> None:
    for batch in BATCHES[:2]:
        table = wait_table(*batch.tables())
        values = channel_values(table, n_messages)[-1].max(axis=1)
        for i in range(6):
            assert exact(batch, i, to_human=n_messages) == values[i]


@pytest.mark.parametrize("n_messages", [1, 2])
def test_channels_to_the_assistant_are_those_of_the_exact_solver(n_messages: int) -> None:
    batch = BATCHES[2]
    values = channel_values_to_assistant(*batch.tables(), n_messages)[-1]
    for i in range(6):
        assert exact(batch, i, to_assistant=n_messages) == values[i]


def test_telling_all_makes_waiting_unnecessary() -> None:
    batch = BATCHES[2]
    on, off = batch.tables()
    told = channel_values_to_assistant(on, off, on.shape[1])[-1]
    assert (never_wait_values(on, off) == told).all()


def test_a_single_set_splits_into_no_more_blocks_than_it_has_members() -> None:
    table = wait_table(*BATCHES[0].tables())
    values = channel_values(table, 5)
    assert (values[2] == values[4]).all()


@pytest.mark.parametrize("n_messages", [1, 2])
def test_best_replies_in_turn_end_at_person_by_person_optima(n_messages: int) -> None:
    batch = BATCHES[0]
    payoff = team_payoffs(*batch.tables(), n_messages)
    start = np.random.default_rng(0).integers(0, 2, size=(12, payoff.shape[3]))
    reached = alternating_values(payoff, start)
    for i in range(12):
        form = batch.game(i).with_channel(to_human=n_messages).team_form()
        assert (form.payoff * (batch.scale // form.denominator) == payoff[i]).all()
        first = assistant_best_responses(form, start[i].tolist())[0]
        assert first * batch.scale <= reached[i] <= exact(batch, i, to_human=n_messages)
        if n_messages == 1:
            assert Fraction(int(reached[i]), batch.scale) in {value for value, _, _ in person_by_person_optima(form)}


def test_hiding_games_are_valued_like_the_exact_solver() -> None:
    batch = hiding_games(8, rng=np.random.default_rng(0))
    plans = policies(2, 3)
    values = assistance_values(batch.payoff(), plans)
    for i in range(8):
        found = optimal_pairs(batch.game(i).team_form())
        assert found.value * batch.scale == values[i].max()
        best = {tuple(plan) for plan in plans[values[i] == values[i].max()].tolist()}
        assert {p.assistant for p in found.policies} == best


def test_plans_against_a_fixed_human_are_best_replies() -> None:
    batch = hiding_games(5, rng=np.random.default_rng(1))
    payoff = batch.payoff().astype(float)
    rng = np.random.default_rng(2)
    human = rng.integers(0, 3, size=(5, payoff.shape[3]))
    replies = np.eye(3)[human]
    for i, value in enumerate(best_plan(payoff, replies)):
        exact_value, _ = assistant_best_responses(batch.game(i).team_form(), human[i].tolist())
        assert exact_value * batch.scale == value


def test_sizes_out_of_reach_are_refused() -> None:
    wide = np.zeros((1, 17, 17), dtype=np.int64)
    with pytest.raises(InputError, match="at most 16 observations"):
        optimal_values(wide, wide)
    with pytest.raises(InputError, match="at most 16 observations of A"):
        wait_table(wide, wide)
    with pytest.raises(InputError, match="at most 8 observations of H"):
        channel_values_to_assistant(wide, wide, 2)


def test_all_policies_are_listed_once() -> None:
    listed = policies(3, 2)
    assert len({tuple(row) for row in listed.tolist()}) == len(listed) == 8


def test_humans_who_are_not_optimal_are_those_of_the_single_game_solver() -> None:
    batch = hiding_games(4, rng=np.random.default_rng(3))
    plans = policies(2, 3)
    naive = naive_values(batch.payoff(), plans) / batch.scale
    noisy = boltzmann_values(batch.payoff(), batch.mass(), plans, beta=0.1) / batch.scale
    for i in range(4):
        form = batch.game(i).team_form()
        for p, plan in enumerate(plans.tolist()):
            assert naive[i, p] == pytest.approx(payoff_against(form, plan, Naive()))
            assert noisy[i, p] == pytest.approx(payoff_against(form, plan, Boltzmann(0.1)))
