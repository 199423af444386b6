"""One network by the paper's own optimiser, beside the many by Adam."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.rules import Above
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    PAPER,
    Regime,
    Setting,
    Training,
    accuracies,
    check_regimes,
    train_regimes,
)

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["FIDELITY"]

CLAIMS = (
    Claim(
        "C0",
        says="Plain SGD takes the same way: with 512 classes in bursts of 2, accuracy on new classes passes 0.3 by the end.",
        source=PAPER + "section 3, figure 1d",
        estimand="ic",
        rule=Above(0.3),
        margin="above guessing among the context's 4 labels (0.25); steps times rate are a fifth of the paper's run",
        control=Control("with each context's labels dealt out again the same network guesses", "scrambled"),
        paper_value="about 1 after 150,000 steps",
        summary="every",
    ),
)


@dataclass(frozen=True)
class FidelitySettings(Training):
    """The paper's optimiser; three times its rate and a third of the steps."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps")] = 10_000
    optimiser: Annotated[Literal["adamw", "sgd"], doc("Adam, or the paper's plain SGD")] = "sgd"
    learning_rate: Annotated[float, Gt(0), doc("constant over training")] = 0.03
    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 512
    burst: Annotated[int, Ge(1), doc("copies of each class in a sequence (B)")] = 2

    def __post_init__(self) -> None:
        check_regimes([Regime(self.n_classes, self.burst)])


def measure(settings: FidelitySettings, seeds: Seeds) -> Measurement:
    """One seed: one network."""
    from assay.training.sequence import log_steps

    def observe(name: str, model: "Decoder", sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "ic2", "iw", "scrambled"))

    regime = Regime(settings.n_classes, settings.burst)
    looks = log_steps(settings.n_steps, per_decade=12)
    done = train_regimes({"sgd": regime}, settings, seeds, observe=observe, observe_at=looks)["sgd"]
    rows: Table = [
        {"step": int(step), "evaluation": key, "accuracy": float(value)}
        for key in ("ic", "ic2", "iw")
        for step, value in zip(done.trace.steps, done.curve(key), strict=True)
        if step
    ]
    return Measurement({key: done.last(key) for key in ("ic", "ic2", "iw", "scrambled")}, {"course": rows})


FIDELITY = Experiment(
    name="sgd",
    question="Does the paper's plain SGD take the same way as Adam, only slower?",
    claims=CLAIMS,
    presets={
        "quick": Preset(FidelitySettings(n_steps=6, n_eval=24, batch=16), n_runs=1),
        "laptop": Preset(FidelitySettings(), n_runs=1),
        "paper": Preset(FidelitySettings(n_steps=150_000, n_eval=10_000, learning_rate=0.01), n_runs=6),
    },
    measure=measure,
    figures=(
        Figure(
            "sgd",
            "The paper's optimiser",
            "Accuracies of one network trained by plain SGD at three times the paper's rate, for a fifth of the paper's way.",
            Lines("course", x="step", y="accuracy", by="evaluation", x_label="step", y_label="accuracy", x_scale="log",
                  lines=(Line(0.25, "one of the context's 4 labels"),)),
            names={"ic": "new classes", "ic2": "labels shifted", "iw": "in weights"},
            further=True,
        ),
    ),
    cost="3 min of one core",
)  # fmt: skip
