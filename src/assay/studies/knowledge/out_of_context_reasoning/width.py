"""The hidden widths about the threshold of inference, in more runs than the other claims of the symbolic system need (C11)."""

from collections.abc import Sequence

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.protocols.rows import Rows
from assay.studies.knowledge.out_of_context_reasoning.arms import train_arm
from assay.studies.knowledge.out_of_context_reasoning.model import Architecture
from assay.studies.knowledge.out_of_context_reasoning.settings import SymbolicSettings
from assay.studies.knowledge.out_of_context_reasoning.symbolic import adamw, reference_world, steps_of

WIDTHS = (3, 4, 8)


def measure_many(settings: SymbolicSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """Each width for all seeds at once, trained as in the rank sweep; and width 4 as it is drawn."""
    ledger = Rows(len(seeds))
    worlds = [reference_world(settings)] * len(seeds)
    for width in parts(WIDTHS, weights=[steps_of(width, settings) for width in WIDTHS], label=lambda width: f"width {width}"):
        n_steps = steps_of(width, settings)
        arm = train_arm(
            worlds,
            seeds,
            architecture=Architecture(2, d_hidden=width),
            n_steps=n_steps,
            optimiser=adamw(settings),
            initialisation="gaussian",
            read_every=n_steps,
        )
        ledger.failures(arm.diverged)
        before, after = arm.course("test_implication", "accuracy")
        ledger.estimand(f"width-{width}/test_accuracy", after)
        ledger.rows("accuracy", {"d_hidden": width, "accuracy": after})
        if width == 4:
            ledger.estimand("untrained/test_accuracy", before)
    return ledger.measurements()
