"""Product selection: closed forms against each other and against simulation."""

from fractions import Fraction

import numpy as np
import pytest

from assay.core.errors import InputError
from assay.studies.games.observation_interference.products import (
    best_depth,
    expected_payoff,
    informed_reply_gain,
    mean_visible_r,
    product_game,
    simulate,
)

# Three-and-a-half standard errors of a mean of 30,000 payoffs, whose standard deviation is below 0.45.
NOISE = 3.5 * 0.45 / 30_000**0.5


@pytest.mark.parametrize("d", [1, 2, 5, 10, 20])
def test_full_information_has_the_short_closed_form(d: int) -> None:
    for m in range(1, d + 1):
        assert expected_payoff(d, d, m) == Fraction(m, m + 1) + 1 - Fraction(m + 1, 2 * (d + 1))


def test_knowing_nothing_makes_every_product_look_alike() -> None:
    for m in range(1, 8):
        assert mean_visible_r(7, 0, m) == Fraction(1, 2)
    assert best_depth(7, 0) == (0, 0)


def test_showing_all_conveys_nothing() -> None:
    for k in range(6):
        assert mean_visible_r(5, k, 5) == Fraction(1, 2)


def test_the_gain_rises_with_what_the_assistant_sees() -> None:
    gains = [best_depth(10, k)[1] for k in range(11)]
    assert gains == sorted(gains)
    assert gains[10] == Fraction(18, 110)  # V(4) - V(10) = 173/110 - 155/110 by hand


def test_the_switching_threshold_does_not_depend_on_the_depth_under_full_information() -> None:
    d = 6
    for m in range(1, d):
        assert informed_reply_gain(d, d, m) == Fraction(1, 2 * (d + 1)) ** (m + 1) / (m + 1)
    assert informed_reply_gain(d, d, d) == 0


@pytest.mark.parametrize(("d", "k"), [(2, 2), (5, 3), (10, 10), (10, 4)])
def test_simulation_agrees_with_the_closed_forms(d: int, k: int) -> None:
    trials = simulate(d, k, 30_000, rng=np.random.default_rng(d * 100 + k))
    for depth in range(d):
        m = d - depth
        assert abs(trials.payoff[depth] - float(expected_payoff(d, k, m))) < NOISE
        assert abs(trials.h[depth] - m / (m + 1)) < NOISE
        assert abs(trials.r_random[depth] - 0.5) < NOISE
        better = float(expected_payoff(d, k, m) + informed_reply_gain(d, k, m))
        assert abs(trials.informed[depth] - better) < NOISE
    assert trials.ceiling > trials.adaptive > trials.payoff.max() - NOISE


def test_the_grid_game_hides_every_set() -> None:
    game = product_game(2, 2)
    assert game.assistant_actions == ("show all", "hide 1", "hide 2", "hide 12")
    assert len(game.states) == 16
    assert product_game(1, 1).states == ("0|0",)


def test_counts_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="1 <= m <= d"):
        expected_payoff(3, 2, 0)
    with pytest.raises(InputError, match="0 <= k <= d"):
        simulate(3, 4, 10, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="n_trials"):
        simulate(3, 3, 0, rng=np.random.default_rng(0))
