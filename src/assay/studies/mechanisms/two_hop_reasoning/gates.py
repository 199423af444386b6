"""The three-parameter model by itself: a gate for each layer, nested (C6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, doc

from assay.claims.charts import Figure, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.studies.mechanisms.two_hop_reasoning.system import PAPER

__all__ = ["GATES"]

CLAIMS = (
    Claim(
        "C6.cliff",
        says="Three nested gates alone have the cliff: their loss falls from 0.88 to 0.09 of its start (from 3 to 0.3 nats) in "
        "under a quarter of the steps before.",
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
        control=Control(
            "with the second gate held open there is nothing to get round: taking the route away costs no time",
            "second_open/without_guess",
        ),
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


def measure_many(settings: GateSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """One N(0, 1) start for each seed, all in one program: with all gates, without each, without the guessing route."""
    from assay.instruments.abruptness import cliff_ratio, crossing
    from assay.instruments.nested_gates import Gates, descend

    starts = np.stack([seed("start").normal(size=3) for seed in seeds])
    others = settings.others
    plans = {
        "whole": Gates(others, "two-hop"),
        **{f"without {j}": Gates(others, "two-hop", open=(j,)) for j in range(3)},
        "apart": Gates(others, "apart"),
        **{f"apart without {j}": Gates(others, "apart", open=(j,)) for j in range(3)},
        "one": Gates(others, "two-hop", open=(0, 1)),
        "no guess": Gates(others, "two-hop", guess=False),
        "no guess without 1": Gates(others, "two-hop", open=(1,), guess=False),
    }
    found = {}
    for i, (name, gates) in enumerate(plans.items()):
        found[name] = descend(gates, starts, learning_rate=settings.learning_rate, n_steps=settings.n_steps, every=5)
        progress((i + 1) / len(plans))
    steps = found["whole"].steps

    def half(name: str, run: int) -> float:
        loss = found[name].loss_nats[run]
        step = crossing(steps, loss, loss[0] / 2, falling=True)
        return step if np.isfinite(step) else float(settings.n_steps)  # still on its plateau: at least this long

    def cliff(name: str, run: int) -> float:
        loss = found[name].loss_nats[run]
        return cliff_ratio(steps, loss, 0.88 * loss[0], 0.09 * loss[0], falling=True)

    kept = np.unique(np.geomspace(1, len(steps) - 1, 100).astype(int))
    shown = {"three gates": "whole", "no guessing route": "no guess", "one gate": "one"}
    measurements = []
    for run in range(len(seeds)):
        whole, fall = half("whole", run), cliff("whole", run)
        estimands = {
            "half": whole,
            "cliff": fall if np.isfinite(fall) else 1.0,  # never fell: no cliff was seen, which counts against the claim
            "one_gate/cliff": cliff("one", run),
            "longest_without": max(half(f"without {j}", run) for j in range(3)) / whole,
            "apart/longest_without": max(half(f"apart without {j}", run) for j in range(3)) / half("apart", run),
            "without_guess": half("no guess", run) / whole,
            "second_open/without_guess": half("no guess without 1", run) / half("without 1", run),
            "final_loss": float(found["whole"].loss_nats[run, -1]),
        }
        rows: Table = [
            {"model": label, "step": int(steps[i]), "loss": float(found[name].loss_nats[run, i])}
            for label, name in shown.items()
            for i in kept
        ]
        measurements.append(Measurement(estimands, {"loss": rows}))
    return measurements


def measure(settings: GateSettings, seeds: Seeds) -> Measurement:
    """One random start."""
    return measure_many(settings, [seeds])[0]


GATES = Experiment(
    name="gates",
    question="Do three nested gates have plateau and cliff by themselves, and which of them make it?",
    claims=CLAIMS,
    presets={"quick": Preset(GateSettings(n_steps=1500), n_runs=2), "laptop": Preset(GateSettings(), n_runs=20)},
    measure=measure,
    measure_many=measure_many,
    batch=20,
    figures=(
        Figure(
            "gates",
            "Three gates wait, one does not",
            "Mean loss of the three-parameter model over random starts, without its guessing route, and of one gate alone. "
            "Each start has its cliff at a step of its own, so that the mean falls in stairs.",
            Lines("loss", x="step", y="loss", by="model", x_label="step", y_label="loss (nats)", x_scale="log"),
        ),
    ),
    cost="30 s of one core",
)
