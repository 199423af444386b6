"""What the two game studies compute on many games at once is what the exact solver says of each of them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.solvers.games.humans import Boltzmann, Naive, best_assistant, payoff_against
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games import observation_interference as interference
from assay.studies.games import off_switch_game as deference
from assay.studies.games.observation_interference.random_hiding import hiding_games
from assay.studies.games.off_switch_game.random_games import cell_games
from assay.worlds.games.off_switch import bounded_talk_game, file_deletion

FEW = replace(deference.SweepSettings(), n_games=64, n_reversal_games=64)


def test_signs_of_deference_are_those_of_the_exact_solver() -> None:
    found = deference._signs(FEW, Seeds(3))
    assert sum(found.values()) == pytest.approx(1)
    games = cell_games(64, 3, 3, rng=Seeds(3)("reversals"))
    counts = dict.fromkeys(found, 0)
    for i in range(64):
        sets = [optimal_pairs(games.game(i).with_channel(to_human=m).team_form()).marked_sets for m in (1, 2)]
        if len(sets[0]) > 1 or len(sets[1]) > 1:
            counts["several optima"] += 1
            continue
        before, after = sets[0][0], sets[1][0]
        name = (
            "waits on the same"
            if before == after
            else "waits less"
            if after < before
            else "waits more"
            if before < after
            else "waits on others"
        )
        counts[name] += 1
    assert {name: count / 64 for name, count in counts.items()} == found


def test_the_bounded_talk_game_is_counted_as_a_reversal() -> None:
    before, after = (optimal_pairs(bounded_talk_game().with_channel(to_human=m).team_form()) for m in (1, 2))
    assert deference._waits_lost(before, after) == 1
    assert deference._waits_lost(after, before) == -1


def test_variants_of_the_file_deletion_game_are_worth_what_they_tell() -> None:
    game = file_deletion()
    assert optimal_value(deference._with_code_shown(game).team_form())[0] == 2
    assert optimal_value(deference._with_version_shown(game).team_form())[0] == 2
    assert optimal_value(deference._with_coin(game).team_form())[0] == Fraction(7, 4)
    assert deference._always_wait(game) == 1
    assert deference._restricted(game, waits=False) == Fraction(1, 2)


def test_the_wait_mass_is_a_probability() -> None:
    games = cell_games(5, 2, 3, rng=np.random.default_rng(0))
    mass = deference._set_mass(games)
    assert np.allclose(mass[:, 0], 0)
    assert np.allclose(mass[:, -1], 1)
    assert np.allclose(mass[:, 0b101], 2 / 3)


def test_reasons_to_hide_are_counted_as_the_exact_solver_would() -> None:
    games = hiding_games(6, rng=np.random.default_rng(4), n_private=3, relevance=2)
    found = interference._counts(games, 8.0, (2.0,))
    expected = dict.fromkeys(found, 0.0)
    for i in range(6):
        game = games.game(i)
        form, plain = game.team_form(), game.without_hiding()
        best, silent = optimal_value(form)[0], optimal_value(plain.team_form())[0]
        expected["share, optimal human"] += best > silent
        expected["price, optimal human"] += float(best - silent) / interference.BASE_PAYOFF
        for words in (2, 3):
            told = optimal_value(plain.with_channel(to_human=words).team_form())[0]
            expected[f"share, optimal human, {words} words"] += best > told
            expected[f"price, optimal human, {words} words"] += float(max(best - told, Fraction(0))) / interference.BASE_PAYOFF
        for case, human in (
            ("naive human", Naive()),
            ("noisy human", Boltzmann(8.0 / interference.BASE_PAYOFF)),
            ("beta 2", Boltzmann(2.0 / interference.BASE_PAYOFF)),
        ):
            gain = best_assistant(form, human).value - payoff_against(form, (0, 0, 0), human)
            expected[f"share, {case}"] += gain > 1e-9
            expected[f"price, {case}"] += gain / interference.BASE_PAYOFF
        blind = games.uninformed().game(i)
        expected["share, A sees nothing"] += (
            optimal_value(blind.team_form())[0] > optimal_value(blind.without_hiding().team_form())[0]
        )
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_every_law_on_one_side_of_the_inflection_obeys_the_curvature() -> None:
    found = interference._curvature(500, np.random.default_rng(0))
    assert found["map_misses"] == 0
    assert found["map_straddling_misses"] > 0
    u = interference.INFLECTION
    assert u * np.tanh(u / 2) == pytest.approx(2, abs=1e-6)
