"""What the figures show is of the agent, the lengths and the budgets that they name."""

from typing import Any

import numpy as np
import pytest

from assay.core.seeds import Seeds
from assay.studies.learners.asking_for_help_no_regret import impossible, irreversible, local_safety
from assay.studies.learners.asking_for_help_no_regret.ridge import Fate
from assay.studies.learners.asking_for_help_no_regret.settings import ImpossibleSettings, WalkerSettings


def fate(chance: float, asked: float, n: int) -> Fate:
    """A walker that climbs by itself, falls with that chance at its first step, and asks on a share of its steps."""
    hazard = np.zeros(n)
    hazard[0] = chance
    return Fate(np.minimum(1.0, 0.1 * np.arange(n)), hazard, np.arange(n) < asked * n, 1.0)


def test_walkers_are_shown_under_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WalkerSettings(horizons=(100, 200, 400), n_trial_steps=200, climb=0.1)
    chances = {"asks": 0.1, "no-test": 0.3, "coin": 0.5, "ucb": 0.6, "greedy": 0.7, "coin on trial": 0.8}

    def pair(arm: str, n: int) -> list[Fate]:
        return [fate(chances[arm], 0.2, n), fate(chances[arm] + 0.1, 0.4, n)]

    monkeypatch.setattr(irreversible, "_askers", lambda settings, seeds, n: {arm: pair(arm, n) for arm in ("asks", "no-test")})
    monkeypatch.setattr(irreversible, "_coins", lambda settings, seeds, n: pair("coin", n))
    asked: list[int] = []

    def tried(settings: Any, seeds: Any, n: int) -> Any:
        asked.append(n)
        arms = {"ucb": "ucb", "greedy": "greedy", "coin": "coin on trial"}
        return {(arm, world): pair(its, n) for arm, its in arms.items() for world in ("for ever", "can be undone")}

    monkeypatch.setattr(irreversible, "_tried", tried)
    tables = irreversible.measure(settings, Seeds(0)).tables
    assert asked == [200]
    names = {"asks": "asks for help", "no-test": "no distance test", "coin": "tosses a coin"}
    rows = {(row["agent"], row["rounds"]): row for row in tables["walker"]}
    lengths = {"asks": (100, 200, 400), "no-test": (100, 200, 400), "coin": (100, 200)}
    assert set(rows) == {(names[arm], n) for arm, its in lengths.items() for n in its}
    for arm, its in lengths.items():
        for n in its:
            row = rows[names[arm], n]
            assert row["fallen"] == pytest.approx(chances[arm] + 0.05)
            assert row["query_rate"] == pytest.approx(0.3)
            assert row["lost_share"] == pytest.approx(chances[arm] + 0.05)  # it earns nothing before it may have fallen
    shown = {
        "asks for help": ("asks", 400),
        "no distance test": ("no-test", 400),
        "Q-learning, confidence bonus": ("ucb", 200),
        "Q-learning, random tries": ("greedy", 200),
        "tosses a coin": ("coin on trial", 200),
    }
    for agent, (arm, n) in shown.items():
        curve = {row["step"]: row["survival"] for row in tables["survival"] if row["agent"] == agent}
        assert (min(curve), max(curve)) == (1, n)
        assert list(curve.values()) == pytest.approx([1 - chances[arm] - 0.05] * len(curve))
    assert {row["agent"] for row in tables["survival"]} == set(shown)


def test_regrets_of_budgets_are_of_their_askers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ImpossibleSettings(horizons=(1_000, 10_000), budgets=(0.1, 0.5), n_copies=2)
    asked: list[tuple[int, int]] = []

    def regret(horizon: int, q: int, seeds: Seeds) -> list[float]:
        asked.append((horizon, q))
        return [0.001 * horizon / (q + 1) * (1 + i) + (len(asked) + 1) % 2 for i in range(len(impossible._ASKERS))]

    monkeypatch.setattr(impossible, "_budget_regret", regret)
    tables = impossible.measure(settings, Seeds(0)).tables
    assert asked == [pair for pair in ((1_000, 2), (10_000, 3), (1_000, 32), (10_000, 100)) for _ in range(2)]
    rows = {(row["budget"], row["rounds"], row["asker"]): row for row in tables["impossible"]}
    assert len(rows) == len(tables["impossible"]) == 4 * 6
    for (budget, horizon, asker), row in rows.items():
        q = round(horizon**budget)  # type: ignore[operator]
        expected = 0.001 * horizon / (q + 1) * (1 + impossible._ASKERS.index(str(asker))) + 0.5  # type: ignore[operator]
        assert row["regret"] == pytest.approx(expected)
        assert row["rounds_per_query"] == pytest.approx(horizon / (q + 1))  # type: ignore[operator]
        assert row["survival"] == pytest.approx(np.exp(-expected))
    survival = {(row["budget"], row["rounds"], row["asker"]): row["survival"] for row in tables["survival"]}
    kept = ("learnable, exact learner", "bound for all", "asks once a cell")
    assert survival == {
        (f"T^{budget:g} questions", horizon, asker): row["survival"]
        for (budget, horizon, asker), row in rows.items()
        if asker in kept
    }


def test_the_tightest_process_of_each_agent_is_shown() -> None:
    rows: list[Any] = [
        {"agent": agent, "share": share, "risk": risk, "lost_per_step": lost, "case": "x"}
        for agent in ("a", "b")
        for share in (0.1, 1.0)
        for risk, lost in ((1.0, 0.2), (2.0, 0.9 if agent == "a" else -0.9), (1.0, 0.3 * share), (0.0, 0.0))
    ]
    found = {(row["agent"], row["share"]): (row["risk"], row["lost_per_step"]) for row in local_safety._tightest(rows)}
    assert found == {("a", 0.1): (2.0, 0.9), ("a", 1.0): (2.0, 0.9), ("b", 0.1): (1.0, 0.2), ("b", 1.0): (1.0, 0.3)}
