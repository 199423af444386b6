"""The three-parameter model by itself: a gate for each layer, nested (C6)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.two_hop_reasoning.system import PAPER

__all__ = ["GATES"]

CLAIMS = (
    Claim(
        "C6.cliff",
        says="Three nested gates alone have the cliff: their loss falls from 3 to 0.3 nats in under a quarter of the steps "
        "before.",
        source=PAPER + "section 5",
        estimand="cliff",
        rule=Below(0.25),
        margin="the authors' run: about 100 steps after about 600",
        control=Control("one gate, the others held open, falls gradually", "one_gate/cliff"),
        paper_value="plateau, then cliff",
        summary="median",
    ),
    Claim(
        "C6.nesting",
        says="Every gate is needed for the plateau: with any one of them held open it is at least a fifth shorter.",
        source=PAPER + "section 5",
        estimand="longest_without",
        rule=Below(0.8),
        margin="a fifth is more than the starts differ among themselves by chance at this number of runs",
        control=Control("gates side by side: holding one open does not shorten what is no plateau", "apart/longest_without"),
        summary="median",
    ),
    Claim(
        "C6.guess",
        says="The route that guesses among the ends is what starts the learning: without it the plateau is longer.",
        source="ours, after the authors' notebook",
        estimand="without_guess",
        rule=Above(1.2),
        margin="a fifth longer",
        control=Control("with it, from the same starts at twice the learning rate, the plateau is not longer", "twice_rate"),
        paper_value="about twice as long",
        summary="median",
    ),
)


@dataclass(frozen=True)
class GateSettings:
    """Random starts of the gates' descent, all in one program."""

    others: Annotated[tuple[float, ...], doc("competitors of each gate")] = (10.0, 10.0, 30.0)
    n_steps: Annotated[int, Ge(1), doc("steps of gradient descent")] = 20_000
    learning_rate: Annotated[float, Gt(0), doc("of plain descent")] = 0.1


def measure(settings: GateSettings, seeds: Seeds) -> Measurement:
    """One seed: one N(0, 1) start, with all gates, without each of them, and without the guessing route."""
    from assay.instruments.abruptness import crossing
    from assay.instruments.nested_gates import Descent, Gates, descend

    start = seeds("start").normal(size=(1, 3))

    def run(gates: Gates, rate: float = settings.learning_rate) -> Descent:
        return descend(gates, start, learning_rate=rate, n_steps=settings.n_steps, every=5)

    def half(found: Descent) -> float:
        loss = found.loss_nats[0]
        step = crossing(found.steps, loss, loss[0] / 2, falling=True)
        return step if np.isfinite(step) else float(settings.n_steps)  # still on its plateau: at least this long

    def cliff(found: Descent) -> float:
        loss = found.loss_nats[0]
        top, bottom = (crossing(found.steps, loss, share * loss[0], falling=True) for share in (0.88, 0.09))
        return (bottom - top) / top if top > 0 else float("nan")

    whole = run(Gates(settings.others, "two-hop"))
    progress(0.3)
    without = {j: run(Gates(settings.others, "two-hop", open=(j,))) for j in range(3)}
    progress(0.7)
    apart = run(Gates(settings.others, "apart"))
    apart_without = [run(Gates(settings.others, "apart", open=(j,))) for j in range(3)]
    one = run(Gates(settings.others, "two-hop", open=(0, 1)))
    no_guess = run(Gates(settings.others, "two-hop", guess=False))
    estimands = {
        "half": half(whole),
        "cliff": cliff(whole),
        "one_gate/cliff": cliff(one),
        "longest_without": max(half(found) for found in without.values()) / half(whole),
        "apart/longest_without": max(half(found) for found in apart_without) / half(apart),
        "without_guess": half(no_guess) / half(whole),
        "twice_rate": half(run(Gates(settings.others, "two-hop"), 2 * settings.learning_rate)) / half(whole),
        "final_loss": float(whole.loss_nats[0, -1]),
    }
    shown = {"three gates": whole, "no guessing route": no_guess, "one gate": one}
    kept = np.unique(np.geomspace(1, len(whole.steps) - 1, 100).astype(int))
    rows: Table = [
        {"model": name, "step": int(found.steps[i]), "loss": float(found.loss_nats[0, i])}
        for name, found in shown.items()
        for i in kept
    ]
    return Measurement(estimands, {"loss": rows})


GATES = Experiment(
    name="gates",
    question="Do three nested gates have plateau and cliff by themselves, and which of them make it?",
    claims=CLAIMS,
    presets={"quick": Preset(GateSettings(n_steps=1500), n_runs=2), "laptop": Preset(GateSettings(), n_runs=20)},
    measure=measure,
    figures=(
        Figure(
            "gates",
            "Three gates, one cliff",
            "Loss of the three-parameter model from random starts, without its guessing route, and of one gate alone.",
            Lines("loss", x="step", y="loss", by="model", x_label="step", y_label="loss (nats)", x_scale="log"),
        ),
    ),
    cost="not measured yet",
)
