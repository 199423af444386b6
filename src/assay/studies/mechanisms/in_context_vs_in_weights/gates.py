"""A loss of nested gates, and the same gates side by side (C10)."""

from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio
from assay.instruments.nested_gates import Gates, descend
from assay.studies.mechanisms.in_context_vs_in_weights.settings import GateSettings


def measure_many(settings: GateSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """One random start for each seed, all in one program: one, two and three gates, nested and side by side."""

    size = len(settings.others)
    starts = np.abs(np.stack([seed("start").normal(0.0, settings.spread, size=size) for seed in seeds]))
    estimands: list[dict[str, float]] = [{} for _ in seeds]
    tables: list[Table] = [[] for _ in seeds]
    for depth in range(1, size + 1):
        for form, label in (("chain", "nested"), ("apart", "apart")):
            gates = Gates(settings.others[-depth:], form)  # type: ignore[arg-type]
            found = descend(gates, starts[:, -depth:], learning_rate=settings.learning_rate, n_steps=settings.n_steps, every=2)
            kept = np.unique(np.geomspace(1, len(found.steps) - 1, 120).astype(int))
            for run, loss in enumerate(found.loss_nats):
                estimands[run][f"{label}-{depth}/plateau"] = 1 / cliff_ratio(found.steps, (loss[0] - loss) / loss[0], 0.25, 0.9)
                if form == "chain":
                    tables[run] += [{"gates": depth, "step": int(found.steps[i]), "loss": float(loss[i])} for i in kept]
        progress(depth / size)
    return [Measurement(one, {"loss": rows}) for one, rows in zip(estimands, tables, strict=True)]
