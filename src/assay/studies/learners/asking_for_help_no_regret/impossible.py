"""C1: where nothing carries over between inputs, what does a budget of questions buy?"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, MinLen, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.stats.scaling import log_log_slope
from assay.studies.learners.asking_for_help_no_regret.agents import Transcript, ask_within_budget, bisect_mentor
from assay.studies.learners.asking_for_help_no_regret.horizons import check_horizons
from assay.studies.learners.asking_for_help_no_regret.world import Cells, uniform_inputs

ROUNDS_PER_QUERY = 30


CLAIMS = (
    Claim(
        "C1.exponent",
        says="Where nothing carries over between inputs, an asker's regret grows as the square root of rounds per query.",
        source="arXiv:2402.08062, theorem 4.1",
        estimand="exponent",
        rule=Within(0.4, 0.6),
        margin="the theorem's exponent is 1/2; its lower-order term alone moves a fit over these T/q by up to 0.07",
        control=Control("the same budgets where the safe action changes only once: another exponent", "exponent_structured"),
        paper_value="1/2",
    ),
    Claim(
        "C1.survival",
        says="Whichever sublinear budget it has, its log chance of survival keeps falling with the number of rounds.",
        source="arXiv:2402.08062, corollary 4.1.1",
        estimand="least_growth",
        rule=Above(0.05),
        margin="nats of log survival from the shortest to the longest run: 5% fewer survivors is the least worth naming",
        control=Control("a learnable mentor and an exact learner with the same budget: nothing is lost", "growth_structured"),
        paper_value="catastrophe almost surely",
    ),
    Claim(
        "C1.bound",
        says="No asker can do better: who knows the costliest cells from the start, and asks there, meets the same exponent.",
        source="arXiv:2402.08062, theorem 4.1",
        estimand="exponent_bound",
        rule=Within(0.4, 0.6),
        margin="as C1.exponent",
        control=Control(
            "a fixed number of cells, so that asking once a cell is enough: another exponent", "exponent_fixed_cells"
        ),
        paper_value="1/2",
    ),
)


@dataclass(frozen=True)
class ImpossibleSettings:
    """Lengths of a run and exponents of the budget."""

    horizons: Annotated[tuple[int, ...], MinLen(2), doc("numbers of rounds T")] = (1_000, 10_000, 100_000)
    budgets: Annotated[tuple[float, ...], MinLen(1), doc("exponents a of the budget q = T^a")] = (0.1, 0.25, 0.5, 0.75)
    n_copies: Annotated[int, Ge(1), doc("independent copies a run averages over")] = 4

    def __post_init__(self) -> None:
        check_horizons(self.horizons)
        if any(not 0 < a < 1 for a in self.budgets):
            raise SettingsError(f"budgets are exponents of a sublinear q = T^a, 0 < a < 1; got {self.budgets}")
        if not self.sparse_budgets:
            raise SettingsError(
                f"at least one budget must leave {ROUNDS_PER_QUERY} rounds a query in a run of {min(self.horizons)}; "
                f"got {self.budgets}. Add a smaller exponent or lengthen the runs"
            )

    @property
    def sparse_budgets(self) -> tuple[float, ...]:
        """The budgets whose exponent is fitted."""
        return tuple(a for a in self.budgets if min(self.horizons) ** (1 - a) >= ROUNDS_PER_QUERY)


def measure_impossible(settings: ImpossibleSettings, seeds: Seeds) -> Measurement:
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

    def exponent(asker: str) -> float:
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

    def growth(asker: str, budget: float) -> float:
        mine = [float(row["regret"]) for row in rows if row["asker"] == asker and row["budget"] == budget]
        return mine[-1] - mine[0]

    return Measurement(
        estimands={
            "exponent": exponent("asks once a cell"),
            "exponent_bound": exponent("bound for all"),
            "exponent_structured": exponent("learnable, copies nearest"),
            "exponent_fixed_cells": exponent("sixteen cells only"),
            "least_growth": min(growth("asks once a cell", a) for a in settings.budgets),
            "growth_structured": growth("learnable, exact learner", max(settings.budgets)),
        },
        tables={
            "impossible": rows,
            "survival": [{**row, "budget": f"T^{row['budget']:g} questions"} for row in rows if row["asker"] in _SHOWN],
        },
    )


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


EXPERIMENT = Experiment(
    "impossible",
    question="What does a budget of questions buy where nothing carries over?",
    claims=CLAIMS,
    presets={
        "quick": Preset(ImpossibleSettings(horizons=(100, 400), budgets=(0.1, 0.25), n_copies=1), 2),
        "laptop": Preset(ImpossibleSettings(), 8),
    },
    measure=measure_impossible,
    cost="20 s of one core",
    figures=(
        Figure(
            "impossible",
            title="Where nothing carries over, no budget saves the asker",
            caption="Each cell of the input has a safe action decided by its own coin, so answers help nowhere else. However "
            "many questions an asker may put, as long as they become a vanishing share of the rounds, its chance of survival "
            "falls with the length of the run, and so does the best that any asker could have. With as many questions a mentor "
            "who changes his mind only once is learnt without a loss.",
            chart=Lines(
                "survival",
                x="rounds",
                y="survival",
                by="asker",
                panel="budget",
                x_scale="log",
                x_label="rounds T",
                y_label="chance of survival",
                markers=True,
            ),
            names={
                "learnable, exact learner": "one threshold, exact learner",
                "bound for all": "coins, bound for any asker",
                "asks once a cell": "coins, asks once a cell",
            },
        ),
    ),
)
