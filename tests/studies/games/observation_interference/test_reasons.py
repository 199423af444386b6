"""The hiding study computes on many games at once what the exact solver says of each of them."""

from fractions import Fraction

import numpy as np
import pytest

from assay.solvers.games.humans import Boltzmann, Naive, best_assistant, payoff_against
from assay.solvers.games.pairs import optimal_value
from assay.studies.games.observation_interference import small_games, sweeps
from assay.studies.games.observation_interference.random_hiding import hiding_games


def test_reasons_to_hide_are_counted_as_the_exact_solver_would() -> None:
    games = hiding_games(6, rng=np.random.default_rng(4), n_private=3, relevance=2)
    found = sweeps.count_reasons(games, 8.0, (2.0,))
    expected = dict.fromkeys(found, 0.0)
    for i in range(6):
        game = games.game(i)
        form, plain = game.team_form(), game.without_hiding()
        best, silent = optimal_value(form)[0], optimal_value(plain.team_form())[0]
        expected["share, optimal human"] += best > silent
        expected["price, optimal human"] += float(best - silent) / sweeps.BASE_PAYOFF
        for words in (2, 3):
            told = optimal_value(plain.with_channel(to_human=words).team_form())[0]
            expected[f"share, optimal human, {words} words"] += best > told
            expected[f"price, optimal human, {words} words"] += float(max(best - told, Fraction(0))) / sweeps.BASE_PAYOFF
        for case, human in (
            ("naive human", Naive()),
            ("noisy human", Boltzmann(8.0 / sweeps.BASE_PAYOFF)),
            ("beta 2", Boltzmann(2.0 / sweeps.BASE_PAYOFF)),
        ):
            gain = best_assistant(form, human).value - payoff_against(form, (0, 0, 0), human)
            expected[f"share, {case}"] += gain > 1e-9
            expected[f"price, {case}"] += gain / sweeps.BASE_PAYOFF
        blind = games.uninformed().game(i)
        expected["share, A sees nothing"] += (
            optimal_value(blind.team_form())[0] > optimal_value(blind.without_hiding().team_form())[0]
        )
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_every_law_on_one_side_of_the_inflection_obeys_the_curvature() -> None:
    found = small_games.curvature_misses(500, np.random.default_rng(0))
    assert found["map_misses"] == 0
    assert found["map_straddling_misses"] > 0
    u = small_games.INFLECTION
    assert u * np.tanh(u / 2) == pytest.approx(2, abs=1e-6)
