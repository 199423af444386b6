"""The small games, the product model and the theorems against their definitions and closed forms."""

from fractions import Fraction
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.core.seeds import Seeds
from assay.solvers.games.dec_pomdp import solve_dec_pomdp
from assay.solvers.games.humans import Boltzmann, Naive, Optimal
from assay.solvers.games.two_stage import solve_two_stage
from assay.studies.games.observation_interference import STUDY, checks, small_games, theorems
from assay.studies.games.observation_interference.settings import GameSettings, ProductSettings
from assay.worlds.games.assistance import hiding_as_query
from assay.worlds.games.dec_pomdp import two_stage_as_dec_pomdp

NUMBERS = checks.OF_GAMES | checks.OF_PRODUCTS


@pytest.fixture(scope="module")
def found() -> dict[str, float]:
    return checks.of_games(512, 8.0) | checks.of_products()


def test_every_exact_check_holds_and_fails_without_its_cause(found: dict[str, float]) -> None:
    assert set(NUMBERS) == {exact.name for exact in STUDY.exact}
    for exact in STUDY.exact:
        with_cause, without = NUMBERS[exact.name]
        assert exact.judge(found[with_cause]) == "holds", (exact.sentence, found[with_cause])
        assert exact.judge(found[without]) == "fails", (exact.sentence, found[without])
    assert {name for pair in NUMBERS.values() for name in pair} == set(found), "a number that no check reads"


def test_checks_are_numbers_of_their_own_settings(found: dict[str, float]) -> None:
    games = checks.check_games(GameSettings(n_checked=512, beta=8.0))
    assert games == {name: found[number] for name, (number, _) in checks.OF_GAMES.items()}
    assert checks.check_products(ProductSettings()) == {name: found[n] for name, (n, _) in checks.OF_PRODUCTS.items()}


def signalling_value(policy: dict[tuple[int, int], str]) -> Fraction:
    """Payoff of a policy of A in the signalling game, H replying best, by nothing but the game's definition."""
    worth: dict[tuple[object, object], list[Fraction]] = {}
    for h1, h2, r1, r2 in product((0, 1), (0, 1), (0, 2), (0, 2)):
        action = policy[r1, r2]
        seen = ("?" if action == "hide 1" else h1, "?" if action == "hide 2" else h2)
        totals = worth.setdefault(seen, [Fraction(0), Fraction(0)])
        totals[0] += Fraction(h1 + r1, 16)
        totals[1] += Fraction(h2 + r2, 16)
    return sum((max(totals) for totals in worth.values()), Fraction(0))


def test_the_signalling_game_by_visiting_all_policies(found: dict[str, float]) -> None:
    cells = list(product((0, 2), (0, 2)))
    values = {
        actions: signalling_value(dict(zip(cells, actions, strict=True)))
        for actions in product(("none", "hide 1", "hide 2"), repeat=4)
    }
    best = max(values.values())
    optimal = [actions for actions, value in values.items() if value == best]
    assert (float(best), len(optimal)) == (found["signalling/value"], found["signalling/optima"])
    assert values["none", "none", "none", "none"] == found["shown/value"] == Fraction(7, 4)
    assert sum(set(actions) == {"none"} for actions in optimal) == found["signalling/showing_optima"]


@pytest.mark.parametrize("stake", [Fraction(1, 4), Fraction(1), Fraction(5, 2), Fraction(4)])
def test_asking_by_hiding_is_worth_half_the_stake_minus_half(stake: Fraction) -> None:
    """Shown: 1 + K/2. Hidden: 1/2 + K."""
    assert small_games.advantage_of_asking(stake) == (stake - 1) / 2
    # The attribute is common in half of the cases, and only there something is given up.
    assert small_games.price_of_showing(stake, Naive(), 1) == max(0, (stake - 1) / 4)
    assert small_games.price_of_showing(stake, Optimal(), 1) == small_games.price_of_showing(stake, Naive(), 2) == 0


@pytest.mark.parametrize("stake", [Fraction(1, 2), Fraction(1), Fraction(3)])
def test_two_planners_agree_on_the_query_game(stake: Fraction) -> None:
    """Backward induction over beliefs against Dec-POMDP dynamic programming, whose last step matters."""
    for game in (hiding_as_query(stake), hiding_as_query(stake).without_hiding()):
        exact = float(solve_two_stage(game, Optimal()).value)
        steps = two_stage_as_dec_pomdp(game)
        assert solve_dec_pomdp(steps, 3).value == pytest.approx(exact, abs=1e-9)
        assert solve_dec_pomdp(steps, 2).value < exact - 0.1


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.8, 2.0, 5.0])
def test_sparing_a_noisy_human_by_its_formula(beta: float) -> None:
    def chosen(x: float) -> float:
        return x / (1 + exp(-beta * x))

    assert small_games.effect((3, 9), Boltzmann(beta)) == pytest.approx(chosen(6) - (chosen(3) + chosen(9)) / 2)


def test_every_law_on_one_side_of_the_inflection_obeys_the_curvature(found: dict[str, float]) -> None:
    from_card = small_games.INFLECTION
    assert from_card * (1 - exp(-from_card)) / (1 + exp(-from_card)) == pytest.approx(2, abs=1e-6)  # u tanh(u/2) = 2
    assert found["one-side/sign_errors"] == 0
    assert found["straddling/sign_errors"] > 100


def test_the_product_models_numbers_by_hand(found: dict[str, float]) -> None:
    """Ten products, all R's seen: m visible pay m/(m+1) + 1 - (m+1)/22."""
    value = {m: Fraction(m, m + 1) + 1 - Fraction(m + 1, 22) for m in range(1, 11)}
    assert found["seeing/best_hiding_gain"] == pytest.approx(float(max(value.values()) - value[10]))
    assert found["blind/best_hiding_gain"] == pytest.approx(9 / 10 - 10 / 11)
    assert found["lowest/step_of_r"] == pytest.approx(1 / 22)
    assert found["largest/step_of_h"] == pytest.approx(-1 / 110)


def test_figures_of_the_small_games_are_drawn_from_their_values() -> None:
    tables = small_games.tables()
    assert [row["payoff"] for row in tables["plans"]] == [7 / 4, 33 / 16, 17 / 8, 17 / 8, 17 / 8]
    for row in tables["stakes"]:
        expected = max(0.0, (float(row["stake"]) - 1) / 4) if row["human"] == "naive human" else 0.0
        assert row["price"] == pytest.approx(expected)
    effects = {row["law"]: [] for row in tables["betas"]}  # type: dict[object, list[float]]
    for row in tables["betas"]:
        effects[row["law"]].append(float(row["effect"]))
    assert min(effects["X is 3 or 9"]) < -0.1 < 0.05 < max(effects["X is 3 or 9"])


def test_theorems_are_asked_of_the_same_games_without_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payoffs with one observation in place of several are their sum: nothing of a game is lost but what A sees."""
    asked: list[NDArray[Any]] = []
    compute = theorems.assistance_values

    def noting(payoff: NDArray[Any], policies: NDArray[Any]) -> NDArray[Any]:
        asked.append(payoff)
        return compute(payoff, policies)

    monkeypatch.setattr(theorems, "assistance_values", noting)
    theorems.exceptions(8, 1.0, Seeds(0))
    assert asked
    for seeing, blind in zip(asked[::2], asked[1::2], strict=True):
        assert seeing.shape[1] > 1
        np.testing.assert_array_equal(blind, seeing.sum(axis=1, keepdims=True))
