"""Which data make the network look the answer up: classes and burstiness (C1, C2, C11), and noise (C3)."""

from collections.abc import Mapping

import numpy as np

from assay.claims.study import Measurement, Table
from assay.core.seeds import Seeds
from assay.models.decoder import Decoder
from assay.studies.mechanisms.in_context_vs_in_weights.settings import DataSettings
from assay.studies.mechanisms.in_context_vs_in_weights.system import (
    Setting,
    accuracies,
    train_regimes,
)

CONTRASTS = {"classes": ("many", "few"), "bursts": ("burst", "single"), "noise": ("noisy", "single")}
NAMES = ("ic", "ic2", "iw", "known", "scrambled", "stranger")


def contrasts(final: Mapping[str, Mapping[str, float]], corners: Mapping[str, str]) -> dict[str, float]:
    """What each data property adds to in-context accuracy and takes from in-weights accuracy, with controls.

    A property that the cells do not vary is left out.
    """
    found = {}
    for name, (high, low) in CONTRASTS.items():
        if corners.get(high, corners[low]) == corners[low]:
            continue
        for arm, estimand, key, sign in (
            (name, "ic_gain", "ic", 1),
            (name, "iw_loss", "iw", -1),
            (f"{name}-scrambled", "ic_gain", "scrambled", 1),
            (f"{name}-stranger", "iw_loss", "stranger", -1),
        ):
            found[f"{arm}/{estimand}"] = sign * (final[corners[high]][key] - final[corners[low]][key])
    return found


def measure(settings: DataSettings, seeds: Seeds) -> Measurement:
    """One seed: a network for every cell."""

    def observe(name: str, model: Decoder, sets: Mapping[str, Setting]) -> dict[str, float]:
        return accuracies(model, sets, ("ic", "iw"))

    regimes = settings.regimes
    looks = sorted({round(settings.n_steps * i / settings.n_looks) for i in range(1, settings.n_looks + 1)})
    done = train_regimes(regimes, settings, seeds, observe=observe, observe_at=looks)
    final = {name: accuracies(cell.model, cell.sets, NAMES) for name, cell in done.items()}
    course: Table = [
        {"cell": name, "step": step, "evaluation": key, "accuracy": float(value)}
        for name, cell in done.items()
        for key in ("ic", "iw")
        for step, value in zip(cell.trace.steps, cell.curve(key), strict=True)
    ]
    ic, ic2, iw = (np.array([cell[key] for cell in final.values()]) for key in ("ic", "ic2", "iw"))
    gaps = np.abs(ic2 - ic)[ic > 0.8]
    few = final[settings.corners["few"]]
    estimands = contrasts(final, settings.corners) | {
        "readers/override_gap": float(gaps.max()) if gaps.size else float("nan"),
        "few/shift_loss": few["known"] - few["ic2"],
        "ic-iw/correlation": _correlation(ic, iw),
        "ic-ic2/correlation": _correlation(ic, ic2),
    }
    cells: Table = [
        {"cell": name, "K": regimes[name].n_classes, "B": regimes[name].burst, "eps": regimes[name].noise, **values}
        for name, values in final.items()
    ]
    grid: Table = [
        {"K": row["K"], "B": row["B"], "evaluation": key, "accuracy": row[key]}
        for row in cells
        if row["eps"] == settings.noises[0]
        for key in ("ic", "iw")
    ]
    noise: Table = [
        {"eps": row["eps"], "evaluation": key, "accuracy": row[key]}
        for row in cells
        if (row["K"], row["B"]) == (settings.classes[len(settings.classes) // 2], settings.bursts[0])
        for key in ("ic", "iw")
    ]
    return Measurement(estimands, {"cells": cells, "grid": grid, "noise": noise, "course": course})


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1]) if min(first.std(), second.std()) > 0 else float("nan")
