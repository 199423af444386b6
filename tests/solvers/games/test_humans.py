"""Humans who are not optimal: limits, signs, and the two-stage games in which their choices answer questions."""

from fractions import Fraction
from math import exp

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.solvers.games.humans import Boltzmann, Naive, Optimal, best_assistant, payoff_against
from assay.solvers.games.pairs import optimal_pairs
from assay.solvers.games.two_stage import belief, solve_two_stage
from assay.studies.games.off_switch_game.random_games import kernel_games
from assay.worlds.games.assistance import blurred_choice, hiding_as_query, hiding_as_signal
from assay.worlds.games.off_switch import file_deletion, off_switch_from_table


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


@pytest.mark.parametrize("seed", range(6))
def test_an_optimal_human_brings_the_assistant_to_the_optimum(seed: int) -> None:
    form = kernel_games(1, 3, 3, 3, rng=np.random.default_rng(seed)).game(0).team_form()
    exact = optimal_pairs(form)
    found = best_assistant(form, Optimal())
    assert found.rational == exact.value
    assert set(found.assistants) == {policies.assistant for policies in exact.policies}


def test_a_boltzmann_human_is_uniform_at_zero_and_optimal_in_the_limit() -> None:
    form = file_deletion().team_form()
    # beta = 0: a coin. A acts on L for 1/2; on M acting, off and the coin are all worth 0.
    assert payoff_against(form, (0, 1), Boltzmann(0.0)) == pytest.approx(0.5)
    assert best_assistant(form, Boltzmann(200.0)).value == pytest.approx(1.75)


def test_a_human_who_ignores_that_she_was_asked_misreads_the_code() -> None:
    # Averaged over the columns the first row looks good (6 - 4 > 0); given that A waited on the second, it is not.
    form = off_switch_from_table("misread", [[6, -4], [1, 2]]).team_form()
    aware, unaware = best_assistant(form, Optimal()), best_assistant(form, Naive())
    assert unaware.value < aware.value
    assert aware.rational == Fraction(6 + 1 + 2, 4)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 5.0])
def test_hiding_from_a_noisy_chooser_has_the_closed_form(beta: float) -> None:
    form = blurred_choice((3, 9)).team_form()
    shown = sum(x * sigmoid(beta * x) for x in (3, 9)) / 2
    assert payoff_against(form, (0,), Boltzmann(beta)) == pytest.approx(shown)
    assert payoff_against(form, (1,), Boltzmann(beta)) == pytest.approx(6 * sigmoid(6 * beta))


def test_a_rational_chooser_never_gains_from_hiding() -> None:
    for values in ((3, 9), (-3, 3), (-1, 5)):
        form = blurred_choice(values).team_form()
        assert payoff_against(form, (1,), Optimal()) <= payoff_against(form, (0,), Optimal())


def test_payoffs_beyond_64_bits_have_behavioural_humans_too() -> None:
    small, huge = (off_switch_from_table("scaled", [[3 * x, -5 * x], [-x, 5 * x]]).team_form() for x in (1, 10**30))
    assert huge.payoff.dtype == object
    for human in (Optimal(), Naive()):
        found = best_assistant(huge, human)
        assert found.value == pytest.approx(best_assistant(small, human).value * 1e30)
        assert found.assistants == best_assistant(small, human).assistants
    noisy = best_assistant(small, Boltzmann(1.0)).value
    assert best_assistant(huge, Boltzmann(1e-30)).value == pytest.approx(noisy * 1e30)


def test_impossible_humans_are_refused() -> None:
    with pytest.raises(InputError, match="beta must be a finite number"):
        Boltzmann(float("inf"))
    with pytest.raises(InputError, match="beta"):
        Boltzmann(-1.0)
    wide = off_switch_from_table("wide", [[1] * 16]).team_form()
    with pytest.raises(InputError, match=r"at most 2,000,000 policies; it has 43,046,721.*--limit"):
        best_assistant(wide, Boltzmann(1.0))


def test_a_naive_human_needs_no_search() -> None:
    found = best_assistant(off_switch_from_table("wide", [[1] * 60]).team_form(), Naive())
    assert (found.exact, found.n_best) == (1, 2**60)  # act or wait, anywhere


@pytest.mark.parametrize("offset", [0, 10**17, -(10**25)])
def test_an_offset_of_all_payoffs_moves_a_noisy_value_by_as_much(offset: int) -> None:
    def game(c: int) -> Fraction:
        table = off_switch_from_table("offset", [[3 + c, -5 + c], [-1 + c, 5 + c]], off=c).team_form()
        return best_assistant(table, Boltzmann(0.7)).precise

    assert abs(game(offset) - offset - game(0)) < Fraction(1, 10**60)


@pytest.mark.parametrize("stake", ["1/2", 1, "3/2", 4])
def test_a_naive_human_is_worth_asking_exactly_above_a_stake_of_one(stake: int | str) -> None:
    game = hiding_as_query(stake)
    found = solve_two_stage(game, Naive())
    common = game.first.assistant_observations.index("common")
    k = Fraction(stake)
    shown, hidden = found.by_action[common]
    assert (shown, hidden) == (1 + k / 2, Fraction(1, 2) + k)
    assert (hidden > shown) == (k > 1)


@pytest.mark.parametrize("stake", ["1/2", 1, 2])
def test_an_optimal_human_or_a_channel_makes_asking_unnecessary(stake: int | str) -> None:
    game, k = hiding_as_query(stake), Fraction(stake)
    assert solve_two_stage(game, Optimal()).value == solve_two_stage(game.without_hiding(), Optimal()).value
    talk = game.with_channel(to_assistant=2).without_hiding()
    # Common: 1 + K; divisive: (1 + 3)/2 + K.
    for human in (Optimal(), Naive()):
        assert solve_two_stage(talk, human).value == (1 + k + 2 + k) / 2


def test_a_noisy_human_tells_less_by_what_she_does() -> None:
    exact, noisy = (solve_two_stage(hiding_as_query(4), human).value for human in (Naive(), Boltzmann(1.0)))
    assert noisy < exact
    assert solve_two_stage(hiding_as_query(4), Boltzmann(60.0)).value == pytest.approx(float(exact))


def test_beliefs_follow_bayes() -> None:
    game = hiding_as_query(2)
    found = solve_two_stage(game, Naive())
    # The attribute is common and hidden: x was chosen by type 1 alone.
    after = belief(game, found, saw=0, first=1, human_action=0)
    assert after == (1, 0, 0, 0)
    # Shown, both types choose x, and nothing is learned; y cannot occur.
    assert belief(game, found, saw=0, first=0, human_action=0) == (Fraction(1, 2), Fraction(1, 2), 0, 0)
    assert belief(game, found, saw=0, first=0, human_action=1) is None


def test_too_many_human_policies_are_refused() -> None:
    with pytest.raises(InputError, match=r"at most 2,000,000 policies; it has about 10\^9"):
        solve_two_stage(hiding_as_query(2).with_channel(to_assistant=20), Optimal())


def test_every_tied_plan_is_reported() -> None:
    found = solve_two_stage(hiding_as_query(1), Optimal())
    values = {plan.action for plan in found.plans}
    assert len(values) == len(found.plans) > 1
    assert {True, False} <= {any(policy) for policy in found.first_actions}  # some hide, some never do


def test_a_game_without_hiding_actions_never_hides() -> None:
    assert all(not any(policy) for policy in solve_two_stage(hiding_as_query(9).without_hiding(), Naive()).first_actions)
    assert hiding_as_signal().without_hiding().hides == (False,)
