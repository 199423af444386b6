"""The two-parameter induction head in the corners of the data grid (C9)."""

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.instruments.abruptness import cliff_ratio
from assay.studies.mechanisms.in_context_vs_in_weights.data import CONTRASTS, NAMES, contrasts
from assay.studies.mechanisms.in_context_vs_in_weights.minimal_induction import MinimalInduction
from assay.studies.mechanisms.in_context_vs_in_weights.settings import MinimalSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import accuracies, optimiser_of, prepare
from assay.training.losses import Batch, answer_loss
from assay.training.sequence import Stage, draw_together, log_steps, train


def measure(settings: MinimalSettings, seeds: Seeds) -> Measurement:
    """One seed: the two-parameter model in every corner, free and with its numbers held, all in one program."""

    arms = {name: prepare(name, regime, settings, seeds, d_content=63, placed=False) for name, regime in settings.arms.items()}
    plan = [(name, False) for name in arms] + [(name, True) for name in settings.corners]
    models = MinimalInduction(rng=[seeds.child(name)("init") for name, _ in plan], d_content=63, n_labels=32)
    models.hold(np.array([held for _, held in plan]))

    def observe(step: int, several: MinimalInduction) -> dict[str, float]:
        isolated, memoriser = (several.run(plan.index((name, False))) for name in ("isolated", "memoriser"))
        found = accuracies(isolated, arms["isolated"].sets, ("ic",)) | accuracies(memoriser, arms["memoriser"].sets, ("iw",))
        return found | isolated.parameters_by_name

    looks = log_steps(settings.n_steps, per_decade=30)
    # A model with its numbers held sees the batches of its free twin.
    draw = draw_together([arms[name].draw for name, _ in plan])
    stage: Stage[MinimalInduction, Batch] = Stage(
        settings.n_steps, draw, lambda m, batch: answer_loss(m(batch.inputs), batch.targets)
    )
    trace = train(models, stage, optimiser_of(settings), observe=observe, observe_at=looks)
    trace.raise_if_diverged()
    final: dict[bool, dict[str, dict[str, float]]] = {False: {}, True: {}}
    for i, (name, held) in enumerate(plan):
        final[held][name] = accuracies(models.run(i), arms[name].sets, NAMES)
    cliffs = {
        name: cliff_ratio(trace.steps, trace.series(key), 0.25, 0.9) for name, key in (("isolated", "ic"), ("memoriser", "iw"))
    }
    curves: Table = [
        {"step": int(step), "measure": key, "value": float(value)}
        for key in ("ic", "beta_1", "alpha")
        for step, value in zip(trace.steps, trace.series(key), strict=True)
        if step
    ]
    roles = {role: role for role in settings.corners}
    free, frozen = (contrasts(final[held], roles) for held in (False, True))
    six = [f"{name}/{key}" for name in CONTRASTS for key in ("ic_gain", "iw_loss")]
    estimands = {key: free[key] for key in six} | {
        "free/least_contrast": min(free[key] for key in six),
        "frozen/least_contrast": min(frozen[key] for key in six),
        "isolated/cliff": cliffs["isolated"],
        "memoriser/cliff": cliffs["memoriser"],
    }
    readings = {"ic": (False, "ic"), "iw": (False, "iw"), "held": (True, "ic")}
    cells: Table = [
        {"cell": cell, "reading": reading, "accuracy": final[held][role][key]}
        for role, cell in settings.corners.items()
        for reading, (held, key) in readings.items()
    ]
    return Measurement(estimands, {"cells": cells, "curves": curves})
