"""How in-context learning appears when it is isolated: slow phase, jump, the circuit and what it needs (C5 to C8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Bars, Figure, Line, Lines
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset, Table
from assay.core.seeds import Seeds
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    PAPER,
    Regime,
    Setting,
    Trained,
    Training,
    accuracies,
    answers,
    check_regimes,
    train_regimes,
)

if TYPE_CHECKING:
    from assay.models.decoder import Decoder

__all__ = ["EMERGENCE"]

CLAIMS = (
    Claim(
        "C5",
        says="In-context learning appears abruptly: going from 25% to 90% accuracy takes under a quarter of the steps before.",
        source=PAPER + "section 4, figure 3",
        estimand="isolated/cliff",
        rule=Below(0.25),
        margin="a straight line through the origin has 2.6; a quarter is a tenth of that",
        control=Control("remembering 32 classes without bursts, in the same network, is gradual", "memoriser/cliff"),
        paper_value="slow phase, then a jump",
    ),
    Claim(
        "C6",
        says="Before the jump the network answers with some label of the context: when a quarter of its answers are right, "
        "labels of the context have more than half of the probability.",
        source=PAPER + "section 4, figures 3 and 4",
        estimand="isolated/context_label_share",
        rule=Above(0.5),
        margin="8 labels of 32 would have 0.25 by chance",
        control=Control("trained where the context never holds the answer, labels of the context get no more than chance",
                        "memoriser/context_label_share"),
        paper_value="random label of the context: accuracy from 1/32 towards 1/8",
    ),
    Claim(
        "C6.equal",
        says="Where the context holds all labels (L = N) there is nothing to gain from it but the circuit itself, and the "
        "circuit does not form: mean accuracy stays below one half.",
        source=PAPER + "section 5, figure A.5",
        estimand="equal/ic",
        rule=Below(0.5),
        margin="one half lies far above chance (1/8) and far below the solution (1)",
        control=Control("with L = 32 labels and the same steps it forms", "isolated/ic"),
        paper_value="not robustly learned",
    ),
    Claim(
        "C7",
        says="The induction head is causal: with layer 1's or layer 2's attention made uniform, in-context accuracy falls "
        "below two in N.",
        source=PAPER + "section 4 (attention maps); the intervention is ours",
        estimand="isolated/ic_cut",
        rule=Below(0.25),
        margin="guessing among the labels of the context gives 1/8",
        control=Control("layer 2 made uniform in every row but the query's", "isolated/ic_cut_elsewhere"),
        paper_value="induction head in attention maps",
    ),
    Claim(
        "C8",
        says="Both attention patterns of the induction head start to rise before accuracy is at one half.",
        source=PAPER + "section 4, figure 4",
        estimand="isolated/attention_lead",
        rule=Above(10.0),
        margin="10 steps, about a third of the distance of two observations near the jump",
        control=Control("another accuracy (labels shifted) does not lead: it moves at the same time", "isolated/shifted_lead"),
        paper_value="both rise just before the jump",
    ),
    Claim(
        "C8.labels",
        says="The probability of the context's labels starts to rise before either attention pattern.",
        source=PAPER + "section 4, figure 4",
        estimand="isolated/label_lead",
        rule=Above(0.0),
        margin="order alone is claimed",
        control=Control("accuracy itself, at one half, does not come before the attention patterns", "isolated/accuracy_lead"),
        paper_value="rises in the slow phase",
    ),
    Claim(
        "C8.lag",
        says="Accuracy follows layer 1's attention to the item before a label: the best lag of their rates is positive.",
        source=PAPER + "section 4, figure 4; as a cross-correlation ours",
        estimand="isolated/lag",
        rule=Above(5.0),
        margin="5 steps: order is claimed, not size",
        control=Control("accuracy with shifted labels has no lag", "isolated/shifted_lag"),
        paper_value="rises just before the jump",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class EmergenceSettings(Training):
    """The isolation regime: mostly new classes, so that only the context can tell."""

    n_steps: Annotated[int, Ge(1), doc("optimiser steps of each network")] = 1200
    n_attended: Annotated[int, Ge(1), doc("sequences of an evaluation on which attention is read")] = 256
    n_classes: Annotated[int, Ge(1), doc("classes (K)")] = 256
    burst: Annotated[int, Ge(1), doc("copies of each class in a sequence (B)")] = 1
    p_fresh: Annotated[float, doc("share of sequences of new classes (p_C)")] = 0.8
    per_decade: Annotated[int, Ge(1), doc("observations per factor of ten in steps")] = 30

    def __post_init__(self) -> None:
        check_regimes(list(self.regimes.values()))

    @property
    def regimes(self) -> dict[str, Regime]:
        """The arms: the paper's isolation, its variant with as many labels as items, and one that can only be remembered."""
        isolated = Regime(self.n_classes, self.burst, p_fresh=self.p_fresh)
        return {
            "isolated": isolated,
            "equal": Regime(self.n_classes, self.burst, p_fresh=self.p_fresh, n_labels=8),
            "memoriser": Regime(32, 0, p_bursty=0.0),
        }


def _of_context(logits: np.ndarray, setting: Setting) -> dict[str, float]:
    """Accuracy, and the mean probability of the labels that stand in the context (CLA)."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    shown = np.zeros(odds.shape, dtype=bool)
    np.put_along_axis(shown, setting.drawn.item_labels, True, axis=1)
    return {
        "ic": float((logits.argmax(-1) == setting.drawn.answers).mean()),
        "context_labels": float(((odds * shown).sum(-1) / odds.sum(-1)).mean()),
    }


def _measures(model: "Decoder", sets: Mapping[str, Setting], n_attended: int) -> dict[str, float]:
    """Accuracies, and the paper's progress measures on sequences of new classes, attention on `n_attended` of them."""
    import torch

    from assay.instruments.attention import attention_on, patterns

    found = _of_context(answers(model, sets["ic"].batch), sets["ic"]) | accuracies(model, sets, ("ic2",))
    drawn, batch = sets["ic"]
    offset = None if batch.offset is None else batch.offset[:n_attended]
    first, second = patterns(model, batch.inputs[:n_attended], offset=offset)
    matches = torch.from_numpy(drawn.matches[:n_attended])
    n, n_items = matches.shape
    label_places = torch.arange(1, 2 * n_items, 2).expand(n, -1)
    found["previous_item"] = float(attention_on(first, label_places, label_places - 1).max())
    matching = torch.zeros(n, 1, 2 * n_items + 1, dtype=torch.bool)
    matching[:, 0, 1::2] = matches
    query = torch.full((n, 1), 2 * n_items)
    found["target_label"] = float(attention_on(second, query, matching).max())
    return found


def _cut(done: Trained) -> dict[str, float]:
    """In-context accuracy with parts of the attention made uniform."""
    from assay.instruments.attention import Uniform, knocked_out

    drawn, batch = done.sets["ic"]
    query = drawn.content.shape[1] - 1

    def accuracy(*cuts: Uniform) -> float:
        logits = knocked_out(done.model, batch.inputs, *cuts, at=-1, offset=batch.offset)
        return float((logits.argmax(-1).numpy() == drawn.answers).mean())

    return {
        "whole": accuracy(),
        "layer 1, label rows": accuracy(Uniform(0, rows=tuple(range(1, query, 2)))),
        "layer 1, all rows": accuracy(Uniform(0)),
        "layer 1, item rows": accuracy(Uniform(0, rows=tuple(range(0, query, 2)))),
        "layer 2, query row": accuracy(Uniform(1, rows=(query,))),
        "layer 2, other rows": accuracy(Uniform(1, rows=tuple(range(query)))),
    }


def _rise(steps: np.ndarray, values: np.ndarray) -> float:
    """The step by which a curve has gone a tenth of its way from start to end."""
    from assay.instruments.abruptness import crossing

    return crossing(steps, values, values[0] + 0.1 * (values[-1] - values[0]))


def measure(settings: EmergenceSettings, seeds: Seeds) -> Measurement:
    """One seed: the isolated network, the variant with L = N and the memoriser."""
    from assay.instruments.abruptness import cliff_ratio, crossing, jump_of, lag
    from assay.training.sequence import log_steps

    regimes, n_steps = settings.regimes, settings.n_steps
    looks = log_steps(n_steps, per_decade=settings.per_decade)

    def observe(name: str, model: "Decoder", sets: Mapping[str, Setting]) -> dict[str, float]:
        if name == "isolated":
            return _measures(model, sets, settings.n_attended)
        return accuracies(model, sets, ("ic" if name == "equal" else "iw",))

    done = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    isolated, equal, memoriser = done["isolated"], done["equal"], done["memoriser"]
    steps = np.array(isolated.trace.steps, dtype=float)
    ic, ic2 = isolated.curve("ic"), isolated.curve("ic2")
    quarter, half = crossing(steps, ic, 0.25), crossing(steps, ic, 0.5)
    rises = {name: _rise(steps, isolated.curve(name)) for name in ("previous_item", "target_label", "context_labels")}
    attention = max(rises["previous_item"], rises["target_label"])
    elsewhere = memoriser.sets["ic"]
    cuts = _cut(isolated)
    estimands = {
        "isolated/cliff": cliff_ratio(steps, ic, 0.25, 0.9),
        "memoriser/cliff": cliff_ratio(steps, memoriser.curve("iw"), 0.25, 0.9),
        "isolated/context_label_share": float(np.interp(quarter, steps, isolated.curve("context_labels"))),
        "memoriser/context_label_share": _of_context(answers(memoriser.model, elsewhere.batch), elsewhere)["context_labels"],
        "isolated/ic": isolated.last("ic"),
        "equal/ic": equal.last("ic"),
        "isolated/ic_cut": max(cuts["layer 1, label rows"], cuts["layer 1, all rows"], cuts["layer 2, query row"]),
        "isolated/ic_cut_elsewhere": cuts["layer 2, other rows"],
        "isolated/attention_lead": half - attention,
        "isolated/shifted_lead": half - crossing(steps, ic2, 0.5),
        "isolated/label_lead": min(rises["previous_item"], rises["target_label"]) - rises["context_labels"],
        "isolated/accuracy_lead": min(rises["previous_item"], rises["target_label"]) - half,
        "isolated/lag": lag(steps, isolated.curve("previous_item"), ic),
        "isolated/shifted_lag": lag(steps, ic2, ic),
    }
    jumps: Table = [
        {"arm": name, "step": jump.step, "seen": jump.seen}
        for name in ("isolated", "equal")
        for jump in [jump_of(done[name].trace.steps, done[name].curve("ic"), 0.5)]
    ]
    shown = ("ic", "context_labels", "previous_item", "target_label")
    curves: Table = [
        {"step": int(step), "measure": name, "value": float(value)}
        for name in shown
        for step, value in zip(isolated.trace.steps, isolated.curve(name), strict=True)
        if step
    ]
    accuracy: Table = [
        {"step": int(step), "arm": name, "accuracy": float(value)}
        for name, key in (("isolated", "ic"), ("equal", "ic"), ("memoriser", "iw"))
        for step, value in zip(done[name].trace.steps, done[name].curve(key), strict=True)
        if step
    ]
    cut_rows: Table = [{"cut": name, "accuracy": value} for name, value in cuts.items()]
    return Measurement(estimands, {"curves": curves, "accuracy": accuracy, "cuts": cut_rows, "jumps": jumps})


FIGURES = (
    Figure(
        "emergence",
        "A slow phase, then a jump",
        "Accuracy on new classes stays between one in 32 and one in 8 while the network learns that the answer is some label "
        "of the context; then both attention patterns of the induction head rise and accuracy follows.",
        Lines("curves", x="step", y="value", by="measure", x_label="step", y_label="accuracy, probability or attention",
              x_scale="log", lines=(Line(1 / 8, "one in N"),)),
        names={"ic": "accuracy on new classes", "context_labels": "probability of the context's labels",
               "previous_item": "layer 1: label to its item", "target_label": "layer 2: query to its label"},
    ),
    Figure(
        "cuts",
        "Cutting the circuit",
        "Accuracy on new classes after training with parts of the attention made uniform. The rows of the two steps of the "
        "induction head are needed, others are not.",
        Bars("cuts", x="cut", y="accuracy", y_label="accuracy on new classes", lines=(Line(1 / 8, "one in N"),)),
        further=True,
    ),
)  # fmt: skip

EMERGENCE = Experiment(
    name="emergence",
    question="How does in-context learning appear when nothing else can be learned, and which parts is it made of?",
    claims=CLAIMS,
    presets={
        "quick": Preset(EmergenceSettings(n_steps=12, n_eval=32, n_attended=16, batch=16, per_decade=6), n_runs=2),
        "laptop": Preset(EmergenceSettings(), n_runs=5),
        "paper": Preset(EmergenceSettings(n_steps=150_000, n_eval=10_000, optimiser="sgd", learning_rate=0.01), n_runs=6),
    },
    measure=measure,
    figures=FIGURES,
    cost="3 min on two cores",
)
