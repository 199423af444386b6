"""How many layers two hops need (C5)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.rules import Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.progress import part
from assay.core.seeds import Seeds
from assay.studies.mechanisms.two_hop_reasoning.system import PAPER, Course, Training, probabilities, solver, train_network

if TYPE_CHECKING:
    from assay.models.decoder import Decoder
    from assay.training.trace import Trace

__all__ = ["DEPTH"]

CLAIMS = (
    Claim(
        "C5",
        says="Two layers of one head do not learn it: in three times the steps accuracy never passes 0.6, in any run.",
        source=PAPER + "section 3",
        estimand="two_layers/accuracy",
        rule=Below(0.6),
        margin="well above guessing (0.2), well below the solution (1)",
        control=Control("three layers, a third of the steps", "three_layers/accuracy"),
        paper_value="three layers needed",
        summary="every",
    ),
)


@dataclass(frozen=True)
class DepthSettings(Training):
    """A network of three layers until it has solved the task, and two of two layers."""

    steps_factor: Annotated[float, Ge(0), doc("steps of two layers of one head, relative to three layers")] = 3.0
    heads: Annotated[int, Ge(2), doc("heads of another two-layer network, reported beside")] = 2
    heads_factor: Annotated[float, Ge(0), doc("its steps, relative to three layers")] = 1.0


def measure(settings: DepthSettings, seeds: Seeds) -> Measurement:
    """One seed: three layers, then two layers of one head and of more."""
    import torch

    world = settings.world
    with part(0.0, 0.3, "three layers"):
        _, deep, drawn = solver(settings, seeds)

    def observe(model: "Decoder") -> dict[str, float]:
        with torch.no_grad():
            return probabilities(model(torch.from_numpy(drawn.tokens), at=-1).numpy(), drawn)

    seen: dict[str, Course | Trace] = {"3 layers, 1 head": deep}
    for heads, factor, stretch in ((1, settings.steps_factor, (0.3, 0.8)), (settings.heads, settings.heads_factor, (0.8, 1.0))):
        n_steps = max(1, round(factor * deep.steps[-1]))
        with part(*stretch, f"two layers, {heads} heads"):
            _, seen[f"2 layers, {heads} head{'s' if heads > 1 else ''}"] = train_network(
                f"two layers, {heads} heads", world, settings, seeds, n_layers=2, n_heads=heads, n_steps=n_steps,
                observe=observe, observe_at=sorted({max(1, round(n_steps * i / 20)) for i in range(1, 21)}),
            )  # fmt: skip
    best = [float(trace.series("accuracy").max()) for trace in seen.values()]
    estimands = dict(zip(("three_layers/accuracy", "two_layers/accuracy", "two_layers_more_heads/accuracy"), best, strict=True))
    rows: Table = [
        {
            "network": name,
            "time": round(factor * i / 20, 3),
            "accuracy": float(np.interp(deep.steps[-1] * factor * i / 20, *course)),
        }
        for (name, trace), factor in zip(seen.items(), (1.0, settings.steps_factor, settings.heads_factor), strict=True)
        for course in [(trace.steps, trace.series("accuracy"))]
        for i in range(1, 21)
    ]
    return Measurement(estimands, {"depth": rows})


DEPTH = Experiment(
    name="depth",
    question="Can two layers follow two edges, given more time or another head?",
    claims=CLAIMS,
    presets={
        "quick": Preset(
            DepthSettings(n_steps=20, n_eval=24, batch=16, d_model=16, n_chains=3, n_nodes=20, every=10, steps_factor=0.2),
            n_runs=2,
        ),
        "laptop": Preset(DepthSettings(), n_runs=2),
        "paper": Preset(
            DepthSettings(n_steps=10_000, batch=512, d_model=256, mlp=True, learning_rate=3e-4, every=5, give_up=1.0), n_runs=5
        ),
    },
    measure=measure,
    figures=(
        Figure(
            "depth",
            "Three layers, not two",
            "Accuracy of networks of two and three layers of the same width on the same data; two layers of one head get three "
            "times the steps that three layers needed.",
            Lines("depth", x="time", y="accuracy", by="network", x_label="steps, in units of those that three layers needed",
                  y_label="accuracy",
                  lines=(Line(0.2, "one in five"),)),
        ),
    ),
    cost="6 min of one core after the symbolic experiment, which trains the same networks of three layers",
)  # fmt: skip
