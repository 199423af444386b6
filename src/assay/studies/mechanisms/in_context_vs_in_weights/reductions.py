"""The ladder downwards: a two-parameter induction head (C9) and a loss of nested gates (C10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below, Ordered
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights.data import CONTRASTS, NAMES, DataSettings, contrasts
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    PAPER,
    Regime,
    accuracies,
    optimiser_of,
    prepare,
)

__all__ = ["GATES", "MINIMAL"]

MINIMAL_CLAIMS = (
    Claim(
        "C9",
        says="Two numbers, the two attention logits, beside the classifier repeat the data's effects: classes, bursts and "
        "noise each move in-context accuracy up and in-weights accuracy down.",
        source=PAPER + "section 4, figure 5",
        estimand="least_contrast",
        rule=Above(0.1),
        margin="signs are claimed; the smallest of the six contrasts must be above what a bag of labels can do",
        control=Control("with both numbers held at zero there is no looking up to be favoured", "frozen/least_contrast"),
        paper_value="the same trade",
    ),
    Claim(
        "C9.jump",
        says="The two-parameter model jumps as the network does: from 25% to 90% accuracy in under a quarter of the steps "
        "before.",
        source=PAPER + "section 4, figure 5",
        estimand="isolated/cliff",
        rule=Below(0.25),
        margin="as C5",
        control=Control("the same model remembering 32 classes is gradual", "memoriser/cliff"),
        paper_value="abrupt",
    ),
)


@dataclass(frozen=True)
class MinimalSettings(DataSettings):
    """The corners of the data grid, for the two-parameter model."""

    @property
    def arms(self) -> dict[str, Regime]:
        """The corners, the isolated regime and one that can only be remembered."""
        corners = {role: self.regimes[cell] for role, cell in self.corners.items()}
        return corners | {"isolated": Regime(256, 1, p_fresh=0.8), "memoriser": Regime(32, 0, p_bursty=0.0)}


def measure_minimal(settings: MinimalSettings, seeds: Seeds) -> Measurement:
    """One seed: the two-parameter model in every corner, free and with its numbers held, all in one program."""
    from assay.instruments.abruptness import cliff_ratio
    from assay.studies.mechanisms.in_context_vs_in_weights.minimal_induction import MinimalInduction
    from assay.training.losses import Batch, answer_loss
    from assay.training.sequence import Stage, draw_together, log_steps, train

    arms = {name: prepare(name, regime, settings, seeds, d_content=63, placed=False) for name, regime in settings.arms.items()}
    plan = [(name, False) for name in arms] + [(name, True) for name in settings.corners]
    models = MinimalInduction(rng=[seeds.child(name)("init") for name, _ in plan], d_content=63, n_labels=32)
    models.hold(np.array([held for _, held in plan]))

    def observe(step: int, several: MinimalInduction) -> dict[str, float]:
        isolated, memoriser = (several.run(plan.index((name, False))) for name in ("isolated", "memoriser"))
        found = accuracies(isolated, arms["isolated"].sets, ("ic",)) | accuracies(memoriser, arms["memoriser"].sets, ("iw",))
        return found | isolated.parameters_by_name

    looks = log_steps(settings.n_steps, per_decade=30)
    # A model with its numbers held sees the batches of its free twin.
    draw = draw_together([arms[name].draw for name, _ in plan])
    stage: Stage[MinimalInduction, Batch] = Stage(
        settings.n_steps, draw, lambda m, batch: answer_loss(m(batch.inputs), batch.targets)
    )
    trace = train(models, stage, optimiser_of(settings), observe=observe, observe_at=looks)
    trace.raise_if_diverged()
    final: dict[bool, dict[str, dict[str, float]]] = {False: {}, True: {}}
    for i, (name, held) in enumerate(plan):
        final[held][name] = accuracies(models.run(i), arms[name].sets, NAMES)
    cliffs = {
        name: cliff_ratio(trace.steps, trace.series(key), 0.25, 0.9) for name, key in (("isolated", "ic"), ("memoriser", "iw"))
    }
    curves: Table = [
        {"step": int(step), "measure": key, "value": float(value)}
        for key in ("ic", "beta_1", "alpha")
        for step, value in zip(trace.steps, trace.series(key), strict=True)
        if step
    ]
    roles = {role: role for role in settings.corners}
    free, frozen = (contrasts(final[held], roles) for held in (False, True))
    six = [f"{name}/{key}" for name in CONTRASTS for key in ("ic", "iw")]
    estimands = {key: free[key] for key in six} | {
        "least_contrast": min(free[key] for key in six),
        "frozen/least_contrast": min(frozen[key] for key in six if key.endswith("/ic")),
        "isolated/cliff": cliffs["isolated"],
        "memoriser/cliff": cliffs["memoriser"],
    }
    readings = {"ic": (False, "ic"), "iw": (False, "iw"), "held": (True, "ic")}
    cells: Table = [
        {"cell": cell, "reading": reading, "accuracy": final[held][role][key]}
        for role, cell in settings.corners.items()
        for reading, (held, key) in readings.items()
    ]
    return Measurement(estimands, {"cells": cells, "curves": curves})


MINIMAL_FIGURES = (
    Figure(
        "two-parameters",
        "Two numbers suffice for the trade",
        "Accuracy of the two-parameter model by classes (K), burst (B) and noise (eps). Many classes, bursts or noise: looked "
        "up; else remembered. With both numbers held at zero it can only guess among the context's labels.",
        Bars("cells", x="cell", y="accuracy", by="reading", y_label="accuracy"),
        names={"ic": "in context", "iw": "in weights", "held": "in context, both numbers held at zero"},
        further=True,
    ),
    Figure(
        "two-parameters-course",
        "Both numbers grow together",
        "Accuracy on new classes and the two attention logits during training on mostly new classes.",
        Lines("curves", x="step", y="value", by="measure", x_label="step", y_label="accuracy, or logit", x_scale="log"),
        names={"ic": "accuracy on new classes", "beta_1": "layer 1: previous token", "alpha": "layer 2: match"},
    ),
)

MINIMAL = Experiment(
    name="two-parameters",
    question="Do two attention logits and a classifier repeat what the network does?",
    claims=MINIMAL_CLAIMS,
    presets={
        "quick": Preset(MinimalSettings(n_steps=10, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(MinimalSettings(n_steps=2000, batch=64), n_runs=5),
        "paper": Preset(MinimalSettings(n_steps=150_000, optimiser="sgd", learning_rate=0.01, n_eval=10_000), n_runs=6),
    },
    measure=measure_minimal,
    figures=MINIMAL_FIGURES,
    cost="1.5 min on two cores",
)

GATE_CLAIMS = (
    Claim(
        "C10",
        says="Nesting makes the jump: with one, two and three nested gates the plateau grows, measured in cliffs.",
        source=PAPER + "section 5 (phenomenological loss)",
        estimand=("depth 1", "depth 2", "depth 3"),
        rule=Ordered(0.5),
        margin="each gate adds at least half a cliff's length of plateau",
        control=Control(
            "the same gates side by side instead of nested: more of them do not lengthen the plateau",
            ("apart 1", "apart 2", "apart 3"),
        ),
        paper_value="plateau, then cliff, with three gates",
    ),
)


@dataclass(frozen=True)
class GateSettings:
    """The loss of nested gates alone."""

    others: Annotated[tuple[float, ...], doc("competitors of each gate: context, tokens, labels")] = (16.0, 16.0, 7.0)
    n_steps: Annotated[int, Ge(1), doc("steps of gradient descent")] = 6000
    learning_rate: Annotated[float, Gt(0), doc("of plain descent")] = 0.4
    spread: Annotated[float, Ge(0), doc("standard deviation of the start")] = 0.3


def measure_gates_many(settings: GateSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """One random start for each seed, all in one program: one, two and three gates, nested and side by side."""
    from assay.instruments.abruptness import cliff_ratio
    from assay.instruments.nested_gates import Gates, descend

    size = len(settings.others)
    starts = np.abs(np.stack([seed("start").normal(0.0, settings.spread, size=size) for seed in seeds]))
    estimands: list[dict[str, float]] = [{} for _ in seeds]
    tables: list[Table] = [[] for _ in seeds]
    for depth in range(1, size + 1):
        for form, label in (("chain", "depth"), ("apart", "apart")):
            gates = Gates(settings.others[-depth:], form)  # type: ignore[arg-type]
            found = descend(gates, starts[:, -depth:], learning_rate=settings.learning_rate, n_steps=settings.n_steps, every=2)
            kept = np.unique(np.geomspace(1, len(found.steps) - 1, 120).astype(int))
            for run, loss in enumerate(found.loss_nats):
                estimands[run][f"{label} {depth}"] = 1 / cliff_ratio(found.steps, (loss[0] - loss) / loss[0], 0.25, 0.9)
                if form == "chain":
                    tables[run] += [{"gates": depth, "step": int(found.steps[i]), "loss": float(loss[i])} for i in kept]
        progress(depth / size)
    return [Measurement(one, {"loss": rows}) for one, rows in zip(estimands, tables, strict=True)]


def measure_gates(settings: GateSettings, seeds: Seeds) -> Measurement:
    """One random start."""
    return measure_gates_many(settings, [seeds])[0]


GATES = Experiment(
    name="gates",
    question="Does nesting of soft gates alone turn gradient descent into plateau and cliff?",
    claims=GATE_CLAIMS,
    presets={
        "quick": Preset(GateSettings(n_steps=1000), n_runs=2),
        "laptop": Preset(GateSettings(), n_runs=10),
    },
    measure=measure_gates,
    measure_many=measure_gates_many,
    figures=(
        Figure(
            "gates",
            "Each gate lengthens the plateau",
            "Loss of one, two and three nested gates under plain gradient descent from small random starts.",
            Lines("loss", x="step", y="loss", by="gates", x_label="step", y_label="loss (nats)", x_scale="log",
                  lines=(Line(0.0, "solved"),)),
            names={"1": "one gate", "2": "two gates", "3": "three gates"},
        ),
    ),
    cost="5 s on two cores",
)  # fmt: skip
