"""A loss of nested gates, and the same gates side by side (C10)."""

from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement
from assay.core.errors import Diverged
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio
from assay.instruments.nested_gates import Gates, descend
from assay.protocols.rows import Rows
from assay.studies.mechanisms.in_context_vs_in_weights.settings import GateSettings


def measure_many(settings: GateSettings, seeds: Sequence[Seeds]) -> list[Measurement | Diverged]:
    """One random start for each seed, all in one program: one, two and three gates, nested and side by side."""

    size = len(settings.others)
    starts = np.abs(np.stack([seed("start").normal(0.0, settings.spread, size=size) for seed in seeds]))
    rows = Rows(len(seeds))
    for depth in range(1, size + 1):
        for form, label in (("chain", "gates"), ("apart", "apart-gates")):
            gates = Gates(settings.others[-depth:], form)  # type: ignore[arg-type]
            found = descend(gates, starts[:, -depth:], learning_rate=settings.learning_rate, n_steps=settings.n_steps, every=2)
            kept = np.unique(np.geomspace(1, len(found.steps) - 1, 120).astype(int))
            fallen = [cliff_ratio(found.steps, (loss[0] - loss) / loss[0], 0.25, 0.9) for loss in found.loss_nats]
            rows.estimand(f"{label}-{depth}/plateau", [1 / ratio for ratio in fallen])
            if form == "chain":
                steps = [int(found.steps[i]) for i in kept]
                rows.curve("loss", {"gates": depth, "loss": found.loss_nats[:, kept]}, along={"step": steps})
        progress(depth / size)
    return rows.measurements()
