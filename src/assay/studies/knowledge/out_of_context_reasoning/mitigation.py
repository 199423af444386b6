"""What stops spurious transfer without costing facts: one frontier for updates, penalties, ranks and further examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import TrainedArm, train_arm
from assay.studies.knowledge.out_of_context_reasoning.instruments import RecallProbe
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture, RecallStack
from assay.studies.knowledge.out_of_context_reasoning.settings import MitigationSettings
from assay.studies.knowledge.out_of_context_reasoning.training import PAPER_ADAMW
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld
from assay.training.optimiser import Optimiser

MEMBERS = 4  # bridges, and held-out subjects, of each group
PRODUCT, MATRIX = Architecture(2), Architecture(1)
REMOVERS = ("combined", "penalty-0.001")


@dataclass(frozen=True)
class Mitigation:
    """One way of training.

    Attributes:
        kind: what sort of change it is, for the picture.
        world: what is taught.
        architecture, optimiser, initialisation, product_penalty: how; of `train_arm`.
    """

    kind: str
    world: RecallWorld
    architecture: Architecture = PRODUCT
    optimiser: Optimiser = PAPER_ADAMW
    initialisation: Literal["constant", "gaussian"] = "constant"
    product_penalty: float = 0.0


def mitigations(settings: MitigationSettings) -> dict[str, Mitigation]:
    """Every arm by its name."""
    world = RecallWorld.intact(n=settings.n, m_train=MEMBERS, m_test=MEMBERS)
    unknown = {m: RecallWorld.intact(n=settings.n, m_train=MEMBERS, m_test=MEMBERS, m_abstain=m) for m in (1, 4)}
    found = {"baseline": Mitigation("none", world), "combined": Mitigation("one matrix", world, MATRIX)}
    for strength in (1e-4, 1e-3):
        found[f"penalty-{strength:g}"] = Mitigation("product penalty", world, product_penalty=strength)
    found["decay-0.3"] = Mitigation("weight decay", world, optimiser=replace(PAPER_ADAMW, weight_decay=0.3))
    for width in (1, 3, 4):
        narrow = Architecture(2, d_hidden=width)
        found[f"width-{width}"] = Mitigation("rank limit", world, narrow, initialisation="gaussian")
    for n_unknown, its_world in unknown.items():
        found[f"unknown-{n_unknown}"] = Mitigation("'unknown' label", its_world)
    found["unknown-4-combined"] = Mitigation("one matrix", unknown[4], MATRIX)
    for n_counter in (1, 2, 3):
        found[f"counter-{n_counter}"] = Mitigation("counter-examples", world.countered(n_counter))
    found["counter-2-combined"] = Mitigation("one matrix", world.countered(2), MATRIX)
    return found


def measure_many(settings: MitigationSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Facts kept, transfer left and what is asserted instead, for every mitigation on the same batches."""
    ledger, arms = Rows(len(seeds)), {}
    for name, design in parts(list(mitigations(settings).items()), label=lambda named: named[0].replace("-", " ")):
        arms[name] = train_arm(
            [design.world] * len(seeds),
            seeds,
            architecture=design.architecture,
            n_steps=settings.n_steps,
            optimiser=design.optimiser,
            initialisation=design.initialisation,
            read_every=settings.n_steps,
            product_penalty=design.product_penalty,
        )
        enter(ledger, name, design.kind, arms[name], seeds)
    kept = [arms[name].facts_kept() for name in REMOVERS]
    ledger.estimand("removers/facts_kept", np.min(kept, axis=0))
    return ledger.measurements()


def measure_nulls(settings: MitigationSettings, seeds: Seeds) -> Measurement:
    """The same numbers of a product as it is drawn, under the arm `untrained`."""
    ledger, world = Rows(1), mitigations(settings)["baseline"].world
    stack = RecallStack.constant(world, PRODUCT, n_runs=1)
    scores = [RecallProbe.sampled([world], [seeds]).read(stack)]
    enter(ledger, "untrained", "none", TrainedArm(stack, [world], (0,), scores, (None,)), [seeds])
    (found,) = ledger.measurements()
    assert isinstance(found, Measurement)
    return found


def enter(ledger: Rows, name: str, kind: str, arm: TrainedArm, seeds: Sequence[Seeds]) -> None:
    """A mitigation's estimands, its point on the frontier, and what it says of held-out subjects."""
    ledger.failures(arm.diverged)
    rivals = RecallProbe.sampled([world.asked_for_rivals() for world in arm.worlds], seeds).read(arm.stack)
    said = {
        "rule_asserted": arm.final("test_implication", "asserted"),
        "rival_asserted": rivals["test_implication"].asserted,
        "any_asserted": arm.final("test_implication", "any_asserted"),
        "abstained": arm.final("test_implication", "abstained"),
    }
    for estimand, values in said.items():
        ledger.estimand(f"{name}/{estimand}", values)
    ledger.estimand(f"{name}/rule_first", arm.final("test_implication", "accuracy"))
    ledger.estimand(f"{name}/facts_kept", arm.facts_kept())
    point = {
        "mitigation": name.replace("-", " "),
        "kind": kind,
        "transfer": np.exp(-arm.final("test_implication", "loss_nats")),
        "kept": np.exp(-arm.worst_taught_loss()),
    }
    ledger.rows("frontier", point)
    if kind in ("none", "one matrix", "counter-examples", "'unknown' label"):
        for what in ("rule_asserted", "rival_asserted", "abstained"):
            ledger.rows("asserted", {"mitigation": name.replace("-", " "), "what": what, "share": said[what]})
