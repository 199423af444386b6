"""How much contradiction kills a hallucination: bridge subjects that break the rule, scattered or all in the same way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Line, Lines
from assay.claims.rules import Above
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import trained
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["DOSE_RESPONSE"]

BRIDGES = 8  # per group, so that doses come in eighths

CLAIMS = (
    Claim(
        "dose.scattered",
        says="Where every bridge breaks the rule with probability 1/2, each in its own way, most held-out subjects still "
        "get the rule's implication.",
        source="ours",
        estimand="scattered/half",
        rule=Above(0.5),
        margin="most means more than half; chance among ten implications is 0.1",
        control=Control("the combined model on the same worlds", "combined/scattered_half"),
    ),
    Claim(
        "dose.concerted",
        says="Where the contradictions agree with each other the majority decides: accuracy for the rule's implication "
        "falls by more than 0.3 between 3 and 5 of 8 bridges contradicting.",
        source="ours",
        estimand="concerted/fall_across_half",
        rule=Above(0.3),
        margin="a straight line from 1 at no dose to 0 at full dose falls by 0.25; a majority rule falls by 1",
        control=Control("the combined model: chance at both doses", "combined/fall_across_half"),
    ),
    Claim(
        "dose.kind",
        says="At a dose of one half, scattered contradictions do less harm to the transfer than concerted ones.",
        source="ours",
        estimand="scattered_minus_concerted",
        rule=Above(0.1),
        margin="difference of accuracies among implications; a tenth is what chance alone scores",
        control=Control("the combined model: no difference", "combined/scattered_minus_concerted"),
    ),
)


@dataclass(frozen=True)
class Settings:
    """The world has eight bridges and four held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("AdamW steps, at the paper's settings")] = 1_500


def measure_many(settings: Settings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Accuracy among implications, for the rule and for what the contradictions teach, at every dose."""
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture

    ledger = Rows(len(seeds))
    intact = RecallWorld.intact(n=settings.n, m_train=BRIDGES, m_test=4)
    doses: list[tuple[str, float, list[RecallWorld]]] = [("none", 0.0, [intact] * len(seeds))]
    for wrong in (0.25, 0.5, 0.75, 1.0):
        doses.append(("scattered", wrong, [intact.partial(1 - wrong, node("contradictions")) for node in seeds]))
    for n_counter in (2, 3, 4, 5, 6, 8):
        doses.append(("concerted", n_counter / BRIDGES, [intact.countered(n_counter)] * len(seeds)))
    accuracy: dict[tuple[int, str, float], np.ndarray] = {}
    for i, (kind, dose, worlds) in enumerate(doses):
        progress(i / len(doses), f"{kind} contradictions, dose {dose:g}")
        for depth in (2, 1) if dose in (0.375, 0.5, 0.625) else (2,):
            arm = trained(
                worlds, seeds, architecture=Architecture(depth), n_steps=settings.n_steps, read_every=settings.n_steps
            )
            ledger.failures(arm.diverged)
            accuracy[depth, kind, dose] = arm.final("test_implication", "family_accuracy")
        for curve in ("scattered", "concerted") if kind == "none" else (kind,):
            ledger.rows("doses", {"contradictions": curve, "dose": dose, "accuracy": accuracy[2, kind, dose]})
    for depth, prefix in ((2, ""), (1, "combined/")):
        scattered, concerted = accuracy[depth, "scattered", 0.5], accuracy[depth, "concerted", 0.5]
        ledger.estimand("combined/scattered_half" if depth == 1 else "scattered/half", scattered)
        fall = accuracy[depth, "concerted", 0.375] - accuracy[depth, "concerted", 0.625]
        ledger.estimand("combined/fall_across_half" if depth == 1 else "concerted/fall_across_half", fall)
        ledger.estimand(prefix + "scattered_minus_concerted", scattered - concerted)
    return ledger.measurements()


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run of the design."""
    (found,) = measure_many(settings, [seeds])
    if isinstance(found, Diverged):
        raise found
    return found


DOSE_RESPONSE = Experiment(
    name="dose-response",
    question="How much contradiction among the examples stops the transfer to subjects outside them?",
    cost="33 s",
    claims=CLAIMS,
    presets={"quick": Preset(Settings(n=4, n_steps=20), 2), "laptop": Preset(Settings(), 10)},
    measure=measure,
    measure_many=measure_many,
    batch=5,
    figures=(
        Figure(
            "doses",
            "Contradictions must agree to be heard",
            "How often a held-out subject's first implication is the rule's, against the share of bridge subjects that "
            "contradict the rule: each in its own way, or all alike.",
            Lines(
                "doses",
                x="dose",
                y="accuracy",
                by="contradictions",
                x_label="share of contradicting bridges",
                y_label="accuracy among implications",
                markers=True,
                lines=(Line(0.1, "chance"),),
            ),
        ),
    ),
)
