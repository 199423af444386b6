"""The off-switch study computes on many games at once what the exact solver says of each of them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.solvers.games.pairs import optimal_pairs, optimal_value
from assay.studies.games.off_switch_game import examples, sweeps, variants
from assay.studies.games.off_switch_game.random_games import cell_games
from assay.worlds.games.off_switch import bounded_talk_game, file_deletion

FEW = replace(sweeps.Settings(), n_games=64, n_reversal_games=64)


def test_signs_of_deference_are_those_of_the_exact_solver() -> None:
    found = sweeps.signs_of_talk(FEW, Seeds(3))
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
    assert examples.waits_lost(before, after) == 1
    assert examples.waits_lost(after, before) == -1


def test_variants_of_the_file_deletion_game_are_worth_what_they_tell() -> None:
    game = file_deletion()
    assert optimal_value(variants.with_code_shown(game).team_form())[0] == 2
    assert optimal_value(variants.with_version_shown(game).team_form())[0] == 2
    assert optimal_value(variants.with_coin(game).team_form())[0] == Fraction(7, 4)
    assert variants.always_waiting_value(game) == 1
    assert variants.restricted_value(game, waits=False) == Fraction(1, 2)


def test_the_wait_mass_is_a_probability() -> None:
    games = cell_games(5, 2, 3, rng=np.random.default_rng(0))
    mass = sweeps.set_mass(games)
    assert np.allclose(mass[:, 0], 0)
    assert np.allclose(mass[:, -1], 1)
    assert np.allclose(mass[:, 0b101], 2 / 3)
