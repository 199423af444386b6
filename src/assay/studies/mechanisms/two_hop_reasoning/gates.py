"""The three-parameter model by itself: a gate for each layer, nested (C6)."""

from collections.abc import Sequence

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.progress import progress
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio, crossing
from assay.instruments.nested_gates import Gates, descend
from assay.studies.mechanisms.two_hop_reasoning.settings import GateSettings


def measure_many(settings: GateSettings, seeds: Sequence[Seeds]) -> list[Measurement]:
    """One N(0, 1) start for each seed, all in one program: with all gates, without each, without the guessing route."""
    starts = np.stack([seed("start").normal(size=3) for seed in seeds])
    others = settings.others
    plans = {
        "whole": Gates(others, "two-hop"),
        **{f"without {j}": Gates(others, "two-hop", open=(j,)) for j in range(3)},
        "apart": Gates(others, "apart"),
        **{f"apart without {j}": Gates(others, "apart", open=(j,)) for j in range(3)},
        "one": Gates(others, "two-hop", open=(0, 1)),
        "no guess": Gates(others, "two-hop", guess=False),
        "apart no guess": Gates(others, "apart", guess=False),
        "no guess without 1": Gates(others, "two-hop", open=(1,), guess=False),
    }
    found = {}
    for i, (name, gates) in enumerate(plans.items()):
        found[name] = descend(gates, starts, learning_rate=settings.learning_rate, n_steps=settings.n_steps, every=5)
        progress((i + 1) / len(plans))
    steps = found["whole"].steps

    def half(name: str, run: int) -> float:
        loss = found[name].loss_nats[run]
        step = crossing(steps, loss, loss[0] / 2, falling=True)
        return step if np.isfinite(step) else float(settings.n_steps)  # still on its plateau: at least this long

    def cliff(name: str, run: int) -> float:
        loss = found[name].loss_nats[run]
        ratio = cliff_ratio(steps, loss, 0.88 * loss[0], 0.09 * loss[0], falling=True)
        return ratio if np.isfinite(ratio) else 1.0  # never fell: no cliff was seen, as long as the plateau at the least

    kept = np.unique(np.geomspace(1, len(steps) - 1, 100).astype(int))
    shown = {"three gates": "whole", "no guessing route": "no guess", "one gate": "one"}
    measurements = []
    for run in range(len(seeds)):
        estimands = {
            "nested/half": half("whole", run),
            "nested/cliff": cliff("whole", run),
            "one-gate/cliff": cliff("one", run),
            "apart/cliff": cliff("apart", run),
            "nested/longest_without": max(half(f"without {j}", run) for j in range(3)) / half("whole", run),
            "apart/longest_without": max(half(f"apart without {j}", run) for j in range(3)) / half("apart", run),
            "nested/without_guess": half("no guess", run) / half("whole", run),
            "second-open/without_guess": half("no guess without 1", run) / half("without 1", run),
            "apart/without_guess": half("apart no guess", run) / half("apart", run),
            "nested/final_loss": float(found["whole"].loss_nats[run, -1]),
        }
        rows: Table = [
            {"model": label, "step": int(steps[i]), "loss": float(found[name].loss_nats[run, i])}
            for label, name in shown.items()
            for i in kept
        ]
        measurements.append(Measurement(estimands, {"loss": rows}))
    return measurements
