"""How much contradiction stops the transfer of a rule: bridge subjects that break it, scattered or all in the same way."""

from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import train_arm
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
from assay.studies.knowledge.out_of_context_reasoning.settings import DoseSettings
from assay.studies.knowledge.out_of_context_reasoning.world import RecallWorld

BRIDGES = 8  # per group, so that doses come in eighths
BEFORE, AFTER, MOST = 0.375, 0.625, 0.75  # the doses that claims speak of
SCATTERED = (0.25, 0.5, MOST, 1.0)
CONCERTED = (2, 3, 4, 5, 6, 8)  # contradicting bridges of a group
MODELS = {"factorised": 2, "combined": 1}  # by depth
CONTROLLED = {("concerted", BEFORE), ("concerted", AFTER), ("scattered", MOST), ("concerted", MOST)}  # both models' worlds


def dosed_worlds(settings: DoseSettings, seeds: Sequence[Seeds]) -> list[tuple[str, float, list[RecallWorld]]]:
    """What kind of contradiction, its dose, and the world of each run."""
    intact = RecallWorld.intact(n=settings.n, m_train=BRIDGES, m_test=4)
    found: list[tuple[str, float, list[RecallWorld]]] = [("none", 0.0, [intact] * len(seeds))]
    for wrong in SCATTERED:
        found.append(("scattered", wrong, [intact.partial(1 - wrong, node("contradictions")) for node in seeds]))
    for n_counter in CONCERTED:
        found.append(("concerted", n_counter / BRIDGES, [intact.countered(n_counter)] * len(seeds)))
    return found


def measure_many(settings: DoseSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Accuracy among implications, for the rule, at every dose."""
    ledger = Rows(len(seeds))
    accuracy: dict[tuple[str, str, float], np.ndarray] = {}
    for kind, dose, worlds in parts(
        dosed_worlds(settings, seeds), label=lambda design: f"{design[0]} contradictions, dose {design[1]:g}"
    ):
        for model in MODELS if (kind, dose) in CONTROLLED else ("factorised",):
            arm = train_arm(
                worlds, seeds, architecture=Architecture(MODELS[model]), n_steps=settings.n_steps, read_every=settings.n_steps
            )
            ledger.failures(arm.diverged)
            accuracy[model, kind, dose] = arm.final("test_implication", "family_accuracy")
        for curve in ("scattered", "concerted") if kind == "none" else (kind,):
            ledger.rows("doses", {"contradictions": curve, "dose": dose, "accuracy": accuracy["factorised", kind, dose]})
    for model in MODELS:
        scattered, concerted = accuracy[model, "scattered", MOST], accuracy[model, "concerted", MOST]
        ledger.estimand(f"{model}/fall_across_half", accuracy[model, "concerted", BEFORE] - accuracy[model, "concerted", AFTER])
        ledger.estimand(f"{model}/scattered_minus_concerted", scattered - concerted)
    return ledger.measurements()
