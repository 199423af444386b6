"""How many layers two hops need: one start of each depth, on equal terms (C5)."""

import numpy as np
import torch

from assay.claims.study import Measurement, Table
from assay.core.progress import parts
from assay.core.seeds import Seeds
from assay.studies.mechanisms.two_hop_reasoning.settings import DepthSettings
from assay.studies.mechanisms.two_hop_reasoning.system import probabilities, train_start, untrained


def depths(settings: DepthSettings) -> dict[str, tuple[int, int]]:
    """(layers, heads) of each arm."""
    further = {"two-layers-more-heads": (2, settings.heads)} if settings.heads else {}
    return {"three-layers": (3, 1), "two-layers": (2, 1), "one-layer": (1, 1), **further}


def measure(settings: DepthSettings, seeds: Seeds) -> Measurement:
    """One start of every depth, with the same steps and the same stopping: whether it solves the task, and how far it comes."""
    drawn = settings.world.sequences(settings.n_eval, rng=seeds("evaluation"))
    estimands: dict[str, float] = {}
    rows: Table = []
    arms = depths(settings)
    for arm in parts(list(arms), label=str):
        n_layers, n_heads = arms[arm]
        _, course = train_start(settings, seeds, drawn, n_layers=n_layers, n_heads=n_heads)
        accuracy = course.series("accuracy")
        grid = np.round(np.linspace(0, settings.n_steps, 21)[1:])
        estimands[f"{arm}/solved"] = float(course.solved)
        estimands[f"{arm}/best_accuracy"] = float(accuracy.max())
        rows += [
            {"network": arm, "step": int(step), "accuracy": float(value)}
            for step, value in zip(grid, np.interp(grid, course.steps, accuracy), strict=True)
        ]
    return Measurement(estimands, {"depth": rows})


def measure_nulls(settings: DepthSettings, seeds: Seeds) -> Measurement:
    """Three layers that were never trained."""
    drawn = settings.world.sequences(settings.n_eval, rng=seeds("evaluation"))
    model = untrained(settings, settings.world, seeds.child("untrained")("init"))
    with torch.no_grad():
        found = probabilities(model(torch.from_numpy(drawn.tokens), at=-1).numpy(), drawn)
    return Measurement(
        {"untrained/solved": float(found["target"] >= settings.solved), "untrained/best_accuracy": found["accuracy"]}
    )
