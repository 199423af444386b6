"""Games as records: validation, the reduced form against the definition of the payoff, the built-in games' own properties."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import cell_games, coordinated_garbling, kernel_games, redundant_games
from assay.worlds.games.assistance import blurred_choice, hiding_as_query, hiding_as_signal
from assay.worlds.games.dec_pomdp import DecPOMDP, two_stage_as_dec_pomdp
from assay.worlds.games.off_switch import (
    OffSwitchGame,
    file_deletion,
    file_deletion_three_versions,
    off_switch_from_table,
    original_off_switch,
    uncoordinated_garbling_pair,
)
from assay.worlds.games.rationals import exact, shown


def direct_payoff(game: OffSwitchGame, assistant: tuple[str, ...], human: tuple[str, ...]) -> Fraction:
    """The definition: the action goes through if A acts, or waits and H says ON."""
    total = Fraction(0)
    for p, table, act, off in zip(game.prior, game.observe, game.act, game.off, strict=True):
        for i, row in enumerate(table):
            for j, q in enumerate(row):
                through = assistant[j] == "act" or (assistant[j] == "wait" and human[i] == "ON")
                total += p * q * (act if through else off)
    return total


@pytest.mark.parametrize("seed", range(4))
def test_the_reduced_form_pays_what_the_definition_says(seed: int) -> None:
    game = kernel_games(1, 3, 2, 3, rng=np.random.default_rng(seed)).game(0)
    game = replace(game, off=tuple(Fraction(k, 3) for k in range(3)))
    form = game.team_form()
    for assistant in product(range(3), repeat=3):
        for human in product(range(2), repeat=2):
            names = tuple(form.assistant_actions[a] for a in assistant), tuple(form.human_actions[h] for h in human)
            assert form.value(assistant, human) == direct_payoff(game, *names)


def test_mass_is_the_probability_that_the_human_is_asked() -> None:
    form = file_deletion().team_form()
    asked = form.mass / form.mass_denominator
    wait = form.assistant_actions.index("wait")
    assert asked[:, wait].sum() == 1
    assert asked.sum() == 1  # acting and shutting down ask nobody


def test_one_message_is_silence() -> None:
    form = hiding_as_signal().team_form()
    assert form.with_messages(1) is form
    assert file_deletion().with_channel(to_human=1) == file_deletion()
    with pytest.raises(InputError, match="at least 1 message"):
        form.with_messages(0)
    with pytest.raises(InputError, match="at least 1 message"):
        file_deletion().with_channel(to_human=0)


def test_messages_both_ways_are_refused() -> None:
    with pytest.raises(InputError, match="one way"):
        file_deletion().with_channel(to_human=2, to_assistant=2).team_form()


def test_the_coarse_version_merges_the_first_digit() -> None:
    fine, coarse = (file_deletion_three_versions(fine=fine) for fine in (True, False))
    assert fine.human_observations == ("1.0", "1.1", "2.0")
    assert coarse.human_observations == ("1.x", "2.0")
    assert fine.act == coarse.act


def test_payoffs_of_the_garbling_example_agree_between_structures() -> None:
    first, second = uncoordinated_garbling_pair()
    assert (first.act, first.prior, first.states) == (second.act, second.prior, second.states)
    assert first.act == (-1, 2, 2, -1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior": (Fraction(1, 2),) * 4}, "sum to exactly 1; it sums to 2"),
        ({"prior": (Fraction(-1, 2), Fraction(1, 2), Fraction(1, 2), Fraction(1, 2))}, "negative"),
        ({"human_observations": ()}, "it is empty"),
        ({"assistant_observations": ("L", "L")}, "more than once"),
        ({"act": (Fraction(1),) * 3}, "each of the 4 states; got 3"),
        ({"observe": ((((Fraction(1), Fraction(0)),) * 2),) * 4}, "sum to exactly 1; it sums to 2"),
        ({"observe": (((Fraction(1),),),) * 4}, "table of 2 by 2"),
    ],
)
def test_an_impossible_off_switch_game_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(file_deletion(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"assistant_actions": ()}, "it is empty"),
        ({"hides": (False,)}, "hides must have 3 entries"),
        ({"human_actions": ("pick 1",)}, "reward"),
        ({"to_human": 0}, "at least 1 message"),
    ],
)
def test_an_impossible_assistance_game_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(hiding_as_signal(), **change)  # type: ignore[arg-type]


def test_a_two_stage_game_must_fit_its_first_stage() -> None:
    game = hiding_as_query(2)
    with pytest.raises(InputError, match="second_reward"):
        replace(game, second_reward=game.second_reward[:2])
    with pytest.raises(InputError, match="messages to A only"):
        replace(game, first=game.first.with_channel(to_human=2))
    with pytest.raises(InputError, match="at least 1 message"):
        game.with_channel(to_assistant=0)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "1/0", "three", None, True, "1e999999999", 10**200, "1e-150", [1]]
)
def test_what_is_no_finite_number_of_ordinary_size_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="the payoff must be a finite number"):
        exact(value, where="the payoff")


def test_numbers_mean_what_they_spell() -> None:
    assert exact("1/3", where="x") * 3 == 1
    assert exact(0.1, where="x") == Fraction(1, 10)
    assert exact(" -2.50 ", where="x") == Fraction(-5, 2)
    assert (shown(Fraction(7, 4)), shown(Fraction(3))) == ("7/4", "3")


def test_an_absurd_size_is_refused_before_it_is_built() -> None:
    wide = off_switch_from_table("wide", [[1] * 40] * 2)
    with pytest.raises(InputError, match="at most 20,000,000 cells; it would hold"):
        wide.with_channel(to_human=2000).team_form()
    with pytest.raises(InputError, match="20,000,000"):
        file_deletion().with_channel(to_assistant=14).team_form()


@pytest.mark.parametrize("seed", range(3))
def test_batches_hold_the_games_they_give_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for batch in (
        cell_games(3, 2, 3, rng=rng),
        kernel_games(3, 4, 3, 2, rng=rng),
        redundant_games(3, 3, 2, 3, rng=rng),
        coordinated_garbling(kernel_games(3, 3, 2, 2, rng=rng), rng=rng),
        coordinated_garbling(kernel_games(3, 3, 2, 2, rng=rng), rng=rng, coordinated=False),
    ):
        on, off = batch.tables()
        for i in range(3):
            act, shut, seen = batch.game(i).through()
            assert (act * batch.scale == on[i]).all()
            assert (shut * batch.scale == off[i]).all()
            assert (seen * batch.scale == batch.mass()[i]).all()


@pytest.mark.parametrize("redundant", ["assistant", "human"])
def test_redundant_games_factor_as_they_say(redundant: str) -> None:
    batch = redundant_games(20, 3, 3, 3, rng=np.random.default_rng(0), redundant=redundant)
    for i in range(20):
        joint = batch.observe[i].astype(float)  # [state, human, assistant]
        if redundant == "human":
            joint = joint.transpose(0, 2, 1)
        own = joint.sum(axis=2, keepdims=True)
        given = np.divide(joint, own, out=np.full_like(joint, np.nan), where=own > 0)
        # Given the informed side's observation, the other's law is the same in every state.
        for x in range(3):
            rows = given[:, x][~np.isnan(given[:, x]).any(axis=1)]
            assert np.allclose(rows, rows[:1])


def test_hiding_batches_hold_the_games_they_give_out() -> None:
    for batch in (hiding_games(3, rng=np.random.default_rng(0)), hiding_games(2, rng=np.random.default_rng(1)).uninformed()):
        payoff, mass = batch.payoff(), batch.mass()
        for i in range(len(payoff)):
            form = batch.game(i).team_form()
            ours = np.array([Fraction(int(x), form.denominator) for x in form.payoff.ravel()])
            assert (ours * batch.scale == payoff[i].ravel()).all()
            theirs = np.array([Fraction(int(x), form.mass_denominator) for x in form.mass.ravel()])
            assert (theirs * batch.scale == mass[i].ravel()).all()


def test_signals_have_a_row_for_every_possible_hidden_state() -> None:
    game = hiding_as_signal()
    kernel = game.signal((0, 1, 2, 0))
    assert len(kernel) == 16
    assert all(sum(row) == 1 for row in kernel)


def test_hiding_can_be_taken_away() -> None:
    assert hiding_as_signal().without_hiding().assistant_actions == ("show",)
    assert hiding_as_query(1).without_hiding().first.hides == (False,)
    with pytest.raises(InputError, match="it is empty"):
        replace(blurred_choice(), hides=(True, True)).without_hiding()


def test_the_informed_human_sees_the_state() -> None:
    game = original_off_switch(["1/2", -1, 3], prior=["1/2", "1/4", "1/4"])
    assert game.human_observations == game.states
    assert game.prior == (Fraction(1, 2), Fraction(1, 4), Fraction(1, 4))


def test_a_dec_pomdp_must_hold_distributions() -> None:
    good = two_stage_as_dec_pomdp(hiding_as_query(2))
    with pytest.raises(InputError, match="transition must hold distributions"):
        replace(good, transition=good.transition * 0.5)
    with pytest.raises(InputError, match="reward must be finite"):
        replace(good, reward=good.reward * np.nan)
    with pytest.raises(InputError, match="start must have the shape"):
        replace(good, start=good.start[:-1])
    with pytest.raises(InputError, match="discount"):
        DecPOMDP(good.name, good.start, good.transition, good.observation, good.reward, good.first, discount=1.5)


def test_signals_of_a_batch_are_those_of_its_games() -> None:
    batch = hiding_games(2, rng=np.random.default_rng(2), n_theta=1)
    for plan in ((0, 0), (0, 1), (2, 1)):
        assert (batch.signals(1, plan) == np.array(batch.game(1).signal(plan), dtype=object)).all()


def test_shuffling_changes_order_only() -> None:
    for game in (file_deletion(), hiding_as_signal()):
        mixed = game.shuffled(np.random.default_rng(0))
        assert sorted(mixed.states) == sorted(game.states)
        assert mixed != game
        back = {name: i for i, name in enumerate(mixed.states)}
        assert [mixed.prior[back[name]] for name in game.states] == list(game.prior)
