"""Can one network do both? Skewed class frequencies (C4), and whether the circuit for the one carries the other (C7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure
from assay.claims.rules import Above, Within
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.errors import SettingsError
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    PAPER,
    Regime,
    Setting,
    Trained,
    Training,
    accuracies,
    check_regimes,
    train_regimes,
)

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["SKEW"]

CLAIMS = (
    Claim(
        "C4",
        says="Skewed class frequencies let both live: at some exponent above zero the smaller of in-context and in-weights "
        "accuracy is at least 0.3 above that with equal frequencies.",
        source=PAPER + "section 3, figure 2c",
        estimand="both/gain",
        rule=Above(0.3),
        margin="'far above': ten times chance",
        control=Control(
            "asked about all classes equally often, it does not remember: what it holds in its weights is the frequent few",
            "both/gain_uniform",
        ),
        paper_value="both high near exponent 1",
    ),
    Claim(
        "C7.weights",
        says="The induction head carries the context only: made uniform in a network that does both, it leaves in-weights "
        "accuracy where it was.",
        source=PAPER + "section 4; the intervention is ours",
        estimand="iw_change",
        rule=Within(-0.1, 0.1),
        margin="a tenth: small beside the loss of the whole in-context accuracy",
        control=Control("with the query exchanged for one of another class, in-weights accuracy is lost", "iw_exchanged"),
        paper_value="separate circuits",
    ),
)


@dataclass(frozen=True)
class SkewSettings(Training):
    """Half of the sequences bursty, classes drawn by a rank-frequency law."""

    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 1024
    burst: Annotated[int, Ge(1), doc("copies of each class in a bursty sequence (B)")] = 2
    p_bursty: Annotated[float, doc("share of bursty sequences (p_B)")] = 0.5
    exponents: Annotated[tuple[float, ...], doc("of the rank-frequency law (alpha); the first must be 0")] = (0.0, 1.0, 2.0)

    def __post_init__(self) -> None:
        if len(self.exponents) < 2 or self.exponents[0] != 0:
            raise SettingsError(f"exponents must start with 0, the comparison, and name another; got {self.exponents}")
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[float, Regime]:
        """One per exponent."""
        return {a: Regime(self.n_classes, self.burst, zipf=a, p_bursty=self.p_bursty) for a in self.exponents}


def _iw_after_cuts(done: Trained) -> dict[str, float]:
    """In-weights accuracy with each half of the induction head made uniform, and with the query exchanged."""
    import torch

    from assay.instruments.attention import Uniform, knocked_out

    drawn, batch = done.sets["iw"]
    query = drawn.content.shape[1] - 1

    def accuracy(inputs: torch.Tensor, *cuts: Uniform) -> float:
        logits = knocked_out(done.model, inputs, *cuts, at=-1, offset=batch.offset)
        return float((logits.argmax(-1).numpy() == drawn.answers).mean())

    exchanged = batch.inputs.clone()
    exchanged[:, -1] = exchanged[:, -1].roll(1, 0)
    return {
        "whole": accuracy(batch.inputs),
        "layer 1 uniform": accuracy(batch.inputs, Uniform(0)),
        "layer 2 uniform": accuracy(batch.inputs, Uniform(1, rows=(query,))),
        "query exchanged": accuracy(exchanged),
    }


def measure(settings: SkewSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every exponent."""

    def observe(name: str, model: "Decoder", sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "ic2", "iw", "iw_uniform"))

    looks = sorted({round(settings.n_steps * i / 6) for i in range(1, 7)})
    regimes = {f"alpha={exponent:g}": regime for exponent, regime in settings.regimes.items()}
    cells = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    done = dict(zip(settings.exponents, cells.values(), strict=True))
    both, both_uniform = (
        {a: min(cell.last("ic"), cell.last(weights)) for a, cell in done.items()} for weights in ("iw", "iw_uniform")
    )
    best = max(both, key=both.__getitem__)
    cuts = _iw_after_cuts(done[settings.exponents[-1]])
    changes = [cuts[name] - cuts["whole"] for name in ("layer 1 uniform", "layer 2 uniform")]
    estimands = {
        "both/gain": max(both[a] for a in settings.exponents[1:]) - both[0.0],
        "both/gain_uniform": max(both_uniform[a] for a in settings.exponents[1:]) - both_uniform[0.0],
        "both/best_exponent": best,
        "iw_change": float(max(changes, key=abs)),
        "iw_exchanged": cuts["query exchanged"] - cuts["whole"],
    }
    rows: Table = [
        {"exponent": f"{a:g}", "evaluation": key, "accuracy": cell.last(key)}
        for a, cell in done.items()
        for key in ("ic", "iw", "iw_uniform")
    ]
    course: Table = [
        {"exponent": f"{a:g}", "step": step, "evaluation": key, "accuracy": float(value)}
        for a, cell in done.items()
        for key in ("ic", "iw")
        for step, value in zip(cell.trace.steps, cell.curve(key), strict=True)
    ]
    cut_rows: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    return Measurement(estimands, {"skew": rows, "course": course, "cuts": cut_rows})


FIGURES = (
    Figure(
        "skew",
        "Skew lets both live",
        "With equal frequencies half of the sequences can only be remembered, and the network remembers. With a steep law "
        "the frequent classes are remembered and the rest is looked up; asked about all classes equally often it "
        "remembers little.",
        Bars("skew", x="exponent", y="accuracy", by="evaluation", x_label="exponent of the class frequencies",
             y_label="accuracy"),
        names={"ic": "in context", "iw": "in weights, as frequent as trained", "iw_uniform": "in weights, all classes alike"},
    ),
)  # fmt: skip

SKEW = Experiment(
    name="skew",
    question="Does a skewed distribution of classes let one network remember and look up?",
    claims=CLAIMS,
    presets={
        "quick": Preset(SkewSettings(n_steps=6, n_eval=24, batch=16), n_runs=2),
        "laptop": Preset(SkewSettings(n_steps=1500, batch=64), n_runs=5),
        "paper": Preset(
            SkewSettings(
                n_steps=150_000,
                n_eval=10_000,
                optimiser="sgd",
                learning_rate=0.01,
                burst=1,
                exponents=(0.0, 0.5, 1.0, 1.5, 2.0),
            ),
            n_runs=6,
        ),
    },
    measure=measure,
    figures=FIGURES,
    cost="2 min on two cores",
)
