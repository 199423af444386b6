"""The simulated product model against integrals, and its arms against their names."""

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.games.observation_interference import selection
from assay.studies.games.observation_interference.products import best_depth, expected_payoff, simulate
from assay.studies.games.observation_interference.settings import ProductSettings

SETTINGS = ProductSettings(n_trials=20_000, n_products=(2, 10, 12))


@pytest.mark.parametrize("d", [2, 3])
def test_choosing_the_depth_is_worth_its_integral(d: int) -> None:
    """With m visible H takes the largest H of them, m/(m+1) in expectation, and their mean R; A picks the best m it sees."""
    grid = (np.arange(60) + 0.5) / 60
    r = -np.sort(-np.stack(np.meshgrid(*[grid] * d, indexing="ij"), axis=-1).reshape(-1, d), axis=1)
    visible = np.arange(1, d + 1)
    exact = (visible / (visible + 1) + r.cumsum(axis=1) / visible).max(axis=1).mean()
    trials = simulate(d, d, 200_000, rng=np.random.default_rng(d))
    assert trials.adaptive == pytest.approx(exact, abs=0.004)
    assert selection.adaptive_gain(trials) == pytest.approx(trials.adaptive - max(trials.payoff))
    assert exact > float(max(expected_payoff(d, d, m) for m in visible.tolist()))


def test_the_arms_see_all_or_nothing_of_ten_products() -> None:
    measured = selection.measure(SETTINGS, Seeds(7))
    for arm, k in (("seeing", 10), ("blind", 0)):
        trials = simulate(10, k, SETTINGS.n_trials, rng=Seeds(7)(f"products 10, seen {k}"))
        assert measured.estimands[f"{arm}/adaptive_gain"] == trials.adaptive - trials.payoff.max()
    assert measured.estimands["blind/adaptive_gain"] == pytest.approx(0, abs=1e-12)
    assert measured.estimands["seeing/adaptive_gain"] > 0.01


def test_figures_follow_the_closed_forms() -> None:
    tables = selection.measure(SETTINGS, Seeds(7)).tables
    seen = {(int(row["products"]), round(float(row["seen_share"]) * int(row["products"]))) for row in tables["gains"]}
    assert seen == {(d, k) for d in SETTINGS.n_products for k in (range(d + 1) if d <= 10 else range(0, d + 1, 4))}
    for row in tables["gains"]:
        k = round(float(row["seen_share"]) * int(row["products"]))
        depth, exact = best_depth(int(row["products"]), k)
        assert (row["depth"], row["exact"]) == (depth, float(exact))
        assert row["gain"] == pytest.approx(float(exact), abs=0.02)
    for row in tables["trade"]:
        m = 10 - int(row["depth"])
        expected = m / (m + 1) if row["part"] == "information kept" else 1 - (m + 1) / 22
        assert row["payoff"] == pytest.approx(expected, abs=0.015)
