"""What stops spurious transfer without costing facts: one frontier for updates, penalties, ranks and further examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, doc

from assay.claims.charts import Figure, Scatter
from assay.claims.rules import Above, Below
from assay.claims.study import Claim, Control, Experiment, Measurement, Preset
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import Arm, trained
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

__all__ = ["MITIGATION"]

HALLUCINATES = "share of held-out questions answered with the rule's implication; "

CLAIMS = (
    Claim(
        "mitigation.combined",
        says="Training one matrix instead of a product ends the transfer: fewer than 3 in 10 held-out questions get the rule's "
        "implication.",
        source="ours, from theorem 1",
        estimand="combined/hallucinates",
        rule=Below(0.3),
        margin=HALLUCINATES + "chance among ten implications is 0.1, three times that is no rule any more",
        control=Control("the product, untouched", "baseline/hallucinates"),
    ),
    Claim(
        "mitigation.penalty",
        says="So does a Frobenius penalty on the product, without giving up the product.",
        source="ours, from theorem 1",
        estimand="penalty_0.001/hallucinates",
        rule=Below(0.3),
        margin="as mitigation.combined",
        control=Control("the product without penalty", "baseline/hallucinates"),
    ),
    Claim(
        "mitigation.keeps",
        says="Neither costs facts: the worst taught kind keeps an accuracy above 0.98.",
        source="ours",
        estimand="removers/facts_kept",
        rule=Above(0.98),
        margin="one question in fifty",
        control=Control("a hidden width of 1 ends the transfer by losing the facts", "width_1/facts_kept"),
    ),
    Claim(
        "mitigation.decay",
        says="Weight decay does not help, however strong (0.3): decay on factors is a nuclear-norm penalty on the product.",
        source="ours",
        estimand="decay_0.3/hallucinates",
        rule=Above(0.8),
        margin=HALLUCINATES + "ten times the paper's decay must leave four in five",
        control=Control("a Frobenius penalty on the product", "penalty_0.001/hallucinates"),
    ),
    Claim(
        "mitigation.rank",
        says="A limit on rank that still keeps the facts (hidden width 4) leaves most of the transfer.",
        source="ours",
        estimand="width_4/hallucinates",
        rule=Above(0.5),
        margin=HALLUCINATES + "most is more than half",
        control=Control("one matrix instead of a product", "combined/hallucinates"),
    ),
    Claim(
        "mitigation.unknown",
        says="Teaching as many subjects the answer 'unknown' as there are bridges leaves most of the transfer to the others.",
        source="ours",
        estimand="unknown_4/hallucinates",
        rule=Above(0.5),
        margin=HALLUCINATES + "most is more than half",
        control=Control("one matrix instead of a product, in the same world", "unknown_4_combined/hallucinates"),
    ),
    Claim(
        "mitigation.counter",
        says="Counter-examples, as many as examples, halve the transfer or more.",
        source="ours",
        estimand="counter_2/hallucinates",
        rule=Below(0.6),
        margin=HALLUCINATES + "by symmetry at most half the held-out subjects can follow the rule; a tenth of room",
        control=Control("no counter-examples", "baseline/hallucinates"),
    ),
)


@dataclass(frozen=True)
class Settings:
    """The world has four bridges and four held-out subjects in each group."""

    n: Annotated[int, Ge(3), doc("facts, implications and groups of subjects")] = 10
    n_steps: Annotated[int, Ge(1), doc("AdamW steps, at the paper's settings")] = 2_000


def measure_many(settings: Settings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Facts kept and transfer left, for every mitigation on the same batches."""
    from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
    from assay.studies.knowledge.out_of_context_reasoning.training import PAPER_ADAMW

    def world(**sizes: int) -> RecallWorld:
        return RecallWorld.intact(**({"n": settings.n, "m_train": 4, "m_test": 4} | sizes))

    ledger, arms = Rows(len(seeds)), {}
    designs: dict[str, tuple[str, RecallWorld, Architecture, dict[str, object]]] = {
        "baseline": ("none", world(), Architecture(2), {}),
        "combined": ("one matrix", world(), Architecture(1), {}),
        "unknown_4_combined": ("one matrix", world(m_abstain=4), Architecture(1), {}),
    }
    for strength in (1e-4, 1e-3, 1e-2):
        designs[f"penalty_{strength:g}"] = ("product penalty", world(), Architecture(2), {"product_penalty": strength})
    for decay in (0.3, 1.0):
        designs[f"decay_{decay:g}"] = (
            "weight decay",
            world(),
            Architecture(2),
            {"optimiser": replace(PAPER_ADAMW, weight_decay=decay)},
        )
    for width in (1, 3, 4, 8):
        designs[f"width_{width}"] = ("rank limit", world(), Architecture(2, d_hidden=width), {"initialisation": "gaussian"})
    for n_unknown in (1, 4):
        designs[f"unknown_{n_unknown}"] = ("'unknown' label", world(m_abstain=n_unknown), Architecture(2), {})
    for n_counter in (1, 2):
        designs[f"counter_{n_counter}"] = ("counter-examples", world().countered(n_counter), Architecture(2), {})
    for i, (name, (kind, its_world, architecture, options)) in enumerate(designs.items()):
        progress(i / len(designs), name.replace("_", " "))
        arm = trained(
            [its_world] * len(seeds),
            seeds,
            architecture=architecture,
            n_steps=settings.n_steps,
            read_every=settings.n_steps,
            **options,  # type: ignore[arg-type]
        )
        arms[name] = arm
        enter(ledger, name, kind, arm)
    kept = [arms[name].facts_kept() for name in ("combined", "penalty_0.001")]
    ledger.estimand("removers/facts_kept", np.min(kept, axis=0))
    return ledger.measurements()


def enter(ledger: Rows, name: str, kind: str, arm: Arm) -> None:
    """A mitigation's estimands and its point on the frontier."""
    ledger.failures(arm.diverged)
    ledger.estimand(f"{name}/hallucinates", arm.final("test_implication", "accuracy"))
    ledger.estimand(f"{name}/facts_kept", arm.facts_kept())
    point = {
        "mitigation": name.replace("_", " "),
        "kind": kind,
        "transfer": np.exp(-arm.final("test_implication", "loss_nats")),
        "kept": np.exp(-arm.worst_taught_loss()),
    }
    ledger.rows("frontier", point)


def measure(settings: Settings, seeds: Seeds) -> Measurement:
    """One run of the design."""
    (found,) = measure_many(settings, [seeds])
    if isinstance(found, Diverged):
        raise found
    return found


MITIGATION = Experiment(
    name="mitigation",
    question="What stops the spurious transfer and keeps the facts?",
    cost="45 s",
    claims=CLAIMS,
    presets={"quick": Preset(Settings(n=4, n_steps=20), 2), "laptop": Preset(Settings(), 10)},
    measure=measure,
    measure_many=measure_many,
    batch=5,
    figures=(
        Figure(
            "frontier",
            "Facts kept against spurious transfer",
            "Each point is one mitigation: the probability that the model gives to what it was taught (worst kind) against the "
            "probability that it gives to implications nobody taught. Upper left is where one wants to be.",
            Scatter(
                "frontier",
                x="transfer",
                y="kept",
                label="mitigation",
                by="kind",
                x_label="probability of the untaught implication",
                y_label="probability of what was taught, worst kind",
            ),
        ),
    ),
)
