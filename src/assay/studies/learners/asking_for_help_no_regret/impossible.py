"""C1: where nothing carries over between inputs, what does a budget of questions buy?"""

import math

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Transcript, ask_within_budget, bisect_mentor
from assay.studies.learners.asking_for_help_no_regret.settings import ImpossibleSettings
from assay.studies.learners.asking_for_help_no_regret.world import Cells, uniform_inputs


def measure(settings: ImpossibleSettings, seeds: Seeds) -> Measurement:
    """Regret of askers with a budget where every cell has a coin of its own, and where the action changes only once."""
    rows: Table = []
    for a in settings.budgets:
        for horizon in settings.horizons:
            q = round(horizon**a)
            regret = np.mean(
                [_budget_regret(horizon, q, seeds.child(f"{a}/{horizon}/{c}")) for c in range(settings.n_copies)], axis=0
            )
            row = {"budget": a, "rounds": horizon, "rounds_per_query": horizon / (q + 1)}
            named = dict(zip(_ASKERS, map(float, regret), strict=True))
            rows += [{**row, "asker": asker, "regret": value, "survival": math.exp(-value)} for asker, value in named.items()]

    return Measurement(
        estimands={
            "coins/exponent": _exponent(settings, rows, "asks once a cell"),
            "one-change/exponent": _exponent(settings, rows, "learnable, copies nearest"),
            "coins/least_growth": _least_growth(settings, rows, "asks once a cell"),
            "one-change/least_growth": _least_growth(settings, rows, "learnable, exact learner"),
        },
        tables={
            "impossible": rows,
            "survival": [{**row, "budget": f"T^{row['budget']:g} questions"} for row in rows if row["asker"] in _SHOWN],
        },
    )


def measure_nulls(settings: ImpossibleSettings, seeds: Seeds) -> Measurement:
    """Who asks q times at random and tosses a coin elsewhere, and who knows every cell's safe action and errs in one round."""
    rows: Table = []
    for a in settings.budgets:
        for horizon in settings.horizons:
            q = round(horizon**a)
            lost = np.mean(
                [_null_regret(horizon, q, seeds.child(f"{a}/{horizon}/{c}")) for c in range(settings.n_copies)], axis=0
            )
            for asker, regret in zip(("coin", "told"), map(float, lost), strict=True):
                rows.append({"budget": a, "rounds_per_query": horizon / (q + 1), "asker": asker, "regret": regret})
    return Measurement(
        {f"{arm}/exponent": _exponent(settings, rows, arm) for arm in ("coin", "told")}
        | {f"{arm}/least_growth": _least_growth(settings, rows, arm) for arm in ("coin", "told")}
    )


def _null_regret(horizon: int, q: int, seeds: Seeds) -> tuple[float, float]:
    x = uniform_inputs(horizon, 1, rng=seeds("inputs"))
    free = Cells.sample(max(1, math.isqrt(q * horizon)), rng=seeds("cells"))
    rng = seeds("coin")
    truth, played = free.mentor(x), rng.integers(2, size=horizon)
    asked = rng.choice(horizon, q, replace=False)
    played[asked] = truth[asked]
    tossed = float(-np.log1p(-free.loss(x, played)).sum())
    return tossed, float(-np.log1p(-free.stake(x)).mean())  # one wrong round of any


def _exponent(settings: ImpossibleSettings, rows: Table, asker: str) -> float:
    """The slope on log(T / (q + 1)) along each sparse budget, averaged over them."""
    mine = [row for row in rows if row["asker"] == asker]
    return float(
        np.mean(
            [
                log_log_slope(
                    [row["rounds_per_query"] for row in mine if row["budget"] == a],
                    [row["regret"] for row in mine if row["budget"] == a],
                )
                for a in settings.sparse_budgets
            ]
        )
    )


def _least_growth(settings: ImpossibleSettings, rows: Table, asker: str) -> float:
    """Regret of the longest run less that of the shortest, for the budget with the least."""
    grown = []
    for a in settings.budgets:
        mine = [float(row["regret"]) for row in rows if row["asker"] == asker and row["budget"] == a]
        grown.append(mine[-1] - mine[0])
    return min(grown)


_ASKERS = (
    "asks once a cell",
    "asks first, copies nearest",
    "bound for all",
    "sixteen cells only",
    "learnable, copies nearest",
    "learnable, exact learner",
)
# In the order of the legend; the others are controls of the fitted exponent.
_SHOWN = ("learnable, exact learner", "bound for all", "asks once a cell")


def _budget_regret(horizon: int, q: int, seeds: Seeds) -> list[float]:
    n_cells = max(1, math.isqrt(q * horizon))
    x = uniform_inputs(horizon, 1, rng=seeds("inputs"))
    free = Cells.sample(n_cells, rng=seeds("cells"))
    few = Cells.sample(16, rng=seeds("few"))
    structured = Cells.sample(n_cells, rng=seeds("structured"), structured=True)
    labels, cell = free.mentor(x), free.cell(x)

    def regret(problem: Cells, transcript: Transcript) -> float:
        truth = problem.mentor(x)
        return float(-np.log1p(-problem.loss(x, transcript.played(truth))).sum())

    # Half of what the cells that are never asked about could cost, the q costliest of them known from the start.
    stake = np.sort(np.bincount(cell, weights=-np.log1p(-free.stake(x)), minlength=n_cells))[::-1]
    right = structured.mentor(x)
    exact = bisect_mentor(x, right, (1.0,))
    exact = Transcript(exact.asked & (np.cumsum(exact.asked) <= q), exact.forced, exact.action)
    return [
        regret(free, ask_within_budget(x, labels, q, cell=cell)),
        regret(free, ask_within_budget(x, labels, q)),
        float(stake[q:].sum() / 2),
        # One extra round of play in each cell keeps the logarithm defined when every cell has been asked about.
        regret(few, ask_within_budget(x, few.mentor(x), q, cell=few.cell(x))) + 1.0,
        regret(structured, ask_within_budget(x, right, q)),
        regret(structured, exact),
    ]
