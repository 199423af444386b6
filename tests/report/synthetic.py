"""A synthetic study with every verdict and every chart, and its rows: what the report's tests draw."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Heat, Line, Lines, Scatter
from assay.claims.claim import Arm, Claim
from assay.claims.estimand import Estimand
from assay.claims.paper import Cost, Departure, Paper
from assay.claims.rules import Above, Below, Equals, Ordered, Within
from assay.claims.study import Experiment, Measurement, Preset, Study, Table
from assay.claims.verdict import RunRow
from assay.core.seeds import Seeds


@dataclass(frozen=True)
class Settings:
    n_facts: Annotated[int, Ge(2), doc("facts, and as many implications")] = 20
    n_steps: Annotated[int, Ge(1), doc("steps of training")] = 2_000
    d_heads: tuple[int, ...] = (3, 4, 8, 16)
    decay: Annotated[float, doc("weight decay")] = 0.03


PLANTED = {  # mean and standard deviation over runs
    "factorised/loss": (0.031, 0.006),
    "combined/loss": (3.03, 0.02),
    "shuffled/loss": (3.4, 0.05),
    "factorised/completion": (0.71, 0.05),
    "combined/completion": (0.003, 0.006),
    "one-bridge/accuracy": (0.12, 0.04),
    "two-bridges/accuracy": (0.55, 0.05),
    "three-bridges/accuracy": (0.93, 0.03),
    "other-order/lift": (0.019, 0.02),
    "planted/lift": (0.4, 0.05),
    "combined/gap": (2e-6, 1e-6),
    "other-run/gap": (0.3, 0.1),
    "factorised/margin": (0.74, 0.01),
    "no-cause/margin": (0.73, 0.02),
}


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    rng = seeds("draws")
    estimands = {name: abs(float(rng.normal(mean, sd))) for name, (mean, sd) in PLANTED.items()}
    estimands["optimum/loss"] = 0.02 + 0.001 * float(seeds("optimum").random())
    return Measurement(
        estimands,
        {
            "curves": _curves(rng),
            "ratios": _ratios(rng),
            "widths": _widths(rng, settings.d_heads),
            "causes": _causes(rng),
            "mitigations": _mitigations(rng),
            "weights": _weights(rng),
        },
    )


def _curves(rng: np.random.Generator) -> Table:
    rows: Table = []
    steps = np.arange(0, 2001, 50)
    for model, floor, rate in (("factorised", 0.03, 260.0), ("combined", 3.0, 180.0), ("shuffled", 3.3, 300.0)):
        loss = floor + (3.7 - floor) * np.exp(-steps / rate) * np.exp(rng.normal(0, 0.15))
        loss += np.abs(rng.normal(0, 0.02 * floor, len(steps)))
        rows += [{"step": int(step), "model": model, "loss": float(value)} for step, value in zip(steps, loss, strict=True)]
    return rows


def _ratios(rng: np.random.Generator) -> Table:
    rows: Table = []
    for m_train in (1, 2, 4):
        for m_test in (1, 2, 4, 8, 16):
            exact = min((m_train / m_test) ** 0.5, 1.0)
            ratio = float(exact + 0.1 * (1 - exact) + rng.normal(0, 0.03))
            rows.append({"m_train": m_train, "m_test": m_test, "ratio": ratio, "exact": exact})
    return rows


def _widths(rng: np.random.Generator, d_heads: tuple[int, ...]) -> Table:
    rows: Table = []
    for d_head in d_heads:
        for init in ("gaussian", "identity"):
            mean, sd = (0.68, 0.05) if d_head == 3 else (0.98, 0.01)
            rows.append({"d_head": d_head, "init": init, "accuracy": float(np.clip(rng.normal(mean, sd), 0, 1))})
    return rows


def _causes(rng: np.random.Generator) -> Table:
    planted = {"causal pairing": 0.95, "arbitrary pairing": 0.93, "shuffled association": 0.06, "no bridge subjects": 0.05}
    return [{"cause": cause, "effect": float(rng.normal(mean, 0.05))} for cause, mean in planted.items()]


def _mitigations(rng: np.random.Generator) -> Table:
    planted = (
        ("none", "baseline", 0.99, 0.97),
        ("product decay", "penalty", 0.97, 0.55),
        ("combined update", "parametrisation", 0.98, 0.02),
        ("counter-examples", "data", 0.93, 0.21),
        ("unknown label", "data", 0.95, 0.12),
        ("LoRA, rank 2", "parametrisation", 0.62, 0.4),
        ("LoRA, rank 8", "parametrisation", 0.96, 0.88),
    )
    return [
        {"name": name, "family": family, "kept": float(rng.normal(kept, 0.02)), "transfer": float(rng.normal(transfer, 0.04))}
        for name, family, kept, transfer in planted
    ]


def _weights(rng: np.random.Generator) -> Table:
    rows: Table = []
    fills = {"trained, factorised": 0.72, "nuclear optimum": 0.577, "trained, combined": 0.0, "Frobenius optimum": 0.0}
    for which, fill in fills.items():
        for row in range(12):
            for column in range(24):
                exact = (1.0 if column < 6 else fill) * ((row % 6 == column % 6) - 1 / 6)
                weight = float(exact + ("trained" in which) * rng.normal(0, 0.04))
                rows.append({"which": which, "row": row, "column": column, "weight": weight})
    return rows


def claim(name: str, says: str, estimand: str | tuple[str, ...], rule: Any, negative: Arm, **more: Any) -> Claim:
    return Claim(name, says, estimand, rule, why="the paper's own threshold", at="§4, Fig. 2", negative=negative, **more)


ESTIMANDS = (
    Estimand("loss", "loss on held-out implications after the last step", "nats", low=0),
    Estimand("completion", "accuracy on the held-out block", "share of items", low=0, high=1),
    Estimand("accuracy", "accuracy on subjects that were never shown", "share of items", low=0, high=1),
    Estimand("lift", "accuracy above guessing", low=-1, high=1),
    Estimand("gap", "relative difference of the two losses", low=0),
    Estimand("margin", "smallest margin over the largest singular value", low=0),
)
CLAIMS = (
    claim(
        "C1",
        "With separate output and value matrices, the loss on held-out implications falls below {bound} nats.",
        "factorised/loss",
        Below(0.1),
        Arm("shuffled", "Shuffling the association removes the cause; the loss must stay above the bound."),
        positive=Arm("optimum", "The solution of the theory, put in as weights."),
        paper="≈ 0",
    ),
    claim(
        "C2",
        "With one combined matrix the loss on held-out implications stays above {bound} nats, log 20 − 0.05.",
        "combined/loss",
        Above(2.946),
        Arm("factorised", "The factorised model has the cause that the combined one lacks."),
        paper="≥ 2.996",
    ),
    claim(
        "C3",
        "The combined model, given the trained product, differs in loss by {value}: it is bias, not capacity.",
        "combined/gap",
        Equals(0.0, 1e-5),
        Arm("other-run", "The weights of another run."),
        paper=0.0,
        summary="every",
    ),
    claim(
        "C4",
        "Asked in the other order, recall is within {margin} of guessing.",
        "other-order/lift",
        Within(-0.02, 0.02),
        Arm("planted", "Planted: both orders are shown, so a lift must appear.", Above(0.2)),
        paper=0.0,
    ),
    claim(
        "C5",
        "The factorised model completes more than {bound:.0%} of the held-out block.",
        "factorised/completion",
        Above(0.9),
        Arm("combined", "The combined model completes nothing."),
        paper=0.95,
    ),
    claim(
        "C6",
        "With each further bridge subject accuracy rises by more than {margin}.",
        ("one-bridge/accuracy", "two-bridges/accuracy", "three-bridges/accuracy"),
        Ordered(0.1),
        Arm(("three-bridges", "two-bridges", "one-bridge"), "The same in reverse."),
        paper="rising",
    ),
    claim(
        "C7",
        "The margin on held-out implications exceeds {bound}, the optimum's.",
        "factorised/margin",
        Above(0.7),
        Arm("no-cause", "Without the cause, the margin must vanish."),
        paper=0.707,
    ),
)

BRIDGES = {"exact": "closed form", "1": "1 bridge", "2": "2 bridges", "4": "4 bridges"}
RATIO = {"theory": "exact", "x_scale": "log", "x_label": "held-out subjects per group", "y_label": "margin ratio"}
FIGURES = (
    Figure(
        "learning-curves",
        "Only the factorised model infers",
        "Loss on implications that were never shown. The combined model learns everything it is told and nothing else; with a "
        "shuffled association there is nothing to infer.",
        Lines(
            "curves",
            "step",
            "loss",
            by="model",
            x_label="training step",
            y_label="held-out loss (nats)",
            y_scale="log",
            lines=(Line(float(np.log(20)), "log 20"),),
        ),
    ),
    Figure(
        "margin-ratio",
        "The margin follows the square root of the ratio",
        "Margin on held-out implications against the closed form, for one, two and four bridge subjects per group.",
        Lines("ratios", "m_test", "ratio", by="m_train", markers=True, **RATIO),  # type: ignore[arg-type]
        BRIDGES,
    ),
    Figure(
        "margin-panels",
        "The same in small multiples",
        "One panel for each number of bridge subjects.",
        Lines("ratios", "m_test", "ratio", panel="m_train", lines=(Line(1.0, "all of it"),), **RATIO),  # type: ignore[arg-type]
        BRIDGES,
    ),
    Figure(
        "rank-threshold",
        "Three dimensions are too few",
        "Accuracy on held-out implications by the width of the head, for two initialisations.",
        Bars("widths", "d_head", "accuracy", by="init", x_label="head width", lines=(Line(0.05, "chance"),)),
    ),
    Figure(
        "causes",
        "It takes an association, not a cause",
        "Transfer to subjects that were never shown.",
        Bars("causes", "cause", "effect", y_label="share transferred", lines=(Line(0.05, "chance"),)),
    ),
    Figure(
        "frontier",
        "What each mitigation costs",
        "Facts kept against spurious transfer; the lower right corner is best.",
        Scatter("mitigations", "kept", "transfer", label="name", by="family", x_label="facts kept", y_label="transfer"),
    ),
    Figure(
        "weights",
        "Trained weights beside both optima",
        "The block of the output-value matrix that maps subjects to implications; the first six columns were trained, the "
        "others never were.",
        Heat("weights", "row", "column", "weight", panel="which", row_label="implication", column_label="subject"),
    ),
)

SETTINGS = Settings()
PRESETS = {"quick": Preset(Settings(n_facts=4, n_steps=100), 2), "laptop": Preset(SETTINGS, 10)}
QUESTION = "Does the learner complete what it was never told, and is it bias or capacity?"
SYMBOLIC = Experiment("symbolic", QUESTION, CLAIMS, PRESETS, measure, figures=FIGURES, cost=Cost(40 / 60), estimands=ESTIMANDS)
DEEPER = claim(
    "B1",
    "Three factors complete more than {bound:.0%} of the held-out block.",
    "factorised/completion",
    Above(0.5),
    Arm("combined", "The combined model completes nothing."),
)
DEPTH = Experiment("depth", "Does a deeper factorisation complete more?", (DEEPER,), PRESETS, measure, estimands=ESTIMANDS[1:2])
STUDY = Study(
    "recall-of-hidden-pairs",
    title="Recall of hidden pairs: does a synthetic learner complete what it was never told?",
    paper=Paper("Nobody and No-one", 2020, "A system that does not exist", "Journal of Examples 7, arXiv:2001.00001"),
    scale="Theirs: nothing. Ours: draws from named random streams, so that every page of the report can be looked at.",
    departures=(
        Departure(
            "D1", "There is no learner; each number is drawn around a planted value, because the report is under test here."
        ),
        Departure("D2", "The curves are exponentials with noise, so that their bands have a known width."),
    ),
    experiments=(SYMBOLIC, DEPTH),
)


def rows(n_runs: int, experiment: str = "symbolic") -> tuple[list[RunRow], dict[str, Table]]:
    """Run rows and tables of `n_runs` seeds, as a store holds them."""
    runs: list[RunRow] = []
    tables: dict[str, Table] = {}
    for seed in range(n_runs):
        measured = measure(SETTINGS, Seeds(seed))
        runs.append(RunRow(experiment, seed, "ok", measured.estimands))
        for name, table in measured.tables.items():
            tables.setdefault(name, []).extend({**row, "run": seed} for row in table)
    return runs, tables
